"""One column of one VM over all of its time: what formulas look back into, across gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np

from ai_engine.training.arrays import BoolArray, FloatArray
from ai_engine.training.grid import LONGEST_FILLED_GAP, Clock, Stretch

# Beyond, what lies before the gap tells nothing of what follows it, and a grid of a century is not laid.
LONGEST_GAP_DAYS: Final = 14


@dataclass(frozen=True, slots=True)
class History:
    """A column of a VM on a regular grid.

    Attributes
    ----------
    vm : str, int or None
        The VM as the caller wrote it.
    clock : Clock
        Where the slots lie.
    values : array, shape (n_slots,)
        In the column's unit. What was not sampled is filled from the past alone: a short gap by the last
        value, a longer one by the same time of the day before.
    observed : array of bool, shape (n_slots,)
        False where the value was filled.
    """

    vm: str | int | None
    clock: Clock
    values: FloatArray
    observed: BoolArray

    def __len__(self) -> int:
        return len(self.values)

    def until(self, moment: float) -> History:
        """Return what was known before the slot of a moment."""
        return self.first(max(0, self.clock.slot_of(moment)))

    def first(self, slots: int) -> History:
        """Return the first slots: filled values depend on earlier ones only, so these stay what they are."""
        return History(self.vm, self.clock, self.values[:slots], self.observed[:slots])


def histories(given: Sequence[Stretch], column: str, day: int) -> list[History]:
    """Return each VM's history of a column, in the order of the stretches.

    Parameters
    ----------
    given : sequence of Stretch
        In time order, those of a VM one after another.
    column : str
        One of their cells.
    day : int
        Slots of a day. A gap of more than `LONGEST_GAP_DAYS` of them begins another history.
    """
    found = []
    for _, group in groupby(given, key=lambda stretch: (type(stretch.vm), stretch.vm)):
        part: list[tuple[int, FloatArray]] = []
        first: Stretch | None = None
        end = 0
        for stretch in group:
            at = 0 if first is None else first.clock.slot_of(stretch.clock.start)
            if first is not None and at - end > LONGEST_GAP_DAYS * day:
                found.append(_joined(first, part, day))
                first, part, at = None, [], 0
            first = first or stretch
            cells = stretch.cells[column]
            part.append((at, cells))
            end = at + len(cells)
        if first is not None:
            found.append(_joined(first, part, day))
    return [history for history in found if len(history)]


def _joined(first: Stretch, parts: Sequence[tuple[int, FloatArray]], day: int) -> History:
    raw = np.full(max(at + len(cells) for at, cells in parts), np.nan)
    for at, cells in parts:
        raw[at : at + len(cells)] = cells
    known = np.flatnonzero(~np.isnan(raw))
    if not len(known):
        return History(first.vm, first.clock, np.empty(0), np.empty(0, dtype=bool))
    start = int(known[0])
    raw = raw[start:]
    return History(first.vm, first.clock.from_slot(start), filled_from_the_past(raw, day), ~np.isnan(raw))


def filled_from_the_past(values: FloatArray, day: int) -> FloatArray:
    """Return the values with each missing one filled from earlier ones; the first has to be known.

    >>> filled_from_the_past(np.array([1.0, np.nan, 3.0]), 288).tolist()
    [1.0, 1.0, 3.0]
    """
    slots = np.arange(len(values))
    last = np.maximum.accumulate(np.where(np.isnan(values), 0, slots))
    filled: FloatArray = values[last].copy()
    long = slots - last > LONGEST_FILLED_GAP
    for start in range(day, len(values), day):
        here = slice(start, min(start + day, len(values)))
        before = filled[start - day : here.stop - day]
        filled[here] = np.where(long[here], before, filled[here])
    return filled
