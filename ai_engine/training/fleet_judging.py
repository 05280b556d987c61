"""What training rows that the trees have not seen say of each way to forecast a series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ai_engine.training.arrays import FloatArray, IntArray
from ai_engine.training.estimators.beliefs import (
    CANDIDATES,
    EDGES,
    N_BINS,
    Beliefs,
    BeliefV1,
    Past,
    combined,
    group_of,
    look_back,
    sizes_of,
)
from ai_engine.training.estimators.fleet import TreesV1
from ai_engine.training.fleet_series import Series, complete_windows, short_pieces
from ai_engine.training.formulas import Formulas


def belief_of_fleet(own: Sequence[Series], steps: IntArray, horizon: int, until: float) -> BeliefV1:
    """Return what holds for an ordinary series of a target."""
    n_groups = int(group_of(steps)[-1]) + 1
    relative, scores = [], np.zeros((2, n_groups, N_BINS))
    for one in own:
        windows = complete_windows(one, horizon, until)
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


def beliefs_of_short_contexts(
    series: Sequence[Series],
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
            for piece, begin in short_pieces(one.history, draw, day, first, last, 8):
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


@dataclass(frozen=True, slots=True)
class Judged:
    """The errors of a series over its judged training windows, in the unit."""

    by_candidate: FloatArray
    mixed: float
    n_windows: int


def belief_of_series(one: Series, fleet: BeliefV1, horizon: int, until: float) -> tuple[Beliefs, Judged]:
    """Return what the windows before a moment have shown of a series, and how good it would have been."""
    beliefs = Beliefs(None, fleet, len(fleet.errors))
    windows = complete_windows(one, horizon, until)
    if one.past is None or not len(windows):
        return beliefs, Judged(np.full(len(CANDIDATES), np.nan), np.nan, 0)
    centres, _, _ = learn_in_order(beliefs, one.past, windows)
    seen = one.past.seen[windows]
    known = ~np.isnan(seen)
    levels = one.past.levels[windows]
    # Where the past was too short for a formula, the last value stands.
    levels = np.where(np.isnan(levels), levels[..., :1], levels)
    errors = np.abs(levels - seen[..., None])
    judged = Judged(
        np.array([errors[..., k][known].mean() if known.any() else np.nan for k in range(errors.shape[-1])]),
        float(np.abs(centres - seen)[known].mean()) if known.any() else np.nan,
        len(windows),
    )
    return beliefs, judged


def learn_in_order(
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


def mean_errors(judged: Sequence[Judged]) -> dict[str, float]:
    """Return the mean errors by candidate, and of the mixture, over all series."""
    known = [one for one in judged if one.n_windows and np.isfinite(one.mixed)]
    if not known:
        return dict.fromkeys((*CANDIDATES, "weighted"), 0.0)
    weight = np.array([one.n_windows for one in known], dtype=np.float64)
    by_candidate = np.average([one.by_candidate for one in known], axis=0, weights=weight)
    mixed = float(np.average([one.mixed for one in known], weights=weight))
    return dict(zip(CANDIDATES, by_candidate.tolist(), strict=True)) | {"weighted": mixed}


def _known_mean(values: FloatArray, axis: int) -> FloatArray:
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    mean: FloatArray = np.where(
        count > 0, np.where(known, values, 0.0).sum(axis=axis) / np.maximum(count, 1), np.nan
    )
    return mean
