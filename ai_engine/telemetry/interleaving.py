"""Rows of several machines that look like one series, because nothing says which machine a row is of.

Learned from as one, they make a series that leaps from one machine's level to the other's and back, and that
is easy to foretell: the number that is told of it would be far too good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ai_engine.domain.errors import InvalidInputError
from ai_engine.telemetry.recognition import TIME, seconds_of

Times = NDArray[np.float64]

# A monitoring system corrects a row now and then; of two machines half of all rows are against another one.
_MOST_REPEATED: Final = 0.2
# Runs shorter than this are rows in no order at all, which are sorted.
_SHORTEST_RUN: Final = 5.0
_FEWEST: Final = 12
_MOST_MACHINES: Final = 20
_ALIKE: Final = 0.02


def check_one_machine(rows: Sequence[Any], source_time: str | None, field: str = "training_data") -> None:
    """Raise InvalidInputError where rows without a machine look like those of several.

    Parameters
    ----------
    rows : sequence
        JSON objects with ``timestamp``, in the order in which they were given.
    source_time : str or None
        What the caller calls the time; None: there is none, and nothing is checked.
    """
    if source_time is None:
        return
    placed = [
        (moment, row)
        for row in rows
        if isinstance(row, Mapping) and (moment := seconds_of(row.get(TIME))) is not None
    ]
    why = _several(np.array([moment for moment, _ in placed]))
    if why is None:
        why = _contradiction(placed)
    if why is None:
        return
    named = _likely_groups(rows)
    hint = f" (perhaps {' or '.join(map(repr, named))})" if named else ""
    raise InvalidInputError(
        field,
        f"looks like several machines in one series: {why}. Name the column that says which machine a row is "
        f"of{hint} as group_column, or give the rows of one machine",
    )


def _contradiction(placed: Sequence[tuple[float, Mapping[str, Any]]]) -> str | None:
    """Return how many rows of one moment say different things; None where they are few.

    A row that is told twice, or once with nothing in it, is one machine's: monitoring systems do that.
    """
    if len(placed) < _FEWEST:
        return None
    last: dict[float, Mapping[str, Any]] = {}
    against = 0
    for moment, row in placed:
        before = last.get(moment)
        against += before is not None and any(
            cell and before.get(name) and cell != before[name] for name, cell in row.items() if name != TIME
        )
        last[moment] = row
    if against <= _MOST_REPEATED * len(placed):
        return None
    return f"{against} of {len(placed)} rows say something else than another row of the same time"


def _several(times: Times) -> str | None:
    """Return what shows that times are of several series; None where nothing does."""
    if len(times) < _FEWEST:
        return None
    falls = np.flatnonzero(np.diff(times) < 0)
    if len(falls) and len(times) / (len(falls) + 1) >= _SHORTEST_RUN:
        starts = np.concatenate([[0], falls + 1])
        ends = np.concatenate([falls, [len(times) - 1]])
        for start, end, following in zip(starts[1:], ends[1:], ends[:-1], strict=True):
            overlap = times[following] - times[start]
            if overlap > 0.5 * (times[end] - times[start]) and end - start >= _SHORTEST_RUN:
                return f"the time goes back at row {start} and runs through the same hours again"
    return _offset(np.unique(times))


def _offset(times: Times) -> str | None:
    """Tell series apart that are sampled equally often, and not at the same moments."""
    steps = np.diff(times)
    for machines in range(2, min(_MOST_MACHINES, len(times) // 4) + 1):
        # Of one machine the steps are all alike; of several they are so in turn.
        in_turn = np.median(steps[: len(steps) // machines * machines].reshape(-1, machines), axis=0)
        differ = float(in_turn.max()) > 1.5 * float(in_turn.min())
        if differ and _share_alike(times[machines:] - times[:-machines]) > 0.9:
            return f"every {machines} rows the time has moved on by the same, and not in between"
    return None


def _share_alike(steps: Times) -> float:
    usual = float(np.median(steps))
    return float(np.mean(np.abs(steps - usual) <= _ALIKE * abs(usual)))


def _likely_groups(rows: Sequence[Any]) -> list[str]:
    """Return columns of text that have a few values, each of many rows."""
    found = []
    looked_at = [row for row in rows[:10_000] if isinstance(row, Mapping)]
    for name in dict.fromkeys(name for row in looked_at[:100] for name in row):
        cells = [row.get(name) for row in looked_at]
        texts = {cell for cell in cells if isinstance(cell, str)}
        if (
            name != TIME
            and 2 <= len(texts) <= max(2, len(looked_at) // 4)
            and all(isinstance(cell, (str, type(None))) for cell in cells)
        ):
            found.append(name)
    return found[:3]
