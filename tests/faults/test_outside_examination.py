"""What an examination from outside broke, each case kept."""

from __future__ import annotations

import pickle
import sqlite3
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ai_engine.domain.errors import InvalidInputError, ModelLoadError, VersionExistsError
from ai_engine.models import ModelManager, ModelPerformance
from ai_engine.recovery import recover
from ai_engine.registry.doctor import Doctor, Finding
from ai_engine.settings import Settings
from ai_engine.wiring import build_stores
from tests.upgrade.original import Original

MEASURED = ModelPerformance(0.5, None, None, None, None, 0.75, None, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_ENGINE_LOCK_TIMEOUT", "0.2")


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep a database from being written."""
    other = sqlite3.connect(directory / "model_registry.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def examine(directory: Path, journal_dir: Path | None = None) -> list[Finding]:
    given = Settings(model_dir=str(directory), journal_dir=str(journal_dir) if journal_dir else None)
    stores = build_stores(given)
    try:
        return Doctor(stores).examine()
    finally:
        stores.catalogue.close()


def test_two_registries_may_share_a_journal_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AI_ENGINE_JOURNAL_DIR", str(tmp_path / "journal"))
    with ModelManager(tmp_path / "a") as ours, ModelManager(tmp_path / "b") as open_before:
        ours.save_model("m", 1)
        with locked(tmp_path / "a"):
            ours.save_model("m", 2)
            assert open_before.get_model("m") is None
            with ModelManager(tmp_path / "b") as opened_meanwhile:
                assert opened_meanwhile.get_model_info()["total"] == 0
                assert opened_meanwhile.registry.health().status == "healthy"
            assert [finding.kind for finding in examine(tmp_path / "b", tmp_path / "journal")] == ["journal"]
        ours.save_model("m", 3)
        assert ours.model_versions["m"] == ["1.0.0", "1.0.1", "1.0.2"]
        assert ours.get_model("m", "1.0.1") == 2


def test_registering_again_during_an_outage_hides_nothing(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager, ModelManager(tmp_path) as other:
        manager.save_model("a", "first")
        manager.save_model("a", "second")
        with locked(tmp_path):
            manager.register_model("a", "first", "1.0.0")
            manager.register_model("a", "second", "1.0.1")
        other.activate("a", "1.0.0")
        assert manager.get_model("a") == "first"
        other.activate("a", "1.0.1")
        assert manager.active_models["a"] == "1.0.1"
        manager.update_performance("a", "1.0.0", MEASURED)
        assert len(other.metric_history("a", "1.0.0")) == 1


def test_a_version_in_memory_and_one_in_the_database_differ_in_number(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        cannot_be_stored = threading.Lock()
        manager.register_model("r", cannot_be_stored)
        manager.save_model("r", "stored")
        assert manager.active_models["r"] == "1.0.1"
        assert manager.get_model("r", "1.0.0") is cannot_be_stored
        assert manager.get_model("r", "1.0.1") == "stored"
        with pytest.raises(VersionExistsError):
            manager.save_model("r", "stored", version="1.0.0")
        with locked(tmp_path):
            manager.save_model("r", "waits")
            assert manager.active_models["r"] == "1.0.2"


ODD = {
    "no id": "UPDATE model_registry SET model_id = NULL WHERE version = '2.0.0'",
    "a version of bytes": "UPDATE model_registry SET version = x'ff00' WHERE version = '2.0.0'",
    "5000 digits": "UPDATE model_registry SET version = replace(hex(zeroblob(2500)), '0', '7') "
    "WHERE version = '2.0.0'",
    "a name that is no text": "UPDATE model_registry SET name = CAST(x'ff41' AS TEXT) "
    "WHERE version = '2.0.0'",
    "bytes everywhere": "UPDATE model_registry SET metadata = x'ff', model_type = x'fe', "
    "algorithms = x'fd', model_path = x'fc' WHERE version = '2.0.0'",
    "metadata that is no text": "UPDATE model_registry SET metadata = CAST(x'ff41' AS TEXT)",
    "deep metadata": "UPDATE model_registry SET metadata = replace(hex(zeroblob(5000)), '0', '[')",
    "deep hyperparameters": "UPDATE training_history "
    "SET hyperparameters = replace(hex(zeroblob(5000)), '0', '[')",
    "a score of bytes": "UPDATE training_history SET validation_score = x'0000'",
    "a metric that is text": "UPDATE performance_metrics SET mae = 'low'",
}


@pytest.mark.parametrize("statement", ODD.values(), ids=ODD)
def test_one_odd_row_takes_no_registry_down(tmp_path: Path, statement: str) -> None:
    from ai_engine.registry.json_views import entry_shape, run_shape, to_json

    original = Original(tmp_path / "models")
    for version in ("1.0.0", "2.0.0"):
        original.save("cpu", version, {"version": version})
        original.measure(f"cpu_{version.replace('.', '_')}", 0.5)
    original.connection.execute(statement)
    original.close()
    with ModelManager(original.directory) as manager:
        assert manager.get_model("cpu", "1.0.0") == {"version": "1.0.0"}
        assert to_json([entry_shape(entry) for entry in manager.get_model_info(sort="mae")["models"]])
        assert to_json([run_shape(run) for run in manager.registry.runs("cpu")])
        assert all(isinstance(p.accuracy_score, float) for p in manager.metric_history("cpu", "1.0.0"))
        assert manager.save_model("cpu", 3)
    assert not [finding for finding in examine(original.directory) if finding.kind == "measured"]


def test_numbers_that_numpy_wrote_as_bytes_are_unknown(tmp_path: Path) -> None:
    original = Original(tmp_path / "models")
    original.save("cpu", "1.0.0", 1)
    original.measure("cpu_1_0_0", 0.5)
    original.connection.execute("UPDATE performance_metrics SET mae = ?", (struct.pack("<f", 0.25),))
    original.close()
    with ModelManager(original.directory) as manager:
        assert manager.metric_history("cpu")[0].mae is None
        (entry,) = manager.get_model_info(where="mae is null")["models"]
        assert entry["performance"] is not None
        assert entry["performance"]["mae"] is None


def test_a_file_of_the_original_that_is_missing_is_damage(tmp_path: Path) -> None:
    original = Original(tmp_path / "models")
    original.save("cpu", "1.0.0", 1)
    original.close()
    for file in original.directory.rglob("*.pkl"):
        file.unlink()
    assert [(finding.severity, finding.kind) for finding in examine(original.directory)] == [
        ("damage", "artifact")
    ]


def test_a_database_of_no_bytes_is_rebuilt(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", 1)
    (tmp_path / "model_registry.db").write_bytes(b"")
    assert recover(Settings(model_dir=str(tmp_path)), from_files=True).versions == ["cpu@1.0.0"]
    with ModelManager(tmp_path) as manager:
        assert manager.get_model("cpu") == 1


def test_a_list_during_an_outage_has_one_active_version_and_what_was_measured(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", 0)
        with locked(tmp_path):
            manager.save_model("cpu", 1)
            manager.save_model("cpu", 2)
            manager.update_performance("cpu", "1.0.1", MEASURED)
            entries = {entry["version"]: entry for entry in manager.get_model_info("cpu")["models"]}
            assert [v for v, entry in entries.items() if entry["is_active"]] == ["1.0.2"]
            assert entries["1.0.1"]["metric_count"] == 1
            numbers = entries["1.0.1"]["performance"]
            assert numbers is not None
            assert numbers["mae"] == 0.5


class _Leaves:
    def __setstate__(self, state: object) -> None:
        raise SystemExit(3)

    def __getstate__(self) -> object:
        return {"x": 1}


def test_a_pickle_that_wants_to_end_the_process_is_refused(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", _Leaves())
        with pytest.raises(ModelLoadError):
            manager.get_model("cpu")


def test_arguments_of_the_wrong_kind_are_named(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        for wrong in ({"model_type": ["x"]}, {"activate": "no"}):
            with pytest.raises(InvalidInputError, match=next(iter(wrong))):
                manager.save_model("cpu", 1, **wrong)
        manager.save_model("cpu", 1)
        with pytest.raises(InvalidInputError, match="ModelPerformance"):
            manager.update_performance("cpu", "1.0.0", {"mae": 1})  # type: ignore[arg-type]
        at_noon = ModelPerformance(1, None, None, None, None, None, None, "noon")  # type: ignore[arg-type]
        with pytest.raises(InvalidInputError, match="last_updated"):
            manager.update_performance("cpu", "1.0.0", at_noon)
        assert manager.metric_history("cpu") == []
        assert pickle.loads(manager.registry.export("cpu")) == 1
