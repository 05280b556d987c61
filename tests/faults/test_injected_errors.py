"""The kernel refuses one system call after the other: what was told holds, what was refused left nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults.driver import STRIDE, check, copy, first_step, prepare, run

ERRORS = [
    ("fsync,fdatasync", "EIO"),
    ("write,pwrite64", "ENOSPC"),
    ("write,pwrite64", "EIO"),
    ("rename,link,linkat", "EIO"),
]
pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace injects the errors")


@pytest.mark.parametrize("program", ["small", "large", "clean up", "outage"])
@pytest.mark.parametrize(("calls", "error"), ERRORS)
@pytest.mark.timeout(900)
def test_an_error_at_every_step(program: str, calls: str, error: str, tmp_path: Path) -> None:
    prepare(tmp_path / "pristine")
    untouched = 0
    for step in range(first_step(), 200, STRIDE):
        directory = tmp_path / str(step)
        copy(tmp_path / "pristine", directory)
        log = tmp_path / "log"
        inject = ["-e", f"trace={calls}", "-e", f"inject={calls}:error={error}:when={step}"]
        told, _ = run(program, directory, "strace", "-f", "-qq", "-o", str(log), *inject)
        injected = "(INJECTED)" in log.read_text()
        check(directory, told, kept=program != "clean up")
        shutil.rmtree(directory)
        if not injected:
            untouched = step
            break
    if (program, calls) != ("clean up", "rename,link,linkat"):  # which renames nothing
        assert untouched > 2, "no error was ever injected, or they never ended"
