"""Points of a metric that are unusual beside those before them, without a training.

Causal: what is thought of a point depends on it and on earlier ones alone. Two judges, the stronger one
counts: the distance from the median of the points before in robust spreads, at every length; and from
`SERIES_POINTS` on the four signals of `training/estimators/series.py` as well, which see changes of level and
of spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from ai_engine.control_plane.tracks import Track
from ai_engine.training.arrays import BoolArray, FloatArray
from ai_engine.training.estimators.trailing import trailing_quantile
from ai_engine.training.grid import median_interval
from ai_engine.training.table import Table

# A point is compared with as many before it; a day of five minutes.
BEFORE: Final = 288
# With fewer before it a point is not judged: their median and spread are those of nothing.
LEAST_BEFORE: Final = 3
# With fewer the spread is taken for larger, as much as what is known of it is less.
SETTLED: Final = 8
SERIES_POINTS: Final = 200
SETTLING: Final = 150
# In robust spreads. 3.5 is the usual limit for a known spread; one from a handful of points is itself
# uncertain.
LIMIT: Final = 5.0
# An alarm lies so many times the distance of upper quartile and median beyond the upper quartile of the
# distances before it as well: in restless series what is far out is usual.
REACH: Final = 3.0
# Points before that tell it: the last ones, and a day of five minutes.
RESTLESS: Final = (72, BEFORE)
# What was never seen before is unusual that much sooner, by its distance from the nearest value that was.
NEW: Final = 0.4
# Scores from 0 to 1, and what they are called from there on.
SEVERITIES: Final = ((0.8, "critical"), (0.6, "high"), (0.4, "medium"), (0.2, "low"), (0.0, "normal"))
# Multiples of the threshold, and the scores that they are.
_MULTIPLES: Final = (0.0, 1.0, 1.5, 2.0, 3.0)
_SCORES: Final = (0.0, 0.2, 0.4, 0.6, 0.8)
LONGEST_PAUSE: Final = 2
# A deviation that lasts is a change of level.
LASTING: Final = 5


@dataclass(frozen=True, slots=True)
class Judged:
    """What is thought of the points of a metric.

    Attributes
    ----------
    multiples : array, shape (n,)
        How unusual each is, in multiples of the threshold; 0 where too few came before.
    flags : array of bool, shape (n,)
        Which are anomalies.
    usual, spread : array, shape (n,)
        The median of the points before and their robust spread; NaN where too few came before.
    judged : int
        How many points were judged.
    """

    multiples: FloatArray
    flags: BoolArray
    usual: FloatArray
    spread: FloatArray
    judged: int


def score_of(multiple: float) -> float:
    """Return a multiple of the threshold as a score from 0 to 1; 0.2 is the threshold.

    >>> [score_of(multiple) for multiple in (0, 1, 2, 3, 6)]
    [0.0, 0.2, 0.6, 0.8, 0.9]
    """
    if multiple > _MULTIPLES[-1]:
        return float(1 - (1 - _SCORES[-1]) * _MULTIPLES[-1] / multiple)
    return round(float(np.interp(multiple, _MULTIPLES, _SCORES)), 9)


def severity_of(score: float) -> str:
    """Return what a score is called.

    >>> [severity_of(score) for score in (0.1, 0.2, 0.5, 0.6, 1.0)]
    ['normal', 'low', 'medium', 'high', 'critical']
    """
    return next(name for least, name in SEVERITIES if score >= least)


def limit_of(sensitivity: float | None, usual: float) -> float:
    """Return the threshold in robust spreads: the more sensitive, the lower.

    Parameters
    ----------
    sensitivity : float or None
        What the caller asks for, above 0; None: `usual`.
    usual : float
        The sensitivity at which the threshold is `LIMIT`.

    Examples
    --------
    >>> limit_of(None, 0.1), limit_of(0.1, 0.1), limit_of(1.6, 0.1), limit_of(0.0, 0.1)
    (5.0, 5.0, 2.5, 10.0)
    """
    if sensitivity is None:
        return LIMIT
    ratio = max(sensitivity, 1e-9) / usual
    return float(LIMIT * np.clip(ratio**-0.25, 0.5, 2.0))


def judge(track: Track, limit: float = LIMIT) -> Judged:
    """Return what is thought of each point of a track.

    References
    ----------
    Iglewicz & Hoaglin (1993), How to detect and handle outliers, ASQC: distances from the median in 1.4826
    times the median absolute deviation. von Neumann (1941), Annals of Mathematical Statistics 12(4), 367-395,
    on differences of successive values as a spread that a trend does not widen.
    """
    values = track.values
    usual, spread = _before(values)
    known = ~np.isnan(usual)
    distance = np.where(known, np.abs(values - usual) / np.where(known, spread, 1.0), 0.0)
    multiples = distance / limit
    flags = distance > limit
    if known.any():
        for rows in RESTLESS:
            upper, middle = (trailing_quantile(distance, rows, share, 0.0) for share in (0.75, 0.5))
            flags &= distance > np.concatenate([[0.0], (upper + REACH * (upper - middle))[:-1]])
        # What does not stand out is no anomaly, however far out it lies.
        multiples = np.where(flags, multiples, np.minimum(multiples, 0.99))
        beyond = np.where(known, _beyond(values) / np.where(known, spread, 1.0), 0.0) / (NEW * limit)
        flags = flags | (beyond > 1)
        multiples = np.maximum(multiples, np.where(beyond > 1, beyond, np.minimum(beyond, 0.99)))
    if len(values) >= SERIES_POINTS:
        from ai_engine.training.estimators.series import SeriesV1  # a second, for scikit-learn

        # Its spread is that of the first points: of all, later ones would change what was thought of earlier.
        series = SeriesV1.fitted([values[:SERIES_POINTS, None]], _interval(track), None)
        told = series.judge(values[:, None], None)
        eased = told.scores * LIMIT / limit
        # When the first earlier day comes into sight its distance jumps from nothing, which is no alarm.
        settled = np.arange(len(values)) >= max(SERIES_POINTS, series.rows_a_day + SETTLING)
        alarms = told.flags & (eased > 1) & settled
        multiples = np.where(alarms, np.maximum(multiples, eased), multiples)
        flags = flags | alarms
    return Judged(multiples, flags, usual, spread, int(known.sum()))


def judge_beside(
    values: Mapping[str, float], usual: Mapping[str, tuple[float, float]], limit: float
) -> dict[str, float]:
    """Return how unusual single numbers are beside what is usual, in multiples of the threshold.

    Parameters
    ----------
    values : mapping of str to float
        By metric.
    usual : mapping of str to pair of float
        The middle and the spread, above 0; metrics without are not judged.
    """
    return {
        name: abs(value - usual[name][0]) / usual[name][1] / limit
        for name, value in values.items()
        if name in usual
    }


def usual_of(values: FloatArray) -> tuple[float, float]:
    """Return the median of values and their robust spread, above 0.

    >>> usual_of(np.array([1.0, 2.0, 3.0, 4.0, 90.0]))
    (3.0, 1.4826)
    """
    middle = float(np.median(values))
    return middle, _spread(values, middle)


def kind_of(track: Track, judged: Judged, at: int) -> str:
    """Return what kind of anomaly a point is: a spike, a drop, or the beginning of another level."""
    usual = judged.usual[at]
    higher = track.values[at] > (usual if np.isfinite(usual) else np.median(track.values))
    run = judged.flags[at : at + LASTING]
    if len(run) == LASTING and run.all():
        return "level_shift"
    return "spike" if higher else "drop"


def _before(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the median and the robust spread of the points before each; NaN where they are too few."""
    n = len(values)
    usual, spread = np.full(n, np.nan), np.full(n, np.nan)
    for at in range(LEAST_BEFORE, min(n, BEFORE)):
        usual[at], spread[at] = usual_of(values[:at])
        spread[at] *= max(1.0, (SETTLED / at) ** 2)
    if n > BEFORE:
        windows = np.lib.stride_tricks.sliding_window_view(values, BEFORE)[:-1]
        middle = np.median(windows, axis=1)
        steps = np.abs(np.diff(values))
        moved = np.median(np.lib.stride_tricks.sliding_window_view(steps, BEFORE - 1)[: len(windows)], axis=1)
        away = np.median(np.abs(windows - middle[:, None]), axis=1)
        size = np.abs(windows).max(axis=1)
        usual[BEFORE:] = middle
        spread[BEFORE:] = np.maximum(1.4826 * np.maximum(away, moved), 1e-3 * size + 1e-12)
    return usual, spread


def _beyond(values: FloatArray) -> FloatArray:
    """Return how far each value lies outside of all before it; 0 for those inside and for the first."""
    highest = np.maximum.accumulate(np.append(values[0], values))[:-1]
    lowest = np.minimum.accumulate(np.append(values[0], values))[:-1]
    beyond: FloatArray = np.maximum(np.maximum(values - highest, lowest - values), 0.0)
    return beyond


def runs_of(flags: BoolArray) -> list[tuple[int, int]]:
    """Return the first and the last row of each run of anomalies; a row or two between two do not part them.

    >>> runs_of(np.array([1, 0, 1, 0, 0, 0, 1], dtype=bool))
    [(0, 2), (6, 6)]
    """
    rows = np.flatnonzero(flags)
    if not len(rows):
        return []
    parts = np.split(rows, np.flatnonzero(np.diff(rows) > LONGEST_PAUSE + 1) + 1)
    return [(int(part[0]), int(part[-1])) for part in parts]


def _spread(values: FloatArray, middle: float) -> float:
    away = float(np.median(np.abs(values - middle)))
    moved = float(np.median(np.abs(np.diff(values)))) if len(values) > 1 else 0.0
    return max(1.4826 * max(away, moved), 1e-3 * float(np.abs(values).max()) + 1e-12)


def _interval(track: Track) -> float | None:
    n = len(track)
    return median_interval(
        Table(
            {track.name: track.values}, {}, track.times, np.zeros(n, dtype=np.intp), (None,), np.arange(n), {}
        )
    )
