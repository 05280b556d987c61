"""Fit the trees of a fleet's forecaster on windows of all its series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from ai_engine.training.arrays import Float32Array, FloatArray, IntArray
from ai_engine.training.estimators.fleet import TreesV1
from ai_engine.training.fleet_series import Series, short_pieces
from ai_engine.training.formulas import Formulas, View, features
from ai_engine.training.histories import History

# Rows of X of one fit: bounds its time and memory, whatever the fleet.
BUDGET: Final = 150_000
STEPS_PER_WINDOW: Final = 6
# Of these, windows whose past was cut to less than three days: what a short context looks like.
SHORT_SHARE: Final = 0.15


def fit_trees(
    series: Sequence[Series], day: int, horizon: int, until: float, seed: int
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
        for short, begin in short_pieces(one.history, draw, day, first, last, 6):
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
