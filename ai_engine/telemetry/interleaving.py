"""Rows of several machines that look like one series, because nothing says which machine a row is of.

Learned from as one, they make a series that leaps from one machine's level to the other's and back, and that
is easy to foretell: the number that is told of it would be far too good.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ai_engine.domain.errors import InvalidInputError
from ai_engine.telemetry.columns import Bools, Column, Columns, Numbers, Positions, Texts
from ai_engine.telemetry.recognition import TIME, times_of

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
        `Columns`, or JSON objects, with ``timestamp``, in the order in which they were given.
    source_time : str or None
        What the caller calls the time; None: there is none, and nothing is checked.
    """
    if source_time is None:
        return
    table = Columns.of(rows, field)
    times = times_of(table)
    placed = np.flatnonzero(~np.isnan(times))
    why = _several(times[placed])
    if why is None:
        why = _contradiction(table, times, placed)
    if why is None:
        return
    named = _likely_groups(table)
    hint = f" (perhaps {' or '.join(map(repr, named))})" if named else ""
    raise InvalidInputError(
        field,
        f"looks like several machines in one series: {why}. Name the column that says which machine a row is "
        f"of{hint} as group_column, or give the rows of one machine",
    )


def _contradiction(table: Columns, times: Times, placed: Positions) -> str | None:
    """Return how many rows of one moment say different things; None where they are few.

    A row that is told twice, or once with nothing in it, is one machine's: monitoring systems do that.
    """
    if len(placed) < _FEWEST:
        return None
    ordered = placed[np.argsort(times[placed], kind="stable")]
    repeated = np.flatnonzero(np.diff(times[ordered]) == 0)
    if len(repeated) <= _MOST_REPEATED * len(placed):
        return None
    before, after = ordered[repeated], ordered[repeated + 1]
    differ = np.zeros(len(repeated), dtype=bool)
    for name in table.names:
        if name != TIME:
            differ |= _says_something_else(table.column(name), before, after)
    against = int(differ.sum())
    if against <= _MOST_REPEATED * len(placed):
        return None
    return f"{against} of {len(placed)} rows say something else than another row of the same time"


def _says_something_else(column: Column, before: Positions, after: Positions) -> Bools:
    """Return where both of two rows say something, and not the same."""
    if isinstance(column, (Numbers, Texts)):
        cells = np.nan_to_num(column.floats()) if isinstance(column, Numbers) else column.codes + 1
        one, other = cells[before], cells[after]  # 0 where nothing is said
        differ: Bools = (one != 0) & (other != 0) & (one != other)
        return differ
    pairs = zip(column.take(before).cells(), column.take(after).cells(), strict=True)
    return np.array([bool(first and second and first != second) for first, second in pairs], dtype=bool)


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


def _likely_groups(table: Columns) -> list[str]:
    """Return columns of text that have a few values, each of many rows."""
    found = []
    looked_at = table.head(10_000)
    for name in looked_at.names[:1000]:
        cells = looked_at.column(name).cells()
        texts = {cell for cell in cells if isinstance(cell, str)}
        if (
            name != TIME
            and 2 <= len(texts) <= max(2, len(looked_at) // 4)
            and all(isinstance(cell, (str, type(None))) for cell in cells)
        ):
            found.append(name)
    return found[:3]
