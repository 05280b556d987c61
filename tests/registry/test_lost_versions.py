"""A database that lost its last commits, or was set back, is told as that; numbers are not given again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ai_engine import VersionExistsError
from ai_engine.models import ModelManager
from ai_engine.recovery import recover
from ai_engine.settings import Settings
from tests.faults.driver import diagnose


def lose_the_log(directory: Path, lost: Path) -> None:
    """Copy a directory as it is while a writer has it open, without the log that holds its last commits."""
    ModelManager(directory).close()
    with ModelManager(directory) as manager:
        for number in range(3):
            manager.save_model("cpu", number)
        manager.save_model("net", bytes(300_000))
        shutil.copytree(directory, lost, symlinks=True)
    for suffix in ("-wal", "-shm"):
        (lost / f"model_registry.db{suffix}").unlink()


def set_back(directory: Path, lost: Path) -> None:
    """Restore an older copy of the database, as an operator may."""
    with ModelManager(directory) as manager:
        manager.save_model("kept", 0)
    old = (directory / "model_registry.db").read_bytes()
    with ModelManager(directory) as manager:
        for number in range(3):
            manager.save_model("cpu", number)
        manager.save_model("net", bytes(300_000))
    shutil.copytree(directory, lost, symlinks=True)
    (lost / "model_registry.db").write_bytes(old)


@pytest.fixture(params=[lose_the_log, set_back], ids=lambda how: how.__name__)
def lost(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    request.param(tmp_path / "models", tmp_path / "lost")
    return tmp_path / "lost"


def test_it_is_told_and_no_number_is_given_again(lost: Path) -> None:
    with ModelManager(lost) as manager:
        health = manager.registry.health()
        assert health.status == "degraded"
        for told in ("cpu@1.0.0", "1 more", "doctor --rebuild", "doctor --accept-loss"):
            assert told in str(health.reason)
        with pytest.raises(VersionExistsError, match="doctor --rebuild"):
            manager.save_model("cpu", "again", version="1.0.1")
        assert manager.save_model("cpu", "next").version == "1.0.3"
        assert manager.save_model("net", "next").version == "1.0.1"
        assert manager.get_model("cpu") == "next"
        assert manager.registry.health().status == "degraded"
    with ModelManager(lost) as manager:  # though the newest record is of a version that is known
        assert "cpu@1.0.0" in str(manager.registry.health().reason)


def test_rebuilding_brings_everything_back(lost: Path) -> None:
    with ModelManager(lost) as manager:
        manager.save_model("cpu", "next")
        assert len(recover(Settings(model_dir=str(lost)), from_files=True).versions) == 4
        assert manager.registry.health().status == "healthy"
        assert manager.model_versions["cpu"] == ["1.0.3", "1.0.0", "1.0.1", "1.0.2"]
        assert [manager.get_model("cpu", f"1.0.{n}") for n in range(3)] == [0, 1, 2]
        assert manager.get_model("net") == bytes(300_000)
    assert diagnose(lost) == []


def test_accepting_the_loss_ends_it(lost: Path) -> None:
    recover(Settings(model_dir=str(lost)), from_files=False)
    with ModelManager(lost) as manager:
        assert manager.registry.health().status == "healthy"
        manager.save_model("cpu", "next", version="9.0.0")
        manager.save_model("cpu", "last")
        manager.delete_version("cpu", "9.0.0")
    with ModelManager(lost) as manager:
        assert manager.registry.health().status == "healthy"
        assert manager.get_model("cpu") == "last"


def test_a_registry_that_lost_nothing_is_healthy_whatever_was_dropped(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        for number in range(4):
            manager.save_model("cpu", number)
        manager.activate("cpu", "1.0.0")
        for number in (3, 2, 1):
            manager.delete_version("cpu", f"1.0.{number}")
            with ModelManager(tmp_path) as another:
                assert another.registry.health().status == "healthy"
        assert manager.save_model("cpu", "next").version == "1.0.4"
