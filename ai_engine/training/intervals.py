"""Prediction intervals from the errors that a model made on rows that its fit had not seen."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.special import stdtrit

from ai_engine.training.arrays import FloatArray

COVERAGE: Final = 0.9


def conformal_radius(errors: FloatArray, spans: float = np.inf) -> FloatArray:
    """Return the half-widths that hold 90 % of new errors, one a column.

    Parameters
    ----------
    errors : array, shape (n_rows, n_columns)
        Absolute errors on calibration rows, in any unit; NaN where what happened was not measured.
    spans : float
        How many of the rows tell of a time of their own: windows that overlap repeat each other's errors.
        What was seen over few spans is widened as Student's t is against the normal distribution.

    Returns
    -------
    array, shape (n_columns,)
        The ceil(0.9 (n + 1))-th smallest error of each column; with fewer than nine rows, where no finite
        half-width has the guarantee, the largest. Both times the widening.

    References
    ----------
    Lei et al. (2018), Distribution-free predictive inference for regression, JASA 113(523), 1094-1111: the
    guarantee for rows that are exchangeable. Rows in time are not, so the share that is really inside is
    measured on the held-out rows and reported. Student (1908), The probable error of a mean, Biometrika 6(1),
    1-25.

    Examples
    --------
    >>> conformal_radius(np.arange(1.0, 20.0)[:, None])
    array([18.])
    >>> conformal_radius(np.arange(1.0, 20.0)[:, None], spans=5).round(1)
    array([22.1])
    """
    radius = np.array([_radius(column[~np.isnan(column)]) for column in errors.T])
    # A step that no calibration row reaches is as uncertain as the most uncertain one that is known.
    known = np.where(np.isnan(radius), np.nanmax(radius, initial=0.0), radius)
    two_sided = (1 + COVERAGE) / 2
    return known * float(stdtrit(max(spans, 1.0), two_sided) / stdtrit(np.inf, two_sided))


def _radius(errors: FloatArray) -> float:
    if not len(errors):
        return float("nan")
    rank = min(int(np.ceil(COVERAGE * (len(errors) + 1))), len(errors))
    return float(np.sort(errors)[rank - 1])
