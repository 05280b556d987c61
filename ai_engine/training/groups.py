"""How good answers are for each group of rows, such as the rows of one machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ai_engine.training.arrays import FloatArray, IntArray
from ai_engine.training.evaluation import skill
from ai_engine.training.findings import rounded

# Half of them the worst, half the best.
MOST_NAMED: Final = 50
WORST_NAMED: Final = 10
MASE_DENOMINATOR: Final = "mean absolute change from one training row of the group to the next"


@dataclass(frozen=True, slots=True)
class GroupErrors:
    """The errors of held-out values of one target with the group of each; flat arrays of one length.

    Attributes
    ----------
    names : tuple
        The groups as the caller wrote them (JSON values).
    codes : array of int
        Positions in `names`.
    error, baseline_error : array
        Absolute errors of the model and of the baseline; for classes 1 where the answer is wrong.
    inside : array of bool as numbers, or None
        Where the value is inside its 90 % interval; None without intervals.
    rows : array of int
        For each group, how many held-out rows it has.
    naive : array or None
        For each group the denominator of its MASE, NaN where it is not defined; None for kinds without one.
    """

    names: tuple[Any, ...]
    codes: IntArray
    error: FloatArray
    baseline_error: FloatArray
    inside: FloatArray | None
    rows: IntArray
    naive: FloatArray | None = None

    def each(self) -> list[dict[str, Any]]:
        """Return the measures of each group that has held-out values, the least skilled first (JSON values).

        A group whose baseline makes no error has no skill and stands last.

        References
        ----------
        Hyndman & Koehler (2006), Int. J. Forecasting 22(4), 679-688, for the MASE; its denominator is
        `MASE_DENOMINATOR`.
        """
        n_groups = len(self.names)
        count = np.bincount(self.codes, minlength=n_groups)
        some = np.maximum(count, 1)
        mae = np.bincount(self.codes, self.error, n_groups) / some
        baseline = np.bincount(self.codes, self.baseline_error, n_groups) / some
        inside = None if self.inside is None else np.bincount(self.codes, self.inside, n_groups) / some
        found = []
        for code in np.flatnonzero(count).tolist():
            naive = None if self.naive is None else float(self.naive[code])
            found.append(
                {
                    "group": self.names[code],
                    "mae": rounded(float(mae[code])),
                    "baseline_mae": rounded(float(baseline[code])),
                    "skill": rounded(skill(float(mae[code]), float(baseline[code]))),
                    "mase": rounded(float(mae[code]) / naive) if naive is not None and naive > 0 else None,
                    "coverage": None if inside is None else rounded(float(inside[code])),
                    "rows": int(self.rows[code]),
                }
            )
        return sorted(found, key=lambda one: np.inf if one["skill"] is None else one["skill"])


def by_group_told(each: Sequence[Mapping[str, Any]], *, in_time: bool) -> dict[str, Any]:
    """Return the groups with the worst and the best ones by name, and the others counted (JSON values)."""
    half = MOST_NAMED // 2
    named = list(each) if len(each) <= MOST_NAMED else [*each[:half], *each[-half:]]
    return {
        "groups": len(each),
        "worse_than_baseline": sum(one["skill"] is not None and one["skill"] < 0 for one in each),
        "mase_denominator": MASE_DENOMINATOR if in_time else None,
        "named": named,
        "unnamed": len(each) - len(named),
    }


def worst_told(each: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the groups with the largest mean absolute errors (JSON values)."""
    return [dict(one) for one in sorted(each, key=lambda one: -(one["mae"] or 0.0))[:WORST_NAMED]]
