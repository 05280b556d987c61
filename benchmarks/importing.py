"""What does `import ai_engine.models` take, in time and memory?

The raw limit is `import sqlite3` in a bare Python. Each figure is of fresh processes, in turns.
"""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.measure import REPOSITORY, Answer, Options

# A program of its own, so that nothing of ours is imported before the clock starts.
_PROGRAM = """
import time
started = time.perf_counter()
import {module}
seconds = time.perf_counter() - started
import json, sys
status = open("/proc/self/status").read()
resident = int(status.partition("VmRSS:")[2].split()[0]) / 1024
print(json.dumps([seconds, resident, len(sys.modules)]))
"""


def ask(answer: Answer, options: Options) -> None:
    ours, raw = [], []
    for _ in range(options.times(15)):
        raw.append(_imported("sqlite3"))
        ours.append(_imported("ai_engine.models"))
    for key, what, unit, column in (
        ("seconds", "import, fresh process", "s", 0),
        ("memory", "resident memory after it", "MiB", 1),
        ("modules", "modules that are loaded after it", "modules", 2),
    ):
        answer.add(key, what, unit, [row[column] for row in ours], [row[column] for row in raw])


def _imported(module: str) -> list[float]:
    program = _PROGRAM.format(module=module)
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, check=True)
    found: list[float] = json.loads(done.stdout)
    return found
