"""How much disk does the same 20 MB model take when it is saved twenty times?

The raw limit is its bytes, once.
"""

from __future__ import annotations

import os
from pathlib import Path

from ai_engine.models import ModelManager
from benchmarks.filled import large_model
from benchmarks.measure import Answer, Options, timed

MEGABYTES = 20
SAVES = 20


def ask(answer: Answer, options: Options) -> None:
    model = large_model(MEGABYTES)
    with options.scratch() as scratch, ModelManager(scratch) as manager:
        seconds = [timed(lambda: manager.save_model("model", model)) for _ in range(SAVES)]
        taken = allocated(scratch) / 1e6
    bare = sum(array.nbytes for array in model.values()) / 1e6
    answer.add("disk", f"the same {MEGABYTES} MB, saved {SAVES} times", "MB", [taken], [bare])
    answer.add("seconds", "each save after the first", "s", seconds[1:])


def allocated(directory: Path) -> int:
    """Return the bytes that a directory takes on the disk, a file of several names once."""
    taken = {}
    for where, _, files in os.walk(directory):
        for name in files:
            found = os.lstat(os.path.join(where, name))
            taken[found.st_ino] = found.st_blocks * 512
    return sum(taken.values())
