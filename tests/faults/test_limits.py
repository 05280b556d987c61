"""Full disks, limits, read-only mounts, other users, clocks, vanishing directories; all of them real."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ai_engine import StorageError, StorageFullError
from ai_engine.domain import clock
from ai_engine.models import ModelManager
from tests.faults.driver import diagnose
from tests.models.estimators import large

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="mounting takes root")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 5 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@needs_root
@pytest.mark.parametrize("size", [0.1, 0.7], ids=["small", "large"])
def test_a_full_disk_refuses_and_loses_nothing(small_disk: Path, size: float) -> None:
    with ModelManager(small_disk / "models") as manager:
        saved = 0

        def fill() -> None:
            nonlocal saved
            for seed in range(100):
                manager.save_model("cpu", large(seed, size))
                saved += 1

        with pytest.raises(StorageFullError) as caught:
            fill()
        assert isinstance(caught.value, OSError)
        assert "clean" in str(caught.value)
        assert saved >= 3
        assert len(manager.model_versions["cpu"]) == saved
        for seed in range(saved):
            assert manager.get_model("cpu", f"1.0.{seed}") == large(seed, size)
        assert not os.listdir(small_disk / "models" / ".engine" / "sandbox")
        manager.cleanup_old_models(1)
        manager.save_model("cpu", large(200, size))
        assert manager.get_model("cpu") == large(200, size)
    assert diagnose(small_disk / "models") == []


def test_a_file_size_limit_is_a_full_disk(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", "before")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, hard))
        try:
            with pytest.raises(StorageFullError):
                manager.save_model("cpu", large(1, 4))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert manager.model_versions["cpu"] == ["1.0.0"]
        manager.save_model("cpu", large(1, 4))
    assert diagnose(tmp_path) == []


@needs_root
def test_a_read_only_mount_serves_and_refuses(tmp_path: Path) -> None:
    with ModelManager(tmp_path / "models") as manager:
        manager.save_model("cpu", "small")
        manager.save_model("cpu", large(1))
        manager.activate("cpu", "1.0.0")
    mount = tmp_path / "mounted"
    shutil.copytree(tmp_path / "models", mount, symlinks=True)
    subprocess.run(["mount", "--bind", str(mount), str(mount)], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", str(mount)], check=True)
    try:
        with ModelManager(mount) as manager:
            assert manager.get_model("cpu") == "small"
            assert manager.get_model("cpu", "1.0.1") == large(1)
            health = manager.registry.health()
            assert health["status"] == "degraded"
            assert health["reason"]
            with pytest.raises(StorageError):
                manager.save_model("cpu", "never")
            manager.register_model("other", "in memory")
            assert manager.get_model("other") == "in memory"
    finally:
        subprocess.run(["umount", str(mount)], check=True)


@needs_root
def test_another_user_without_rights_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with ModelManager(tmp_path / "models") as manager:
        manager.save_model("cpu", 1)
    code = (
        "import os, sys; from ai_engine.models import ModelManager; from ai_engine import StorageError\n"
        "os.setuid(65534)\n"
        "with ModelManager(sys.argv[1]) as manager:\n"
        "    print(manager.registry.health()['status'])\n"
        "    try: manager.save_model('cpu', 2)\n"
        "    except StorageError as error: print('refused')\n"
    )
    for parent in tmp_path.parents:  # pytest's own directories are closed to others
        if parent.stat().st_mode & 0o055 != 0o055 and str(parent).startswith("/tmp/pytest"):
            parent.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "models")], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["degraded", "refused"]


def test_a_directory_that_is_deleted_underneath_is_made_again(tmp_path: Path) -> None:
    with ModelManager(tmp_path / "models") as manager:
        manager.save_model("cpu", "gone")
        shutil.rmtree(tmp_path / "models")
        manager.save_model("cpu", "here", version="2.0.0")
        assert manager.get_model("cpu") == "here"
        manager.registry.health()
        manager.save_model("cpu", "again")
    with ModelManager(tmp_path / "models") as manager:
        assert manager.get_model("cpu", "2.0.0") == "here"
        assert manager.get_model("cpu") == "again"


def test_a_clock_that_is_set_back_does_not_turn_history_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", 1)
        real = clock.now
        monkeypatch.setattr(clock, "now", lambda: real() - timedelta(days=400))
        manager.save_model("cpu", 2)
        moves = [move.activated_at for move in manager.registry.activations("cpu")]
        assert all(isinstance(moment, datetime) for moment in moves)
        assert moves == sorted(moves, key=str)
        monkeypatch.undo()
        assert manager.active_at("cpu", real()) == "1.0.1"
        assert manager.rollback("cpu")["version"] == "1.0.0"
        assert [e["version"] for e in manager.get_model_info("cpu")["models"]] == ["1.0.1", "1.0.0"]


@needs_root
def test_artifacts_may_be_on_another_disk(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AI_ENGINE_ARTIFACT_URL", str(small_disk / "artifacts"))
    with ModelManager(tmp_path / "models") as manager:
        manager.save_model("cpu", large(1))
        manager.save_model("cpu", "small")
        assert manager.get_model("cpu", "1.0.0") == large(1)
        (entry,) = [e for e in manager.get_model_info()["models"] if e["version"] == "1.0.0"]
        assert os.path.getsize(entry["model_path"]) > 1_000_000
        manager.cleanup_old_models(1)
        assert not [path for path in (small_disk / "artifacts").iterdir() if path.is_file()]
        assert manager.get_model("cpu") == "small"
