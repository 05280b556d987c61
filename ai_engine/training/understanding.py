"""What a training understands of its rows: before it learns from them, and as it is told afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ai_engine.domain.errors import InvalidInputError
from ai_engine.telemetry.columns import Columns, Floats, Numbers
from ai_engine.telemetry.interleaving import check_one_machine
from ai_engine.telemetry.reading import Ignored, Reading, Source
from ai_engine.telemetry.recognition import machines_of, recognise, times_of
from ai_engine.telemetry.renaming import renamed
from ai_engine.training.arrays import IntArray
from ai_engine.training.kinds import Kind
from ai_engine.training.request import ROWS, TrainingRequest

if TYPE_CHECKING:
    from ai_engine.training.recipes.protocol import Fitted


def understand(request: TrainingRequest, rows: Sequence[Any], kind: Kind) -> tuple[Columns, Source]:
    """Return a table with its time, its machine and what was renamed under our names, and where it stood.

    Raises
    ------
    InvalidInputError
        If there is no row, if a named column does not exist, or if the rows look like several machines in one
        series.
    """
    if not len(rows):
        raise InvalidInputError(ROWS, "has no row; give rows, each with cells such as timestamp and cpu")
    given = Columns.of(rows, ROWS)
    given.check_size(ROWS)
    named, renames = renamed(given, request.preset, request.rename)
    table, source = recognise(named, request.time_column, request.group_column, kind.is_series)
    if kind.is_series and source.group_column is None:
        check_one_machine(table, source.time_column)
    return table, replace(source, renamed=renames)


def reading_of(table: Columns, source: Source, fitted: Fitted) -> Reading:
    """Return what was understood of a table that something was fitted to."""
    columns = fitted.metadata.get("columns", {})
    ignored = [Ignored(name, _why_ignored(table, name)) for name in fitted.cleaning.columns_ignored]
    missing = sum(fitted.cleaning.missing_values.values())
    machines = machines_of(table)
    return Reading(
        source=source,
        interval_seconds=_interval(times_of(table), machines),
        groups=len(np.unique(machines)) if source.group_column is not None else 1,
        rows_used=int(fitted.metadata.get("rows", fitted.training_samples + fitted.held_out_samples)),
        features=tuple(name for name in columns if name not in fitted.targets),
        targets=fitted.targets,
        ignored=tuple(ignored),
        repaired={**fitted.cleaning.counts, **({"missing_values": missing} if missing else {})},
    )


def _interval(times: Floats, machines: IntArray) -> float | None:
    """Return the seconds between two rows of a machine, as a rule; None where no time passes."""
    known = np.flatnonzero(~np.isnan(times))
    ordered = known[np.lexsort((times[known], machines[known]))]
    steps = np.diff(times[ordered])[np.diff(machines[ordered]) == 0]
    steps = np.sort(steps[steps > 0])
    return round(float(steps[len(steps) // 2]), 6) if len(steps) else None


def _why_ignored(table: Columns, name: str) -> str:
    column = table.column(name)
    if isinstance(column, Numbers):
        known = column.values[column.given()]
        alike = len(known) in (0, len(column)) and not (known[1:] != known[:1]).any()
        return "it does not vary" if alike else "it is not used"
    cells = column.cells()
    if len(set(map(repr, cells))) <= 1:
        return "it does not vary"
    return "it is text" if any(isinstance(cell, str) for cell in cells) else "it is not used"
