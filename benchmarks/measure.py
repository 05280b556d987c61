"""How everything here is measured, printed and kept.

The machine is never quiet, so no figure stands alone: ours and the raw limit take turns within one loop, and
what counts is their ratio. A run is cut into rounds, each gives a median (or a percentile) and a ratio; the
figure is the median over the rounds, the spread their quartiles.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
MIB = 1024 * 1024
_MANY = 100
_DIRECTORIES: list[TemporaryDirectory[str]] = []  # are removed when the interpreter ends


@dataclass(frozen=True)
class Options:
    """How thorough a run is, and where it may write."""

    quick: bool = False
    full: bool = False
    directory: str | None = None

    @property
    def place(self) -> str:
        # /tmp is memory on many machines, where a sync costs nothing; /var/tmp is on the disk.
        return self.directory or ("/var/tmp" if os.access("/var/tmp", os.W_OK) else gettempdir())

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield an empty directory, gone afterwards, or when the program ends where it holds many files.

        ext4 without a journal reuses no inode for minutes after it was freed and searches past all of those,
        so that deleting a large directory makes every new file after it up to fifty times slower.
        """
        directory = TemporaryDirectory(prefix="ai-engine-bench-", dir=self.place)
        _DIRECTORIES.append(directory)
        yield Path(directory.name)
        if sum(len(files) for _, _, files in os.walk(directory.name)) < _MANY:
            _DIRECTORIES.remove(directory)
            directory.cleanup()

    def sizes(self, quick: Sequence[int], usual: Sequence[int], full: Sequence[int] = ()) -> Sequence[int]:
        return quick if self.quick else [*usual, *(full if self.full else ())]

    def times(self, usual: int) -> int:
        return max(usual // 5, 2) if self.quick else usual


@dataclass(frozen=True)
class Spread:
    """A median with its quartiles over so many rounds."""

    median: float
    lower: float
    upper: float
    rounds: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        ordered = sorted(values)
        if len(ordered) == 1:
            return cls(ordered[0], ordered[0], ordered[0], 1)
        lower, middle, upper = statistics.quantiles(ordered, n=4, method="inclusive")
        return cls(middle, lower, upper, len(ordered))


@dataclass(frozen=True)
class Figure:
    """One line of an answer.

    Attributes
    ----------
    key : str
        What the report finds it by.
    at : int or None
        How many versions there are, or processes; the horizontal axis of a chart.
    """

    key: str
    what: str
    unit: str
    ours: Spread
    raw: Spread | None = None
    ratio: Spread | None = None
    at: int | None = None


@dataclass
class Answer:
    """What a question was answered."""

    question: str
    asks: str
    figures: list[Figure] = field(default_factory=list)

    def add(
        self,
        key: str,
        what: str,
        unit: str,
        ours: Sequence[float],
        raw: Sequence[float] = (),
        at: int | None = None,
    ) -> Figure:
        """Add a figure: one value a round, ours and the raw limit's of the same round."""
        pairs = zip(ours, raw, strict=True) if raw else ()
        # A cost: where more is better, the raw limit's rate over ours.
        ratios = [limit / mine if unit.endswith("/s") else mine / limit for mine, limit in pairs]
        ratio = Spread.of(ratios) if ratios else None
        figure = Figure(key, what, unit, Spread.of(ours), Spread.of(raw) if raw else None, ratio, at)
        self.figures.append(figure)
        print(line(figure), flush=True)
        return figure


HEADER = f"  {'':<66} {'ours':>13} {'raw limit':>13} {'ratio':>7}   quartiles"


def line(figure: Figure) -> str:
    ratio = figure.ratio
    return (
        f"  {figure.what:<66} {amount(figure.ours.median, figure.unit):>13} "
        f"{amount(figure.raw.median, figure.unit) if figure.raw else '':>13} "
        + (f"{times(ratio.median):>7}   {times(ratio.lower)} to {times(ratio.upper)}" if ratio else "")
    ).rstrip()


def times(value: float) -> str:
    return f"{value:.2f}×" if value < 99.5 else f"{value:.0f}×"


def amount(value: float, unit: str) -> str:
    """Return a value for people: seconds in the unit that suits them, the others as they are.

    >>> amount(0.00042, "s"), amount(31250.4, "rows/s"), amount(30.51, "MiB"), amount(1, "copies")
    ('420 µs', '31,250 rows/s', '30.5 MiB', '1 copies')
    """
    if unit == "s":
        for factor, name in ((1, "s"), (1e3, "ms")):
            if value * factor >= 1:
                return f"{value * factor:.3g} {name}"
        return f"{value * 1e6:.3g} µs"
    return f"{value:,.0f} {unit}" if abs(value) >= 1000 else f"{value:.3g} {unit}"


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


# -- timing ------------------------------------------------------------------------------------------------


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds `work` took, what it returned still being alive."""
    started = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - started
    del result
    return seconds


def alternating(
    ours: Callable[[], object], raw: Callable[[], object], rounds: int, calls: int
) -> tuple[list[list[float]], list[list[float]]]:
    """Time both in turns; return, for each, a list of seconds a round. Who is first changes each time.

    Python's garbage collector is on, as it is for whoever calls either.
    """
    mine: list[list[float]] = []
    limit: list[list[float]] = []
    gc.collect()
    for _ in range(rounds):
        mine.append([])
        limit.append([])
        for call in range(calls):
            if call % 2:
                mine[-1].append(timed(ours))
                limit[-1].append(timed(raw))
            else:
                limit[-1].append(timed(raw))
                mine[-1].append(timed(ours))
    return mine, limit


def medians(rounds: Iterable[Sequence[float]]) -> list[float]:
    return [statistics.median(one) for one in rounds]


# -- other processes -----------------------------------------------------------------------------------------


def child_command(module: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]


def child(module: str, *arguments: object) -> Any:
    """Run a module of this package in a process of its own and return what it printed (JSON values)."""
    done = subprocess.run(
        child_command(module, *arguments), cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout)


def proportional_memory(pid: int | str = "self") -> float:
    """Return the memory of a process in MiB, of what it shares with n processes the n-th part."""
    return _kib(f"/proc/{pid}/smaps_rollup", "Pss") / 1024


def resident_memory() -> float:
    """Return the resident memory of this process in MiB."""
    return _kib("/proc/self/status", "VmRSS") / 1024


def reset_peak() -> None:
    """Let the peak of the resident memory begin anew."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak_memory() -> float:
    """Return the highest resident memory since `reset_peak`, in MiB."""
    return _kib("/proc/self/status", "VmHWM") / 1024


def _kib(path: str, field_name: str) -> int:
    for text in Path(path).read_text().splitlines():
        if text.startswith(f"{field_name}:"):
            return int(text.split()[1])
    raise LookupError(f"{path} does not tell {field_name}")


# -- keeping -------------------------------------------------------------------------------------------------


def machine(directory: str) -> dict[str, Any]:
    """Return what the figures depend on (JSON values), nothing that names this machine or its paths."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3, 1),
        "kernel": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "filesystem": _filesystem(directory),
    }


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for package in ("novacron-ai-engine", "numpy", "scikit-learn", "fastapi", "uvicorn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    for text in Path("/proc/cpuinfo").read_text().splitlines():
        if text.startswith("model name"):
            return text.partition(":")[2].strip()
    return platform.machine()


def _filesystem(directory: str) -> str:
    """Return the type of the file system that a directory is on."""
    best, kind = "", "unknown"
    for text in Path("/proc/mounts").read_text().splitlines():
        device, point, type_, *_ = text.split()
        inside = directory == point or directory.startswith(f"{point.rstrip('/')}/")
        if inside and len(point) >= len(best):
            best, kind = point, type_
            journal = Path(f"/sys/fs/ext4/{os.path.basename(device)}/journal_task")
            if journal.exists() and "none" in journal.read_text():
                kind += " without a journal"
    return kind


def keep(answer: Answer, options: Options) -> None:
    """Write an answer to where the report finds it."""
    document = {
        "question": answer.question,
        "asks": answer.asks,
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(os.path.realpath(options.place)),
        "versions": versions(),
        "load_average": round(os.getloadavg()[1], 1),  # of the last five minutes: how quiet the machine was
        "figures": [_rounded(asdict(figure)) for figure in answer.figures],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{answer.question}.json").write_text(json.dumps(document, indent=1) + "\n")


def _rounded(value: Any) -> Any:
    """Return JSON values with four digits a number: more would be noise."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return value
