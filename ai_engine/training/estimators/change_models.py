"""Forecasters of one target's change from its last value, all with one shape: windows in, changes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from ai_engine.training.arrays import FloatArray
from ai_engine.training.features import FeatureSpace
from ai_engine.training.windows import Windows


class ChangeModel(Protocol):
    """Foretells by how much a value changes from the present moment to a step ahead."""

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Return the names of what was fitted."""
        ...

    def fit(self, windows: Windows, budget: int) -> None:
        """Learn from windows, with at most about `budget` rows of X."""
        ...

    def ahead(self, windows: Windows) -> FloatArray:
        """Return the change to each step ahead, shape (n_windows, horizon), in the target's unit."""
        ...


class LastValueV1:
    """The value stays: what every other forecast has to beat."""

    algorithms = ("LastValue",)

    def fit(self, windows: Windows, budget: int) -> None:
        """Learn nothing: there is nothing to learn."""

    def ahead(self, windows: Windows) -> FloatArray:
        """Return zeros."""
        return np.zeros((len(windows), windows.horizon))


class SeasonalNaiveV1:
    """The value returns to what it was one season before."""

    algorithms = ("SeasonalNaive",)

    def __init__(self, season: int) -> None:
        self._season = season

    def fit(self, windows: Windows, budget: int) -> None:
        """Learn nothing: the season was found before."""

    def ahead(self, windows: Windows) -> FloatArray:
        """Return the difference of the value one season before the step ahead from the last one."""
        return windows.seasonal_changes(self._season)


class MedianV1:
    """The median of the last values: what a restless series comes back to."""

    algorithms = ("Median",)

    def __init__(self, width: int) -> None:
        self._width = width

    def fit(self, windows: Windows, budget: int) -> None:
        """Learn nothing: the width is given."""

    def ahead(self, windows: Windows) -> FloatArray:
        """Return the difference of the median from the last value, the same for all steps."""
        change = windows.last_medians(self._width) - windows.last_values()
        return np.repeat(change[:, None], windows.horizon, axis=1)


class RidgeV1:
    """A straight line in X for each step ahead (Hoerl & Kennard 1970, Technometrics 12(1), 55-67)."""

    algorithms = ("Ridge",)
    # On standardised columns; lags of one series are almost collinear, so that some shrinking is needed.
    ALPHA = 10.0
    # A line is so much cheaper to fit than trees that it may see more rows, and it needs some for every step.
    ROWS_PER_BUDGET = 6

    def __init__(self, space: FeatureSpace) -> None:
        self._space = space

    def fit(self, windows: Windows, budget: int) -> None:
        """Learn one set of coefficients a step."""
        chosen = windows.at_most(max(1, self.ROWS_PER_BUDGET * budget // windows.horizon))
        x_all = chosen.all_steps(self._space).reshape(len(chosen), windows.horizon, -1)
        changes = chosen.observed() - chosen.last_values()[:, None]
        self._coefficients = np.zeros((windows.horizon, x_all.shape[2]))
        self._intercepts = np.zeros(windows.horizon)
        for step in range(windows.horizon):
            known = ~np.isnan(changes[:, step])
            if not known.any():
                continue
            scaler = StandardScaler().fit(x_all[known, step])
            line = Ridge(alpha=self.ALPHA).fit(scaler.transform(x_all[known, step]), changes[known, step])
            self._coefficients[step] = line.coef_ / scaler.scale_
            self._intercepts[step] = line.intercept_ - self._coefficients[step] @ scaler.mean_

    def ahead(self, windows: Windows) -> FloatArray:
        """Return the lines' values."""
        steps = windows.horizon
        x = windows.all_steps(self._space).reshape(len(windows), steps, -1)
        slopes: FloatArray = np.einsum("wsf,sf->ws", x, self._coefficients[:steps])
        return slopes + self._intercepts[:steps]


class BoostedTreesV1:
    """Histogram gradient boosting on the absolute error, one model for all steps.

    References
    ----------
    Friedman (2001), Annals of Statistics 29(5), 1189-1232; Ke et al. (2017), LightGBM, NeurIPS 30.
    """

    algorithms = ("HistGradientBoostingRegressor",)

    def __init__(self, space: FeatureSpace, seed: int) -> None:
        self._space, self._seed = space, seed

    def fit(self, windows: Windows, budget: int) -> None:
        """Learn from some steps of each window, the step being a column."""
        x, changes = windows.some_steps(self._space, budget)
        # 200 rounds at 0.08: on three VMs the error was flat from 150 to 400 rounds.
        self._trees: Any = HistGradientBoostingRegressor(  # sklearn ships no types
            loss="absolute_error",
            max_iter=200,
            learning_rate=0.08,
            min_samples_leaf=min(40, max(5, len(x) // 50)),
            early_stopping=False,
            random_state=self._seed,
        ).fit(x, changes)

    def ahead(self, windows: Windows) -> FloatArray:
        """Return the sum over the trees."""
        changes = np.asarray(self._trees.predict(windows.all_steps(self._space)), dtype=np.float64)
        return changes.reshape(len(windows), windows.horizon)


class MeanOfV1:
    """The plain mean of several forecasts (Clemen 1989, Int. J. Forecasting 5(4), 559-583)."""

    def __init__(self, members: Sequence[ChangeModel]) -> None:
        self.members = tuple(members)

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Return the names of what was fitted."""
        return tuple(dict.fromkeys(name for member in self.members for name in member.algorithms))

    def fit(self, windows: Windows, budget: int) -> None:
        """Fit every member."""
        for member in self.members:
            member.fit(windows, budget)

    def ahead(self, windows: Windows) -> FloatArray:
        """Return the mean of the members' changes."""
        changes: FloatArray = np.mean([member.ahead(windows) for member in self.members], axis=0)
        return changes
