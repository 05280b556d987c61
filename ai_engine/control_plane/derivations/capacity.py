"""How much capacity a demand asks for: its upper quantile over the horizon, over the use that is aimed at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# Aimed at, so that three tenths are left for what no forecast knows.
TARGET_USE: Final = 0.7
# Of the present capacity: no single step goes below.
LEAST: Final = 0.1
# Of capacity. The scheduler's own limits, and those of the integration layer.
SCHEDULER_LIMITS: Final = (0.3, 0.8)
INTEGRATION_LIMITS: Final = (0.25, 0.85)
UP, DOWN, HOLD = "scale_up", "scale_down", "maintain"
_PERCENT: Final = 100.0


@dataclass(frozen=True, slots=True)
class Policy:
    """When to change capacity, and to what.

    Attributes
    ----------
    low, high : float
        Shares of capacity: below the one it is lowered, above the other raised.
    target : float
        The share of capacity that the expected peak is to take.
    least : float
        The smallest capacity that is advised, in units of the present one: what was idle lately is not idle
        for ever.
    most : float or None
        The largest.
    """

    low: float
    high: float
    target: float = TARGET_USE
    least: float = LEAST
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do with a capacity.

    Attributes
    ----------
    action : str
        ``scale_up``, ``scale_down`` or ``maintain``.
    factor : float
        The capacity to have over the present one; 1 where it is kept.
    needed : float
        The same before the limits and bounds: what the target use asks for.
    """

    action: str
    factor: float
    needed: float


def advice(peak: float, policy: Policy) -> Advice:
    """Return what to do where the peak of a demand is expected at a share of the present capacity.

    Examples
    --------
    >>> advice(0.9, Policy(0.3, 0.8)).action, round(advice(0.9, Policy(0.3, 0.8)).factor, 4)
    ('scale_up', 1.2857)
    >>> advice(0.14, Policy(0.3, 0.8)).action, advice(0.0, Policy(0.3, 0.8)).factor
    ('scale_down', 0.1)
    >>> advice(0.5, Policy(0.3, 0.8)).factor
    1.0
    """
    needed = peak / policy.target
    factor = needed if peak > policy.high or peak < policy.low else 1.0
    factor = max(factor, min(policy.least, 1.0))
    if policy.most is not None:
        factor = min(factor, policy.most)
    action = UP if factor > 1 else DOWN if factor < 1 else HOLD
    return Advice(action, factor, needed)


def full_use(*numbers: float) -> float:
    """Return what full use is in the unit of some numbers: 1 of shares, 100 of percents.

    What goes above 150 % is neither; its capacity has to be given.

    Raises
    ------
    ValueError
        If the numbers are neither shares nor percents.

    Examples
    --------
    >>> full_use(0.3, 0.8), full_use(30.0, 0.5)
    (1.0, 100.0)
    """
    highest = max(numbers)
    if highest <= 1.5:
        return 1.0
    if highest <= 1.5 * _PERCENT:
        return _PERCENT
    raise ValueError(f"{highest:g} is neither a share (0 to 1) nor a percentage (0 to 100)")
