"""What a training measured in detail on rows that its fit never saw. Imports no numeric library."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Findings:
    """The detailed parts of a report, as JSON values; None where a kind has none.

    Attributes
    ----------
    by_horizon : dict or None
        By target, a list over steps ahead: ``from_step to_step mae baseline_mae skill coverage forecasts``.
    by_group : dict or None
        By target, ``groups`` and ``worse_than_baseline``, counts; ``mase_denominator``; ``named``, of each
        group ``group mae baseline_mae skill mase coverage rows``, the least skilled first; ``unnamed``, how
        many are left out.
    calibration : dict or None
        ``intervals``, by target ``nominal observed mean_width interval_score scaled_interval_score values``,
        and ``reliability``, by target ``expected_error`` and ``bins``; each None where there are none.
    forecast : dict or None
        By target, a few windows: ``shown group origin interval_seconds past_steps past steps observed centre
        lower upper``.
    importance : dict or None
        By target, ``measure rows repeats columns unnamed``; of each column ``column increase spread``, the
        highest first.
    worst : dict or None
        By target, the groups or else the rows with the largest errors.
    """

    by_horizon: dict[str, Any] | None = None
    by_group: dict[str, Any] | None = None
    calibration: dict[str, Any] | None = None
    forecast: dict[str, Any] | None = None
    importance: dict[str, Any] | None = None
    worst: dict[str, Any] | None = None

    def to_mapping(self) -> dict[str, Any]:
        """Return the parts by name (JSON values)."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def __bool__(self) -> bool:
        """Return whether anything was measured."""
        return any(value is not None for value in self.to_mapping().values())


NOTHING = Findings()


def rounded(value: float | None) -> float | None:
    """Return a number with six digits, more than any measure is worth; None where it is not finite.

    >>> rounded(1234.56789), rounded(float("nan")), rounded(None)
    (1234.57, None, None)
    """
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.6g}")
