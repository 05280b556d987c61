"""Simple forecasts of one history, many at once: values of earlier days at that time, and recent levels.

A stored `FleetForecasterV1` holds weights for these by their position, and trees that were fitted on them:
what is here stays as it is, and other formulas are another class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ai_engine.training.arrays import Float32Array, FloatArray, IntArray
from ai_engine.training.histories import History

DAY_SECONDS: Final = 86_400.0
WEEK: Final = 7  # days
# Half an hour to both sides at five minutes.
SMOOTHED: Final = 6
LEVEL: Final = 12
# After how many steps a difference from the usual level has shrunk to 1/e.
DECAYS: Final = (12.0, 48.0, 144.0)
NAMES: Final = (
    "last_value",
    "day_ago",
    "week_ago",
    "mean_of_3_days",
    "median_of_3_days",
    "mean_of_7_days",
    "median_of_7_days",
    "day_ago_smoothed",
    "mean_of_3_days_smoothed",
    "median_of_7_days_smoothed",
    *(f"median_of_7_days_with_level_{decay:g}" for decay in DECAYS),
    "mean_of_12",
    "median_of_36",
    "median_of_144",
    "median_of_a_day",
)
SPANS: Final = (12, 72, 288)


@dataclass(frozen=True, slots=True)
class View:
    """What is known of windows of one history.

    Attributes
    ----------
    levels : array, shape (n_windows, n_steps, len(NAMES))
        The formulas, in the column's unit; NaN where the past is too short for one.
    scale : array, shape (n_windows,)
        How much the column changes from day to day, in its unit; above 0.
    state : array, shape (n_windows, n_state)
        What else is told of the moment, without a unit.
    steps : array of int, shape (n_windows, n_steps)
        Steps ahead, from 1.
    moments : array, shape (n_windows, n_steps)
        When these are, in seconds of the epoch.
    """

    levels: FloatArray
    scale: FloatArray
    state: FloatArray
    steps: IntArray
    moments: FloatArray


class Formulas:
    """The formulas of one history.

    Parameters
    ----------
    history : History
        Not empty.
    day : int
        Slots of a day.
    """

    def __init__(self, history: History, day: int) -> None:
        self._history, self._day = history, day
        values = history.values
        padded = np.concatenate([np.full(WEEK * day, np.nan), values])
        n_ahead = len(values) + day  # of these slots everything is known one day before
        lagged = np.stack([padded[(WEEK - lag) * day :][:n_ahead] for lag in range(1, WEEK + 1)])
        smooth = _centred_mean(values, SMOOTHED)
        padded_smooth = np.concatenate([np.full(WEEK * day, np.nan), smooth])
        lagged_smooth = np.stack(
            [padded_smooth[(WEEK - lag) * day :][:n_ahead] for lag in range(1, WEEK + 1)]
        )
        self._by_day = np.stack(
            [
                lagged[0],
                _mean(lagged[:3]),
                _median(lagged[:3]),
                _mean(lagged),
                _median(lagged),
            ],
            axis=1,
        )
        self._by_day_smooth = np.stack(
            [lagged_smooth[0], _mean(lagged_smooth[:3]), _median(lagged_smooth)], axis=1
        )
        usual = self._by_day_smooth[: len(values), 2]
        self._level = _trailing_mean(values - usual, LEVEL)
        away = np.abs(values - lagged[0][: len(values)])
        self._away = [_trailing_mean(away, span) for span in SPANS]
        self._scale = _trailing_mean(away, WEEK * day)
        changes = np.abs(np.diff(values, prepend=values[0]))
        self._changes = [_trailing_mean(changes, span) for span in (LEVEL, 144)]
        self._short_scale = 3 * _trailing_mean(changes, WEEK * day)
        self._floor = 1e-3 * _trailing_mean(np.abs(values), WEEK * day) + 1e-9

    def at(self, origins: IntArray, steps: IntArray) -> View:
        """Return the formulas for windows whose last known slots are `origins`.

        Parameters
        ----------
        origins : array of int, shape (n_windows,)
        steps : array of int, shape (n_windows, n_steps)
            Steps ahead, from 1; at most a week of them.
        """
        day, values = self._day, self._history.values
        last = values[origins]
        now = origins[:, None]
        slots = now + 1 + (steps - 1) % day
        week = now + steps - WEEK * day
        a_week_ago = np.where(week >= 0, values[np.maximum(week, 0)], np.nan)
        by_day = self._by_day[slots]
        # The mean around a slot that is less than half an hour past is not known yet.
        smooth = self._by_day_smooth[np.minimum(slots, np.maximum(now + day - SMOOTHED, 0))]
        off = self._level[origins][:, None]
        widths = ((LEVEL, np.mean), (36, np.median), (144, np.median), (day, np.median))
        flat = [_of_window(values, origins, width, how) for width, how in widths]
        columns = [
            np.broadcast_to(last[:, None], steps.shape),
            by_day[..., 0],
            a_week_ago,
            *(by_day[..., k] for k in range(1, 5)),
            *(smooth[..., k] for k in range(3)),
            *(smooth[..., 2] + off * np.exp(-steps / decay) for decay in DECAYS),
            *(np.broadcast_to(one[:, None], steps.shape) for one in flat),
        ]
        known = self._scale[origins]
        scale = np.where(np.isnan(known), self._short_scale[origins], known)
        scale = np.maximum(scale, self._floor[origins])
        state = np.column_stack(
            [
                *(away[origins] / scale for away in self._away),
                *(changes[origins] / scale for changes in self._changes),
                (last - flat[-1]) / scale,
            ]
        )
        clock = self._history.clock
        moments: FloatArray = np.asarray(clock.start + clock.interval * (now + steps), dtype=np.float64)
        return View(np.stack(columns, axis=-1), scale, state, steps, moments)


def features(view: View) -> Float32Array:
    """Return X for each window and step of a view, windows outermost.

    Returns
    -------
    array of float32, shape (n_windows * n_steps, n_features)
        Trees sort into 255 bins: no more digits are needed. NaN where the past was too short.
    """
    n_windows, n_steps = view.steps.shape
    last = view.levels[:, :1, :1]
    changes = (view.levels[..., 1:] - last) / view.scale[:, None, None]
    phase = 2 * np.pi * (view.moments % DAY_SECONDS) / DAY_SECONDS
    weekday = (view.moments // DAY_SECONDS) % WEEK
    state = np.broadcast_to(view.state[:, None], (n_windows, n_steps, view.state.shape[1]))
    calendar = np.stack([view.steps, np.sin(phase), np.cos(phase), weekday], axis=-1)
    told = np.concatenate([changes, state, calendar], axis=-1)
    return told.reshape(n_windows * n_steps, -1).astype(np.float32)


def _mean(stacked: FloatArray) -> FloatArray:
    known = ~np.isnan(stacked)
    count = known.sum(axis=0)
    total = np.where(known, stacked, 0.0).sum(axis=0)
    mean: FloatArray = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean


def _median(stacked: FloatArray) -> FloatArray:
    ordered = np.sort(stacked, axis=0)  # NaN last
    count = np.maximum((~np.isnan(stacked)).sum(axis=0), 1)
    low = np.take_along_axis(ordered, ((count - 1) // 2)[None], axis=0)[0]
    high = np.take_along_axis(ordered, (count // 2)[None], axis=0)[0]
    middle: FloatArray = (low + high) / 2
    return middle


def _centred_mean(values: FloatArray, half: int) -> FloatArray:
    total = np.concatenate([[0.0], np.cumsum(values)])
    slots = np.arange(len(values))
    start, end = np.maximum(slots - half, 0), np.minimum(slots + half + 1, len(values))
    mean: FloatArray = (total[end] - total[start]) / (end - start)
    return mean


def _trailing_mean(values: FloatArray, width: int) -> FloatArray:
    """Return the mean of the last `width` known values up to each slot; NaN where none is known."""
    known = ~np.isnan(values)
    total = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    count = np.concatenate([[0], np.cumsum(known)])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - width, 0)
    n = count[end] - count[start]
    mean: FloatArray = np.where(n > 0, (total[end] - total[start]) / np.maximum(n, 1), np.nan)
    return mean


def _of_window(values: FloatArray, origins: IntArray, width: int, how: Callable[..., Any]) -> FloatArray:
    """Return the mean or median (`how`, numpy's) of the last `width` values up to each origin."""
    padded = np.concatenate([np.full(width - 1, values[0]), values])
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)
    found: FloatArray = how(windows[origins], axis=1)
    for position in np.flatnonzero(origins < width - 1):
        found[position] = how(values[: origins[position] + 1])
    return found
