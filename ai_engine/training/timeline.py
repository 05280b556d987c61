"""The telemetry that a forecast learns from: on its grid, and where it is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ai_engine.training.arrays import FloatArray
from ai_engine.training.grid import Stretch, median_interval
from ai_engine.training.split import cut_moment
from ai_engine.training.table import Table, iso_utc

# The shares of the training rows that the fits for choosing and for the intervals see. With one such fit,
# on three quarters, the intervals of 170 series of 200 to 500 rows held 84 % of what came, and less than 80 %
# in every fourth series; with these four 89 %, and in every tenth.
FOLD_ENDS: Final = (0.5, 0.625, 0.75, 0.875)
# Of the other columns those that go most with the target: more of them cost time and gained nothing.
MOST_OTHERS: Final = 20


@dataclass(frozen=True, slots=True)
class Timeline:
    """The telemetry on its grid, where it is cut, and where the fits for choosing end.

    Attributes
    ----------
    stretches : tuple of Stretch
        All rows, those that are held out included.
    columns : tuple of str
        Those that are looked at.
    interval : float or None
        Seconds between two samples; None where the rows have no times.
    cut : float
        The moment from which on rows are held out: epoch seconds, or a share of a VM's rows.
    ends : tuple of float
        The moments at which the fits for choosing end.
    """

    stretches: tuple[Stretch, ...]
    columns: tuple[str, ...]
    interval: float | None
    cut: float
    ends: tuple[float, ...]

    @property
    def timed(self) -> bool:
        """Return whether the rows have times."""
        return self.interval is not None

    @property
    def learned(self) -> list[Stretch]:
        """Return the stretches as if what is held out had not happened yet."""
        return [stretch.until(self.cut) for stretch in self.stretches]

    @property
    def span(self) -> float:
        """Return how far the training rows reach, in seconds where there is time."""
        return self.cut - min(stretch.clock.start for stretch in self.stretches)

    def others(self, target: str) -> tuple[str, ...]:
        """Return the other columns whose training values go most with the target's, in the table's order."""
        others = [name for name in self.columns if name != target]
        if len(others) <= MOST_OTHERS:
            return tuple(others)
        column = {name: np.concatenate([one.cells[name] for one in self.learned]) for name in self.columns}
        together = {name: abs(_correlation(column[target], column[name])) for name in others}
        closest = sorted(others, key=lambda name: -together[name])[:MOST_OTHERS]
        return tuple(name for name in others if name in closest)

    def description(self, validation_split: float) -> dict[str, Any]:
        """Return what metadata tells of the split (JSON values)."""
        return {
            "method": "time" if self.timed else "given order",
            "validation_split": validation_split,
            "held_out_from": iso_utc(self.cut) if self.timed else None,
            "chosen_and_calibrated_from": iso_utc(self.ends[0]) if self.timed else None,
        }


def moments_of(table: Table) -> FloatArray:
    """Return where each row lies on the axis of the cuts: time, or else the share of its VM's rows."""
    if table.timestamps is not None and median_interval(table) is not None:
        return table.timestamps
    counts = np.bincount(table.vm_codes, minlength=len(table.vm_ids))
    first = np.concatenate([[0], np.cumsum(counts)])[table.vm_codes]
    shares: FloatArray = (np.arange(len(table)) - first) / counts[table.vm_codes]
    return shares


def cuts_of(table: Table, validation_split: float) -> tuple[float, tuple[float, ...]]:
    """Return the moment from which on rows are held out, and those at which the fits for choosing end."""
    moments = moments_of(table)
    cut = cut_moment(moments, validation_split)
    before = moments[moments < cut]
    return cut, tuple(cut_moment(before, 1 - share) if len(before) else cut for share in FOLD_ENDS)


def _correlation(one: FloatArray, other: FloatArray) -> float:
    """Return Pearson's correlation over the slots where both are known; 0 where it is not defined."""
    known = ~(np.isnan(one) | np.isnan(other))
    if not known.any() or np.ptp(one[known]) == 0 or np.ptp(other[known]) == 0:
        return 0.0
    return float(np.corrcoef(one[known], other[known])[0, 1])
