"""What the rows before a row say, at every row: medians, means and quantiles of what came just before.

All of these are causal: the value at a row depends on that row and earlier ones only, so that a row is judged
the same whether or not later rows are known.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import percentile_filter

from ai_engine.training.arrays import FloatArray


def trailing_mean(values: FloatArray, window: int) -> FloatArray:
    """Return the mean of each row and the rows before it, of as many as there are at the beginning.

    Parameters
    ----------
    values : array, shape (n_rows,) or (n_rows, n_columns)
    window : int
        How many rows, the row itself included.

    Examples
    --------
    >>> trailing_mean(np.array([1.0, 3.0, 5.0]), 2).tolist()
    [1.0, 2.0, 4.0]
    """
    # From the first row on, so that the running sums stay small beside what they are to tell.
    shift = values[:1]
    sums = np.concatenate([np.zeros_like(shift), np.cumsum(values - shift, axis=0)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    counts = (ends - starts).reshape(-1, *[1] * (values.ndim - 1))
    means: FloatArray = (sums[ends] - sums[starts]) / counts + shift
    return means


def trailing_deviation(values: FloatArray, window: int) -> FloatArray:
    """Return the standard deviation of each row and the rows before it, shape (n_rows,).

    >>> trailing_deviation(np.array([1.0, 3.0, 5.0]), 2).tolist()
    [0.0, 1.0, 1.0]
    """
    centred = values - values[:1]
    mean = trailing_mean(centred, window)
    deviation: FloatArray = np.sqrt(np.maximum(trailing_mean(centred * centred, window) - mean * mean, 0.0))
    return deviation


def trailing_quantile(values: FloatArray, window: int, share: float, before: float) -> FloatArray:
    """Return the value that a share of the last rows stays below, as if `before` had come for ever.

    Parameters
    ----------
    values : array, shape (n_rows,)
    window : int
        How many rows, the row itself included.
    share : float
        0.5 is the median.
    before : float
        What the rows before the first one are taken to have been.

    Examples
    --------
    >>> trailing_quantile(np.array([1.0, 3.0, 5.0, 4.0]), 3, 0.5, 0.0).tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    padded = np.concatenate([np.full(window - 1, before), values])
    return _filtered(padded, window, share)[window - 1 :]


def trailing_median(values: FloatArray, window: int) -> FloatArray:
    """Return the median of each row and the rows before it, shape (n_rows, n_columns).

    Until there are `window` rows it is that of the first 1, 2, 4, 8 … of them.

    >>> trailing_median(np.array([[1.0], [9.0], [2.0], [3.0], [4.0]]), 3).ravel().tolist()
    [1.0, 5.0, 2.0, 3.0, 3.0]
    """
    medians = np.empty_like(values)
    start = 1
    while start <= min(len(values), window - 1):
        medians[start - 1 : 2 * start - 1] = np.median(values[:start], axis=0)
        start *= 2
    if len(values) >= window:
        for number, column in enumerate(values.T):
            medians[window - 1 :, number] = _filtered(column, window, 0.5)[window - 1 :]
    return medians


def lagged(values: FloatArray, steps: int) -> FloatArray:
    """Return the values so many rows before, the first one where there is none, shape (n_rows,).

    >>> lagged(np.array([1.0, 2.0, 3.0]), 1).tolist()
    [1.0, 1.0, 2.0]
    """
    steps = min(steps, len(values))
    return np.concatenate([np.repeat(values[:1], steps), values[: len(values) - steps]])


def _filtered(values: FloatArray, window: int, share: float) -> FloatArray:
    """Return at each row the share of the window that ends there; the first rows are not to be used."""
    origin = (window - 1) // 2 if window % 2 else window // 2 - 1
    found = percentile_filter(values, 100 * share, size=window, origin=origin, mode="nearest")
    return np.asarray(found, dtype=np.float64)
