"""When a model is trained again, from which files, and what came of it the last time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from ai_engine.domain.durations import UNITS, seconds_in
from ai_engine.domain.entities import Digest
from ai_engine.domain.errors import InvalidInputError

# Of so many trainings in a row that failed somebody is told.
FAILURES_TOLD: Final = 2
# Seconds: a training takes one at least, and nobody means a century.
SHORTEST: Final = 1.0
LONGEST: Final = 3650 * 86400.0
MOST_ROWS: Final = 10**12
# Seconds by which a moment may lie ahead of the clock before that was set back.
AHEAD: Final = 5.0


class Selection(StrEnum):
    """Which of the files that a source names are trained on."""

    NEWEST = "newest"
    ALL = "all"


class Happening(StrEnum):
    """What came of the last time that a schedule was due."""

    QUEUED = "queued"  # a training was asked for, and has not ended
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNCHANGED = "unchanged"  # the source holds what the last version was trained on
    SKIPPED = "skipped"  # the training before it has not ended, or the queue is full
    UNREADABLE = "unreadable"  # the source is missing, or cannot be read


@dataclass(frozen=True, slots=True)
class Source:
    """Files that can be read again, each time that a model is trained.

    Attributes
    ----------
    pattern : str
        An absolute path. ``*``, ``?``, ``[…]`` and ``**`` stand for what they do in a shell, ``{date}`` for a
        date, and ``{date:%Y%m%d}`` for one that is spelled otherwise.
    files : Selection
        Which of them.
    below : str or None
        The directory outside of which nothing is read, wherever links lead; None: there is none.
    """

    pattern: str
    files: Selection = Selection.NEWEST
    below: str | None = None


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file as it was when it was trained on.

    Attributes
    ----------
    size : int
        Bytes.
    digest : Digest
        Of all of them.
    rows : int or None
        How many there were; None where nobody counted them.
    """

    path: str
    size: int
    digest: Digest
    rows: int | None = None

    def to_mapping(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"path": self.path, "size": self.size, "digest": str(self.digest), "rows": self.rows}

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> SourceFile:
        """Return what `to_mapping` wrote (JSON values). Raises KeyError for anything else."""
        return cls(given["path"], given["size"], Digest(given["digest"]), given["rows"])


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """A schedule that is asked for.

    Attributes
    ----------
    name : str
        The model that is trained again; it may have no version yet.
    spec : mapping
        What to train, without the rows (JSON values).
    every : float or None
        Seconds from one training to the next; None: only where enough rows have come.
    rows : int or None
        How many new rows are enough to train before that; None: however many.
    """

    name: str
    spec: Mapping[str, Any]
    source: Source
    every: float | None = None
    rows: int | None = None

    def __post_init__(self) -> None:
        if self.every is None and self.rows is None:
            raise InvalidInputError(
                "every", 'is missing; give a time such as "6h" or "30d", a number of new rows, or both'
            )


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to do what a schedule is due for, until somebody has done it or changed the schedule."""

    name: str
    revision: int


@dataclass(frozen=True, slots=True)
class Last:
    """What came of the last time.

    Attributes
    ----------
    version : str or None
        What was made; None where nothing was.
    active : bool or None
        Whether it became active.
    reason : str or None
        Why it did or did not, or why there is none.
    job_id : str or None
        The training.
    """

    outcome: Happening
    at: datetime
    version: str | None
    active: bool | None
    reason: str | None
    job_id: str | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as it is at one moment of the catalogue's clock.

    Attributes
    ----------
    revision : int
        Grows with every change of it, and each time that it was due.
    due_at : datetime or None
        When it is due next; None where only rows count.
    observed_at : datetime
        Now, by the catalogue's clock.
    job_id : str or None
        The training that was asked for last.
    asked : tuple of SourceFile
        What it was asked to train on.
    trained : tuple of SourceFile
        What the last version was trained on; empty before there is one.
    failures : int
        How many trainings have failed since the last that made a version.
    """

    name: str
    spec: Mapping[str, Any]
    source: Source
    every: float | None
    rows: int | None
    revision: int
    set_by: str
    set_at: datetime
    due_at: datetime | None
    observed_at: datetime
    job_id: str | None
    asked: tuple[SourceFile, ...]
    trained: tuple[SourceFile, ...]
    last: Last | None
    failures: int

    @property
    def turn(self) -> Turn:
        """Return the right to do what it is due for."""
        return Turn(self.name, self.revision)

    @property
    def is_due(self) -> bool:
        """Whether its time has come."""
        return self.due_at is not None and self.due_at <= self.observed_at

    @property
    def is_ahead(self) -> bool:
        """Whether it would be due only behind its own interval: the clock was set back."""
        if self.due_at is None or self.every is None:
            return False
        return self.due_at > self.observed_at + timedelta(seconds=self.every + AHEAD)

    @property
    def warning(self) -> str | None:
        """Return what somebody should do something about; None where all is well."""
        if self.last is not None and self.last.outcome is Happening.UNREADABLE:
            return f"model {self.name!r} is not trained again: {self.last.reason}"
        if self.failures < FAILURES_TOLD:
            return None
        told = f"the last {self.failures} scheduled trainings of model {self.name!r} failed"
        failed = self.last is not None and self.last.outcome is Happening.FAILED
        return f"{told}: {self.last.reason}" if self.last is not None and failed else told


def next_due(due: datetime, now: datetime, every: float) -> datetime:
    """Return the first moment behind now of those that follow each other by `every` seconds.

    >>> noon = datetime(2026, 1, 1, 12)
    >>> next_due(noon, noon + timedelta(days=7, minutes=1), 6 * 3600.0)
    datetime.datetime(2026, 1, 8, 18, 0)
    """
    missed = max(0, math.floor((now - due) / timedelta(seconds=every)))
    following = due + timedelta(seconds=every) * (missed + 1)
    return following if following > now else now + timedelta(seconds=every)


def interval(given: object) -> float:
    """Return the seconds of an interval.

    >>> interval("6h"), interval("30d"), interval(90), interval(timedelta(minutes=2))
    (21600.0, 2592000.0, 90.0, 120.0)

    Raises
    ------
    InvalidInputError
        If it is none, is shorter than SHORTEST, or longer than LONGEST.
    """
    seconds = math.nan
    if isinstance(given, timedelta):
        seconds = given.total_seconds()
    elif isinstance(given, (int, float)) and not isinstance(given, bool):
        seconds = float(given)
    elif isinstance(given, str):
        seconds = seconds_in(given) or math.nan
    if not SHORTEST <= seconds <= LONGEST:
        raise InvalidInputError(
            "every",
            f'{given!r:.80} is no time from one second to ten years; give one such as "90s", "45m", "6h", '
            '"30d" or "2w"',
        )
    return seconds


def told_interval(seconds: float) -> str:
    """Return an interval in the largest unit of which it is a whole number.

    >>> told_interval(21600.0), told_interval(90.0), told_interval(1209600.0), told_interval(1.5)
    ('6h', '90s', '2w', '1.5s')
    """
    for unit, length in reversed(UNITS.items()):
        if seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:g}s"


def row_count(given: object) -> int:
    """Return how many new rows are enough. Raises InvalidInputError for what is no whole number above 0."""
    if type(given) is not int or not 1 <= given <= MOST_ROWS:
        raise InvalidInputError("rows", f"give a whole number of new rows of at least 1, not {given!r:.80}")
    return given


def selection(given: object) -> Selection:
    """Return which files are meant. Raises InvalidInputError."""
    if not isinstance(given, str) or given not in tuple(Selection):
        raise InvalidInputError("files", f"give one of {', '.join(Selection)}, not {given!r:.80}")
    return Selection(given)


def same_files(one: Sequence[SourceFile], other: Sequence[SourceFile]) -> bool:
    """Tell whether two readings of a source hold the same bytes, whatever the files are called."""
    return [file.digest for file in one] == [file.digest for file in other]
