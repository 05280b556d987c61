"""Measure a fleet's forecaster on held-out rows: each window with what had come before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ai_engine.training.arrays import FloatArray, IntArray
from ai_engine.training.estimators.beliefs import CANDIDATES, Beliefs, BeliefV1, bounds, sizes_of
from ai_engine.training.estimators.fleet import FleetForecasterV1, TargetFleetV1, TreesV1, measured_steps
from ai_engine.training.fleet_judging import learn_in_order
from ai_engine.training.fleet_series import Series, look_at_past
from ai_engine.training.formulas import Formulas
from ai_engine.training.grid import Stretch
from ai_engine.training.histories import histories

MEASURED: Final = 200_000
SIMPLE: Final = ("last_value", "day_ago", "week_ago", "median_of_a_day")


@dataclass(frozen=True, slots=True)
class Measured:
    """What was foretold of the held-out rows of one series, and what came; flat arrays of one length.

    `origins` are the slots of the last known values, `steps` how far ahead of them.
    """

    origins: IntArray
    steps: IntArray
    observed: FloatArray
    centre: FloatArray
    lower: FloatArray
    upper: FloatArray
    baseline: FloatArray


def measure(
    one: Series,
    forecast: TargetFleetV1,
    known: BeliefV1,
    trees: TreesV1,
    horizon: int,
    cut: float,
    spread: int,
    baseline: str,
    asked: int,
) -> tuple[Measured, BeliefV1]:
    """Return what was foretold of the held-out rows of a series, and what its windows up to the end show.

    The windows that are learned from have the `horizon` that the trees were fitted for, those that are
    measured the one that was `asked` for.
    """
    history = one.history
    beliefs = Beliefs(known, forecast.fleet, len(forecast.fleet.errors))
    shares, radii = [beliefs.shares()], [beliefs.radius(sizes_of(measured_steps(horizon)))]
    done = np.empty(0, dtype=np.intp)
    start = max(0, history.clock.slot_of(cut))
    if one.past is not None:
        windows = np.flatnonzero(one.past.origins >= start)
        _, more_shares, more_radii = learn_in_order(beliefs, one.past, windows)
        shares, radii = shares + more_shares, radii + more_radii
        done = one.past.origins[windows] + horizon
    end = history.clock.start + history.clock.interval * len(history)
    stored = beliefs.stored(end)
    first = max(start - 1, 0)
    origins = np.arange(first, len(history) - asked, spread)
    origins = origins[history.observed[origins]]
    steps = np.arange(1, asked + 1)
    parts: list[tuple[Any, ...]] = []  # arrays of integers, then of floats
    for some in np.array_split(origins, max(1, -(-len(origins) * asked // 100_000))):
        if not len(some):
            continue
        view = one.formulas.at(some, np.broadcast_to(steps, (len(some), asked)))
        middle, below, above = trees.ahead([view])[0]
        levels = np.concatenate([view.levels, middle[..., None]], axis=-1)
        rows = np.searchsorted(done, some, side="right")
        slots = some[:, None] + steps
        observed = np.where(history.observed[slots], history.values[slots], np.nan)
        simple = levels[..., CANDIDATES.index(baseline)]
        simple = np.where(np.isnan(simple), levels[..., 0], simple)
        for row in np.unique(rows):
            at = rows == row
            told = bounds(
                levels[at], below[at], above[at], steps, shares[row], radii[row], forecast.nonnegative
            )
            seen = ~np.isnan(observed[at])
            window, step = np.nonzero(seen)
            parts.append(
                (
                    some[at][window],
                    step + 1,
                    observed[at][seen],
                    *(one[seen] for one in told),
                    simple[at][seen],
                )
            )
    empty = (*(np.empty(0, dtype=np.intp),) * 2, *(np.empty(0),) * 5)
    columns = zip(*parts, strict=True) if parts else ((one,) for one in empty)
    return Measured(*(np.concatenate(column) for column in columns)), stored


def measured_error(
    other: FleetForecasterV1, given: Sequence[Stretch], target: str, horizon: int, cut: float
) -> float | None:
    """Return the error of a stored forecaster on held-out windows, or None if it cannot be measured there."""
    if target not in other.targets or horizon > other.horizon:
        return None
    forecast = other.forecasts[other.targets.index(target)]
    own = [
        Series(target, history, Formulas(history, other.day))
        for history in histories(given, target, other.day)
        if round(history.clock.interval) == round(other.interval)
    ]
    look_at_past(own, other.trees, measured_steps(other.horizon), other.horizon, other.stride, cut)
    total = sum(max(0, len(one.history) - one.history.clock.slot_of(cut)) for one in own)
    spread = max(1, round(total * other.horizon / MEASURED))
    nothing = BeliefV1(
        np.zeros_like(forecast.fleet.errors),
        np.zeros_like(forecast.fleet.errors),
        np.zeros_like(forecast.fleet.scores),
        -1,
        0.0,
    )
    wrong, count = 0.0, 0
    for one in own:
        known = forecast.beliefs.get(one.history.vm, nothing)
        part, _ = measure(one, forecast, known, other.trees, other.horizon, cut, spread, SIMPLE[0], horizon)
        wrong += float(np.abs(part.observed - part.centre).sum())
        count += len(part.observed)
    return wrong / count if count else None
