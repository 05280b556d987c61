"""The catalogue cannot be written: nothing that was accepted is lost, and nothing is applied twice."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ai_engine import CatalogueUnavailableError, StorageError, VersionExistsError
from ai_engine.models import ModelManager, ModelPerformance
from tests.faults.driver import diagnose
from tests.managers import another_process
from tests.models.estimators import large

Break = Callable[[Path], Callable[[], None]]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_ENGINE_LOCK_TIMEOUT", "0.2")


def locked(database: Path) -> Callable[[], None]:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection.close


def missing(database: Path) -> Callable[[], None]:
    aside = database.with_suffix(".aside")
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(f"{database}{suffix}"):
            os.rename(f"{database}{suffix}", f"{aside}{suffix}")

    def put_back() -> None:
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(f"{database}{suffix}"):
                os.unlink(f"{database}{suffix}")
            if os.path.exists(f"{aside}{suffix}"):
                os.rename(f"{aside}{suffix}", f"{database}{suffix}")

    return put_back


def directory(database: Path) -> Callable[[], None]:
    put_back = missing(database)
    database.mkdir()

    def mend() -> None:
        database.rmdir()
        put_back()

    return mend


def garbage(database: Path) -> Callable[[], None]:
    put_back = missing(database)
    database.write_bytes(b"this is no database " * 1000)

    def mend() -> None:
        database.unlink(missing_ok=True)  # the engine sets it aside where nobody else has it open
        put_back()

    return mend


def performance(mae: float) -> ModelPerformance:
    return ModelPerformance(mae, None, None, None, None, None, None, datetime.now(UTC))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", "before")
    return tmp_path / "model_registry.db"


@pytest.fixture(params=[locked, missing, directory, garbage], ids=lambda kind: kind.__name__)
def outage(request: pytest.FixtureRequest, database: Path) -> Iterator[Callable[[], None]]:
    """Break the database; calling what is given mends it."""
    mended: list[bool] = []
    mend = request.param(database)

    def once() -> None:
        if not mended:
            mended.append(True)
            mend()

    yield once
    once()


def test_nothing_that_was_accepted_is_lost(
    outage: Callable[[], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", "during")
        manager.save_model("cpu", [large(1), "large"], metadata={"k": 1})
        manager.register_model("other", "registered")
        manager.update_performance("cpu", "1.0.2", performance(0.5))
        assert manager.get_model("cpu") == [large(1), "large"]
        assert manager.get_model("cpu", "1.0.1") == "during"
        assert manager.active_models["cpu"] == "1.0.2"
        assert manager.metric_history("cpu", "1.0.2")[0].mae == 0.5
        health = manager.registry.health()
        assert (health.status, health.waiting) == ("degraded", 4)
        assert health.reason
        assert "cannot be used" in caplog.text
        assert oct(os.stat(tmp_path / ".engine" / "outage").st_mode & 0o777) == "0o700"
        info = manager.get_model_info("cpu")["models"]
        assert {"1.0.1", "1.0.2"} <= {entry["version"] for entry in info}
        assert all(os.path.isfile(str(entry["model_path"])) for entry in info)

    with ModelManager(tmp_path) as other:  # another process, the outage going on
        assert other.get_model("cpu", "1.0.1") == "during"
        with pytest.raises(VersionExistsError):
            other.save_model("cpu", 0, version="1.0.1")
        other.save_model("cpu", "from the other")

    outage()
    for _ in range(2):  # the second opening finds nothing left to do
        with ModelManager(tmp_path) as later:
            assert later.model_versions["cpu"] == ["1.0.0", "1.0.1", "1.0.2", "1.0.3"]
            assert [later.get_model("cpu", f"1.0.{n}") for n in (0, 1, 3)] == [
                "before",
                "during",
                "from the other",
            ]
            assert later.get_model("cpu", "1.0.2") == [large(1), "large"]
            assert later.get_model("other") == "registered"
            assert [p.mae for p in later.metric_history("cpu", "1.0.2")] == [0.5]
            assert later.active_models["cpu"] == "1.0.3"
            assert later.registry.health().status == "healthy"
            assert later.registry.health().waiting == 0


def test_the_manager_that_was_there_goes_on_by_itself(database: Path, tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        assert manager.get_model("cpu") == "before"
        mend = missing(database)
        manager.save_model("cpu", "during")
        assert manager.get_model("cpu") == "during"
        assert manager.get_model("cpu", "1.0.0") == "before"
        mend()
        assert manager.registry.health().status == "healthy"
        manager.save_model("cpu", "after")
        assert manager.model_versions["cpu"] == ["1.0.0", "1.0.1", "1.0.2"]


def test_what_needs_the_catalogue_says_so(outage: Callable[[], None], tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        for refused in (
            lambda: manager.activate("cpu", "1.0.0"),
            lambda: manager.rollback("cpu"),
            lambda: manager.delete_version("cpu", "1.0.0"),
            lambda: manager.cleanup_old_models(),
        ):
            with pytest.raises(CatalogueUnavailableError):
                refused()


def test_a_replay_that_is_killed_is_repeated_without_applying_twice(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ModelManager(tmp_path) as manager:
        mend = missing(database)
        for number in range(3):
            manager.save_model("cpu", number)
        manager.update_performance("cpu", "1.0.1", performance(0.5))
        manager.save_training_history("cpu", "1.0.1", {"dataset_size": 5})
        mend()
    journal = tmp_path / ".engine" / "outage"
    copies = {path.name: path.read_bytes() for path in journal.glob("*.json")}
    with ModelManager(tmp_path):
        pass
    for name, text in copies.items():  # as if killed after the commit and before the file was removed
        (journal / name).write_bytes(text)
    with ModelManager(tmp_path) as again:
        assert again.model_versions["cpu"] == ["1.0.0", "1.0.1", "1.0.2", "1.0.3"]
        assert [found.mae for found in again.metric_history("cpu", "1.0.1")] == [0.5]
        assert [run["dataset_size"] for run in again.get_training_history("cpu", "1.0.1")] == [5]
        assert list(journal.glob("*.json")) == []


@pytest.mark.parametrize("state", ["waits", "was set aside"])
def test_bytes_that_a_waiting_save_needs_outlive_the_version_that_had_them(
    database: Path, tmp_path: Path, state: str
) -> None:
    """The save is one that only a newer version of the engine can apply, so that it waits for long."""
    with ModelManager(tmp_path) as manager:
        manager.save_model("twin", [large(1)])
        manager.save_model("twin", "another")
        mend = locked(database)
        manager.save_model("cpu", [large(1)])
        mend()
        (entry,) = (tmp_path / ".engine" / "outage").glob("*.json")
        written = entry.read_bytes()
        kind = b'"format": 2' if state == "waits" else b'"format": 0'
        entry.write_bytes(written.replace(b'"format": 1', kind))
        manager.delete_version("twin", "1.0.0")
    for finding in diagnose(tmp_path, repair=True):
        assert finding.kind != "artifact"
    with suppress(FileNotFoundError):
        entry.with_name(f"{entry.name}.rejected").unlink()
    entry.write_bytes(written)
    with ModelManager(tmp_path) as manager:
        assert manager.get_model("cpu") == [large(1)]


def test_bytes_that_were_swept_while_their_save_waited_for_the_database_are_stored_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AI_ENGINE_LOCK_TIMEOUT", "30.0")
    with ModelManager(tmp_path) as manager, ThreadPoolExecutor(1) as pool:
        manager.save_model("cpu", "before")
        unlock = locked(tmp_path / "model_registry.db")
        saving = pool.submit(manager.save_model, "cpu", [large(1)])
        artifacts = tmp_path / ".engine" / "artifacts"
        waits = threading.Event()
        while not (artifacts.exists() and os.listdir(artifacts)):
            waits.wait(0.001)
        os.unlink(artifacts / os.listdir(artifacts)[0])  # as a sweep of another process does
        unlock()
        saving.result()
    with ModelManager(tmp_path) as manager:
        assert manager.get_model("cpu") == [large(1)]
    assert diagnose(tmp_path) == []


def test_an_operation_that_cannot_be_applied_is_kept_aside_and_stops_nothing(
    database: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ModelManager(tmp_path) as manager:
        mend = missing(database)
        manager.save_model("cpu", "during")
        mend()
    journal = tmp_path / ".engine" / "outage"
    (journal / "000000000000.json").write_text("{torn")
    with ModelManager(tmp_path) as again:
        assert again.get_model("cpu") == "during"
    assert [path.name for path in journal.iterdir()] == ["000000000000.json.rejected"]
    assert "cannot be applied" in caplog.text


def test_a_version_that_waits_where_nobody_looks_keeps_its_number(
    database: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = tmp_path / ".engine" / "outage"
    with ModelManager(tmp_path) as manager:
        mend = missing(database)
        manager.save_model("cpu", "journalled")
        shutil.move(journal, tmp_path / "kept")
        mend()
        manager.save_model("cpu", "direct")
        shutil.move(tmp_path / "kept", journal)
    with ModelManager(tmp_path) as again:
        found = [again.get_model("cpu", version) for version in again.model_versions["cpu"]]
        assert found == ["before", "direct", "journalled"]
        assert again.get_model("cpu", "1.0.1") == "journalled"
    assert "another version" not in caplog.text


def test_a_version_that_waits_unknown_to_anybody_is_renumbered_aloud(
    database: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = tmp_path / ".engine" / "outage"
    with ModelManager(tmp_path) as manager:
        mend = missing(database)
        manager.save_model("cpu", "journalled")
        shutil.move(journal, tmp_path / "kept")
        (tmp_path / "cpu@1.0.1.pkl").unlink()  # what tells of it without the journal
        mend()
        manager.save_model("cpu", "direct")
        shutil.move(tmp_path / "kept", journal)
    with ModelManager(tmp_path) as again:
        found = {version: again.get_model("cpu", version) for version in again.model_versions["cpu"]}
        assert found == {"1.0.0": "before", "1.0.1": "direct", "1.0.2": "journalled"}
    assert "cpu@1.0.1 is another version by now" in caplog.text


def test_when_the_journal_fails_too_the_save_raises_and_registering_keeps_it_in_memory(
    database: Path, tmp_path: Path
) -> None:
    with ModelManager(tmp_path) as manager:
        mend = missing(database)
        (tmp_path / ".engine" / "outage").write_text("no directory")
        with pytest.raises(StorageError):
            manager.save_model("cpu", "lost", version="5")
        manager.register_model("cpu", "kept", version="6")
        assert manager.get_model("cpu") == "kept"
        assert manager.registry.health().in_memory_only == 1
        mend()
        assert "5" not in manager.model_versions["cpu"]


def test_a_database_that_vanished_is_not_silently_replaced(database: Path, tmp_path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(f"{database}{suffix}"):
            os.unlink(f"{database}{suffix}")
    with another_process(tmp_path, 1) as (manager, _):
        assert manager.registry.health().status == "degraded"
        assert "doctor --rebuild" in str(manager.registry.health().reason)
        manager.save_model("cpu", "during")
        assert manager.get_model("cpu") == "during"
        assert manager.model_versions["cpu"] == ["1.0.1"]
    assert not database.exists()
