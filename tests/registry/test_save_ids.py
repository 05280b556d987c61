"""A save that its caller gave an id: repeated, it is answered and done once. And who changed what."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ai_engine import InvalidNameError, VersionExistsError
from ai_engine.models import ModelManager
from ai_engine.registry.registry import Registry
from tests.faults.driver import diagnose
from tests.registry.outages import locked

SMALL, LARGE = 100, 400_000


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_ENGINE_LOCK_TIMEOUT", "0.05")


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_repeated_save_is_answered_as_the_first(tmp_path: Path, size: int) -> None:
    with ModelManager(tmp_path) as manager:
        first = manager.registry.save("cpu", bytes(size), save_id="job-1")
        again = manager.registry.save("cpu", b"other" * size, save_id="job-1", activate=False)
        assert (again, again.version, again.active) == (first, "1.0.0", True)
        assert manager.model_versions["cpu"] == ["1.0.0"]
        assert manager.get_model("cpu") == bytes(size)
        other = manager.registry.save("cpu", bytes(size), save_id="job-2")
        assert other.version == "1.0.1"
        assert manager.registry.save("disk", bytes(size), save_id="job-1").name == "disk"
    with ModelManager(tmp_path) as later:
        assert later.registry.save("cpu", 0, save_id="job-1").version == "1.0.0"
    assert diagnose(tmp_path) == []


def test_of_many_at_once_one_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AI_ENGINE_LOCK_TIMEOUT")
    begin = threading.Barrier(6)
    versions: list[tuple[int, str]] = []
    with ModelManager(tmp_path) as manager:

        def save(number: int) -> None:
            begin.wait()
            for job in range(5):
                size = SMALL if job % 2 else LARGE
                versions.append(
                    (job, manager.registry.save("cpu", bytes([number]) * size, save_id=f"j{job}"))
                )

        threads = [threading.Thread(target=save, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(versions)) == 5
        assert len(manager.model_versions["cpu"]) == 5
    assert diagnose(tmp_path) == []


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_repeated_save_is_answered_during_an_outage(tmp_path: Path, size: int) -> None:
    with ModelManager(tmp_path) as manager:
        manager.registry.save("cpu", bytes(size), save_id="before")
        with locked(tmp_path):
            assert manager.registry.save("cpu", 0, save_id="before").version == "1.0.0"
            during = manager.registry.save("cpu", bytes(size), save_id="during")
            assert manager.registry.save("cpu", 0, save_id="during") == during
        assert manager.health()["status"] == "healthy"
        assert manager.registry.save("cpu", 0, save_id="during") == during
        assert manager.model_versions["cpu"] == ["1.0.0", "1.0.1"]
    assert diagnose(tmp_path) == []


def test_an_id_with_a_number_that_another_save_has_is_a_conflict(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", 1)
        with pytest.raises(VersionExistsError):
            manager.registry.save("cpu", 2, version="1.0.0", save_id="job")
        assert manager.registry.save("cpu", 2, version="1.0.1", save_id="job").version == "1.0.1"
        assert manager.registry.save("cpu", 2, version="1.0.1", save_id="job").version == "1.0.1"


@pytest.mark.parametrize("save_id", ["", "a/b", "x" * 65, " ", "a\n", 7])
def test_an_odd_id_is_refused(tmp_path: Path, save_id: str) -> None:
    with ModelManager(tmp_path) as manager:
        with pytest.raises(InvalidNameError):
            manager.registry.save("cpu", 1, save_id=save_id)
        assert manager.registry.save("cpu", 1, save_id="x" * 64).version == "1.0.0"


def test_a_version_that_was_deleted_is_saved_anew(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.registry.save("cpu", 1, save_id="job", activate=False)
        manager.delete_version("cpu", "1.0.0")
        assert manager.registry.save("cpu", 1, save_id="job").version == "1.0.1"


def test_who_changed_something_is_written_down(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        alice: Registry = manager.registry.as_actor("alice")
        alice.save("cpu", 1)
        manager.registry.as_actor("bob").save("cpu", 2)
        alice.activate("cpu", "1.0.0", reason="better")
        manager.registry.as_actor("carol").roll_back("cpu")
        moves = [(move.version, move.actor) for move in alice.activations("cpu")]
        assert moves == [("1.0.0", "alice"), ("1.0.1", "bob"), ("1.0.0", "alice"), ("1.0.1", "carol")]
        saved = {entry["version"]: entry["saved_by"] for entry in manager.get_model_info()["models"]}
        assert saved == {"1.0.0": "alice", "1.0.1": "bob"}
        with locked(tmp_path):
            alice.save("cpu", 3)
            assert manager.get_model_info(limit=1)["models"][0]["saved_by"] == "alice"
        assert manager.health()["status"] == "healthy"
        assert manager.get_model_info(limit=1)["models"][0]["saved_by"] == "alice"
        assert alice.activations("cpu")[-1].actor == "alice"


def test_a_repeated_save_is_answered_where_only_the_records_know_it(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.registry.save("cpu", 1, save_id="before")
    (tmp_path / "model_registry.db").rename(tmp_path / "elsewhere")
    with ModelManager(tmp_path) as manager:
        assert manager.health()["status"] == "degraded"
        assert manager.registry.save("cpu", 2, save_id="before").version == "1.0.0"
        assert manager.registry.save("cpu", 2, save_id="other").version == "1.0.1"
