"""What a forecaster sees at one moment, for one step ahead. Nothing in it lies after that moment.

Every value is told as a difference from the last one, and what is learned is the change from the last value:
a model of raw levels loses by a factor of 20 to 40 on a VM whose load has shifted since it was trained.
Levels are an addition that a recipe has to ask for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ai_engine.training.arrays import FloatArray, IntArray
from ai_engine.training.grid import Clock, Series

# Dense where the past still decides, sparse further back (in steps).
LAGS: Final = (1, 2, 3, 4, 5, 6, 8, 11, 17, 23, 35, 71)
MEANS: Final = (3, 6, 12, 36, 72, 288)
SPREADS: Final = (12, 72)
RECENT: Final = 12
DAY: Final = 86_400.0
HOUR: Final = 3_600.0
WEEK_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class FeatureSpace:
    """How windows become rows of X.

    Attributes
    ----------
    season : int or None
        Steps of one season; None where there is none.
    horizon : int
        The furthest step ahead, from 1.
    n_others : int
        Other columns of the VM.
    levels : bool
        Whether the levels themselves are told beside the differences.
    span : float
        Seconds over which the training rows reach. What of the calendar they did not see come twice is not
        told: within one day the time of day is a number that only grows, and what follows is unlike it.
    """

    season: int | None
    horizon: int
    n_others: int
    levels: bool = False
    span: float = np.inf

    @property
    def reach(self) -> int:
        """Return how many slots, the present one included, a row of X may look at."""
        longest = max(*LAGS, *MEANS)
        if self.season is not None:
            # One season before the present, and the slots around the phase that is a step ahead of it.
            longest = max(longest, self.season + 5)
        return longest + 1

    @property
    def n_features(self) -> int:
        """Return the number of columns of X."""
        flat = Series(
            Clock(0.0, 1.0, timed=False), np.zeros(1), np.ones(1, dtype=bool), np.zeros((1, self.n_others))
        )
        return len(self.rows(flat, np.zeros(1, dtype=np.intp), np.ones(1, dtype=np.intp))[0])

    def rows(self, series: Series, origins: IntArray, steps: IntArray) -> FloatArray:
        """Return X for pairs of a moment and a step ahead.

        Parameters
        ----------
        series : Series
            A history; before its start it is taken to have been flat at its first value.
        origins : array of int, shape (n_rows,)
            The present moment: the slot of the last value that is known.
        steps : array of int, shape (n_rows,)
            Steps ahead, 1 to `horizon`.

        Returns
        -------
        array, shape (n_rows, n_features)
            Finite; differences in the target's unit, the time of day as sine and cosine.
        """
        past = _Past(series.values, self.reach)
        moments, back = np.unique(origins, return_inverse=True)
        now = self._at_moments(series, past, moments)[back]
        ahead = [
            steps.astype(np.float64),
            *self._seasonal(past, origins, steps),
            *self._calendar(series, origins, steps),
        ]
        return np.column_stack([*ahead, now])

    def _at_moments(self, series: Series, past: _Past, moments: IntArray) -> FloatArray:
        """Return what does not depend on the step."""
        last = past.at(moments)
        columns = [last - past.at(moments - lag) for lag in LAGS]
        for width in MEANS:
            window = past.window(moments, width)
            columns.append(window.mean(axis=1) - last)
            if width in SPREADS:
                columns += [window.std(axis=1), window.max(axis=1) - last, window.min(axis=1) - last]
        if self.levels:
            columns.append(last)
        for other in series.others.T:
            columns += self._other(other, moments)
        return np.column_stack(columns)

    def _seasonal(self, past: _Past, origins: IntArray, steps: IntArray) -> list[FloatArray]:
        if self.season is None:
            return [np.zeros(len(origins))]
        last = past.at(origins)
        same_phase = season_before(origins, steps, self.season)
        then = past.at(same_phase)
        # The two slots after the phase may lie after the present moment when the step is a whole season.
        around = np.minimum(same_phase + 2, origins)
        return [
            then - last,
            then - past.at(origins - self.season),
            past.window(around, 5).mean(axis=1) - last,
        ]

    def _calendar(self, series: Series, origins: IntArray, steps: IntArray) -> list[FloatArray]:
        """Return the phases of day and hour and the weekday of the moment ahead; zeros for those not told."""
        moments = series.clock.start + series.clock.interval * (origins + steps)
        phase = 2 * np.pi * (moments % DAY) / DAY
        told = {
            DAY: (np.sin(phase), np.cos(phase)),
            WEEK_DAYS * DAY: ((moments // DAY) % WEEK_DAYS,),
            HOUR: ((moments % HOUR) / HOUR,),
        }
        return [
            column if series.clock.timed and self.span >= 2 * cycle else np.zeros(len(origins))
            for cycle, columns in told.items()
            for column in columns
        ]

    def _other(self, column: FloatArray, moments: IntArray) -> list[FloatArray]:
        past = _Past(column, self.reach)
        now = past.at(moments)
        told = [now - past.at(moments - 1), now - past.window(moments, RECENT).mean(axis=1)]
        if self.levels:
            told.append(now)
        # Before its first sample a column says nothing; the number that `_Past` puts there lies in the
        # future.
        unknown = np.isnan(column[moments])
        return [np.where(unknown, 0.0, feature) for feature in told]


def season_before(origins: IntArray, steps: IntArray, season: int) -> IntArray:
    """Return the last slot up to the origin that has the phase of a step ahead.

    >>> season_before(np.array([100, 100]), np.array([1, 25]), 24)
    array([77, 77])
    """
    return origins + steps - season * -(-steps // season)


class _Past:
    """A series continued backwards by its first value, so that every look back finds a number."""

    def __init__(self, values: FloatArray, reach: int) -> None:
        known = np.flatnonzero(~np.isnan(values))
        first = values[known[0]] if len(known) else 0.0
        self._offset = reach
        self._values = np.concatenate([np.full(reach, first), np.where(np.isnan(values), first, values)])

    def at(self, slots: IntArray) -> FloatArray:
        return self._values[slots + self._offset]

    def window(self, slots: IntArray, width: int) -> FloatArray:
        """Return the `width` values that end at each slot, shape (n_slots, width).

        Means over copies and not from running sums: those carry rounding from far outside of the window, so
        that one moment would look different in a long and in a short history.
        """
        windows = np.lib.stride_tricks.sliding_window_view(self._values, width)
        return windows[slots + self._offset - width + 1]
