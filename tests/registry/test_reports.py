"""The report of a training: kept once, told by itself, through an outage too."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ai_engine.backup import restore
from ai_engine.domain.entities import Run
from ai_engine.models import ModelManager
from ai_engine.recovery import recover
from ai_engine.registry.version_records import VersionRecords
from ai_engine.settings import Settings
from ai_engine.wiring import build_stores
from tests.registry.outages import impatient, locked

REPORT = {"worst": [{"group": "vm-1", "mae": 2.5}], "importance": None}
TRAINED = Run(None, None, 5, report=REPORT)

__all__ = ["impatient"]


@pytest.mark.usefixtures("impatient")
def test_a_report_that_waits_in_the_journal_is_told_and_comes_through(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", 0)
        with locked(tmp_path):
            manager.registry.save("cpu", 1, run=TRAINED)
            manager.registry.record_run("cpu", "1.0.0", Run(None, None, 6, report={"worst": []}))
            assert manager.registry.report("cpu", "1.0.1") == REPORT
            assert manager.registry.report("cpu", "1.0.0") == {"worst": []}
        assert manager.health()["status"] == "healthy"  # what waited has been written
        assert manager.registry.report("cpu", "1.0.1") == REPORT
        assert manager.registry.report("cpu", "1.0.0") == {"worst": []}


def test_a_report_outlives_the_process_and_ends_with_its_version(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.registry.save("cpu", 0, run=TRAINED)
    with ModelManager(tmp_path) as manager:
        assert manager.registry.report("cpu") == REPORT
        assert [run["hyperparameters"] for run in manager.get_training_history("cpu")] == [{}]
        manager.save_model("cpu", 1)
        assert manager.registry.report("cpu") is None
        manager.delete_version("cpu", "1.0.0")
    with build_stores(Settings(model_dir=str(tmp_path))).catalogue.read() as snapshot:
        assert snapshot.inconsistencies() == []
    with closing(sqlite3.connect(tmp_path / "model_registry.db")) as database:
        assert database.execute("SELECT COUNT(*) FROM engine_reports").fetchone() == (0,)


def test_the_record_beside_the_artifact_has_the_run_and_not_its_report(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.registry.save("cpu", 0, run=TRAINED)
    (record,) = VersionRecords(build_stores(Settings(model_dir=str(tmp_path))).version_files)
    assert record.new.run == Run(None, None, 5)


def test_a_version_in_memory_only_tells_the_report_of_its_last_training(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.register_model("cpu", lambda: None)  # no pickle has it
        assert manager.registry.report("cpu") is None
        manager.registry.record_run("cpu", "1.0.0", TRAINED)
        manager.registry.record_run("cpu", "1.0.0", Run(None, None, 7))
        assert manager.registry.report("cpu", "1.0.0") == REPORT


def test_a_backup_has_reports_and_a_rebuilt_database_has_not(tmp_path: Path) -> None:
    models = tmp_path / "models"
    with ModelManager(models) as manager:
        manager.registry.save("cpu", 0, run=TRAINED)
        manager.backup(tmp_path / "copy")
    restore(str(tmp_path / "copy"), Settings(model_dir=str(tmp_path / "restored")), lambda _d, _t: None)
    with ModelManager(tmp_path / "restored") as manager:
        assert manager.registry.report("cpu") == REPORT
    for path in models.glob("model_registry.db*"):
        path.unlink()
    assert recover(Settings(model_dir=str(models)), from_files=True).versions == ["cpu@1.0.0"]
    with ModelManager(models) as manager:
        assert manager.registry.report("cpu") is None
        assert [run["dataset_size"] for run in manager.get_training_history("cpu")] == [5]
