"""What a training understands of its rows: before it learns from them, and as it is told afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ai_engine.telemetry.reading import Ignored, Reading
from ai_engine.telemetry.recognition import GROUP, TIME, Source, recognise, seconds_of
from ai_engine.training.kinds import Kind
from ai_engine.training.request import TrainingRequest

if TYPE_CHECKING:
    from ai_engine.training.recipes.protocol import Fitted


def understand(request: TrainingRequest, rows: Sequence[Any], kind: Kind) -> tuple[list[Any], Source]:
    """Return rows with their time and machine under our names, and where they stood.

    Raises
    ------
    InvalidInputError
        If a named column does not exist, or the rows look like several machines in one series.
    """
    found, source = recognise(rows, request.time_column, request.group_column, kind.is_series)
    if kind.is_series and source.group_column is None:
        from ai_engine.telemetry.interleaving import check_one_machine  # needs the train extra

        check_one_machine(found, source.time_column)
    return found, source


def reading_of(rows: Sequence[Any], source: Source, fitted: Fitted) -> Reading:
    """Return what was understood of rows that something was fitted to."""
    columns = fitted.metadata.get("columns", {})
    ignored = [Ignored(name, _why_ignored(rows, name)) for name in fitted.cleaning.columns_ignored]
    missing = sum(fitted.cleaning.missing_values.values())
    moments: dict[Any, list[float]] = {}
    for row in rows:
        if isinstance(row, Mapping):
            moment = seconds_of(row.get(TIME))
            moments.setdefault(row.get(GROUP), []).extend([] if moment is None else [moment])
    steps = sorted(
        later - earlier
        for of_one in moments.values()
        for earlier, later in pairwise(sorted(of_one))
        if later > earlier
    )
    return Reading(
        source=source,
        interval_seconds=round(steps[len(steps) // 2], 6) if steps else None,
        groups=len(moments) if source.group_column is not None else 1,
        rows_used=int(fitted.metadata.get("rows", fitted.training_samples + fitted.held_out_samples)),
        features=tuple(name for name in columns if name not in fitted.targets),
        targets=fitted.targets,
        ignored=tuple(ignored),
        repaired={**fitted.cleaning.counts, **({"missing_values": missing} if missing else {})},
    )


def _why_ignored(rows: Sequence[Any], column: str) -> str:
    seen = {repr(row.get(column)) for row in rows if isinstance(row, Mapping)}
    if len(seen) <= 1:
        return "it does not vary"
    if any(isinstance(row.get(column), str) for row in rows if isinstance(row, Mapping)):
        return "it is text"
    return "it is not used"
