"""The stored forecaster of a fleet: one model for all, and for each series what to believe of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.arrays import Float32Array, FloatArray, IntArray
from ai_engine.training.estimators.protocol import RowEstimator
from ai_engine.training.formulas import NAMES, Formulas, View, features
from ai_engine.training.grid import stretches
from ai_engine.training.histories import History, histories
from ai_engine.training.table import Table, in_time_order, iso_utc, read_table

FIELD: Final = "data"
DEFAULT_HORIZON: Final = 12
# The last candidate is the trees'.
CANDIDATES: Final = (*NAMES, "boosted_trees")
# The last steps of groups that share weights and widths; what lies beyond the last is a group too.
GROUP_ENDS: Final = (3, 12, 24, 72, 288)
# A candidate counts by 1/error to this power. On 20 windows of three stretches of Bitbrains that are not
# reported, 6 to 10 were alike (g 0.645 to 0.648), and with 15 one series was 3.7 times worse than naive.
SHARPNESS: Final = 8.0
# How many windows of its own a series needs before they outweigh what holds for the fleet.
FLEET_WINDOWS: Final = 10.0
# Half of what is known of the errors is forgotten in 200 windows (20 days at 10 a day), of the widths in 30.
ERROR_DECAY: Final = 0.5 ** (1 / 200)
SCORE_DECAY: Final = 0.5 ** (1 / 30)
# Each end of the 90 % interval is at this quantile; what drifts is met by a little more than 0.95.
QUANTILE: Final = 0.955
# Scores are counted in bins of 15 % width.
EDGES: Final = np.concatenate([[0.0], np.geomspace(1e-3, 1e3, 100)])
N_BINS: Final = len(EDGES)
# Of a context that is not of a known VM the last windows are looked at: eight days.
MOST_WINDOWS: Final = 80
# With less than three days of context the formulas over days are others than those that were judged.
SHORT_DAYS: Final = 3


@dataclass(frozen=True, slots=True)
class BeliefV1:
    """What past windows of one series have shown.

    Attributes
    ----------
    errors : array, shape (n_groups, n_candidates)
        Sums of the mean absolute errors of the windows over the scale, the older the less.
    weights : array, shape (n_groups, n_candidates)
        Sums of the weights of these windows.
    scores : array, shape (2, n_groups, N_BINS)
        How often what came lay below, and above, the forecast by so many widths, the older the less.
    only : int
        The candidate that alone is believed, or -1: by their errors.
    until : float
        The moment after the last window that is counted, in seconds of the epoch.
    """

    errors: FloatArray
    weights: FloatArray
    scores: Float32Array
    only: int
    until: float


@dataclass(frozen=True, slots=True)
class TargetFleetV1:
    """One target over the fleet.

    Attributes
    ----------
    target : str
        The column.
    nonnegative : bool
        Whether a value below 0 was never seen: then none is foretold.
    fleet, short : BeliefV1
        Of an ordinary series, its errors relative to those of the trees; and where the context is short.
    beliefs : mapping of str, int or None to BeliefV1
        By VM.
    """

    target: str
    nonnegative: bool
    fleet: BeliefV1
    short: BeliefV1
    beliefs: Mapping[str | int | None, BeliefV1]


@dataclass(frozen=True, slots=True)
class TreesV1:
    """Boosted trees for the change from the last value over the scale: the median, and 5 and 95 %.

    References
    ----------
    Friedman (2001), Annals of Statistics 29(5), 1189-1232; Koenker & Bassett (1978), Econometrica 46(1),
    33-50, on quantiles.
    """

    median: Any  # scikit-learn ships no types
    low: Any
    high: Any

    def ahead(self, views: Sequence[View]) -> list[tuple[FloatArray, FloatArray, FloatArray]]:
        """Return for each view the trees' values and the widths below and above, in the column's unit.

        A width is the geometric mean of the trees' distance from median to quantile, and of the scale: on
        days of Bitbrains that are not reported the interval scores were 4 to 10 % better than with either.
        """
        if not views:
            return []
        x = np.concatenate([features(view) for view in views])
        told = [np.asarray(one.predict(x), dtype=np.float64) for one in (self.median, self.low, self.high)]
        found, start = [], 0
        for view in views:
            shape = view.steps.shape
            end = start + view.steps.size
            middle, low, high = (one[start:end].reshape(shape) for one in told)
            scale = view.scale[:, None]
            found.append(
                (
                    view.levels[..., 0] + middle * scale,
                    np.sqrt(np.maximum(middle - low, LEAST_WIDTH)) * scale,
                    np.sqrt(np.maximum(high - middle, LEAST_WIDTH)) * scale,
                )
            )
            start = end
        return found


# Of the scale: where both quantiles fall together the widths are not nothing.
LEAST_WIDTH: Final = 0.02


def group_of(steps: IntArray) -> IntArray:
    """Return the group of each step ahead, from 0.

    >>> group_of(np.array([1, 3, 4, 48, 2016])).tolist()
    [0, 0, 1, 3, 5]
    """
    return np.searchsorted(GROUP_ENDS, steps)


def shares(errors: FloatArray, weights: FloatArray, fleet: FloatArray) -> FloatArray:
    """Return how much each candidate counts, by its errors in past windows.

    Parameters
    ----------
    errors, weights : array, shape (n_groups, n_candidates)
        Weighted sums over windows, and sums of the weights.
    fleet : array, shape (n_groups, n_candidates)
        The mean errors in the fleet, relative to the trees'.

    Returns
    -------
    array, shape (n_groups, n_candidates)
        Sums to 1 in each group.

    References
    ----------
    Bates & Granger (1969), Operational Research Quarterly 20(4), 451-468: weights by inverse errors.
    """
    known = weights > 0
    own = np.where(known, errors / np.where(known, weights, 1.0), np.nan)
    trees = own[:, -1]
    level = float(np.nanmean(trees)) if np.isfinite(trees).any() else 1.0
    prior = fleet * level
    mean = (errors + FLEET_WINDOWS * prior) / (weights + FLEET_WINDOWS)
    # Few windows tell little of one group: half of it is the mean over the groups, at this group's level.
    overall = mean.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(overall[-1] > 0, mean[:, -1:] / overall[-1], 1.0)
    mean = np.maximum((mean + overall * ratio) / 2, 1e-12)
    share = (mean.min(axis=1, keepdims=True) / mean) ** SHARPNESS
    normed: FloatArray = share / share.sum(axis=1, keepdims=True)
    return normed


def combined(levels: FloatArray, share: FloatArray) -> FloatArray:
    """Return the weighted median of candidates; those that are not known (NaN) are left out.

    The median and not the mean: where a burst is over, the means over days still tell of it, and together
    they would outweigh what is right. On three stretches of Bitbrains that are not reported g was 0.645, not
    0.661.

    Parameters
    ----------
    levels : array, shape (..., n_candidates)
        The first candidate is always known.
    share : array of the same shape, or one that broadcasts to it

    Examples
    --------
    >>> combined(np.array([2.0, 12.0, np.nan, 3.0]), np.array([0.3, 0.3, 0.3, 0.1])).tolist()
    3.0
    """
    weight = np.where(np.isnan(levels), 0.0, share)
    order = np.argsort(levels, axis=-1)  # NaN last
    upto = np.cumsum(np.take_along_axis(weight, order, axis=-1), axis=-1)
    place = (upto < upto[..., -1:] / 2).sum(axis=-1, keepdims=True)
    at = np.take_along_axis(order, place, axis=-1)
    middle: FloatArray = np.take_along_axis(levels, at, axis=-1)[..., 0]
    return np.where(upto[..., -1] > 0, middle, levels[..., 0])


def count_scores(scores: FloatArray, groups: IntArray, n_groups: int) -> Float32Array:
    """Return how many scores of each window fall into each bin.

    Parameters
    ----------
    scores : array, shape (n_windows, n_steps)
        Distances from the forecast over the width; NaN is not counted, what is below 0 is in the first bin.
    groups : array of int, shape (n_steps,)
    n_groups : int

    Returns
    -------
    array, shape (n_windows, n_groups, N_BINS)
    """
    n_windows = len(scores)
    known = ~np.isnan(scores)
    place = np.clip(np.searchsorted(EDGES, scores, side="left"), 0, N_BINS - 1)
    cell = (np.arange(n_windows)[:, None] * n_groups + groups[None, :]) * N_BINS + place
    counts = np.bincount(cell[known], minlength=n_windows * n_groups * N_BINS)
    return counts.reshape(n_windows, n_groups, N_BINS).astype(np.float32)


def score_quantile(counts: FloatArray | Float32Array, quantile: float = QUANTILE) -> FloatArray:
    """Return the quantile of counted scores, shape of `counts` without its last axis; at least one counted.

    Between the edges of a bin scores are taken to be spread evenly.

    References
    ----------
    Gibbs & Candès (2021), Adaptive conformal inference under distribution shift, NeurIPS 34: why recent
    scores count more.
    """
    total = np.cumsum(counts, axis=-1, dtype=np.float64)
    wanted = quantile * total[..., -1:]
    place = (total < wanted).sum(axis=-1).clip(0, N_BINS - 1)
    at = place[..., None]
    upto = np.take_along_axis(total, at, axis=-1)[..., 0]
    within = np.take_along_axis(np.asarray(counts, dtype=np.float64), at, axis=-1)[..., 0]
    part = 1 - (upto - wanted[..., 0]) / np.where(within > 0, within, 1.0)
    low = np.where(place > 0, EDGES[np.maximum(place - 1, 0)], 0.0)
    found: FloatArray = low + np.clip(part, 0.0, 1.0) * (EDGES[place] - low)
    return found


def grid_origins(history: History, stride: int, first: float, behind: int) -> IntArray:
    """Return the slots of a fixed rhythm from a moment on that leave `behind` slots after them.

    The rhythm is of the clock, so that a context has the windows that the whole history has.
    """
    clock = history.clock
    start = max(0, clock.slot_of(first))
    offset = round(clock.start / clock.interval)
    start += -(start + offset) % stride
    origins = np.arange(start, max(start, len(history) - behind), stride)
    return origins[history.observed[origins]]


def measured_steps(horizon: int) -> IntArray:
    """Return the steps ahead at which windows are judged: all, or of many the first and some of the rest."""
    if horizon <= 96:
        return np.arange(1, horizon + 1)
    return np.unique(np.concatenate([np.arange(1, 25), np.linspace(25, horizon, 72).round().astype(np.intp)]))


@dataclass(frozen=True, slots=True)
class Past:
    """What windows of one series have shown: not stored.

    Attributes
    ----------
    origins : array of int, shape (n_windows,)
    levels : array, shape (n_windows, n_steps, n_candidates)
    below, above : array, shape (n_windows, n_steps)
        Widths, in the column's unit.
    seen : array, shape (n_windows, n_steps)
        NaN where nothing was measured.
    errors : array, shape (n_windows, n_groups, n_candidates)
        Mean absolute errors over the scale; NaN where not known.
    steps : array of int, shape (n_steps,)
    """

    origins: IntArray
    levels: FloatArray
    below: FloatArray
    above: FloatArray
    seen: FloatArray
    errors: FloatArray
    steps: IntArray

    def only(self, windows: IntArray) -> Past:
        """Return some of the windows."""
        return Past(
            self.origins[windows],
            self.levels[windows],
            self.below[windows],
            self.above[windows],
            self.seen[windows],
            self.errors[windows],
            self.steps,
        )

    def scores(self, centre: FloatArray) -> Float32Array:
        """Return how far what came lay from `centre`, counted; shape (n_windows, 2, n_groups, N_BINS)."""
        groups = group_of(self.steps)
        n_groups = self.errors.shape[1]
        return np.stack(
            [
                count_scores((centre - self.seen) / self.below, groups, n_groups),
                count_scores((self.seen - centre) / self.above, groups, n_groups),
            ],
            axis=1,
        )


def look_back(history: History, origins: IntArray, steps: IntArray, view: View, told: Any) -> Past:
    """Return what the windows at `origins` have shown; `told` is what the trees said of them."""
    middle, below, above = told
    levels = np.concatenate([view.levels, middle[..., None]], axis=-1)
    slots = origins[:, None] + steps
    seen = np.where(history.observed[slots], history.values[slots], np.nan)
    errors = np.abs(levels - seen[..., None]) / view.scale[:, None, None]
    groups = group_of(steps)
    n_groups = int(groups[-1]) + 1
    by_group = np.full((len(origins), n_groups, levels.shape[-1]), np.nan)
    for group in range(n_groups):
        part = errors[:, groups == group]
        known = ~np.isnan(part)
        count = known.sum(axis=1)
        total = np.where(known, part, 0.0).sum(axis=1)
        by_group[:, group] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return Past(origins, levels, below, above, seen, by_group, steps)


class Beliefs:
    """A belief that learns from windows one after another."""

    def __init__(self, start: BeliefV1 | None, fleet: BeliefV1, n_groups: int) -> None:
        shape = (n_groups, len(CANDIDATES))
        self.errors = np.zeros(shape) if start is None else start.errors.copy()
        self.weights = np.zeros(shape) if start is None else start.weights.copy()
        self.scores = np.zeros((2, n_groups, N_BINS)) if start is None else start.scores.astype(np.float64)
        self.only = -1 if start is None else start.only
        self._fleet = fleet
        total = fleet.scores.sum(axis=2, keepdims=True)
        self._fleet_scores = fleet.scores / np.where(total > 0, total, 1.0)

    def learn(self, errors: FloatArray) -> None:
        """Add the errors of a window, shape (n_groups, n_candidates)."""
        known = ~np.isnan(errors)
        self.errors = ERROR_DECAY * self.errors + np.where(known, errors, 0.0)
        self.weights = ERROR_DECAY * self.weights + known

    def learn_scores(self, counts: Float32Array) -> None:
        """Add the scores of a window."""
        self.scores = SCORE_DECAY * self.scores + counts

    def shares(self) -> FloatArray:
        """Return how much each candidate counts now."""
        if self.only >= 0:
            alone = np.zeros_like(self.errors)
            alone[:, self.only] = 1.0
            return alone
        return shares(self.errors, self.weights, self._fleet.errors)

    def radius(self, sizes: IntArray) -> FloatArray:
        """Return the multiples of the widths that hold 90 %, shape (2, n_groups).

        Parameters
        ----------
        sizes : array of int, shape (n_groups,)
            Steps of each group in a window.
        """
        prior = self._fleet_scores * (sizes[None, :, None] * FLEET_WINDOWS / 4)
        return score_quantile(self.scores + prior)

    def stored(self, until: float) -> BeliefV1:
        """Return it as it is stored."""
        return BeliefV1(self.errors, self.weights, self.scores.astype(np.float32), self.only, until)


def bounds(
    levels: FloatArray,
    below: FloatArray,
    above: FloatArray,
    steps: IntArray,
    share: FloatArray,
    radius: FloatArray,
    nonnegative: bool,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return forecasts and their 90 % intervals, each of the shape of `below`: (..., n_steps)."""
    groups = np.minimum(group_of(steps), len(share) - 1)
    centre = combined(levels, share[groups])
    low = centre - below * radius[0][groups]
    high = centre + above * radius[1][groups]
    if nonnegative:
        return np.maximum(centre, 0.0), np.maximum(low, 0.0), np.maximum(high, 0.0)
    return centre, low, high


def sizes_of(steps: IntArray) -> IntArray:
    """Return how many steps are in each group."""
    return np.bincount(group_of(steps))


@dataclass(frozen=True, slots=True)
class FleetForecasterV1(RowEstimator):
    """Forecasts of columns of a fleet, for every step up to a horizon.

    Attributes
    ----------
    columns : tuple of str
        The targets, which a context has to have.
    forecasts : tuple of TargetFleetV1
        One a target.
    trees : TreesV1
        Of all VMs and targets.
    horizon : int
        The furthest step ahead.
    interval : float
        Seconds between steps.
    day : int
        Slots of a day.
    stride : int
        Slots between the windows that are judged.
    """

    columns: tuple[str, ...]
    forecasts: tuple[TargetFleetV1, ...]
    trees: TreesV1
    horizon: int
    interval: float
    day: int
    stride: int

    @property
    def targets(self) -> tuple[str, ...]:
        """Return the columns that are foretold."""
        return self.columns

    def predict(self, rows: Sequence[Any], horizon: int | None = None) -> list[dict[str, Any]]:
        """Return what follows the rows, one object a VM and step; see `ForecasterV1.predict`.

        A VM that training knew is believed as its past windows have shown; those that came since are added
        where the rows show them. Three weeks of rows tell all that can be told; one row will do.

        Raises
        ------
        InvalidInputError
            Naming ``horizon`` or the row and the column.
        """
        steps = np.arange(1, self._checked_horizon(horizon) + 1)
        table = self._table(rows)
        ends = self._ends(table)
        given = list(stretches(table, self.interval, self.columns))
        answer: list[dict[str, Any]] = [  # JSON values
            {"vm_id": vm, "step": int(step), "timestamp": self._timestamp(end, int(step))}
            for vm, end in ends
            for step in steps
        ]
        for forecast in self.forecasts:
            found = {history.vm: history for history in histories(given, forecast.target, self.day)}
            for vm, _ in ends:
                if vm not in found:
                    whose = "" if vm is None else f" of the VM {vm!r}"
                    raise InvalidInputError(
                        f"{FIELD}.{forecast.target}",
                        f"has no value in the last rows{whose}; a forecast starts from the last one",
                    )
            told = self._forecast(forecast, [found[vm] for vm, _ in ends], steps)
            for suffix, values in zip(("", "_lower", "_upper"), told, strict=True):
                for row, number in zip(answer, values.ravel().tolist(), strict=True):
                    row[forecast.target + suffix] = number
        return answer

    def _forecast(
        self, forecast: TargetFleetV1, given: Sequence[History], steps: IntArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return forecasts and bounds of one target, each of shape (n_histories, n_steps)."""
        judged = measured_steps(self.horizon)
        views: list[View] = []
        plans = []
        for history in given:
            short = len(history) < SHORT_DAYS * self.day
            known = None if short else forecast.beliefs.get(history.vm)
            first = known.until if known else history.clock.start + self.day * self.interval
            formulas = Formulas(history, self.day)
            views.append(formulas.at(np.array([len(history) - 1]), steps[None, :]))
            origins = grid_origins(history, self.stride, first, self.horizon)[-MOST_WINDOWS:]
            if short:
                origins = origins[:0]
            if len(origins):
                views.append(formulas.at(origins, np.broadcast_to(judged, (len(origins), len(judged)))))
            plans.append((history, forecast.short if short else forecast.fleet, known, origins))
        told = self.trees.ahead(views)
        parts = []
        place = 0
        for history, fleet, known, origins in plans:
            view, (middle, below, above) = views[place], told[place]
            place += 1
            beliefs = Beliefs(known, fleet, len(fleet.errors))
            if len(origins):
                past = look_back(history, origins, judged, views[place], told[place])
                place += 1
                roll(beliefs, past, self.horizon, len(history) - 1)
            levels = np.concatenate([view.levels, middle[..., None]], axis=-1)
            parts.append(
                bounds(
                    levels,
                    below,
                    above,
                    steps,
                    beliefs.shares(),
                    beliefs.radius(sizes_of(judged)),
                    forecast.nonnegative,
                )
            )
        centre, low, high = (np.concatenate(one) for one in zip(*parts, strict=True))
        return centre, low, high

    def _checked_horizon(self, horizon: int | None) -> int:
        if horizon is None:
            return min(DEFAULT_HORIZON, self.horizon)
        # By type: a boolean is an int, and no horizon.
        if type(horizon) is not int or not 1 <= horizon <= self.horizon:
            raise InvalidInputError(
                "horizon",
                f"give a whole number from 1 to {self.horizon}, which this version was trained for, "
                f"not {horizon!r}; train with a larger hyperparameters.horizon for more",
            )
        return horizon

    def _table(self, rows: Sequence[Any]) -> Table:
        if not rows:
            raise InvalidInputError(FIELD, "is empty; give at least one row for each VM")
        table = read_table(rows, FIELD, only=self.columns)
        for name in self.columns:
            if name in table.texts:
                raise InvalidInputError(f"{FIELD}[0].{name}", "is text; the model was trained on numbers")
            if name not in table.numbers:
                raise InvalidInputError(
                    f"{FIELD}.{name}", f"is missing; the model was trained on {', '.join(self.columns)}"
                )
        return in_time_order(table)

    def _ends(self, table: Table) -> list[tuple[str | int | None, float | None]]:
        """Return each VM with the moment of its last row, in the order in which they were given."""
        last = np.append(np.flatnonzero(np.diff(table.vm_codes)), len(table) - 1)
        return [
            (
                table.vm_ids[int(table.vm_codes[row])],
                None if table.timestamps is None else float(table.timestamps[row]),
            )
            for row in last
        ]

    def _timestamp(self, end: float | None, step: int) -> str | None:
        return None if end is None else iso_utc(end + step * self.interval)


def roll(beliefs: Beliefs, past: Past, horizon: int, now: int) -> None:
    """Let a belief learn from the windows that are complete at slot `now`, in their order."""
    groups = group_of(past.steps)
    for window in np.flatnonzero(past.origins + horizon <= now):
        share = beliefs.shares()
        centre = combined(past.levels[window], share[groups])
        beliefs.learn_scores(past.only(np.array([window])).scores(centre[None])[0])
        beliefs.learn(past.errors[window])
