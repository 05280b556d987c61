"""Forecasts of many alike series at once: of a thousand VMs, arrays instead of a thousand loops.

The formulas are fewer than those of one series (`series.py`): the last value, that of a season before, means
and medians of up to seven earlier seasons at that time, and recent levels. All else is as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ai_engine.control_plane.derivations.series import Forecast, interval_of, told_of
from ai_engine.control_plane.derivations.windows import Places, measured
from ai_engine.control_plane.tracks import Track
from ai_engine.training.arrays import FloatArray, IntArray
from ai_engine.training.formulas import DAY_SECONDS, WEEK
from ai_engine.training.season import AS_GOOD, SHORTEST

# Fewer are as quick one by one.
LEAST_ALIKE: Final = 4
LEAST_POINTS: Final = 24
MOST_WINDOWS: Final = 16
# Series that are in memory at once, a megabyte each.
MOST_AT_ONCE: Final = 500
# Slots of the levels.
LEVELS: Final = (12, 36)
# Of the median distance over all lags: a repetition comes that much closer than chance.
CLOSER: Final = 0.8


def forecasts(tracks: Sequence[Track], steps: int) -> list[Forecast | None]:
    """Return what follows each track, in their order; None of those that are like too few others.

    Alike are tracks of as many points, as far apart, without a gap.
    """
    alike: dict[tuple[int, float], list[int]] = {}
    for number, track in enumerate(tracks):
        interval = _regular(track)
        if interval is not None and len(track) >= LEAST_POINTS:
            alike.setdefault((len(track), interval), []).append(number)
    found: list[Forecast | None] = [None] * len(tracks)
    for (_, interval), numbers in alike.items():
        if len(numbers) < LEAST_ALIKE:
            continue
        values = np.stack([tracks[number].values for number in numbers])
        seasons = seasons_of(values, interval)
        for season in np.unique(seasons).tolist():
            same = np.flatnonzero(seasons == season)
            for start in range(0, len(same), MOST_AT_ONCE):
                rows = same[start : start + MOST_AT_ONCE]
                part = _of_season(
                    [tracks[numbers[row]] for row in rows], values[rows], interval, season, steps
                )
                for row, one in zip(rows.tolist(), part, strict=True):
                    found[numbers[row]] = one
    return found


def seasons_of(values: FloatArray, interval: float) -> IntArray:
    """Return after how many slots each series repeats itself, shape (n_series,).

    A day where two of them were seen, else the lag at which values come closest to repeating themselves; all
    of the history where none comes close.

    Examples
    --------
    >>> seasons_of(np.tile([0.0, 1.0, 5.0, 1.0], (2, 9)), 60.0).tolist()
    [4, 4]
    """
    n_series, n = values.shape
    day = round(DAY_SECONDS / interval)
    if SHORTEST <= day <= n // 2:
        return np.full(n_series, day)
    lags = np.arange(1, n // 2 + 1)
    distance = np.stack([np.abs(values[:, lag:] - values[:, :-lag]).mean(axis=1) for lag in lags], axis=1)
    dips = (distance[:, 1:-1] < distance[:, :-2]) & (distance[:, 1:-1] <= distance[:, 2:])
    least = np.where(dips, distance[:, 1:-1], np.inf).min(axis=1, keepdims=True, initial=np.inf)
    middle = np.median(distance, axis=1, keepdims=True)
    good = dips & (distance[:, 1:-1] <= AS_GOOD * least + 1e-9 * middle) & (least <= CLOSER * middle)
    found: IntArray = np.where(good.any(axis=1), lags[1:-1][good.argmax(axis=1)], n)
    return found


def _of_season(
    tracks: Sequence[Track], values: FloatArray, interval: float, season: int, steps: int
) -> list[Forecast]:
    n = values.shape[1]
    places = Places.of(n, steps, MOST_WINDOWS)
    past = _formulas(values, places.origins, places.judged, season)
    now = _formulas(values, np.array([n - 1]), np.arange(1, steps + 1), season)[:, 0]
    seen = values[:, places.origins[:, None] + places.judged]
    found = measured(past, seen, now, places)
    return [
        told_of(track, values[number], interval, places, season, found, number)
        for number, track in enumerate(tracks)
    ]


def _formulas(values: FloatArray, origins: IntArray, steps: IntArray, season: int) -> FloatArray:
    """Return what the formulas say, shape (n_series, n_windows, n_steps, n_formulas)."""
    shape = (len(values), len(origins), len(steps))
    slots = origins[:, None] + 1 + (steps - 1) % season
    lagged = []
    for back in range(1, WEEK + 1):
        at = slots - back * season
        lagged.append(np.where(at >= 0, values[:, np.maximum(at, 0)], np.nan))
    earlier = np.stack(lagged, axis=-1)
    columns = [np.broadcast_to(values[:, origins][:, :, None], shape), lagged[0]]
    for most in (3, WEEK):
        columns += [_mean(earlier[..., :most]), _median(earlier[..., :most])]
    for width in LEVELS:
        padded = np.concatenate([np.repeat(values[:, :1], width - 1, axis=1), values], axis=1)
        windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=1)[:, origins]
        for level in (windows.mean(axis=-1), np.median(windows, axis=-1)):
            columns.append(np.broadcast_to(level[:, :, None], shape))
    return np.stack(columns, axis=-1)


def _mean(values: FloatArray) -> FloatArray:
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    mean: FloatArray = np.where(known, values, 0.0).sum(axis=-1) / np.maximum(count, 1)
    return np.where(count > 0, mean, np.nan)


def _median(values: FloatArray) -> FloatArray:
    ordered = np.sort(values, axis=-1)  # NaN last
    count = np.maximum((~np.isnan(values)).sum(axis=-1, keepdims=True), 1)
    low, high = (np.take_along_axis(ordered, (count - back) // 2, axis=-1)[..., 0] for back in (1, 0))
    middle: FloatArray = (low + high) / 2
    return middle


def _regular(track: Track) -> float | None:
    """Return the seconds between two points of a track that has no gap; None for any other."""
    if track.times is None or len(track) < SHORTEST:
        return None
    interval = interval_of(track)
    if interval is None or not np.allclose(np.diff(track.times), interval, rtol=0.05, atol=0.0):
        return None
    return round(interval, 1)
