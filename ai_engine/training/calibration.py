"""Whether intervals and probabilities keep what they say, told on held-out rows."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ai_engine.training.arrays import BoolArray, FloatArray
from ai_engine.training.findings import rounded
from ai_engine.training.intervals import COVERAGE

BINS: Final = 10


def interval_score(observed: FloatArray, lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Return the score of each 90 % interval, in the unit of the values: its width and what it missed by.

    The smaller the better: an interval pays for its width, and 20 times the distance to a value outside.

    References
    ----------
    Winkler (1972), JASA 67(337), 187-191; Gneiting & Raftery (2007), JASA 102(477), 359-378, section 6.2.

    Examples
    --------
    >>> interval_score(np.array([1.0, 5.0]), np.array([0.0, 0.0]), np.array([4.0, 4.0])).round(6).tolist()
    [4.0, 24.0]
    """
    outside = np.maximum(lower - observed, 0.0) + np.maximum(observed - upper, 0.0)
    score: FloatArray = (upper - lower) + 2 / (1 - COVERAGE) * outside
    return score


def intervals_told(
    observed: FloatArray, lower: FloatArray, upper: FloatArray, baseline: FloatArray
) -> dict[str, Any]:
    """Return how a target's 90 % intervals did (JSON values).

    Parameters
    ----------
    observed, lower, upper, baseline : array, all of one shape
        What came, the interval, and what the baseline said, in one unit.

    Returns
    -------
    dict
        ``nominal`` and ``observed``, shares; ``mean_width`` and ``interval_score`` in the unit of the target;
        ``scaled_interval_score``, the score as a multiple of the baseline's mean absolute error, None where
        that is 0; ``values``, how many.
    """
    score = float(interval_score(observed, lower, upper).mean())
    scale = float(np.abs(observed - baseline).mean())
    return {
        "nominal": COVERAGE,
        "observed": rounded(float(((lower <= observed) & (observed <= upper)).mean())),
        "mean_width": rounded(float((upper - lower).mean())),
        "interval_score": rounded(score),
        "scaled_interval_score": rounded(score / scale) if scale > 0 else None,
        "values": len(observed),
    }


def reliability(probability: FloatArray, right: BoolArray) -> dict[str, Any]:
    """Return how often answers are right, by the probability that was given to them (JSON values).

    Parameters
    ----------
    probability : array, shape (n_rows,)
        Of the class that was named.
    right : array of bool, shape (n_rows,)
        Whether it was that class.

    Returns
    -------
    dict
        ``bins``, ten of equal width: ``from``, ``to``, and the mean ``predicted`` and the ``observed`` share
        with their ``count``, both None in an empty one; ``expected_error``, the mean distance of the two
        over all rows.

    References
    ----------
    DeGroot & Fienberg (1983), The Statistician 32(1/2), 12-22; Naeini, Cooper & Hauskrecht (2015), AAAI 29,
    2901-2907, for the expected calibration error.

    Examples
    --------
    >>> told = reliability(np.array([0.75, 0.75, 1.0, 1.0]), np.array([True, False, True, True]))
    >>> told["expected_error"], told["bins"][7]["observed"], told["bins"][9]["count"]
    (0.125, 0.5, 2)
    """
    place = np.minimum((probability * BINS).astype(np.intp), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    some = np.maximum(count, 1)
    predicted = np.bincount(place, probability, BINS) / some
    observed = np.bincount(place, right.astype(np.float64), BINS) / some
    return {
        "expected_error": rounded(float((np.abs(predicted - observed) * count).sum() / max(len(place), 1))),
        "bins": [
            {
                "from": number / BINS,
                "to": (number + 1) / BINS,
                "predicted": rounded(float(predicted[number])) if count[number] else None,
                "observed": rounded(float(observed[number])) if count[number] else None,
                "count": int(count[number]),
            }
            for number in range(BINS)
        ],
    }
