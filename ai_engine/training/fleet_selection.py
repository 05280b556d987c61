"""A forecaster of a fleet: fitted, judged on training rows that it has not seen, measured, fitted again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from ai_engine.training.arrays import Float32Array, FloatArray, IntArray
from ai_engine.training.estimators.beliefs import (
    CANDIDATES,
    EDGES,
    N_BINS,
    Beliefs,
    BeliefV1,
    Past,
    bounds,
    combined,
    group_of,
    look_back,
    sizes_of,
)
from ai_engine.training.estimators.fleet import (
    SHORT_DAYS,
    FleetForecasterV1,
    TargetFleetV1,
    TreesV1,
    grid_origins,
    measured_steps,
)
from ai_engine.training.formulas import DAY_SECONDS, WEEK, Formulas, View, features
from ai_engine.training.grid import Stretch
from ai_engine.training.histories import History, histories
from ai_engine.training.progress import Progress

# Rows of X of one fit: bounds its time and memory, whatever the fleet.
BUDGET: Final = 150_000
STEPS_PER_WINDOW: Final = 6
# Of these, windows whose past was cut to less than three days: what a short context looks like.
SHORT_SHARE: Final = 0.15
# Forecasts of past windows: bounds the time of the choice, whatever the fleet.
MOST_JUDGED: Final = 1_200_000
MEASURED: Final = 200_000
# Days that the longest history has to have before the cut: two to look back, two to learn from, one to judge.
LEAST_DAYS: Final = 6
SIMPLE: Final = ("last_value", "day_ago", "week_ago", "median_of_a_day")
# What is simple is believed alone where the mixture is worse by this in the windows that were judged.
WORSE: Final = 1.02


@dataclass(frozen=True, slots=True)
class Measured:
    """What was foretold of the held-out rows of one target, and what came; flat arrays of one length."""

    observed: FloatArray
    centre: FloatArray
    lower: FloatArray
    upper: FloatArray
    baseline: FloatArray


@dataclass(frozen=True, slots=True)
class FleetChoice:
    """What came of it.

    Attributes
    ----------
    estimator : FleetForecasterV1
        To be kept: fitted on all rows, or on the training rows without `refit`.
    measured : dict of str to Measured
        By target; empty arrays where no held-out window was seen.
    candidates : dict of str to dict of str to float
        By target, the mean absolute errors on the judged training rows, in its unit.
    baseline : dict of str to str
        By target, the simple answer with the least of them.
    n_features : int
        Columns of X.
    """

    estimator: FleetForecasterV1
    measured: dict[str, Measured]
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


@dataclass(slots=True)
class _Series:
    """One target of one VM while it is worked on."""

    target: str
    history: History
    formulas: Formulas
    past: Past | None = None


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
        _Series(target, history, Formulas(history, day))
        for target in targets
        for history in histories(given, target, day)
    ]
    steps = measured_steps(horizon)
    stride = day // 10 + 1
    judged = sum(len(one.history) for one in series) / stride * len(steps)
    stride *= max(1, round(judged / MOST_JUDGED / 2))

    progress(0.1, "fitting trees on the first part of the training rows")
    trees, n_features = _fitted(series, day, horizon, judged_from, seed)
    progress(0.4, "judging forecasts of the rest of the training rows")
    _judge(series, trees, steps, horizon, stride, judged_from)
    short = _short_beliefs(series, trees, targets, day, steps, horizon, (judged_from, cut), seed)
    forecasts, states = [], {}
    candidates: dict[str, dict[str, float]] = {}
    baseline: dict[str, str] = {}
    for target in targets:
        own = [one for one in series if one.target == target]
        fleet = _fleet_belief(own, steps, horizon, cut)
        found = {}
        for number, one in enumerate(own):
            beliefs, told = _believed(one, fleet, horizon, cut)
            found[number] = beliefs
            states[target, number] = told
        errors = candidates[target] = _errors([states[target, number] for number in found])
        baseline[target] = min(SIMPLE, key=lambda name: errors[name])
        # Of all series together: chosen for each by itself, a simple answer was taken where a burst had
        # just been, and one series became 12 times worse.
        if errors["weighted"] > WORSE * errors[baseline[target]]:
            for beliefs in found.values():
                beliefs.only = CANDIDATES.index(baseline[target])
        forecasts.append(
            TargetFleetV1(
                target,
                _nonnegative(own, cut),
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
            part, belief = _measure(
                one, forecast, known, trees, horizon, cut, spread, baseline[forecast.target], horizon
            )
            parts.append(part)
            after[one.history.vm] = belief
        measured[forecast.target] = Measured(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        final.append(
            replace(
                forecast,
                beliefs=after,
                nonnegative=_nonnegative(own, np.inf),
                fleet=_fleet_belief(own, steps, horizon, np.inf),
            )
        )
    if refit:
        progress(0.75, "fitting trees once more on all rows")
        again, _ = _fitted(series, day, horizon, np.inf, seed)
        estimator = replace(estimator, trees=again, forecasts=tuple(final))
    return FleetChoice(estimator, measured, candidates, baseline, n_features)


def _fitted(
    series: Sequence[_Series], day: int, horizon: int, until: float, seed: int
) -> tuple[TreesV1, int]:
    """Return trees that were fitted on windows before a moment, and the columns of X."""
    draw = np.random.default_rng(seed)
    x_parts: list[Float32Array] = []
    y_parts: list[FloatArray] = []
    ends = [min(len(one.history), max(0, one.history.clock.slot_of(min(until, 1e15)))) for one in series]
    total = sum(ends)
    budget = min(BUDGET, 2 * STEPS_PER_WINDOW * total)
    for one, end in zip(series, ends, strict=True):
        last = end - horizon - 1
        first = min(2 * day, max(0, last - day))
        if last <= first:
            continue
        count = max(1, round(budget * end / total / STEPS_PER_WINDOW))
        origins = np.sort(draw.integers(first, last + 1, count))
        steps = draw.integers(1, horizon + 1, (count, STEPS_PER_WINDOW))
        _add(one.history, one.formulas.at(origins, steps), origins, x_parts, y_parts)
        for short, begin in _short(one.history, draw, day, first, last, 6):
            each = max(1, round(SHORT_SHARE * count / 6))
            origins = np.sort(draw.integers(0, len(short), each))
            steps = draw.integers(1, horizon + 1, (each, STEPS_PER_WINDOW))
            view = Formulas(short, day).at(origins, steps)
            _add(one.history, view, origins + begin, x_parts, y_parts)
    x, y = np.concatenate(x_parts), np.concatenate(y_parts)
    # Of a column that was never known scikit-learn finds no bins; one that stands still is never split.
    x[:, np.isnan(x).all(axis=0)] = 0.0
    leaf = int(np.clip(len(x) // 500, 10, 200))

    def trees(rounds: int, **loss: Any) -> Any:  # scikit-learn ships no types
        return HistGradientBoostingRegressor(
            **loss,
            max_iter=rounds,
            learning_rate=0.08,
            min_samples_leaf=leaf,
            early_stopping=False,
            random_state=seed,
        ).fit(x, y)

    made = TreesV1(
        trees(150, loss="absolute_error"),
        trees(100, loss="quantile", quantile=0.05),
        trees(100, loss="quantile", quantile=0.95),
    )
    return made, x.shape[1]


def _add(history: History, view: View, origins: IntArray, x: list[Float32Array], y: list[FloatArray]) -> None:
    """Add X and the changes over the scale, where both ends were measured."""
    slots = origins[:, None] + view.steps
    known = (history.observed[slots] & history.observed[origins][:, None]).ravel()
    change = (history.values[slots] - history.values[origins][:, None]) / view.scale[:, None]
    x.append(features(view)[known])
    # Beyond, a change is of a series that stood still until then, and tells nothing of the others.
    y.append(np.clip(change.ravel()[known], -100.0, 100.0))


def _short(
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


def _judge(
    series: Sequence[_Series], trees: TreesV1, steps: IntArray, horizon: int, stride: int, first: float
) -> None:
    """Let every series know what its windows from a moment on have shown."""
    for one in series:
        day_two = one.history.clock.start + 2 * DAY_SECONDS
        origins = grid_origins(one.history, stride, max(first, day_two), horizon)
        if not len(origins):
            continue
        view = one.formulas.at(origins, np.broadcast_to(steps, (len(origins), len(steps))))
        one.past = look_back(one.history, origins, steps, view, trees.ahead([view])[0])


def _complete(one: _Series, horizon: int, until: float) -> IntArray:
    """Return the windows whose last step lies before a moment."""
    if one.past is None:
        return np.empty(0, dtype=np.intp)
    end = one.history.clock.slot_of(min(until, 1e15))
    return np.flatnonzero(one.past.origins + horizon < end)


def _fleet_belief(own: Sequence[_Series], steps: IntArray, horizon: int, until: float) -> BeliefV1:
    """Return what holds for an ordinary series of a target."""
    n_groups = int(group_of(steps)[-1]) + 1
    relative, scores = [], np.zeros((2, n_groups, N_BINS))
    for one in own:
        windows = _complete(one, horizon, until)
        if one.past is None or not len(windows):
            continue
        mean = _known_mean(one.past.errors[windows], axis=0)
        level = float(np.nanmean(mean[:, -1])) if np.isfinite(mean[:, -1]).any() else 0.0
        if level > 0:
            relative.append(mean / level)
        middle = one.past.levels[windows][..., -1]
        # Each series counts alike, whatever its windows.
        scores += one.past.only(windows).scores(middle).mean(axis=0)
    return _belief_of(relative, scores, n_groups)


def _belief_of(relative: Sequence[FloatArray], scores: FloatArray, n_groups: int) -> BeliefV1:
    if relative:
        # The mean over series of what is relative; a candidate that was never known is as bad as the worst.
        mean = _known_mean(np.stack(relative), axis=0)
        worst = np.nanmax(mean) if np.isfinite(mean).any() else 1.0
        errors = np.where(np.isnan(mean), worst, mean)
    else:
        errors = np.ones((n_groups, len(CANDIDATES)))
    if not scores.sum():
        # Nothing was seen: twice the trees' widths.
        scores[:, :, int(np.searchsorted(EDGES, 2.0))] = 1.0
    return BeliefV1(errors, np.ones_like(errors), scores.astype(np.float32), -1, 0.0)


def _short_beliefs(
    series: Sequence[_Series],
    trees: TreesV1,
    targets: Sequence[str],
    day: int,
    steps: IntArray,
    horizon: int,
    between: tuple[float, float],
    seed: int,
) -> dict[str, BeliefV1]:
    """Return what holds where a context is short, by target."""
    draw = np.random.default_rng(seed)
    n_groups = int(group_of(steps)[-1]) + 1
    found = {}
    for target in targets:
        views, pieces = [], []
        for one in (one for one in series if one.target == target):
            clock = one.history.clock
            first = max(clock.slot_of(between[0]), 0)
            last = min(clock.slot_of(between[1]), len(one.history)) - horizon - 1
            if last <= first:
                continue
            for piece, begin in _short(one.history, draw, day, first, last, 8):
                origin = np.array([len(piece) - 1])
                views.append(Formulas(piece, day).at(origin, steps[None, :]))
                pieces.append((one.history, begin + origin))
        relative, scores = [], np.zeros((2, n_groups, N_BINS))
        for (history, origins), view, told in zip(pieces, views, trees.ahead(views), strict=True):
            past = look_back(history, origins, steps, view, told)
            level = past.errors[0, :, -1]
            if np.isfinite(level).any() and np.nanmean(level) > 0:
                # A single window may be right by chance: no more than ten times counts.
                relative.append(np.clip(past.errors[0] / np.nanmean(level), 0.0, 10.0))
            scores += past.scores(past.levels[..., -1])[0]
        found[target] = _belief_of(relative, scores, n_groups)
    return found


@dataclass(frozen=True, slots=True)
class _Judged:
    """The errors of a series over its judged training windows, in the unit."""

    by_candidate: FloatArray
    mixed: float
    n_windows: int


def _believed(one: _Series, fleet: BeliefV1, horizon: int, until: float) -> tuple[Beliefs, _Judged]:
    """Return what the windows before a moment have shown of a series, and how good it would have been."""
    beliefs = Beliefs(None, fleet, len(fleet.errors))
    windows = _complete(one, horizon, until)
    if one.past is None or not len(windows):
        return beliefs, _Judged(np.full(len(CANDIDATES), np.nan), np.nan, 0)
    centres, _, _ = _roll(beliefs, one.past, windows)
    seen = one.past.seen[windows]
    known = ~np.isnan(seen)
    levels = one.past.levels[windows]
    # Where the past was too short for a formula, the last value stands.
    levels = np.where(np.isnan(levels), levels[..., :1], levels)
    errors = np.abs(levels - seen[..., None])
    judged = _Judged(
        np.array([errors[..., k][known].mean() if known.any() else np.nan for k in range(errors.shape[-1])]),
        float(np.abs(centres - seen)[known].mean()) if known.any() else np.nan,
        len(windows),
    )
    return beliefs, judged


def _roll(
    beliefs: Beliefs, past: Past, windows: IntArray
) -> tuple[FloatArray, list[FloatArray], list[FloatArray]]:
    """Let a belief learn window after window; return each's forecast, and shares and radii after it."""
    groups = group_of(past.steps)
    sizes = sizes_of(past.steps)
    centres = np.empty((len(windows), len(past.steps)))
    after_shares, after_radii = [], []
    for row, window in enumerate(windows):
        centres[row] = combined(past.levels[window], beliefs.shares()[groups])
        beliefs.learn_scores(past.only(np.array([window])).scores(centres[row][None])[0])
        beliefs.learn(past.errors[window])
        after_shares.append(beliefs.shares())
        after_radii.append(beliefs.radius(sizes))
    return centres, after_shares, after_radii


def _errors(judged: Sequence[_Judged]) -> dict[str, float]:
    """Return the mean errors by candidate, and of the mixture, over all series."""
    known = [one for one in judged if one.n_windows and np.isfinite(one.mixed)]
    if not known:
        return dict.fromkeys((*CANDIDATES, "weighted"), 0.0)
    weight = np.array([one.n_windows for one in known], dtype=np.float64)
    by_candidate = np.average([one.by_candidate for one in known], axis=0, weights=weight)
    mixed = float(np.average([one.mixed for one in known], weights=weight))
    return dict(zip(CANDIDATES, by_candidate.tolist(), strict=True)) | {"weighted": mixed}


def _measure(
    one: _Series,
    forecast: TargetFleetV1,
    known: BeliefV1,
    trees: TreesV1,
    horizon: int,
    cut: float,
    spread: int,
    baseline: str,
    asked: int,
) -> tuple[tuple[FloatArray, ...], BeliefV1]:
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
        _, more_shares, more_radii = _roll(beliefs, one.past, windows)
        shares, radii = shares + more_shares, radii + more_radii
        done = one.past.origins[windows] + horizon
    end = history.clock.start + history.clock.interval * len(history)
    stored = beliefs.stored(end)
    first = max(start - 1, 0)
    origins = np.arange(first, len(history) - asked, spread)
    origins = origins[history.observed[origins]]
    steps = np.arange(1, asked + 1)
    parts: list[tuple[FloatArray, ...]] = []
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
            parts.append((observed[at][seen], *(one[seen] for one in told), simple[at][seen]))
    empty = (np.empty(0),) * 5
    columns = zip(*parts, strict=True) if parts else ((one,) for one in empty)
    return tuple(np.concatenate(column) for column in columns), stored


def _nonnegative(own: Sequence[_Series], until: float) -> bool:
    return all(
        float(part.values.min()) >= 0
        for part in (one.history.until(min(until, 1e15)) for one in own)
        if len(part)
    )


def _known_mean(values: FloatArray, axis: int) -> FloatArray:
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    mean: FloatArray = np.where(
        count > 0, np.where(known, values, 0.0).sum(axis=axis) / np.maximum(count, 1), np.nan
    )
    return mean


def measured_error(
    other: FleetForecasterV1, given: Sequence[Stretch], target: str, horizon: int, cut: float
) -> float | None:
    """Return the error of a stored forecaster on held-out windows, or None if it cannot be measured there."""
    if target not in other.targets or horizon > other.horizon:
        return None
    forecast = other.forecasts[other.targets.index(target)]
    own = [
        _Series(target, history, Formulas(history, other.day))
        for history in histories(given, target, other.day)
        if round(history.clock.interval) == round(other.interval)
    ]
    _judge(own, other.trees, measured_steps(other.horizon), other.horizon, other.stride, cut)
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
        part, _ = _measure(one, forecast, known, other.trees, other.horizon, cut, spread, SIMPLE[0], horizon)
        wrong += float(np.abs(part[0] - part[1]).sum())
        count += len(part[0])
    return wrong / count if count else None
