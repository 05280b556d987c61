"""A forecaster of a fleet: fitted, judged on training rows that it has not seen, measured, fitted again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np

from ai_engine.training.estimators.beliefs import CANDIDATES
from ai_engine.training.estimators.fleet import FleetForecasterV1, TargetFleetV1, measured_steps
from ai_engine.training.fleet_judging import (
    belief_of_fleet,
    belief_of_series,
    beliefs_of_short_contexts,
    mean_errors,
)
from ai_engine.training.fleet_measuring import MEASURED, SIMPLE, Measured, measure
from ai_engine.training.fleet_series import Series, look_at_past, nonnegative
from ai_engine.training.fleet_trees import fit_trees
from ai_engine.training.formulas import DAY_SECONDS, WEEK, Formulas
from ai_engine.training.grid import Stretch
from ai_engine.training.held_out_forecasts import HeldOutForecasts
from ai_engine.training.histories import histories
from ai_engine.training.progress import Progress

# Forecasts of past windows: bounds the time of the choice, whatever the fleet.
MOST_JUDGED: Final = 1_200_000
# Days that the longest history has to have before the cut: two to look back, two to learn from, one to judge.
LEAST_DAYS: Final = 6
# What is simple is believed alone where the mixture is worse by this in the windows that were judged.
WORSE: Final = 1.02


@dataclass(frozen=True, slots=True)
class FleetChoice:
    """What came of it.

    Attributes
    ----------
    estimator : FleetForecasterV1
        To be kept: fitted on all rows, or on the training rows without `refit`.
    measured : dict of str to HeldOutForecasts
        By target; empty arrays where no held-out window was seen.
    candidates : dict of str to dict of str to float
        By target, the mean absolute errors on the judged training rows, in its unit.
    baseline : dict of str to str
        By target, the simple answer with the least of them.
    n_features : int
        Columns of X.
    """

    estimator: FleetForecasterV1
    measured: dict[str, HeldOutForecasts]
    candidates: dict[str, dict[str, float]]
    baseline: dict[str, str]
    n_features: int


def slots_of_a_day(interval: float | None) -> int | None:
    """Return how many slots a day has, or None where formulas over days make no sense.

    >>> slots_of_a_day(300.0), slots_of_a_day(86_400.0), slots_of_a_day(None)
    (288, None, None)
    """
    if not interval:
        return None
    day = round(DAY_SECONDS / interval)
    return day if 4 <= day <= 2 * 1440 else None


def long_enough(given: Sequence[Stretch], cut: float, interval: float | None, horizon: int) -> bool:
    """Return whether a fleet forecast can be learned from what lies before the cut."""
    day = slots_of_a_day(interval)
    if day is None or interval is None or horizon > WEEK * day:
        return False
    first: dict[Any, float] = {}
    for stretch in given:
        start = first.setdefault(stretch.vm, stretch.clock.start)
        end = min(cut, stretch.last_sample or start)
        if end - start >= LEAST_DAYS * DAY_SECONDS + 4 * horizon * interval:
            return True
    return False


def choose_fleet(
    given: Sequence[Stretch],
    targets: Sequence[str],
    *,
    horizon: int,
    interval: float,
    cut: float,
    judged_from: float,
    seed: int,
    refit: bool,
    progress: Progress,
) -> FleetChoice:
    """Return a forecaster of all targets and VMs.

    The trees are fitted on what lies before `judged_from`; weights and intervals come from the windows from
    there to `cut`; the windows from `cut` on are measured, each with what had come before it. With `refit`
    trees of the same settings are fitted on all rows, and the weights go on from the windows that were
    measured.

    Parameters
    ----------
    given : sequence of Stretch
        All rows.
    targets : sequence of str
    horizon : int
    interval : float
        Seconds between slots.
    cut, judged_from : float
        Moments of the clock.
    seed : int
    refit : bool
    progress : Progress
    """
    day = slots_of_a_day(interval)
    assert day is not None
    progress(0.05, "laying out the histories")
    series = [
        Series(target, history, Formulas(history, day))
        for target in targets
        for history in histories(given, target, day)
    ]
    steps = measured_steps(horizon)
    stride = day // 10 + 1
    judged = sum(len(one.history) for one in series) / stride * len(steps)
    stride *= max(1, round(judged / MOST_JUDGED / 2))

    progress(0.1, "fitting trees on the first part of the training rows")
    trees, n_features = fit_trees(series, day, horizon, judged_from, seed)
    progress(0.4, "judging forecasts of the rest of the training rows")
    look_at_past(series, trees, steps, horizon, stride, judged_from)
    short = beliefs_of_short_contexts(series, trees, targets, day, steps, horizon, (judged_from, cut), seed)
    forecasts, states = [], {}
    candidates: dict[str, dict[str, float]] = {}
    baseline: dict[str, str] = {}
    for target in targets:
        own = [one for one in series if one.target == target]
        fleet = belief_of_fleet(own, steps, horizon, cut)
        found = {}
        for number, one in enumerate(own):
            beliefs, told = belief_of_series(one, fleet, horizon, cut)
            found[number] = beliefs
            states[target, number] = told
        errors = candidates[target] = mean_errors([states[target, number] for number in found])
        baseline[target] = min(SIMPLE, key=lambda name: errors[name])
        # Of all series together: chosen for each by itself, a simple answer was taken where a burst had
        # just been, and one series became 12 times worse.
        if errors["weighted"] > WORSE * errors[baseline[target]]:
            for beliefs in found.values():
                beliefs.only = CANDIDATES.index(baseline[target])
        forecasts.append(
            TargetFleetV1(
                target,
                nonnegative(own, cut),
                fleet,
                short[target],
                {own[number].history.vm: beliefs.stored(cut) for number, beliefs in found.items()},
            )
        )
    estimator = FleetForecasterV1(tuple(targets), tuple(forecasts), trees, horizon, interval, day, stride)

    progress(0.6, "measuring on the held-out rows")
    measured = {}
    final = []
    n_held_out = sum(max(0, len(one.history) - one.history.clock.slot_of(cut)) for one in series)
    spread = max(1, round(n_held_out * horizon / MEASURED))
    for forecast in estimator.forecasts:
        own = [one for one in series if one.target == forecast.target]
        parts = []
        after = {}
        for one in own:
            known = forecast.beliefs[one.history.vm]
            part, belief = measure(
                one, forecast, known, trees, horizon, cut, spread, baseline[forecast.target], horizon
            )
            parts.append(part)
            after[one.history.vm] = belief
        measured[forecast.target] = _together(own, parts)
        final.append(
            replace(
                forecast,
                beliefs=after,
                nonnegative=nonnegative(own, np.inf),
                fleet=belief_of_fleet(own, steps, horizon, np.inf),
            )
        )
    if refit:
        progress(0.75, "fitting trees once more on all rows")
        again, _ = fit_trees(series, day, horizon, np.inf, seed)
        estimator = replace(estimator, trees=again, forecasts=tuple(final))
    return FleetChoice(estimator, measured, candidates, baseline, n_features)


def _together(own: Sequence[Series], parts: Sequence[Measured]) -> HeldOutForecasts:
    """Return what was measured of the series of a target, in one."""

    def joined(name: str) -> Any:  # an array of integers or of floats
        return np.concatenate([getattr(part, name) for part in parts])

    return HeldOutForecasts(
        histories=tuple(one.history for one in own),
        series=np.repeat(np.arange(len(parts)), [len(part.observed) for part in parts]),
        **{one.name: joined(one.name) for one in fields(Measured)},
    )
