"""The power is cut after every system call that changes the disk; what was told of must be there."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.faults.driver import PROGRAMS, STRIDE, Told, check, copy, first_step, prepare, run
from tests.faults.powercut import TRACED, Disk, calls

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace records the system calls")
# For each cut: nothing unsynced is kept, then so many random halves of it.
HALVES = int(os.environ.get("AI_ENGINE_POWER_CUTS", "1"))


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.timeout(900)
def test_the_power_is_cut_after_every_step(program: str, tmp_path: Path) -> None:
    directory = tmp_path / "models"
    if program == "first opening":
        directory.mkdir()
    else:
        prepare(tmp_path / "pristine")
        copy(tmp_path / "pristine", directory)
    shutil.copytree(directory, tmp_path / "before", symlinks=True)
    before = [tmp_path / "before", directory]
    log = tmp_path / "log"
    trace = ["strace", "-f", "-qq", "-xx", "-s", "100000000", "-o", str(log), "-e", f"trace={TRACED}"]
    _, code = run(program, directory, *trace)
    assert code == 0
    shutil.rmtree(directory)
    shutil.copytree(before[0], directory, symlinks=True)
    disk = Disk(directory)
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    cuts, step, tried = 0, 0, first_step()
    for line in calls(log):
        if not disk.step(line):
            continue
        step += 1
        if step % STRIDE != tried % STRIDE:
            continue
        told = [Told(w[0], w[1], int(w[2]), int(w[3])) for w in (text.split() for text in disk.told)]
        for keep in (None, *[chance] * HALVES):
            disk.cut(tmp_path / "cut", keep)
            check(tmp_path / "cut", told, kept=program != "clean up", copies_may_be_gone=True)
            cuts += 1
    assert step > 20, f"the trace shows no work (seed {seed})"
    assert disk.told, "the program told of nothing"
