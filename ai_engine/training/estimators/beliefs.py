"""What past windows of a series say of the candidates and of the widths, and forecasts that heed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ai_engine.training.arrays import Float32Array, FloatArray, IntArray
from ai_engine.training.formulas import NAMES, View
from ai_engine.training.histories import History

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


def roll(beliefs: Beliefs, past: Past, horizon: int, now: int) -> None:
    """Let a belief learn from the windows that are complete at slot `now`, in their order."""
    groups = group_of(past.steps)
    for window in np.flatnonzero(past.origins + horizon <= now):
        share = beliefs.shares()
        centre = combined(past.levels[window], share[groups])
        beliefs.learn_scores(past.only(np.array([window])).scores(centre[None])[0])
        beliefs.learn(past.errors[window])
