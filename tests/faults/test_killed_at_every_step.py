"""A process is killed at each system call that changes the disk; nothing that it told of is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults.driver import PROGRAMS, STRIDE, check, copy, first_step, prepare, run

CHANGING = "write,pwrite64,fsync,fdatasync,rename,link,linkat,unlink,mkdir,ftruncate,fchmod,symlink"
pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace kills at a given system call")


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.timeout(900)
def test_killed_at_every_step(program: str, tmp_path: Path) -> None:
    pristine = tmp_path / "pristine"
    if program != "first opening":
        prepare(pristine)
    step = first_step() - STRIDE
    while True:
        step += STRIDE
        directory = tmp_path / str(step)
        if pristine.exists():
            copy(pristine, directory)
        inject = ["-e", f"trace={CHANGING}", "-e", f"inject={CHANGING}:signal=KILL:when={step}"]
        told, code = run(program, directory, "strace", "-f", "-qq", "-o", "/dev/null", *inject)
        if code == 0:
            break
        check(directory, told, kept=program != "clean up")
        shutil.rmtree(directory)
    assert step > 5, "the program was never killed: the injection does not work"
