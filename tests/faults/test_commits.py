"""What a commit that failed, or went into a file that is gone, is called."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from ai_engine import CatalogueUnavailableError
from ai_engine.domain import clock
from ai_engine.models import ModelManager
from ai_engine.settings import Settings
from ai_engine.wiring import build_stores
from tests.faults.driver import PRELUDE, check, run

SAVE = textwrap.dedent(
    """
    with ModelManager(directory) as manager:
        save(manager, "a", 11)
    """
)


def test_a_commit_into_a_file_that_was_deleted_is_none(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", 1)
    stores = build_stores(Settings(model_dir=str(tmp_path)))

    def write_and_delete() -> None:
        with stores.catalogue.write() as work:
            work.mark_replayed("operation", clock.now())
            for path in tmp_path.glob("model_registry.db*"):
                path.unlink()

    try:
        with pytest.raises(CatalogueUnavailableError, match="was deleted"):
            write_and_delete()
    finally:
        stores.catalogue.close()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace injects the errors")
def test_a_commit_after_which_nothing_can_be_synced_is_of_unknown_outcome(tmp_path: Path) -> None:
    """Nor does it go to the journal, which would tell its caller that it is saved."""
    with ModelManager(tmp_path / "pristine") as manager:
        manager.save_model("a", [1, b"\x01" * 100], version="1.0.1")
    told = []
    for step in range(1, 20):
        directory = tmp_path / str(step)
        shutil.copytree(tmp_path / "pristine", directory)
        with ModelManager(directory):
            pass  # finds that it was copied
        inject = ["-e", "trace=fdatasync", "-e", f"inject=fdatasync:error=EIO:when={step}+"]
        lines, _ = run(SAVE, directory, "strace", "-f", "-qq", "-o", str(tmp_path / "log"), *inject)
        injected = "(INJECTED)" in (tmp_path / "log").read_text()
        check(directory, lines)
        told += [line.what for line in lines if injected]
        if not injected:
            break
    assert told[0] == "unknown"
    assert set(told) <= {"unknown", "saved"}  # the last ones are of the checkpoint after it


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace injects the errors")
def test_a_failed_commit_that_somebody_else_found_in_the_log_is_not_called_void(tmp_path: Path) -> None:
    """The sync fails, and before anything is written over it another process recovers the log."""
    with ModelManager(tmp_path) as manager:
        manager.save_model("a", [1, b"\x01" * 100], version="1.0.1")
    stopped = "inject=fdatasync:error=EIO:signal=SIGSTOP:when=3"  # behind the log's header and its name
    strace = ["strace", "-f", "-qq", "-o", str(tmp_path / "log"), "-e", "trace=fdatasync", "-e", stopped]
    command = [*strace, sys.executable, "-B", "-c", PRELUDE + SAVE, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tracer:
        assert tracer.stdout is not None
        children = Path(f"/proc/{tracer.pid}/task/{tracer.pid}/children")
        waits = threading.Event()
        while not (log := tmp_path / "log").exists() or "stopped by SIGSTOP" not in log.read_text():
            assert tracer.poll() is None
            waits.wait(0.005)
        with open(tmp_path / "model_registry.db-shm", "r+b") as index:
            index.write(bytes(136))  # without its header the index is made again, from the log
        os.kill(int(children.read_text()), signal.SIGCONT)
        told = tracer.stdout.read().split()
    assert told[:3] == ["unknown", "a", "11"]
    with ModelManager(tmp_path) as manager:
        assert manager.get_model("a", "1.0.11") == [11, b"\x0b" * 100]
        assert manager.registry.health().status == "healthy"
