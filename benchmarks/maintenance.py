"""How long do opening, `doctor` and rebuilding a lost database take, and in how much memory?

Each is done by a fresh process over a registry that was filled by real saves.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from ai_engine.models import ModelManager
from benchmarks.measure import Answer, Options

WORK = {
    "open": "from ai_engine.models import ModelManager; ModelManager(directory).get_model('model-0')",
    "doctor": (
        "from ai_engine.registry.doctor import Doctor; from ai_engine.wiring import build_stores\n"
        "assert Doctor(build_stores(Settings(model_dir=directory))).examine() == []"
    ),
    "rebuild": (
        "from ai_engine.recovery import recover\n"
        "assert recover(Settings(model_dir=directory), from_files=True).lost == []"
    ),
}
PROGRAM = """
import json, resource, sys, time
from ai_engine.settings import Settings
directory = sys.argv[1]
started = time.perf_counter()
{work}
print(json.dumps([time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def ask(answer: Answer, options: Options) -> None:
    for versions in options.sizes([200], [10_000], [100_000]):
        with options.scratch() as scratch:
            with ModelManager(scratch) as manager:
                for number in range(versions):
                    manager.save_model(
                        f"model-{number % 10}", {"number": number}, metadata={"number": number}
                    )
            for what, work in WORK.items():
                if what == "rebuild":
                    lose_database(scratch)
                done = [sys.executable, "-c", PROGRAM.format(work=work), str(scratch)]
                told = subprocess.run(done, check=True, capture_output=True, text=True).stdout
                seconds, memory = json.loads(told)
                answer.add(f"{what}_{versions}", f"{what}, {versions:,} versions", "s", [seconds])
                answer.add(
                    f"{what}_memory_{versions}", f"… peak memory, {versions:,} versions", "MiB", [memory]
                )


def lose_database(directory: Path) -> None:
    for path in directory.glob("model_registry.db*"):
        shutil.move(path, directory.parent / f"{directory.name}-lost-{path.name}")
