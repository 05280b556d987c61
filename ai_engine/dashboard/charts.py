"""Sparklines: the trend of a metric as a small line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 220
HEIGHT: Final = 40
_MARGIN: Final = 5


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A line in a box of WIDTH by HEIGHT.

    Attributes
    ----------
    points : str
        For SVG's ``polyline``.
    dot : tuple of float or None
        Where the marked value is.
    told : str
        The same for those who do not see it.
    """

    points: str
    dot: tuple[float, float] | None
    told: str
    width: int = WIDTH
    height: int = HEIGHT


def sparkline(values: Sequence[tuple[str, float]], marked: str | None) -> Sparkline | None:
    """Return the line through labelled values, one of them marked; None where there is no line to draw.

    >>> sparkline([("1.0.0", 4.0), ("1.0.1", 2.0)], "1.0.1").points
    '5,5 215,35'
    """
    finite = [(label, value) for label, value in values if math.isfinite(value)]
    if len(finite) < 2:
        return None
    numbers = [value for _, value in finite]
    low, high = min(numbers), max(numbers)
    span = high - low
    step = (WIDTH - 2 * _MARGIN) / (len(finite) - 1)

    def place(index: int, value: float) -> tuple[float, float]:
        # Equal values, and those so far apart that their difference overflows, lie in the middle.
        share = (value - low) / span if 0 < span < math.inf else 0.5
        return _MARGIN + index * step, HEIGHT - _MARGIN - share * (HEIGHT - 2 * _MARGIN)

    places = {label: place(index, value) for index, (label, value) in enumerate(finite)}
    return Sparkline(
        points=" ".join(f"{x:.4g},{y:.4g}" for x, y in places.values()),
        dot=places.get(marked) if marked is not None else None,
        told=f"Mean error, last {len(finite)} versions: {numbers[0]:.3g} to {numbers[-1]:.3g}",
    )
