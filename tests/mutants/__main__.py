"""Does a broken line of the core fail a test? ``python -m tests.mutants [--sample N] [--seed S] [MODULE …]``

A copy of the tree gets one line broken, then the tests that look after that part run, the quickest first,
until one fails. What no test notices is printed with its place, and the share of what was noticed at the end;
the exit code is 1 where that is less than 90 %. Without a sample every line of the modules is tried.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from tests.mutants.break_lines import Mutant, mutants

REPOSITORY = Path(__file__).resolve().parents[2]
ENOUGH = 0.9
# What is broken, and which tests look after it, the quickest first. A core module is used by nearly all.
_QUICK = (
    "ai_engine/domain",
    "tests/domain",
    "tests/contracts",
    "tests/catalogue",
    "tests/models",
    "tests/upgrade",
)
_CORE = (
    *_QUICK,
    "tests/formats",
    "tests/registry",
    "tests/artifacts",
    "tests/stateful",
    "tests/guard",
    "tests/faults/test_outage.py",
    "tests/faults/test_doctor_and_backup.py",
    "tests/faults/test_limits.py",
    "tests/faults/test_outside_examination.py",
    "tests/faults/test_altered_bytes.py",
    "tests/faults/test_upkeep.py",
    "tests/processes",
    "tests/faults/test_interrupted_at_every_line.py",
    "tests/faults/test_injected_errors.py",
    "tests/faults/test_power_cut.py",
    "tests/cli/test_maintain.py",
    "tests/cli/test_models.py",
)
AREAS = {
    "ai_engine/catalogue": _CORE,
    "ai_engine/artifacts": _CORE,
    "ai_engine/formats": _CORE,
    "ai_engine/registry": _CORE,
    "ai_engine/domain": _CORE,
    "ai_engine/backup.py": ("tests/faults/test_doctor_and_backup.py", "tests/cli/test_maintain.py", *_CORE),
    "ai_engine/recovery.py": ("tests/faults/test_doctor_and_backup.py", "tests/cli/test_maintain.py", *_CORE),
    "ai_engine/api/trainings.py": ("tests/api/test_work.py", "tests/api/test_operations.py", "tests/api"),
}
# One that runs this long waits for ever, and that is noticed.
_PATIENCE = 240


@dataclass(frozen=True)
class Task:
    """A line to break, and the tests that should tell."""

    module: str
    mutant: Mutant
    tests: tuple[str, ...]

    @property
    def place(self) -> str:
        return f"{self.module}:{self.mutant.line}: {self.mutant.what}"


def tasks(modules: Sequence[str]) -> Iterator[Task]:
    """Yield every line that can be broken of these modules; of all areas where none is named."""
    for area, tests in AREAS.items():
        root = REPOSITORY / area
        for path in [root] if root.is_file() else sorted(root.rglob("*.py")):
            module = str(path.relative_to(REPOSITORY))
            if not modules or any(wanted in module for wanted in modules):
                there = tuple(test for test in tests if (REPOSITORY / test).exists())
                for mutant in mutants(path.read_text()):
                    yield Task(module, mutant, there)


def is_noticed(task: Task, tree: Path) -> bool:
    """Tell whether any test fails in a copy of the tree in which the line is broken."""
    path = tree / task.module
    original = path.read_bytes()
    path.write_text(task.mutant.source)
    try:
        return any(_fails(tree, test) for test in task.tests)
    finally:
        path.write_bytes(original)


def _fails(tree: Path, test: str) -> bool:
    command = [
        sys.executable,
        "-B",
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "--timeout",
        "60",
        test,
    ]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    process = subprocess.Popen(
        command,
        cwd=tree,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(_PATIENCE) not in (0, 5)  # 5: there was no test
    except subprocess.TimeoutExpired:
        return True
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
            process.wait()


def run(chosen: Sequence[Task], workers: int) -> list[Task]:
    """Try all of them and return those that nothing noticed, telling of each as it goes."""
    queue: SimpleQueue[Task] = SimpleQueue()
    for task in chosen:
        queue.put(task)
    survivors: list[Task] = []
    done = 0
    began = time.monotonic()
    telling = threading.Lock()

    def work(tree: Path) -> None:
        nonlocal done
        while True:
            try:
                task = queue.get_nowait()
            except Empty:
                return
            noticed = is_noticed(task, tree)
            with telling:
                done += 1
                if not noticed:
                    survivors.append(task)
                    print(f"survived  {task.place}", flush=True)
                if done % 10 == 0:
                    spent = time.monotonic() - began
                    print(f"{done} of {len(chosen)}, {len(survivors)} survived, {spent:.0f} s", flush=True)

    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        trees = [_copy(Path(scratch) / str(number)) for number in range(workers)]
        threads = [threading.Thread(target=work, args=(tree,)) for tree in trees]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return survivors


def _copy(target: Path) -> Path:
    ignored = shutil.ignore_patterns(
        ".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", ".demo", "*.egg-info"
    )
    shutil.copytree(REPOSITORY, target, ignore=ignored, symlinks=True)
    return target


def main() -> int:
    """Run, tell, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help="parts of paths, such as catalogue/sqlite.py"
    )
    parser.add_argument("--sample", type=int, help="only so many lines, drawn at random")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="of the sample")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    chosen = list(tasks(given.modules))
    print(f"{len(chosen)} lines can be broken; seed {given.seed}", flush=True)
    if given.sample is not None and given.sample < len(chosen):
        chosen = random.Random(given.seed).sample(chosen, given.sample)
    survivors = run(chosen, given.workers)
    share = 1 - len(survivors) / len(chosen) if chosen else 1.0
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} noticed: {share:.1%}")
    return 0 if share >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())
