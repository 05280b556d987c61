"""Prediction intervals from the errors that a model made on rows that its fit had not seen."""

from __future__ import annotations

from typing import Final

import numpy as np

from ai_engine.training.table import FloatArray

COVERAGE: Final = 0.9


def conformal_radius(errors: FloatArray) -> FloatArray:
    """Return the half-widths that hold 90 % of new errors, one a column.

    Parameters
    ----------
    errors : array, shape (n_rows, n_columns)
        Absolute errors on calibration rows, in any unit; NaN where what happened was not measured.

    Returns
    -------
    array, shape (n_columns,)
        The ceil(0.9 (n + 1))-th smallest error of each column; with fewer than nine rows, where no finite
        half-width has the guarantee, the largest.

    References
    ----------
    Lei et al. (2018), Distribution-free predictive inference for regression, JASA 113(523), 1094-1111: the
    guarantee for rows that are exchangeable. Rows in time are not, so the share that is really inside is
    measured on the held-out rows and reported.

    Examples
    --------
    >>> conformal_radius(np.arange(1.0, 20.0)[:, None])
    array([18.])
    """
    radius = np.array([_radius(column[~np.isnan(column)]) for column in errors.T])
    # A step that no calibration row reaches is as uncertain as the most uncertain one that is known.
    return np.where(np.isnan(radius), np.nanmax(radius, initial=0.0), radius)


def _radius(errors: FloatArray) -> float:
    if not len(errors):
        return float("nan")
    rank = min(int(np.ceil(COVERAGE * (len(errors) + 1))), len(errors))
    return float(np.sort(errors)[rank - 1])
