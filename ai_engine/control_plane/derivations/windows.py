"""Formulas of many series weighed on their own past windows, and intervals measured on later ones.

All at once: the first axis of every array is the series. Nothing is said of a window by what followed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from ai_engine.training.arrays import BoolArray, FloatArray, IntArray
from ai_engine.training.estimators.beliefs import SHARPNESS, combined, group_of
from ai_engine.training.estimators.fleet import measured_steps
from ai_engine.training.intervals import conformal_radius

# Windows that are measured with one interval, that of all before them.
MOST_BLOCKS: Final = 6
# Shorter histories have windows from their first point on, and look less far ahead.
SHORT: Final = 12


@dataclass(frozen=True, slots=True)
class Places:
    """Where the windows of a history of so many slots lie.

    Attributes
    ----------
    origins : array of int, shape (n_windows,)
        Their last known slots.
    judged : array of int, shape (n_judged,)
        Steps ahead that they are measured at, from 1.
    spans : float
        How many of the windows do not overlap: so many tell of a time of their own.
    """

    origins: IntArray
    judged: IntArray
    spans: float

    @classmethod
    def of(cls, slots: int, steps: int, most: int) -> Places:
        """Return at most `most` windows of a history, evenly spread over its later two thirds."""
        reach = max(1, (slots - 1) // 3 if slots < SHORT else (slots - 1) // 2)
        judged = measured_steps(min(steps, reach))
        span = int(judged[-1])
        earliest = 0 if slots < SHORT else max(1, min(slots // 3, slots - 1 - span - most))
        origins = np.unique(np.linspace(earliest, slots - 1 - span, most).round().astype(np.intp))
        return cls(origins, judged, max(1.0, (slots - earliest) / span))


@dataclass(frozen=True, slots=True)
class Measured:
    """What windows have shown of series.

    Attributes
    ----------
    expected, width : array, shape (n_series, n_steps)
        What is foretold, and half of the 90 % interval around it.
    held, checked : array of int, shape (n_series,)
        How many values lay inside the interval of the windows before them, of how many.
    errors, naive : array, shape (n_series, n_windows, n_judged)
        Absolute errors of what was foretold, and of the last value carried forward; NaN where nothing came.
    """

    expected: FloatArray
    width: FloatArray
    held: IntArray
    checked: IntArray
    errors: FloatArray
    naive: FloatArray


def measured(past: FloatArray, seen: FloatArray, now: FloatArray, places: Places) -> Measured:
    """Return what is foretold of series, and what of it was measured.

    Parameters
    ----------
    past : array, shape (n_series, n_windows, n_judged, n_formulas)
        What the formulas said in past windows; NaN where one is not known, and never of the first, the last
        value.
    seen : array, shape (n_series, n_windows, n_judged)
        What came; NaN where nothing was measured.
    now : array, shape (n_series, n_steps, n_formulas)
        What the formulas say now.

    References
    ----------
    Bates & Granger (1969), Operational Research Quarterly 20(4), 451-468: weights by past errors. Lei et al.
    (2018), JASA 113(523), 1094-1111: intervals from errors that the fit has not seen. Tashman (2000), Int. J.
    Forecasting 16(4), 437-450: errors measured by moving the origin.
    """
    known = np.flatnonzero(~np.isnan(seen).all(axis=(0, 2)))
    half = max(1, len(known) // 2)
    first, later = known[:half], known[half:] if len(known) > half else known
    groups = group_of(places.judged)
    share = shares(past[:, first], seen[:, first], groups)
    told = combined(past[:, later], share[:, None, groups])
    errors = np.abs(seen[:, later] - told)
    held, checked = _held(errors, groups, places.spans)
    radius = _radius(errors, groups, places.spans)
    ahead = np.minimum(group_of(np.arange(1, now.shape[1] + 1)), int(groups[-1]))
    final = shares(past[:, known], seen[:, known], groups)
    return Measured(
        combined(now, final[:, ahead]),
        radius[:, ahead],
        held,
        checked,
        errors,
        np.abs(seen[:, later] - past[:, later][..., 0]),
    )


def shares(past: FloatArray, seen: FloatArray, groups: IntArray) -> FloatArray:
    """Return how much each formula counts, by step group; those unknown in most windows do not.

    Returns
    -------
    array, shape (n_series, n_groups, n_formulas)
        Sums to 1 in each group.
    """
    errors = np.abs(past - seen[..., None])
    n_series, n_formulas = len(past), past.shape[-1]
    overall, enough = _mean_known(errors.reshape(n_series, -1, n_formulas))
    means = np.full((n_series, int(groups[-1]) + 1, n_formulas), np.inf)
    for group in range(means.shape[1]):
        part = errors[:, :, groups == group].reshape(n_series, -1, n_formulas)
        mean, often = _mean_known(part)
        # Few windows tell little of one group: half of it is the mean over all steps.
        means[:, group] = np.where(often & enough, (mean + overall) / 2, np.inf)
    alone = np.where(enough[:, :1], overall[:, :1], 1.0)
    means[..., 0] = np.where(np.isfinite(means[..., 0]), means[..., 0], alone)
    least = np.maximum(means.min(axis=-1, keepdims=True), 1e-12)
    share = (least / np.maximum(means, least)) ** SHARPNESS
    normed: FloatArray = share / share.sum(axis=-1, keepdims=True)
    return normed


def _held(errors: FloatArray, groups: IntArray, spans: float) -> tuple[IntArray, IntArray]:
    """Return how many values lay inside the interval of the windows before them, and of how many."""
    held = np.zeros(len(errors), dtype=np.intp)
    checked = np.zeros(len(errors), dtype=np.intp)
    n_windows = errors.shape[1]
    edges = np.unique(np.linspace(1, n_windows, MOST_BLOCKS + 1).round().astype(np.intp))
    for start, end in pairwise(edges.tolist()):
        radius = _radius(errors[:, :start], groups, spans)[:, None, groups]
        part = errors[:, start:end]
        known = ~np.isnan(part)
        held += ((part <= radius + 1e-12) & known).sum(axis=(1, 2))
        checked += known.sum(axis=(1, 2))
    return held, checked


def _radius(errors: FloatArray, groups: IntArray, spans: float) -> FloatArray:
    """Return half the width of the interval by step group, which never shrinks with the step."""
    radius = np.zeros((len(errors), int(groups[-1]) + 1))
    for group in range(radius.shape[1]):
        part = errors[:, :, groups == group].reshape(len(errors), -1)
        radius[:, group] = conformal_radius(part.T, spans)
    widest: FloatArray = np.maximum.accumulate(radius, axis=1)
    return widest


def _mean_known(errors: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Return means over the middle axis, and whether at least half of it is known."""
    known = ~np.isnan(errors)
    count = known.sum(axis=1)
    total = np.where(known, errors, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.inf), 2 * count >= max(errors.shape[1], 1)
