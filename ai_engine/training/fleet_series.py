"""The series of a fleet while a forecaster is chosen: their histories, formulas, past windows and pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ai_engine.training.arrays import IntArray
from ai_engine.training.estimators.beliefs import Past, look_back
from ai_engine.training.estimators.fleet import SHORT_DAYS, TreesV1, grid_origins
from ai_engine.training.formulas import DAY_SECONDS, Formulas
from ai_engine.training.histories import History


@dataclass(slots=True)
class Series:
    """One target of one VM while it is worked on."""

    target: str
    history: History
    formulas: Formulas
    past: Past | None = None


def look_at_past(
    series: Sequence[Series], trees: TreesV1, steps: IntArray, horizon: int, stride: int, first: float
) -> None:
    """Let every series know what its windows from a moment on have shown."""
    for one in series:
        day_two = one.history.clock.start + 2 * DAY_SECONDS
        origins = grid_origins(one.history, stride, max(first, day_two), horizon)
        if not len(origins):
            continue
        view = one.formulas.at(origins, np.broadcast_to(steps, (len(origins), len(steps))))
        one.past = look_back(one.history, origins, steps, view, trees.ahead([view])[0])


def complete_windows(one: Series, horizon: int, until: float) -> IntArray:
    """Return the windows whose last step lies before a moment."""
    if one.past is None:
        return np.empty(0, dtype=np.intp)
    end = one.history.clock.slot_of(min(until, 1e15))
    return np.flatnonzero(one.past.origins + horizon < end)


def nonnegative(own: Sequence[Series], until: float) -> bool:
    """Tell whether nothing before a moment was below zero."""
    return all(
        float(part.values.min()) >= 0
        for part in (one.history.until(min(until, 1e15)) for one in own)
        if len(part)
    )


def short_pieces(
    history: History, draw: np.random.Generator, day: int, first: int, last: int, count: int
) -> Iterator[tuple[History, int]]:
    """Yield pieces of a history of one slot to three days, and where they begin."""
    for _ in range(count):
        end = int(draw.integers(first, last + 1)) + 1
        begin = max(0, end - int(draw.integers(1, SHORT_DAYS * day)))
        yield (
            History(
                history.vm,
                history.clock.from_slot(begin),
                history.values[begin:end],
                history.observed[begin:end],
            ),
            begin,
        )
