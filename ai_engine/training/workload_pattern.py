"""The pattern of a VM's load: how strong its seasons and its trend are, and what they make it be called."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ai_engine.training.arrays import FloatArray

WEEK: Final = 7  # days
# From here on a season or a trend gives the pattern its name: it explains that share of the variance.
STRONG: Final = 0.4


def pattern_of(values: FloatArray, day: int, idle_below: float) -> dict[str, Any]:
    """Return the pattern of a VM and what it was told by (JSON values).

    Parameters
    ----------
    values : array, shape (n_slots,)
        Its history, without gaps.
    day : int
        Slots of a day.
    idle_below : float
        A VM is idle if 95 % of its values lie at or below.

    Returns
    -------
    dict
        ``pattern``: idle, periodic (a season explains `STRONG` of the variance), trending (a straight line
        does) or bursty; ``daily`` and ``weekly``, the strengths of the seasons, None with less than two of
        them; ``trend``.

    References
    ----------
    Wang, Smith & Hyndman (2006), Data Mining and Knowledge Discovery 13(3), 335-364: the strength of a season
    is 1 - var(remainder) / var(without trend).
    """
    slots = np.arange(len(values), dtype=np.float64)
    moves = len(values) > 2 and float(values.std()) > 0
    trend = float(np.corrcoef(slots, values)[0, 1] ** 2) if moves else 0.0
    # A line rises in every cycle alike: with it, it would be a season.
    level = values - np.polyval(np.polyfit(slots, values, 1), slots) if moves else values
    daily, weekly = season_strength(level, day), season_strength(level, WEEK * day)
    if np.quantile(values, 0.95) <= idle_below:
        pattern = "idle"
    elif max(daily or 0.0, weekly or 0.0) >= STRONG:
        pattern = "periodic"
    else:
        pattern = "trending" if trend >= STRONG else "bursty"
    return {"pattern": pattern, "daily": daily, "weekly": weekly, "trend": trend}


def season_strength(values: FloatArray, season: int) -> float | None:
    """Return which share of the variance about the mean of each cycle its phase explains, 0 to 1.

    The remainder of few cycles is too small by as much as their mean took of it, so it is multiplied by
    n / (n - 1). None with less than two cycles.

    Examples
    --------
    >>> season_strength(np.tile([0.0, 1.0, 5.0, 1.0], 6), 4)
    1.0
    >>> season_strength(np.ones(6), 4) is None
    True
    """
    cycles = len(values) // season
    if cycles < 2:
        return None
    table = values[len(values) - cycles * season :].reshape(cycles, season)
    about = table - table.mean(axis=1, keepdims=True)
    remainder = about - about.mean(axis=0)
    total = float(about.var())
    if total == 0:
        return 0.0
    return max(0.0, 1 - float(remainder.var()) * cycles / (cycles - 1) / total)
