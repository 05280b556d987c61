"""What was understood of the rows of a training, said in words that its caller can check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Source:
    """Where in the rows the time and the machine stand.

    Attributes
    ----------
    time_column, group_column : str or None
        As the caller's rows call them; None where they have none.
    time_unit : str or None
        ``iso8601``, ``s``, ``ms``, ``us`` or ``ns``.
    renamed : mapping of str to str
        Columns as they were called, and as they are called now.
    """

    time_column: str | None
    group_column: str | None
    time_unit: str | None
    renamed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ignored:
    """A column that is not used, and why."""

    column: str
    why: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What was understood of rows.

    Attributes
    ----------
    source : Source
        The columns of the time and of the machine, and the unit of the time.
    interval_seconds : float or None
        Between two rows of a machine, as a rule.
    groups : int
        How many machines there are; 1 where nothing says so.
    rows_used : int
        Rows that were learned from and measured on.
    features, targets : tuple of str
        Columns that are learned from, and those that are predicted.
    ignored : tuple of Ignored
        Columns that are neither.
    repaired : mapping of str to int
        What was done to the rows, to how many rows or cells.
    """

    source: Source
    interval_seconds: float | None
    groups: int
    rows_used: int
    features: tuple[str, ...]
    targets: tuple[str, ...]
    ignored: tuple[Ignored, ...] = ()
    repaired: Mapping[str, int] = field(default_factory=dict)

    def to_mapping(self) -> dict[str, Any]:
        """Return it as ``POST /train`` answers it (JSON values)."""
        return {
            "time_column": self.source.time_column,
            "group_column": self.source.group_column,
            "time_unit": self.source.time_unit,
            "renamed": dict(self.source.renamed),
            "interval_seconds": self.interval_seconds,
            "groups": self.groups,
            "rows_used": self.rows_used,
            "features": list(self.features),
            "targets": list(self.targets),
            "ignored": [{"column": one.column, "why": one.why} for one in self.ignored],
            "repaired": dict(self.repaired),
        }

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> Reading:
        """Return what `to_mapping` wrote (JSON values). Raises KeyError for anything else."""
        return cls(
            source=Source(
                given["time_column"], given["group_column"], given["time_unit"], given.get("renamed", {})
            ),
            interval_seconds=given["interval_seconds"],
            groups=given["groups"],
            rows_used=given["rows_used"],
            features=tuple(given["features"]),
            targets=tuple(given["targets"]),
            ignored=tuple(Ignored(one["column"], one["why"]) for one in given["ignored"]),
            repaired=given["repaired"],
        )

    def sentences(self) -> list[str]:
        """Return it in a line or two.

        >>> Reading(Source("time", "instance", "ms"), 300.0, 2, 400, ("cpu",), ("cpu",)).sentences()
        ['read as 2 machines (instance), a row every 300 s (time, ms); 400 rows used, predicting cpu']
        """
        source = self.source
        machines = (
            "one series" if source.group_column is None else f"{self.groups} machines ({source.group_column})"
        )
        if source.group_column is not None and self.groups == 1:
            machines = f"1 machine ({source.group_column})"
        time = (
            "without times"
            if source.time_column is None
            else f"times in {source.time_column}, {source.time_unit}"
        )
        if source.time_column is not None and self.interval_seconds is not None:
            time = f"a row every {self.interval_seconds:g} s ({source.time_column}, {source.time_unit})"
        predicting = f", predicting {', '.join(self.targets)}" if self.targets else ""
        lines = [f"read as {machines}, {time}; {self.rows_used:,} rows used{predicting}"]
        notes = [f"{name} is called {new}" for name, new in source.renamed.items()]
        notes += [f"{one.column} is ignored: {one.why}" for one in self.ignored]
        notes += [f"{what.replace('_', ' ')}: {count:,}" for what, count in self.repaired.items()]
        return lines + (["; ".join(notes)] if notes else [])
