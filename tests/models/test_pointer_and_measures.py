"""CONTRACT 1: the active pointer, measurements, training records, listing, cleaning up, the views."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ai_engine import (
    InvalidInputError,
    NoPreviousVersionError,
    VersionActiveError,
    VersionExistsError,
    VersionNotFoundError,
)
from ai_engine.domain.retention import Policy
from ai_engine.models import ModelManager, ModelPerformance
from tests.models.estimators import Unpicklable, large

Open = Callable[[], ModelManager]


def save(manager: ModelManager, count: int, name: str = "cpu") -> None:
    for value in range(count):
        manager.save_model(name, value)


def performance(**numbers: object) -> ModelPerformance:
    given: dict[str, object] = dict.fromkeys(
        ["mae", "mse", "r2", "training_time", "prediction_time", "accuracy_score", "confidence_score"]
    )
    return ModelPerformance(**{**given, "last_updated": datetime.now(UTC), **numbers})  # type: ignore[arg-type]


# -- the pointer ---------------------------------------------------------------------------------------------


def test_a_save_activates_unless_told_not_to(manager: ModelManager) -> None:
    save(manager, 2)
    assert manager.active_models["cpu"] == "1.0.1"
    manager.save_model("cpu", 9, activate=False)
    assert manager.active_models["cpu"] == "1.0.1"
    assert manager.get_model("cpu") == 1


def test_activate_moves_the_pointer_and_answers_where_it_was(manager: ModelManager) -> None:
    save(manager, 3)
    assert manager.activate("cpu", "1.0.0") == {"version": "1.0.0", "previous_version": "1.0.2"}
    assert manager.activate("cpu", "1.0.0") == {"version": "1.0.0", "previous_version": "1.0.0"}
    assert manager.get_model("cpu") == 0
    with pytest.raises(VersionNotFoundError):
        manager.activate("cpu", "7")
    with pytest.raises(LookupError):
        manager.activate("memory", "1.0.0")


def test_rollback_walks_back_and_is_not_itself_a_step(manager: ModelManager, open_manager: Open) -> None:
    save(manager, 3)
    assert manager.rollback("cpu") == {"version": "1.0.1", "previous_version": "1.0.2"}
    assert open_manager().rollback("cpu") == {"version": "1.0.0", "previous_version": "1.0.1"}
    with pytest.raises(NoPreviousVersionError):
        manager.rollback("cpu")
    assert manager.active_models["cpu"] == "1.0.0"
    manager.activate("cpu", "1.0.2")
    assert manager.rollback("cpu")["version"] == "1.0.0"
    with pytest.raises(LookupError):
        manager.rollback("memory")


def test_rollback_skips_what_is_gone_and_what_is_active(manager: ModelManager) -> None:
    save(manager, 3)
    manager.delete_version("cpu", "1.0.1")
    assert manager.rollback("cpu") == {"version": "1.0.0", "previous_version": "1.0.2"}

    save(manager, 2, "memory")
    manager.activate("memory", "1.0.0")
    manager.delete_version("memory", "1.0.1")
    with pytest.raises(NoPreviousVersionError):
        manager.rollback("memory")


def test_what_was_active_when_is_remembered(manager: ModelManager) -> None:
    before = datetime.now(UTC)
    save(manager, 1)
    between = datetime.now(UTC)
    save(manager, 1)
    assert manager.active_at("cpu", before - timedelta(seconds=1)) is None
    assert manager.active_at("cpu", between) == "1.0.0"
    assert manager.active_at("cpu", datetime.now()) == "1.0.1"  # naive is local
    manager.rollback("cpu")
    moves = manager.registry.activations("cpu")
    assert [(move.version, move.reason) for move in moves] == [
        ("1.0.0", "saved"),
        ("1.0.1", "saved"),
        ("1.0.0", "rollback from 1.0.1"),
    ]
    assert all(move.actor for move in moves)


def test_the_active_version_is_never_deleted(manager: ModelManager) -> None:
    save(manager, 2)
    with pytest.raises(VersionActiveError):
        manager.delete_version("cpu", "1.0.1")
    manager.delete_version("cpu", "1.0.0")
    assert manager.get_model("cpu", "1.0.0") is None
    with pytest.raises(VersionNotFoundError) as caught:
        manager.delete_version("cpu", "1.0.0")
    assert caught.value.known == ("1.0.1",)


def test_what_another_process_activates_is_served(manager: ModelManager, local_database: None) -> None:
    save(manager, 2)
    assert manager.get_model("cpu") == 1
    code = (
        "import sys; from ai_engine.models import ModelManager\n"
        "with ModelManager(sys.argv[1]) as m: m.activate('cpu', '1.0.0')"
    )
    subprocess.run([sys.executable, "-c", code, manager.model_dir], check=True)
    assert manager.get_model("cpu") == 0
    assert manager.active_models["cpu"] == "1.0.0"


# -- measurements --------------------------------------------------------------------------------------------


def test_history_is_appended_and_unknown_stays_unknown(
    manager: ModelManager, open_manager: Open, local_database: None
) -> None:
    save(manager, 1)
    moment = datetime(2026, 5, 4, 3, 2, 1, 5, tzinfo=UTC)
    manager.update_performance("cpu", "1.0.0", performance(mae=0.5, r2=math.nan, last_updated=moment))
    manager.update_performance(
        "cpu", "1.0.0", performance(mae=np.float32(0.25), training_samples=np.int64(7))
    )
    again = open_manager()
    first, second = again.metric_history("cpu")
    assert (first.mae, first.r2, first.mse, first.last_updated) == (0.5, None, None, moment)
    assert (second.mae, second.training_samples) == (0.25, 7)
    assert again.performance_history["cpu"]["1.0.0"] == second
    (entry,) = again.get_model_info("cpu")["models"]
    assert entry["metric_count"] == 2
    assert entry["avg_accuracy"] is None
    with sqlite3.connect(manager.db_path) as connection:
        stored = connection.execute("SELECT r2, recorded_at FROM performance_metrics ORDER BY id").fetchall()
    assert stored[0] == (None, "2026-05-04 03:02:01.000005")


def test_a_naive_moment_is_local_time(manager: ModelManager, monkeypatch: pytest.MonkeyPatch) -> None:
    save(manager, 1)
    naive = datetime(2026, 1, 1, 12)
    manager.update_performance("cpu", "1.0.0", performance(last_updated=naive))
    assert manager.metric_history("cpu")[0].last_updated == naive.astimezone(UTC)


def test_the_average_is_that_of_the_known(manager: ModelManager) -> None:
    save(manager, 1)
    for accuracy in (0.5, None, 1.0):
        manager.update_performance("cpu", "1.0.0", performance(accuracy_score=accuracy))
    (entry,) = manager.get_model_info()["models"]
    assert entry["avg_accuracy"] == 0.75
    assert entry["metric_count"] == 3
    assert entry["last_metric_update"]


@pytest.mark.parametrize("bad", ["0.5", b"1", object(), [1.0], 1j])
def test_a_number_that_is_none_is_refused(manager: ModelManager, bad: object) -> None:
    save(manager, 1)
    with pytest.raises(InvalidInputError, match="mae"):
        manager.update_performance("cpu", "1.0.0", performance(mae=bad))
    assert manager.metric_history("cpu") == []


def test_measuring_an_unknown_version_raises(manager: ModelManager) -> None:
    with pytest.raises(VersionNotFoundError):
        manager.update_performance("cpu", "1.0.0", performance())
    with pytest.raises(VersionNotFoundError):
        manager.save_training_history("cpu", "1.0.0", {})
    with pytest.raises(VersionNotFoundError):
        manager.metric_history("cpu")


def test_model_performance_takes_its_fields_in_order() -> None:
    now = datetime.now(UTC)
    given = ModelPerformance(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, now)
    assert (given.mae, given.training_time, given.accuracy_score, given.last_updated) == (1.0, 4.0, 6.0, now)
    assert given.training_samples is None


def test_training_records_come_back_newest_first(manager: ModelManager, open_manager: Open) -> None:
    save(manager, 2)
    started = datetime(2026, 1, 1, tzinfo=UTC)
    manager.save_training_history(
        "cpu", "1.0.0", {"started": started, "dataset_size": 5, "hyperparameters": {"k": 1}}
    )
    manager.save_training_history("cpu", "1.0.1", {"validation_score": float("nan")})
    newest, oldest = open_manager().get_training_history("cpu")
    assert (newest["version"], newest["validation_score"], newest["started"]) == ("1.0.1", None, None)
    assert (oldest["started"], oldest["dataset_size"], oldest["hyperparameters"]) == (started, 5, {"k": 1})
    assert manager.get_training_history("cpu", "1.0.0") == [oldest]
    assert manager.get_training_history("memory") == []
    with pytest.raises(InvalidInputError, match="validation_loss"):
        manager.save_training_history("cpu", "1.0.0", {"validation_loss": 1})


# -- listing and cleaning up ---------------------------------------------------------------------------------


def test_listing_is_by_name_and_newest_first(manager: ModelManager) -> None:
    save(manager, 2, "b")
    save(manager, 1, "a")
    listed = manager.get_model_info()
    assert [(e["name"], e["version"]) for e in listed["models"]] == [
        ("a", "1.0.0"),
        ("b", "1.0.1"),
        ("b", "1.0.0"),
    ]
    assert listed["total"] == 3
    assert manager.get_model_info("b")["total"] == 2
    assert manager.get_model_info("c") == {"models": [], "total": 0}


def test_cleaning_up_keeps_the_highest_and_the_active_one(manager: ModelManager, open_manager: Open) -> None:
    for version in ("1.9.0", "1.10.0", "nightly", "2", "0.1"):
        manager.save_model("cpu", version, version=version)
    save(manager, 1, "memory")
    manager.activate("cpu", "0.1")
    answer = manager.cleanup_old_models(keep_versions=2)
    assert {(r["name"], r["version"]) for r in answer["removed"]} == {("cpu", "1.9.0"), ("cpu", "nightly")}
    assert sorted(open_manager().model_versions["cpu"]) == ["0.1", "1.10.0", "2"]
    assert manager.cleanup_old_models(keep_versions=2) == {"removed": [], "freed_bytes": 0}


@pytest.mark.parametrize("keep", [0, -1, 1.5, True, None, "3"])
def test_keeping_less_than_one_is_refused(manager: ModelManager, keep: object) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        manager.cleanup_old_models(keep)  # type: ignore[arg-type]  # what an untyped caller does


def taken(directory: str) -> int:
    inodes = {}
    for root, _, files in os.walk(directory):
        for file in files:
            found = os.lstat(os.path.join(root, file))
            inodes[found.st_ino] = found.st_blocks * 512
    return sum(inodes.values())


def test_bytes_that_a_version_keeps_are_not_told_as_freed(manager: ModelManager, store: str) -> None:
    """Whatever the store, and as much by a dry run as by the clean-up."""
    manager.save_model("cpu", large(1))
    manager.save_model("other", large(1))
    manager.save_model("cpu", large(2))
    manager.save_model("cpu", large(3))
    planned = manager.registry.clean_up(Policy(keep_versions=1, name="cpu"), dry_run=True)
    assert planned == manager.registry.clean_up(Policy(keep_versions=1, name="cpu"))
    assert [version.version for version in planned.dropped] == ["1.0.0", "1.0.1"]
    copies = 1 if store == "files" else 2  # of 1.0.1: where the store has no files, its file is another one
    assert 0 <= planned.freed_bytes - copies * 1024 * 1024 < 512 * 1024  # some of it the database's
    assert manager.get_model("other") == large(1)


def test_a_page_of_nothing_tells_how_many_there_are(manager: ModelManager) -> None:
    manager.save_model("cpu", 1)
    assert manager.registry.describe(limit=0) == ([], 1, True)
    for odd in (-1, True, 1.0):
        with pytest.raises(ValueError, match="limit"):
            manager.registry.describe(limit=odd)  # type: ignore[arg-type]  # what an untyped caller does


@pytest.mark.usefixtures("local_files")
@pytest.mark.parametrize("size", [0.2, 1.0], ids=["small", "large"])
def test_cleaning_up_frees_the_disk_as_it_says(manager: ModelManager, size: float) -> None:
    for seed in range(20):
        manager.save_model("cpu", large(seed, size))
        manager.update_performance("cpu", manager.active_models["cpu"], performance(mae=1.0))
    before = taken(manager.model_dir)
    answer = manager.cleanup_old_models(keep_versions=1)
    freed = before - taken(manager.model_dir)
    assert len(answer["removed"]) == 19
    assert freed > 19 * size * 1024 * 1024
    assert answer["freed_bytes"] == pytest.approx(freed, abs=64 * 1024)
    assert manager.get_model("cpu") == large(19, size)
    left = [file.name for file in Path(manager.model_dir).rglob("*.pkl*")]
    assert left == ["cpu@1.0.19.pkl"]


@pytest.mark.usefixtures("local_files")
def test_bytes_go_with_their_last_user(manager: ModelManager) -> None:
    manager.save_model("a", large(1))
    manager.save_model("b", large(1))
    manager.save_model("a", large(2))
    manager.cleanup_old_models(1)
    assert manager.get_model("b") == large(1)
    manager.save_model("b", large(3))
    manager.cleanup_old_models(1)
    assert len(list(Path(manager.model_dir, ".engine", "artifacts").iterdir())) == 2


# -- registering ---------------------------------------------------------------------------------------------


def test_registering_persists(manager: ModelManager, open_manager: Open) -> None:
    manager.register_model("cpu", {"x": 1})
    manager.register_model("cpu", {"x": 2}, version="2.0.0")
    again = open_manager()
    assert again.get_model("cpu") == {"x": 2}
    again.register_model("cpu", {"x": 1})
    assert again.active_models["cpu"] == "1.0.0"
    with pytest.raises(VersionExistsError):
        again.register_model("cpu", {"x": 3})
    assert again.get_model_info()["total"] == 2


def test_what_cannot_be_stored_is_kept_in_memory_with_a_warning(
    manager: ModelManager, open_manager: Open, caplog: pytest.LogCaptureFixture
) -> None:
    model = Unpicklable()
    manager.register_model("cpu", model)
    assert manager.get_model("cpu") is model
    assert manager.models["cpu"]["1.0.0"] is model
    assert manager.active_models["cpu"] == "1.0.0"
    assert "in memory only" in caplog.text
    assert open_manager().get_model("cpu") is None
    manager.update_performance("cpu", "1.0.0", performance(mae=1.0))
    assert manager.metric_history("cpu")[0].mae == 1.0
    manager.save_model("cpu", 5, version="2.0.0")
    assert manager.get_model("cpu") == 5
    assert manager.get_model("cpu", "1.0.0") is model


# -- the views -----------------------------------------------------------------------------------------------


def test_the_views_are_live_and_read_only(manager: ModelManager, open_manager: Open) -> None:
    other = open_manager()
    assert dict(manager.models) == {}
    save(other, 2)
    assert list(manager.models) == ["cpu"]
    assert manager.models["cpu"]["1.0.0"] == 0
    assert manager.model_versions["cpu"] == ["1.0.0", "1.0.1"]
    assert "cpu" in manager.active_models
    assert dict(manager.performance_history["cpu"]) == {}
    with pytest.raises(KeyError):
        manager.models["memory"]
    with pytest.raises(KeyError):
        manager.models["cpu"]["9"]
    with pytest.raises(KeyError):
        manager.active_models["memory"]
    with pytest.raises(TypeError):
        manager.active_models["cpu"] = "1.0.0"  # type: ignore[index]  # that it is read-only is the point
