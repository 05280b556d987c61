"""How long a season is, in steps: the day where there is one, else what the values repeat after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ai_engine.training.arrays import FloatArray
from ai_engine.training.features import DAY

# A week at five minutes. Longer seasons need longer contexts at every prediction than callers send.
LONGEST: Final = 2016
# Recent values are enough to see a season, and the search is quadratic.
LOOKED_AT: Final = 8 * LONGEST
# A whole multiple of the season fits about as well as the season; the shortest that is nearly as good is
# taken.
AS_GOOD: Final = 1.05
SHORTEST: Final = 2


def season_steps(runs: Sequence[FloatArray], interval: float | None) -> int | None:
    """Return the steps of one season of a target, or None where none can be seen.

    Parameters
    ----------
    runs : sequence of array
        The target's uninterrupted training values, of one or more VMs.
    interval : float or None
        Seconds between values; None without timestamps.

    Returns
    -------
    int or None
        A day, where at least two of them were seen in a row; else the lag at which the values come closest to
        repeating themselves, seen at least twice.

    Examples
    --------
    >>> season_steps([np.sin(2 * np.pi * np.arange(200) / 25)], None)
    25
    >>> season_steps([np.arange(50.0)], None) is None
    True
    """
    longest = max(runs, key=len, default=np.empty(0))[-LOOKED_AT:]
    if interval:
        day = round(DAY / interval)
        if SHORTEST <= day <= LONGEST and len(longest) >= 2 * day:
            return day
    return _repetition(longest)


def _repetition(values: FloatArray) -> int | None:
    lags = np.arange(1, min(len(values) // 2, LONGEST) + 1)
    if len(lags) < SHORTEST + 1:
        return None
    distance = np.array([np.abs(values[lag:] - values[:-lag]).mean() for lag in lags])
    # A dip: closer to repeating than one step earlier and later. Without one the series only drifts.
    dips = 1 + np.flatnonzero((distance[1:-1] < distance[:-2]) & (distance[1:-1] <= distance[2:]))
    if len(dips) == 0:
        return None
    tolerance = AS_GOOD * distance[dips].min() + 1e-9 * distance.mean()
    return int(lags[dips[distance[dips] <= tolerance][0]])
