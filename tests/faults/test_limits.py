"""Full disks, limits, read-only mounts, other users, clocks, vanishing directories; all of them real."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ai_engine import StorageError, StorageFullError
from ai_engine.domain import clock
from ai_engine.models import ModelManager, ModelPerformance
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


@contextmanager
def mounted_read_only(mount: Path) -> Iterator[Path]:
    """Mount a directory over itself, as an orchestrator does: nobody who sees it can write to it."""
    subprocess.run(["mount", "--bind", str(mount), str(mount)], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", str(mount)], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def check_that_it_reads_and_refuses(directory: Path) -> None:
    with ModelManager(directory) as manager:
        assert manager.get_model("cpu") == "small"
        assert manager.get_model("cpu", "1.0.1") == large(1)
        assert manager.get_model_info("cpu")["total"] == 2
        assert [entry["version"] for entry in manager.get_model_info()["models"]] == ["1.0.1", "1.0.0"]
        assert manager.get_model_info(where="size > 1000")["total"] == 1
        assert manager.model_versions["cpu"] == ["1.0.0", "1.0.1"]
        assert dict(manager.active_models) == {"cpu": "1.0.0"}
        assert [p.mae for p in manager.metric_history("cpu")] == [0.5]
        assert len(manager.registry.activations("cpu")) == 3
        health = manager.registry.health()
        assert health.status == "degraded"
        assert "may not be written" in str(health.reason)
        for refused in (
            lambda: manager.save_model("cpu", "never"),
            lambda: manager.save_model("cpu", large(2)),
            lambda: manager.activate("cpu", "1.0.1"),
            lambda: manager.cleanup_old_models(1),
            lambda: manager.delete_version("cpu", "1.0.1"),
            lambda: manager.update_performance("cpu", "1.0.0", MEASURED),
        ):
            with pytest.raises(StorageError, match="written"):
                refused()
        manager.register_model("other", "in memory")
        assert manager.get_model("other") == "in memory"
        assert manager.get_model_info("cpu")["total"] == 2
    assert diagnose(directory) == []


MEASURED = ModelPerformance(0.5, None, None, None, None, None, None, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    with ModelManager(tmp_path / "models") as manager:
        manager.save_model("cpu", "small")
        manager.save_model("cpu", large(1))
        manager.activate("cpu", "1.0.0")
        manager.update_performance("cpu", "1.0.0", MEASURED)
    return tmp_path / "models"


@needs_root
def test_a_read_only_mount_serves_lists_and_refuses(filled: Path) -> None:
    with mounted_read_only(filled) as mount:
        before = sorted(str(path) for path in mount.rglob("*"))
        check_that_it_reads_and_refuses(mount)
        assert sorted(str(path) for path in mount.rglob("*")) == before


@needs_root
def test_what_a_killed_writer_left_in_the_log_is_read_from_a_read_only_mount(
    filled: Path, tmp_path: Path
) -> None:
    with ModelManager(filled) as manager:
        manager.save_model("net", "in the log only")
        shutil.copytree(filled, tmp_path / "killed", symlinks=True)
    shutil.rmtree(filled)
    shutil.copytree(tmp_path / "killed", filled, symlinks=True)
    (filled / "model_registry.db-shm").unlink()
    with mounted_read_only(filled) as mount:
        with ModelManager(mount) as manager:
            assert manager.get_model_info("net")["total"] == 1
            assert manager.get_model("net") == "in the log only"
        assert not list(Path(tempfile.gettempdir()).glob("ai-engine-*/model_registry.db"))


@needs_root
def test_a_reader_without_rights_sees_what_a_writer_does(filled: Path, tmp_path: Path) -> None:
    """Beside a writer that is running, and after one that has ended."""
    code = (
        "import os, sys; from ai_engine.models import ModelManager\n"
        "os.setuid(65534)\n"
        "with ModelManager(sys.argv[1]) as manager:\n"
        "    for line in sys.stdin:\n"
        "        print(manager.active_models['cpu'], manager.get_model_info()['total'], flush=True)\n"
    )
    for parent in tmp_path.parents:  # pytest's own directories are closed to others
        if parent.stat().st_mode & 0o055 != 0o055 and str(parent).startswith("/tmp/pytest"):
            parent.chmod(0o755)
    tmp_path.chmod(0o755)
    for running in (True, False):
        with ExitStack() as held:
            manager = ModelManager(filled)
            if running:
                held.enter_context(manager)
                manager.save_model("cpu", "kept open")
            else:
                manager.close()
            reader = held.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", code, str(filled)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            assert reader.stdin is not None
            assert reader.stdout is not None
            for _ in range(3):
                with ModelManager(filled) as writer:
                    saved = writer.save_model("cpu", "next")
                    total = writer.get_model_info()["total"]
                reader.stdin.write("\n")
                reader.stdin.flush()
                assert reader.stdout.readline().split() == [saved.version, str(total)]
            reader.stdin.close()


@needs_root
def test_a_disk_that_is_full_to_the_last_byte_is_opened_listed_and_cleaned_up(small_disk: Path) -> None:
    with ModelManager(small_disk / "models") as manager:
        for seed in range(6):
            manager.save_model("cpu", large(seed, 0.1))
            manager.save_model("net", large(seed, 0.4))
    with open(small_disk / "filling", "wb", buffering=0) as filling, suppress(OSError):
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    filling.write(bytes(size))
    assert os.statvfs(small_disk).f_bavail == 0
    with ModelManager(small_disk / "models") as manager:
        assert manager.get_model_info()["total"] == 12
        assert manager.get_model("cpu") == large(5, 0.1)
        with pytest.raises(StorageFullError, match="cleanup"):
            manager.save_model("cpu", large(7, 0.7))
        done = manager.cleanup_old_models(2)
        assert len(done["removed"]) == 8
        assert done["freed_bytes"] > 4 * 400_000
        manager.save_model("cpu", large(8, 0.1))
        assert manager.get_model("cpu") == large(8, 0.1)
    assert diagnose(small_disk / "models") == []


@needs_root
def test_another_user_without_rights_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with ModelManager(tmp_path / "models") as manager:
        manager.save_model("cpu", 1)
    code = (
        "import os, sys; from ai_engine.models import ModelManager; from ai_engine import StorageError\n"
        "os.setuid(65534)\n"
        "with ModelManager(sys.argv[1]) as manager:\n"
        "    print(manager.registry.health().status)\n"
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
        assert os.path.getsize(str(entry["model_path"])) > 1_000_000
        manager.cleanup_old_models(1)
        assert not [path for path in (small_disk / "artifacts").iterdir() if path.is_file()]
        assert manager.get_model("cpu") == "small"
