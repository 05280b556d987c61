"""Answers for held-out rows beside what came: by group, in their intervals, and the largest errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ai_engine.training.arrays import BoolArray, FloatArray, IntArray
from ai_engine.training.calibration import intervals_told, reliability
from ai_engine.training.findings import Findings, rounded
from ai_engine.training.groups import GroupErrors, by_group_told
from ai_engine.training.split import Split
from ai_engine.training.table import Table

ROWS_NAMED: Final = 20


@dataclass(frozen=True, slots=True)
class HeldOutRows:
    """The rows that were held out of one table.

    Attributes
    ----------
    target : str
        The column that is foretold.
    row_numbers : array of int, shape (n_rows,)
        Where each stood in what was given, from 0.
    groups : array of int, shape (n_rows,)
        Positions in `names`.
    names : tuple
        The groups as the caller wrote them; ``(None,)`` where there are none.
    """

    target: str
    row_numbers: IntArray
    groups: IntArray
    names: tuple[Any, ...]

    @classmethod
    def of(cls, table: Table, split: Split, target: str) -> HeldOutRows:
        """Return the held-out rows of a split."""
        return cls(target, table.row_numbers[split.held_out], table.vm_codes[split.held_out], table.vm_ids)

    def findings_of_numbers(
        self,
        observed: FloatArray,
        predicted: FloatArray,
        interval: tuple[FloatArray, FloatArray],
        baseline: FloatArray,
        importance: dict[str, Any],
    ) -> Findings:
        """Return what a report tells of predicted numbers.

        Parameters
        ----------
        observed, predicted, baseline : array, shape (n_rows,)
            What came, what the model says, and what the baseline says, in the target's unit.
        interval : tuple of two arrays, shape (n_rows,)
            Lower and upper ends of the 90 % intervals.
        importance : dict
            As `permutation_importance` tells it (JSON values).
        """
        lower, upper = interval
        error = np.abs(observed - predicted)
        worst = np.argsort(-error, kind="stable")[:ROWS_NAMED]
        return Findings(
            by_group=self._by_group(
                error, np.abs(observed - baseline), (lower <= observed) & (observed <= upper)
            ),
            calibration={
                "intervals": {self.target: intervals_told(observed, lower, upper, baseline)},
                "reliability": None,
            },
            importance={self.target: importance},
            worst={
                self.target: [
                    {
                        "row": int(self.row_numbers[row]),
                        **self._group(row),
                        "observed": rounded(float(observed[row])),
                        "predicted": rounded(float(predicted[row])),
                    }
                    for row in worst.tolist()
                ]
            },
        )

    def findings_of_classes(
        self,
        observed: IntArray,
        probabilities: FloatArray,
        majority: int,
        labels: Sequence[Any],
        importance: dict[str, Any],
    ) -> Findings:
        """Return what a report tells of predicted classes.

        Parameters
        ----------
        observed : array of int, shape (n_rows,)
            Classes by their positions in `labels`.
        probabilities : array, shape (n_rows, n_classes)
            What the model says.
        majority : int
            The class that the baseline says.
        labels : sequence
            The classes as the caller wrote them (JSON values).
        importance : dict
            As `permutation_importance` tells it (JSON values).
        """
        named, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
        right = named == observed
        wrong = np.flatnonzero(~right)
        worst = wrong[np.argsort(-sure[wrong], kind="stable")][:ROWS_NAMED]
        return Findings(
            by_group=self._by_group(
                (~right).astype(np.float64), (observed != majority).astype(np.float64), None
            ),
            calibration={"intervals": None, "reliability": {self.target: reliability(sure, right)}},
            importance={self.target: importance},
            worst={
                self.target: [
                    {
                        "row": int(self.row_numbers[row]),
                        **self._group(row),
                        "observed": labels[observed[row]],
                        "predicted": labels[named[row]],
                        "probability": rounded(float(sure[row])),
                    }
                    for row in worst.tolist()
                ]
            },
        )

    def findings_of_flags(
        self, labels: BoolArray, scores: FloatArray, flags: BoolArray, majority: bool
    ) -> Findings:
        """Return what a report tells of verdicts that were compared with labels.

        Parameters
        ----------
        labels, flags : array of bool, shape (n_rows,)
        scores : array, shape (n_rows,)
            Multiples of the threshold.
        majority : bool
            The label that the baseline says.
        """
        wrong = np.flatnonzero(labels != flags)
        # By how far the score stands on the wrong side of the threshold.
        worst = wrong[np.argsort(-np.abs(scores[wrong] - 1), kind="stable")][:ROWS_NAMED]
        return Findings(
            by_group=self._by_group(
                (labels != flags).astype(np.float64), (labels != majority).astype(np.float64), None
            ),
            worst={
                self.target: [
                    {
                        "row": int(self.row_numbers[row]),
                        **self._group(row),
                        "observed": bool(labels[row]),
                        "predicted": bool(flags[row]),
                        "score": rounded(float(scores[row])),
                    }
                    for row in worst.tolist()
                ]
            },
        )

    def _group(self, row: int) -> dict[str, Any]:
        """Return the group of a row, if rows have one."""
        name = self.names[int(self.groups[row])]
        return {} if name is None else {"group": name}

    def _by_group(
        self, error: FloatArray, baseline_error: FloatArray, inside: BoolArray | None
    ) -> dict[str, Any] | None:
        if self.names == (None,):
            return None
        errors = GroupErrors(
            names=self.names,
            codes=self.groups,
            error=error,
            baseline_error=baseline_error,
            inside=None if inside is None else inside.astype(np.float64),
            rows=np.bincount(self.groups, minlength=len(self.names)),
        )
        return {self.target: by_group_told(errors.each(), in_time=False)}
