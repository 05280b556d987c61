"""Rows and points of telemetry as tracks: one metric each, in time order, and what was left out of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ai_engine.control_plane.given import LARGEST, number_of
from ai_engine.control_plane.moments import moment
from ai_engine.training.arrays import FloatArray

_TIMES: Final = ("timestamp", "time", "ts", "recorded_at")
_MACHINES: Final = ("vm_id", "node_id", "resource_id", "workload_id", "host", "instance")
# Keys of a row that are no metric, and those that name the metric of a point.
_UNMEASURED: Final = frozenset((*_TIMES, *_MACHINES, "metadata"))
_NAMES: Final = ("metric", "type")
# Said of a resource, or said of it as what is used of it.
ENDINGS: Final = ("", "_usage", "_usage_pct")
# Three weeks of minutes: older rows tell no more, and cost as much.
MOST_SLOTS: Final = 30_240
VALUE: Final = "value"


@dataclass(frozen=True, slots=True)
class Track:
    """One metric.

    Attributes
    ----------
    name : str
        As the rows call it.
    values : array, shape (n,)
        In the unit that was given; all known.
    times : array, shape (n,), or None
        Seconds of the epoch, rising; None where the rows have no times: they are in order then.
    """

    name: str
    values: FloatArray
    times: FloatArray | None

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Tracks:
    """What was understood of rows.

    Attributes
    ----------
    by_name : dict of str to Track
        In the order in which the rows name them.
    notes : tuple of str
        What was left out, and why, as sentences for people.
    resource_types : tuple of str
        What the points themselves say that they measure, in ``metadata.resource_type``.
    """

    by_name: dict[str, Track] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    resource_types: tuple[str, ...] = ()

    def __len__(self) -> int:
        return max(map(len, self.by_name.values()), default=0)

    def of(self, resource: str) -> Track | None:
        """Return the track of a resource: the column of that name, or with an ending behind it."""
        return next(
            (self.by_name[name] for name in names_of(resource) if name in self.by_name),
            None,
        )

    @property
    def span(self) -> tuple[float, float] | None:
        """Return the first and the last moment of all tracks; None where they have no times."""
        timed = [one.times for one in self.by_name.values() if one.times is not None and len(one)]
        return (min(float(t[0]) for t in timed), max(float(t[-1]) for t in timed)) if timed else None


def names_of(resource: str) -> tuple[str, ...]:
    """Return what the column of a resource may be called.

    >>> names_of("cpu")
    ('cpu', 'cpu_usage', 'cpu_usage_pct')
    """
    return tuple(f"{resource}{ending}" for ending in ENDINGS)


def resource_of(column: str) -> str:
    """Return the resource that a column measures.

    >>> resource_of("cpu_usage_pct"), resource_of("cpu_usage"), resource_of("disk")
    ('cpu', 'cpu', 'disk')
    """
    return next(
        (column.removesuffix(ending) for ending in ENDINGS[::-1] if ending and column.endswith(ending)),
        column,
    )


def tracks_of(
    rows: Iterable[Any],
    value_name: str = VALUE,
    *,
    machine: str = "",
    since: float | None = None,
    until: float | None = None,
    ended: str = "lie in the future",
) -> Tracks:
    """Return the tracks of rows.

    Parameters
    ----------
    rows : iterable
        Of any JSON values: numbers, points ``{timestamp, value, metadata?}`` or rows with a column a metric.
        A point is of the metric that ``metadata.metric`` (or ``type``) names, else of `value_name`.
    machine : str
        Where rows name several machines, those of this one count.
    since, until : float, optional
        What lies before the one moment, or after the other, is told and left out.
    ended : str
        What is told of points after `until`.
    """
    reader = _Reader(value_name, machine, since, until, ended)
    for row in rows:
        reader.read(row)
    return reader.tracks()


class _Reader:
    def __init__(
        self, value_name: str, machine: str, since: float | None, until: float | None, ended: str
    ) -> None:
        self._value_name, self._machine = value_name, machine
        self._since, self._until, self._ended = since, until, ended
        self._cells: dict[str, tuple[list[float], list[float | None]]] = {}
        self._left: Counter[str] = Counter()
        self._texts: dict[str, None] = {}
        self._types: dict[str, None] = {}

    def read(self, row: Any) -> None:
        if row is None:
            return
        if not isinstance(row, Mapping):
            number = number_of(row)
            if number is None:
                self._left["are neither numbers nor objects"] += 1
            else:
                self._add(self._value_name, number, None)
            return
        if self._machine and self._of_another(row):
            self._left["are of another machine"] += 1
            return
        at = _moment_of(row)
        if at is not None and self._until is not None and at > self._until:
            self._left[self._ended] += 1
            return
        if at is not None and self._since is not None and at < self._since:
            self._left["lie before the time range"] += 1
            return
        point = VALUE in row
        value_name = self._value_name
        told = row.get("metadata")
        if told or point:
            value_name = self._named(row, told if isinstance(told, Mapping) else {})
        known = False
        for name, value in row.items():
            if name in _UNMEASURED or (point and name in _NAMES):
                continue
            # A float that was read from JSON is finite; most cells are one.
            number = value if type(value) is float and -LARGEST <= value <= LARGEST else number_of(value)
            if number is not None:
                known = True
                self._add(value_name if name == VALUE else name, number, at)
            elif isinstance(value, str):
                self._texts[name] = None
        if not known:
            self._left["have no number"] += 1

    def _of_another(self, row: Mapping[str, Any]) -> bool:
        for name in _MACHINES[:3]:
            if name in row and row[name] not in (None, "") and str(row[name]) != self._machine:
                return True
        return False

    def _named(self, row: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
        """Return which metric a point is of, and note what it says that it measures."""
        kind = metadata.get("resource_type")
        if isinstance(kind, str) and kind.strip():
            self._types[kind.strip().lower()] = None
        named = (metadata.get("metric"), metadata.get("type"), row.get("metric"))
        return next((str(one) for one in named if one), self._value_name)

    def _add(self, name: str, number: float, at: float | None) -> None:
        cells = self._cells.get(name)
        if cells is None:
            cells = self._cells[name] = ([], [])
        cells[0].append(number)
        cells[1].append(at)

    def tracks(self) -> Tracks:
        by_name = {}
        for name, (values, times) in self._cells.items():
            track, dropped = _track(name, values, times)
            if dropped:
                self._left["have no time where others have one"] += dropped
            by_name[name] = track
        notes = [f"{count} of the points {why}: left out" for why, count in self._left.items()]
        unread = [name for name in self._texts if name not in by_name]
        if unread:
            notes.append(f"not numbers, and not used: {', '.join(unread)[:200]}")
        return Tracks(by_name, tuple(notes), tuple(self._types))


def _moment_of(row: Mapping[str, Any]) -> float | None:
    for name in _TIMES:
        if name in row and (found := moment(row[name])) is not None:
            return found
    return None


def _track(name: str, values: Sequence[float], times: Sequence[float | None]) -> tuple[Track, int]:
    numbers = np.array(values, dtype=np.float64)
    moments = np.array(times, dtype=np.float64)  # None is NaN
    if np.isnan(moments).all():
        return Track(name, numbers[-MOST_SLOTS:], None), 0
    known = ~np.isnan(moments)
    order = np.argsort(moments[known], kind="stable")
    numbers, moments = numbers[known][order], moments[known][order]
    # Of several points of one moment the one that was given last counts.
    kept = np.append(np.diff(moments) > 0, True)
    return Track(name, numbers[kept][-MOST_SLOTS:], moments[kept][-MOST_SLOTS:]), int((~known).sum())
