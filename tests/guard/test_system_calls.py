"""What a call asks of the operating system, counted: syncs, files opened, files renamed.

The same on every machine, unlike a time. One program runs all calls under strace; a look for a file that does
not exist marks the beginning of each, and another its end.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest

_PROGRAM = textwrap.dedent(
    """
    import os, sys
    from contextlib import contextmanager
    from datetime import datetime
    from ai_engine.models import ModelManager, ModelPerformance

    @contextmanager
    def marked(what):
        os.access(f"/begin/{what}", os.F_OK)
        yield
        os.access(f"/end/{what}", os.F_OK)

    measured = ModelPerformance(1, 1, 1, 1, 1, 1, 1, datetime.now())
    with ModelManager(sys.argv[1]) as manager:
        # The first of each makes directories, and opens what then stays open.
        manager.save_model("small", [1])
        manager.save_model("large", bytes(300_000))
        manager.update_performance("small", "1.0.0", measured)
        with marked("small save"):
            manager.save_model("small", [2])
        with marked("large save"):
            manager.save_model("large", bytes(300_001))
        with marked("metric"):
            manager.update_performance("small", "1.0.1", measured)
        with marked("1000 metrics"):
            manager.registry.record("small", "1.0.1", *[measured] * 1000)
        with marked("activate"):
            manager.activate("small", "1.0.0")
        with marked("first load"):
            manager.get_model("small")
        with marked("load again"):
            manager.get_model("small")
        with marked("page"):
            manager.registry.describe(None, 100)
    """
)
_SYNCS = ("fsync", "fdatasync", "sync", "syncfs", "sync_file_range", "msync")
_RENAMES = ("rename", "renameat", "renameat2")
_CALL = re.compile(r"^(?:\[pid +\d+\] |\d+ +)?(\w+)\((?:[^\"]*\"([^\"]*)\")?")


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Counter[str]]:
    """For each step of the program, how often it made which system call."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed (Debian: apt-get install strace)")
    directory = tmp_path_factory.mktemp("guard")
    trace = directory / "trace"
    traced = ",".join((*_SYNCS, *_RENAMES, "openat", "open", "access", "faccessat", "faccessat2"))
    subprocess.run(
        [
            *(strace, "-f", "-qq", "-e", f"trace={traced}", "-e", "signal=none", "-o", str(trace)),
            *(sys.executable, "-c", _PROGRAM, str(directory / "models")),
        ],
        check=True,
    )
    return _counted(trace)


def _counted(trace: Path) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    step = Counter[str]()
    for line in trace.read_text().splitlines():
        call = _CALL.match(line)
        if call is None:  # the second half of a call that another thread interrupted
            continue
        name, path = call[1], call[2] or ""
        if path.startswith("/begin/"):
            step = found[path.removeprefix("/begin/")] = Counter()
        elif path.startswith("/end/"):
            step = Counter()
        elif name in _SYNCS:
            step["syncs"] += 1
        elif name in _RENAMES:
            step["renames"] += 1
        elif name.startswith("open"):
            step["opened"] += 1
    return found


@pytest.mark.parametrize(
    ("step", "syncs"),
    [
        ("small save", 1),  # the commit has the bytes in it
        ("large save", 3),  # the file, its directory, the commit
        ("metric", 1),
        ("1000 metrics", 1),
        ("activate", 1),
        ("first load", 0),
        ("load again", 0),
        ("page", 0),
    ],
)
def test_syncs(calls: dict[str, Counter[str]], step: str, syncs: int) -> None:
    # Fewer would not be durable, more would be slow.
    assert calls[step]["syncs"] == syncs


@pytest.mark.parametrize(
    ("step", "opened", "renames"),
    [
        ("small save", 3, 2),  # the file, the record, and the lock that keeps numbers that were told
        ("large save", 5, 3),  # the artifact and its directory besides, and the name that stays free
        ("metric", 0, 0),
        ("1000 metrics", 0, 0),
        ("first load", 1, 0),  # whether the file is still what the row says
        ("load again", 0, 0),
        ("page", 0, 0),
    ],
)
def test_files_opened_and_renamed(
    calls: dict[str, Counter[str]], step: str, opened: int, renames: int
) -> None:
    assert calls[step]["opened"] <= opened
    assert calls[step]["renames"] <= renames
