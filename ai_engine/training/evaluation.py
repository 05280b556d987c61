"""How good a model is: errors in the target's unit, shares without one, always beside a baseline's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ai_engine.training.arrays import BoolArray, FloatArray
from ai_engine.training.metrics import TargetMetrics

# A number counts as right when it is off by no more than this share of what the target does in training.
TOLERANCE: Final = 0.1


def measure_numbers(
    observed: FloatArray,
    predicted: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    baseline: FloatArray,
    training_range: float,
) -> TargetMetrics:
    """Return the measures of predicted numbers.

    Parameters
    ----------
    observed, predicted, lower, upper, baseline : array, all of one shape
        What was held out, what the model says, its 90 % interval, and what the baseline says, in one unit.
    training_range : float
        The target's highest less its lowest value in the training rows.

    References
    ----------
    Hyndman & Koehler (2006), Int. J. Forecasting 22(4), 679-688, on errors relative to a naive forecast.

    Examples
    --------
    >>> y = np.array([1.0, 2.0, 3.0, 4.0])
    >>> found = measure_numbers(y, y + 0.5, y - 1, y + 1, np.full(4, 2.0), training_range=4.0)
    >>> found.mae, found.baseline_mae, found.skill, found.accuracy_score, found.confidence_score
    (0.5, 1.0, 0.5, 0.0, 1.0)
    """
    error = np.abs(observed - predicted)
    mae, baseline_mae = float(error.mean()), float(np.abs(observed - baseline).mean())
    mse = float(np.square(error).mean())
    variance = float(np.square(observed - observed.mean()).mean())
    return TargetMetrics(
        mae=mae,
        mse=mse,
        r2=1 - mse / variance if variance > 0 else None,
        accuracy_score=float((error <= TOLERANCE * training_range).mean()) if training_range > 0 else None,
        confidence_score=float(((lower <= observed) & (observed <= upper)).mean()),
        baseline_mae=baseline_mae,
        skill=skill(mae, baseline_mae),
    )


def measure_classes(right: BoolArray, baseline_right: BoolArray) -> TargetMetrics:
    """Return the measures of predicted classes.

    Parameters
    ----------
    right, baseline_right : array of bool, shape (n_rows,)
        Where the model, and where the majority class of the training rows, gives the observed class.

    Examples
    --------
    >>> found = measure_classes(np.array([True, True, True, False]), np.array([True, False, True, False]))
    >>> found.accuracy_score, found.mae, found.skill
    (0.75, 0.25, 0.5)
    """
    wrong, baseline_wrong = 1 - float(right.mean()), 1 - float(baseline_right.mean())
    return TargetMetrics(
        mae=wrong,
        mse=wrong,
        r2=None,
        accuracy_score=float(right.mean()),
        confidence_score=None,
        baseline_mae=baseline_wrong,
        skill=skill(wrong, baseline_wrong),
    )


def skill(mae: float, baseline_mae: float) -> float | None:
    """Return 1 - mae / baseline_mae, or None for a baseline without error.

    >>> skill(1.0, 4.0), skill(1.0, 0.0)
    (0.75, None)
    """
    return 1 - mae / baseline_mae if baseline_mae > 0 else None


@dataclass(frozen=True, slots=True)
class DetectionMetrics:
    """How flags compare with labels.

    Attributes
    ----------
    precision, recall, f1 : float or None
        Of the rows flagged, the share that are labelled; of those labelled, the share that are flagged; the
        harmonic mean of both. None where the share is one of nothing.
    """

    precision: float | None
    recall: float | None
    f1: float | None


def measure_flags(labels: BoolArray, flags: BoolArray) -> DetectionMetrics:
    """Return precision, recall and F1 of flags, row by row.

    Parameters
    ----------
    labels, flags : array of bool, shape (n_rows,)

    References
    ----------
    van Rijsbergen (1979), Information Retrieval, ch. 7.

    Examples
    --------
    >>> measure_flags(np.array([True, True, False, False]), np.array([True, False, True, False]))
    DetectionMetrics(precision=0.5, recall=0.5, f1=0.5)
    """
    hits, flagged, labelled = int((labels & flags).sum()), int(flags.sum()), int(labels.sum())
    return DetectionMetrics(
        precision=hits / flagged if flagged else None,
        recall=hits / labelled if labelled else None,
        f1=2 * hits / (flagged + labelled) if flagged + labelled else None,
    )


def point_adjusted(labels: BoolArray, flags: BoolArray) -> BoolArray:
    """Return the flags with each labelled segment flagged as a whole if any row of it is.

    Numbers after this adjustment flatter: a random score reaches what published methods do. Print them only
    beside the plain ones and a random score's.

    References
    ----------
    Kim et al. (2022), Towards a rigorous evaluation of time-series anomaly detection, AAAI 36(7).

    Examples
    --------
    >>> point_adjusted(np.array([1, 1, 0, 1], bool), np.array([0, 1, 0, 0], bool)).tolist()
    [True, True, False, False]
    """
    adjusted = flags.copy()
    edges = np.flatnonzero(np.diff(labels.astype(np.int8))) + 1
    for segment in np.split(np.arange(len(labels)), edges):
        if len(segment) and labels[segment[0]] and flags[segment].any():
            adjusted[segment] = True
    return adjusted
