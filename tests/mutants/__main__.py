"""Does a broken line of the core fail a test? ``python -m tests.mutants [--sample N] [--seed S] [MODULE …]``

First the tests of the core run once, and which lines each of them runs is written down. Then a copy of the
tree gets one line broken at a time, and the tests that run this line are tried, the quickest first, until
one fails; where none does, those that start processes of their own are. What no test notices is printed with
its place, and the share of what was noticed at the end; the exit code is 1 where that is less than 90 %.
Without a sample every line of the modules is tried.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from tests.mutants.break_lines import Mutant, mutants

REPOSITORY = Path(__file__).resolve().parents[2]
ENOUGH = 0.9
AREAS = (
    *("ai_engine/catalogue", "ai_engine/artifacts", "ai_engine/directory", "ai_engine/files"),
    *("ai_engine/formats", "ai_engine/registry", "ai_engine/domain", "ai_engine/backup.py"),
    *("ai_engine/recovery.py", "ai_engine/jobs"),
)
# Those that run the core in their own process, so that the lines of each are known.
INSIDE = (
    *(
        "ai_engine/domain",
        "ai_engine/registry",
        "ai_engine/models.py",
        "tests/files",
        "tests/directory",
        "tests/catalogue",
    ),
    *("tests/contracts", "tests/domain", "tests/formats", "tests/guard", "tests/models", "tests/registry"),
    *("tests/stateful", "tests/upgrade", "tests/api/test_train_predict.py", "tests/cli/test_jobs.py"),
    *("tests/faults/test_altered_bytes.py", "tests/faults/test_commits.py", "tests/faults/test_limits.py"),
    *("tests/faults/test_doctor_and_backup.py", "tests/faults/test_outage.py", "tests/faults/test_upkeep.py"),
    *("tests/faults/test_outside_examination.py", "tests/api/test_operations.py"),
)
# Those that have others run it, the quickest first.
OUTSIDE = (
    *(
        "tests/faults/test_commits.py",
        "tests/faults/test_limits.py",
        "tests/processes",
        "tests/cli/test_maintain.py",
    ),
    "tests/faults/test_injected_errors.py",
    *("tests/faults/test_power_cut.py", "tests/faults/test_killed_at_every_step.py"),
    "tests/faults/test_interrupted_at_every_line.py",
)
# One that runs this many seconds waits for ever, and that is noticed.
_PATIENCE = 300
_NO_TEST = 5  # the exit code of pytest where it found none
_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Task:
    """A line to break."""

    module: str
    mutant: Mutant

    @property
    def place(self) -> str:
        return f"{self.module}:{self.mutant.line}: {self.mutant.what}"

    @property
    def area(self) -> str:
        return next(area for area in AREAS if self.module.startswith(area))


@dataclass(frozen=True)
class Test:
    """A test, how long it takes, and the lines of each module that it runs."""

    name: str
    seconds: float
    lines: Mapping[str, frozenset[int]]

    def runs(self, task: Task) -> bool:
        lines = self.lines.get(task.module, frozenset())
        return bool(lines) if task.mutant.at_import else not lines.isdisjoint(task.mutant.span)


def tasks(modules: Sequence[str]) -> Iterator[Task]:
    """Yield every line that can be broken of these modules; of all areas where none is named."""
    for area in AREAS:
        root = REPOSITORY / area
        for path in [root] if root.is_file() else sorted(root.rglob("*.py")):
            module = str(path.relative_to(REPOSITORY))
            if not modules or any(wanted in module for wanted in modules):
                for mutant in mutants(path.read_text()):
                    yield Task(module, mutant)


class Tree:
    """A copy of the repository in which tests are run, each time in a fork of one process."""

    def __init__(self, path: Path) -> None:
        self.path = path / "tree"
        self._scratch = path / "scratch"
        self._scratch.mkdir(parents=True)
        ignored = shutil.ignore_patterns(
            ".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis", ".demo", "*.egg-info"
        )
        shutil.copytree(REPOSITORY, self.path, ignore=ignored, symlinks=True)

    def __enter__(self) -> Tree:
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.path),
            "TMPDIR": str(self._scratch),
            "MUTANTS_SELECTION": str(self._scratch / "selection.json"),
            "MUTANTS_LOG": str(self._scratch / "last.log"),
            "OPENBLAS_NUM_THREADS": "1",  # a fork would have no other
        }
        self._server = subprocess.Popen(
            [sys.executable, "-B", str(self.path / "tests/mutants/server.py")],
            cwd=self.path,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()

    def failing(self, tests: Sequence[str]) -> str | None:
        """Return the first of some tests that fails: identifiers, or whole files and directories."""
        if not tests:
            return None
        selection = {"tests": tests if "::" in tests[0] else None, "record": None}
        if self._run(selection, tests, ["-x", "--timeout", "60"], _PATIENCE) in (0, _NO_TEST):
            return None
        log = self._scratch / "last.log"
        named = _FAILED.findall(log.read_text(errors="replace")) if log.exists() else []
        # Where none is named, every one waits or cannot be imported.
        return str(named[-1]) if named else tests[0]

    def record(self) -> Path:
        """Run all tests that run the core in their process, and return where it stands what they run."""
        target = self._scratch / "recorded.json"
        there = [test for test in INSIDE if (self.path / test).exists()]
        # What fails here, be it that it is timed, is left out.
        self._run({"tests": None, "record": str(target)}, there, ["--timeout", "600"], 10 * _PATIENCE)
        return target

    def _run(
        self, selection: Mapping[str, object], tests: Sequence[str], more: Sequence[str], patience: float
    ) -> int:
        (self._scratch / "selection.json").write_text(json.dumps(selection))
        files = dict.fromkeys(test.partition("::")[0] for test in tests)
        # A fork has imported what pytest would like to rewrite.
        common = ["-q", "-p", "no:cacheprovider", "-p", "tests.mutants.selection"]
        common += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps([[*common, *more, *files], patience]) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())


def read_tests(path: Path) -> list[Test]:
    """Return what was recorded, the quickest first."""
    told = json.loads(path.read_text())
    found = [
        Test(name, one["seconds"], {module: frozenset(lines) for module, lines in one["lines"].items()})
        for name, one in told.items()
    ]
    return sorted(found, key=lambda test: test.seconds)


def is_noticed(task: Task, tree: Tree, tests: Sequence[Test], outside: bool) -> bool:
    """Tell whether any test fails in a copy of the tree in which the line is broken."""
    inside = [test.name for test in tests if test.runs(task)]
    return any(_notices(task, tree, some) for some in (inside, *([test] for test in OUTSIDE if outside)))


def _notices(task: Task, tree: Tree, tests: Sequence[str]) -> bool:
    """Tell whether one of some tests fails where the line is broken, and passes where it is not."""
    path = tree.path / task.module
    original = path.read_bytes()
    path.write_text(task.mutant.source)
    try:
        failing = tree.failing(tests)
    finally:
        path.write_bytes(original)
    # A tree in which nothing works any more would notice everything.
    return failing is not None and tree.failing([failing]) is None


def run(chosen: Sequence[Task], workers: int, known: Path | None, outside: bool) -> list[Task]:
    """Try all of them and return those that nothing noticed, telling of each as it goes."""
    queue: SimpleQueue[Task] = SimpleQueue()
    for task in chosen:
        queue.put(task)
    survivors: list[Task] = []
    done = 0
    began = time.monotonic()
    telling = threading.Lock()

    def work(place: Path, tests: Sequence[Test]) -> None:
        nonlocal done
        with Tree(place) as tree:
            while True:
                try:
                    task = queue.get_nowait()
                except Empty:
                    return
                noticed = is_noticed(task, tree, tests, outside)
                with telling:
                    done += 1
                    if not noticed:
                        survivors.append(task)
                        print(f"survived  {task.place}", flush=True)
                    if done % 10 == 0:
                        spent = time.monotonic() - began
                        print(
                            f"{done} of {len(chosen)}, {len(survivors)} survived, {spent:.0f} s", flush=True
                        )

    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        if known is not None and known.exists():
            tests = read_tests(known)
        else:
            with Tree(Path(scratch) / "recorded") as tree:
                recorded = tree.record()
            tests = read_tests(recorded)
            print(f"{len(tests)} tests recorded, {time.monotonic() - began:.0f} s", flush=True)
            if known is not None:
                shutil.copy(recorded, known)
        threads = [
            threading.Thread(target=work, args=(Path(scratch) / str(number), tests))
            for number in range(workers)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return survivors


def main() -> int:
    """Run, tell, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help="parts of paths, such as catalogue/sqlite/catalogue.py"
    )
    parser.add_argument("--sample", type=int, help="only so many lines, drawn at random")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="of the sample")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--recorded", type=Path, help="keep in a file which test runs which lines, for the next time"
    )
    parser.add_argument("--inside", action="store_true", help="leave out the tests that start processes")
    given = parser.parse_args()
    chosen = list(tasks(given.modules))
    print(f"{len(chosen)} lines can be broken; seed {given.seed}", flush=True)
    if given.sample is not None and given.sample < len(chosen):
        chosen = random.Random(given.seed).sample(chosen, given.sample)
    survivors = run(chosen, given.workers, given.recorded, not given.inside)
    for area in AREAS:
        if tried := [task for task in chosen if task.area == area]:
            left = sum(task.area == area for task in survivors)
            print(f"{area}: {len(tried) - left} of {len(tried)}")
    share = 1 - len(survivors) / len(chosen) if chosen else 1.0
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} noticed: {share:.1%}")
    return 0 if share >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())
