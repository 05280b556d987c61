"""Telemetry rows, as JSON objects, to columns of numbers: every dirty cell handled or refused by its name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ai_engine.telemetry.columns import Columns
from ai_engine.training.arrays import FloatArray, IntArray
from ai_engine.training.cells import (
    MISSING,
    TIMESTAMP,
    VM_ID,
    is_missing,
    read_numbers,
    read_timestamps,
    read_vms,
)


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of equal length, and what was done to the rows to get them.

    Attributes
    ----------
    numbers : dict of str to array, shape (n_rows,)
        The numeric columns, float64 in the caller's units; NaN is missing.
    texts : dict of str to list
        The other columns: text, or whatever was asked for raw; None is missing.
    timestamps : array, shape (n_rows,), or None
        Epoch seconds, UTC. None where the rows have none.
    vm_codes : array of int, shape (n_rows,)
        The VM of each row, an index into `vm_ids`.
    vm_ids : tuple
        The VMs as the caller wrote them; ``(None,)`` where the rows have no ``vm_id``.
    row_numbers : array of int, shape (n_rows,)
        Where each row stood in what was given, from 0.
    cleaning : dict of str to int
        What was done, to how many rows or cells. Only what happened is listed.
    """

    numbers: dict[str, FloatArray]
    texts: dict[str, list[Any]]  # raw labels may be any JSON value
    timestamps: FloatArray | None
    vm_codes: IntArray
    vm_ids: tuple[str | int | None, ...]
    row_numbers: IntArray
    cleaning: dict[str, int]

    def __len__(self) -> int:
        return len(self.row_numbers)

    def take(self, rows: IntArray, **done: int) -> Table:
        """Return the rows at these positions, in this order, with `done` added to the cleaning report."""
        return replace(
            self,
            numbers={name: column[rows] for name, column in self.numbers.items()},
            texts={name: [column[row] for row in rows] for name, column in self.texts.items()},
            timestamps=None if self.timestamps is None else self.timestamps[rows],
            vm_codes=self.vm_codes[rows],
            row_numbers=self.row_numbers[rows],
            cleaning=self.cleaning | {what: count for what, count in done.items() if count},
        )


def read_table(
    rows: Sequence[Any],
    field: str = "training_data",
    *,
    only: Collection[str] | None = None,
    raw: Collection[str] = (),
) -> Table:
    """Return the columns of `rows`, in the order given.

    Parameters
    ----------
    rows : sequence
        JSON objects, checked here, or `Columns`. ``timestamp`` is ISO 8601 (without a zone: UTC) or epoch
        seconds,
        ``vm_id`` text or a whole number; any other key is a column. Booleans are numbers, a missing key,
        None and NaN are missing values, and text that spells a number is that number where the rest of its
        column are numbers.
    field : str
        What errors call the rows.
    only : collection of str, optional
        Read these columns and ignore the others; an absent one is absent in the result.
    raw : collection of str
        Columns to hand back as they came, in `Table.texts`: class labels.

    Raises
    ------
    InvalidInputError
        Naming the row and the column (``training_data[17].cpu``) and what would be right.

    Examples
    --------
    >>> table = read_table([{"timestamp": 0, "cpu": 1}, {"timestamp": 300, "cpu": "2.5"}])
    >>> table.numbers["cpu"].tolist(), table.cleaning
    ([1.0, 2.5], {'numeric_text_cells': 1})
    """
    given = Columns.of(rows, field)
    if only is None:
        given.check_size(field)
    # A set: rows may have a million keys, and a model a thousand columns.
    wanted = None if only is None else {*only, TIMESTAMP, VM_ID}
    names = [name for name in given.names if wanted is None or name in wanted]
    cleaning: dict[str, int] = {}
    columns: dict[str, FloatArray] = {}
    texts: dict[str, list[Any]] = {}  # raw labels may be any JSON value
    for name in names:
        if name in (TIMESTAMP, VM_ID):
            continue
        column = given.column(name)
        if name in raw:
            texts[name] = column.cells()
            continue
        found = read_numbers(column, name, field, cleaning)
        if found is None:
            texts[name] = [None if cell in MISSING else cell for cell in column.cells()]
        else:
            columns[name] = found
    timestamps = read_timestamps(given.column(TIMESTAMP), field) if TIMESTAMP in names else None
    vm_codes, vm_ids = (
        read_vms(given.column(VM_ID), field)
        if VM_ID in names
        else (np.zeros(len(given), dtype=np.intp), (None,))
    )
    return Table(columns, texts, timestamps, vm_codes, vm_ids, np.arange(len(given)), cleaning)


def with_timestamps_complete(table: Table) -> Table:
    """Return the table without the rows that have no timestamp, where others have one."""
    if table.timestamps is None:
        return table
    known = np.flatnonzero(~np.isnan(table.timestamps))
    if len(known) == 0:
        return replace(table, timestamps=None)
    if len(known) == len(table):
        return table
    return table.take(known, rows_without_timestamp_dropped=len(table) - len(known))


def in_time_order(table: Table) -> Table:
    """Return the rows grouped by VM and sorted by time in each, the last kept of those with one timestamp.

    Without timestamps the rows of a VM stay in the order given.
    """
    table = with_timestamps_complete(table)
    if table.timestamps is None:
        return table.take(np.argsort(table.vm_codes, kind="stable"))
    by_vm = table.take(np.argsort(table.vm_codes, kind="stable"))
    assert by_vm.timestamps is not None
    same_vm = by_vm.vm_codes[1:] == by_vm.vm_codes[:-1]
    late = int(np.sum(same_vm & (by_vm.timestamps[1:] < by_vm.timestamps[:-1])))
    # lexsort is stable, so that of equal timestamps the one given last is the last.
    ordered = by_vm.take(np.lexsort((by_vm.timestamps, by_vm.vm_codes)), rows_out_of_order_sorted=late)
    assert ordered.timestamps is not None
    repeated = (ordered.vm_codes[1:] == ordered.vm_codes[:-1]) & (
        ordered.timestamps[1:] == ordered.timestamps[:-1]
    )
    if not repeated.any():
        return ordered
    kept = np.flatnonzero(np.append(~repeated, True))
    return ordered.take(kept, duplicate_timestamps_dropped=int(repeated.sum()))


def without_missing(table: Table, target: str) -> Table:
    """Return the rows that have a value of `target`."""
    if target in table.numbers:
        known = np.flatnonzero(~np.isnan(table.numbers[target]))
    else:
        known = np.array(
            [i for i, cell in enumerate(table.texts[target]) if not is_missing(cell)], dtype=np.intp
        )
    if len(known) == len(table):
        return table
    return table.take(known, rows_without_target_dropped=len(table) - len(known))


def iso_utc(epoch_seconds: float) -> str:
    """Write a moment as ISO 8601 in UTC.

    >>> iso_utc(1767225600.0)
    '2026-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat().replace("+00:00", "Z")
