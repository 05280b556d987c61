"""Windows of a forecast: a moment that knows its past, and the steps after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ai_engine.training.arrays import FloatArray, IntArray
from ai_engine.training.features import FeatureSpace, season_before
from ai_engine.training.grid import Series

# Over how many of the last changes a VM is called restless or calm.
VOLATILITY_STEPS = 36


@dataclass(frozen=True, slots=True)
class Windows:
    """Moments of some series from which all steps ahead can be seen.

    Attributes
    ----------
    series : tuple of Series
    origins : tuple of array of int
        For each series the slots of the last known value.
    horizon : int
        Steps ahead.
    """

    series: tuple[Series, ...]
    origins: tuple[IntArray, ...]
    horizon: int

    def __len__(self) -> int:
        return sum(len(origins) for origins in self.origins)

    def at_most(self, count: int) -> Windows:
        """Return every n-th window, so that no more than `count` are left."""
        stride = max(1, -(-len(self) // count))
        return Windows(self.series, tuple(origins[::stride] for origins in self.origins), self.horizon)

    def last_values(self) -> FloatArray:
        """Return the value at each origin, shape (n_windows,)."""
        return np.concatenate([one.values[at] for one, at in self._pairs()])

    def last_medians(self, width: int) -> FloatArray:
        """Return the median of the last `width` values at each origin, or of those that there are."""
        medians = []
        for one, at in self._pairs():
            padded = np.concatenate([np.full(width - 1, np.nan), one.values])
            windows = np.lib.stride_tricks.sliding_window_view(padded, width)
            found = np.empty(len(at))
            for part in np.array_split(np.arange(len(at)), max(1, len(at) * width // 1_000_000)):
                found[part] = np.nanmedian(windows[at[part]], axis=1)
            medians.append(found)
        return np.concatenate(medians)

    def observed(self) -> FloatArray:
        """Return what was measured at each step ahead, shape (n_windows, horizon); NaN where nothing was."""
        ahead = np.arange(1, self.horizon + 1)
        seen = [np.where(one.observed, one.values, np.nan)[at[:, None] + ahead] for one, at in self._pairs()]
        return np.concatenate(seen)

    def seasonal_changes(self, season: int) -> FloatArray:
        """Return the value one season before each step ahead less the last one, shape (n_windows, horizon).

        Before its start a series is taken to have been flat at its first value.
        """
        ahead = np.arange(1, self.horizon + 1)
        changes = [
            one.values[np.maximum(season_before(at[:, None], ahead, season), 0)] - one.values[at][:, None]
            for one, at in self._pairs()
        ]
        return np.concatenate(changes)

    def volatility(self) -> FloatArray:
        """Return the mean absolute change of the last steps before each origin, shape (n_windows,)."""
        return np.concatenate([volatility(one, at) for one, at in self._pairs()])

    def all_steps(self, space: FeatureSpace) -> FloatArray:
        """Return X for each window and step, shape (n_windows * horizon, n_features), windows outermost."""
        ahead = np.arange(1, self.horizon + 1)
        return np.concatenate(
            [
                space.rows(one, np.repeat(at, self.horizon), np.tile(ahead, len(at)))
                for one, at in self._pairs()
            ]
        )

    def some_steps(self, space: FeatureSpace, budget: int) -> tuple[FloatArray, FloatArray]:
        """Return X and the changes to learn, with as many steps of each window as the budget of rows allows.

        Returns
        -------
        x : array, shape (n_rows, n_features)
        changes : array, shape (n_rows,)
            The value at the step ahead less the value at the origin.
        """
        windows = self.at_most(budget) if len(self) > budget else self
        each = max(1, min(self.horizon, budget // max(len(windows), 1)))
        # Spread over the horizon, and shifted from window to window, so that every step is seen equally
        # often.
        spread = (np.arange(each) * self.horizon) // each
        rows, changes, seen = [], [], 0
        for one, at in windows._pairs():
            shift = np.arange(seen, seen + len(at))
            steps = ((shift[:, None] + spread) % self.horizon + 1).ravel()
            origins = np.repeat(at, each)
            rows.append(space.rows(one, origins, steps))
            changes.append(one.values[origins + steps] - one.values[origins])
            seen += len(at)
        return np.concatenate(rows), np.concatenate(changes)

    def _pairs(self) -> list[tuple[Series, IntArray]]:
        return [(one, at) for one, at in zip(self.series, self.origins, strict=True) if len(at)]


def windows_of(
    series: Sequence[Series],
    horizon: int,
    *,
    after: float | None = None,
    until: float | None = None,
    before: float | None = None,
) -> Windows:
    """Return the windows whose targets all lie in a part of the data.

    Parameters
    ----------
    series : sequence of Series
    horizon : int
        Steps ahead.
    after : float, optional
        A moment of the clock: targets lie on or after its slot. What is known at the origin may lie before.
    until : float, optional
        A moment of the clock: the first target lies before its slot.
    before : float, optional
        A moment of the clock: targets lie before its slot.
    """
    origins = []
    for one in series:
        first = 0 if after is None else max(0, one.clock.slot_of(after) - 1)
        end = (len(one) if before is None else min(len(one), one.clock.slot_of(before))) - horizon
        if until is not None:
            end = min(end, one.clock.slot_of(until) - 1)
        slots = np.arange(first, max(first, end))
        # A filled value was drawn with the help of the next one, which at that moment nobody knew.
        origins.append(slots[one.observed[slots]])
    return Windows(tuple(series), tuple(origins), horizon)


def volatility(series: Series, origins: IntArray) -> FloatArray:
    """Return the mean absolute change over the last steps before each origin, in the target's unit."""
    changes = np.abs(np.diff(series.values, prepend=series.values[0]))
    padded = np.concatenate([np.zeros(VOLATILITY_STEPS - 1), changes])
    recent = np.lib.stride_tricks.sliding_window_view(padded, VOLATILITY_STEPS)[origins]
    # Near the start the mean is over the changes that there are.
    mean: FloatArray = recent.sum(axis=1) / np.clip(origins, 1, VOLATILITY_STEPS)
    return mean
