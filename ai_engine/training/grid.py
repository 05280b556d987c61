"""Irregular samples to a regular grid: one slot an interval, short gaps closed, long gaps never bridged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ai_engine.training.arrays import BoolArray, FloatArray, IntArray
from ai_engine.training.table import Table

# Up to three lost samples are drawn as a straight line; beyond that nobody knows what the VM did.
LONGEST_FILLED_GAP: Final = 3


@dataclass(frozen=True, slots=True)
class Clock:
    """Where slots lie on the axis along which rows are split.

    Attributes
    ----------
    start, interval : float
        Of slot 0, and between slots: epoch seconds where there are timestamps, else the share of the VM's
        rows.
    timed : bool
        Whether the axis is time.
    """

    start: float
    interval: float
    timed: bool

    def from_slot(self, slot: int) -> Clock:
        """Return the clock of the same slots, counted from `slot`."""
        return Clock(self.start + slot * self.interval, self.interval, self.timed)

    def slot_of(self, moment: float) -> int:
        """Return the slot on which a sample of this moment lies; it may be outside of the data."""
        return int(np.clip(np.rint((moment - self.start) / self.interval), -(2**31), 2**31))


@dataclass(frozen=True, slots=True)
class Stretch:
    """An uninterrupted stretch of one VM's samples on a grid: no gap of more than `LONGEST_FILLED_GAP` slots.

    Attributes
    ----------
    vm : str, int or None
        The VM as the caller wrote it.
    clock : Clock
        Where the slots lie.
    cells : dict of str to array, shape (n_slots,)
        The columns; NaN where nothing was sampled.
    last_sample : float or None
        Epoch seconds of the last row; None without timestamps.
    """

    vm: str | int | None
    clock: Clock
    cells: dict[str, FloatArray]
    last_sample: float | None

    def until(self, moment: float) -> Stretch:
        """Return the slots before that of a moment, for who must not know what follows."""
        end = max(0, self.clock.slot_of(moment))
        return replace(self, cells={name: column[:end] for name, column in self.cells.items()})


@dataclass(frozen=True, slots=True)
class Series:
    """One target of one VM on a grid, without a long gap, and what else is known of the VM.

    Attributes
    ----------
    clock : Clock
        Where the slots lie.
    values : array, shape (n_slots,)
        The target; short gaps are filled by a straight line.
    observed : array of bool, shape (n_slots,)
        False where the value was filled. The first and the last slot are observed.
    others : array, shape (n_slots, n_others)
        The other columns; where one is missing, its last known value, and NaN before the first.
    """

    clock: Clock
    values: FloatArray
    observed: BoolArray
    others: FloatArray

    def __len__(self) -> int:
        return len(self.values)


def median_interval(table: Table) -> float | None:
    """Return the median step between samples of one VM in seconds, over all VMs; None if it cannot be known.

    One that occurs: halfway between the steps of two VMs lies one that neither has.

    Parameters
    ----------
    table : Table
        In time order, without duplicate timestamps.
    """
    if table.timestamps is None or len(table) < 2:
        return None
    steps = np.diff(table.timestamps)[np.diff(table.vm_codes) == 0]
    return float(np.quantile(steps, 0.5, method="higher")) if len(steps) else None


def stretches(table: Table, interval: float | None, columns: Sequence[str]) -> Iterator[Stretch]:
    """Yield each VM's uninterrupted stretches, in time order, each on a grid that starts at its first row.

    Parameters
    ----------
    table : Table
        In time order, without duplicate timestamps.
    interval : float or None
        Seconds between slots. None: each row is a slot, whatever its timestamp.
    columns : sequence of str
        The numeric columns to place. Of two rows that fall on one slot the later one counts.
    """
    for rows in _rows_by_vm(table):
        vm = table.vm_ids[int(table.vm_codes[rows[0]])]
        if table.timestamps is None or interval is None:
            clock = Clock(0.0, 1 / len(rows), timed=False)
            last = None if table.timestamps is None else float(table.timestamps[rows[-1]])
            yield Stretch(vm, clock, {name: table.numbers[name][rows] for name in columns}, last)
            continue
        times = table.timestamps[rows]
        # Split before the grid is laid: two rows a century apart must not ask for a century of slots.
        breaks = np.flatnonzero(np.rint(np.diff(times) / interval) > LONGEST_FILLED_GAP + 1) + 1
        for part in np.split(rows, breaks):
            slots = np.rint((table.timestamps[part] - table.timestamps[part[0]]) / interval).astype(np.intp)
            cells = {name: np.full(int(slots[-1]) + 1, np.nan) for name in columns}
            for name in columns:
                cells[name][slots] = table.numbers[name][part]
            start, end = float(table.timestamps[part[0]]), float(table.timestamps[part[-1]])
            yield Stretch(vm, Clock(start, interval, timed=True), cells, end)


def series_of(stretch: Stretch, target: str, others: Sequence[str]) -> list[Series]:
    """Return the runs of `target` without a long gap, in time order, with these other columns."""
    column = stretch.cells[target]
    known = np.flatnonzero(~np.isnan(column))
    if len(known) == 0:
        return []
    filled = np.interp(np.arange(len(column)), known, column[known])
    beside = _beside(stretch, others)
    breaks = np.flatnonzero(np.diff(known) > LONGEST_FILLED_GAP + 1) + 1
    runs = []
    for part in np.split(known, breaks):
        first, end = int(part[0]), int(part[-1]) + 1
        runs.append(
            Series(
                stretch.clock.from_slot(first),
                filled[first:end],
                ~np.isnan(column[first:end]),
                beside[first:end],
            )
        )
    return runs


def context_of(stretch: Stretch, target: str, others: Sequence[str], slots: int) -> Series | None:
    """Return the last `slots` slots of a stretch, to forecast what follows it.

    Where the target is missing at the very end, its last known value stands. None if it is missing
    throughout.
    """
    runs = series_of(stretch, target, others)
    if not runs:
        return None
    n_slots = len(stretch.cells[target])
    end = int(np.flatnonzero(~np.isnan(stretch.cells[target]))[-1]) + 1
    values = np.append(runs[-1].values, np.full(n_slots - end, runs[-1].values[-1]))[-slots:]
    return Series(
        stretch.clock.from_slot(n_slots - len(values)),
        values,
        np.ones(len(values), dtype=bool),
        _beside(stretch, others)[-len(values) :],
    )


def _beside(stretch: Stretch, others: Sequence[str]) -> FloatArray:
    if not others:
        return np.empty((len(next(iter(stretch.cells.values()))), 0))
    return np.column_stack([_carried(stretch.cells[name]) for name in others])


def _carried(column: FloatArray) -> FloatArray:
    """Return the column with each missing value replaced by the last known one: never by a later one."""
    known = np.where(np.isnan(column), -1, np.arange(len(column)))
    last: IntArray = np.maximum.accumulate(known)
    return np.where(last < 0, np.nan, column[np.maximum(last, 0)])


def _rows_by_vm(table: Table) -> list[IntArray]:
    edges = np.flatnonzero(np.diff(table.vm_codes)) + 1
    return np.split(np.arange(len(table)), edges)
