"""How long from the start of a process to its first answer, and does that grow with the versions?

The answer is `get_model_info` of a model of ten versions beside all the others. The raw limit is a process
that selects the ten rows through sqlite3.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.filled import PROBE, PROBE_VERSIONS, fill
from benchmarks.measure import REPOSITORY, Answer, Options, timed

_OURS = """
import sys
from ai_engine.models import ModelManager
with ModelManager(sys.argv[1]) as manager:
    print(manager.get_model_info(sys.argv[2])["total"])
"""
_RAW = """
import sys, sqlite3
database = sqlite3.connect(sys.argv[1] + "/model_registry.db")
print(len(database.execute("SELECT * FROM model_registry WHERE model_id IN "
    "(SELECT model_id FROM engine_versions WHERE name = ?)", (sys.argv[2],)).fetchall()))
"""
_OPEN = """
import sys, time
from ai_engine.models import ModelManager
started = time.perf_counter()
with ModelManager(sys.argv[1]) as manager:
    manager.get_model_info(sys.argv[2])
    print(time.perf_counter() - started)
"""
_RAW_OPEN = """
import sys, time, sqlite3
started = time.perf_counter()
database = sqlite3.connect(sys.argv[1] + "/model_registry.db")
database.execute("SELECT * FROM model_registry WHERE model_id IN "
    "(SELECT model_id FROM engine_versions WHERE name = ?)", (sys.argv[2],)).fetchall()
print(time.perf_counter() - started)
"""


def ask(answer: Answer, options: Options) -> None:
    for count in options.sizes((10, 10_000), (10, 10_000, 100_000), (1_000_000,)):
        with options.scratch() as scratch:
            fill(scratch, count)
            ours, raw = [], []
            for _ in range(options.times(12)):
                raw.append(timed(lambda: _ran(_RAW, scratch)))
                ours.append(timed(lambda: _ran(_OURS, scratch)))
            assert _ran(_RAW, scratch) == _ran(_OURS, scratch) == PROBE_VERSIONS
            answer.add(
                f"spawn_{count}", f"process start to answer, {count:,} versions", "s", ours, raw, count
            )
            ours, raw = [], []
            for _ in range(options.times(12)):
                raw.append(_ran(_RAW_OPEN, scratch))
                ours.append(_ran(_OPEN, scratch))
            answer.add(f"open_{count}", f"opening and answer, {count:,} versions", "s", ours, raw, count)


def _ran(program: str, directory: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-c", program, str(directory), PROBE],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        check=True,
    )
    return float(done.stdout)
