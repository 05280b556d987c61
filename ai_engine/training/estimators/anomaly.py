"""The stored anomaly detectors: one verdict a row, in the rows' order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np

from ai_engine.training.arrays import BoolArray, FloatArray, IntArray
from ai_engine.training.encoding import FIELD, EncodingV1
from ai_engine.training.estimators.context import LEAST_ROWS, Context, Judgement, PastV1, shares
from ai_engine.training.estimators.detectors import Detector, RobustDeviationV1, column_parts
from ai_engine.training.estimators.protocol import RowEstimator
from ai_engine.training.estimators.tabular import refuse_horizon
from ai_engine.training.table import Table, read_table

# The columns that a verdict names; their shares sum to 1.
MOST_NAMED: Final = 5
# What all that is remembered of the past may take, in cells: 16 MB.
MOST_REMEMBERED: Final = 2_000_000
# Scores in multiples of the threshold, from which on an anomaly is more than low.
SEVERITIES: Final = ((3.0, "critical"), (2.0, "high"), (1.5, "medium"))

Vm = str | int | None


@dataclass(frozen=True, slots=True)
class AnomalyDetectorV1(RowEstimator):
    """Tells rows that are unlike those of training.

    Attributes
    ----------
    encoding : EncodingV1
        How rows become X.
    detector : Detector
        Fitted.
    threshold : float
        A row with a higher score is an anomaly.
    label : str or None
        The column of labels that it was trained with.
    """

    encoding: EncodingV1
    detector: Detector
    threshold: float
    label: str | None

    def predict(self, rows: Sequence[Any], horizon: int | None = None) -> list[dict[str, Any]]:
        """Return ``{is_anomaly, score}`` for each row, a JSON object, or raise InvalidInputError."""
        refuse_horizon(horizon)
        scores = self.detector.scores(self.encoding.matrix_of_rows(rows))
        return [{"is_anomaly": score > self.threshold, "score": score} for score in scores.tolist()]

    def flags(self, x: FloatArray) -> BoolArray:
        """Return which rows of X are anomalies."""
        return self.detector.scores(x) > self.threshold


@dataclass(frozen=True, slots=True)
class AnomalyDetectorV2(RowEstimator):
    """Tells rows that are unlike those of training, or unlike those before them, and by which columns.

    Attributes
    ----------
    encoding : EncodingV1
        How rows become X.
    detector : Detector
        Fitted; judges rows one at a time.
    spread : RobustDeviationV1
        Fitted on the same rows, to tell which columns are unusual.
    threshold : float
        A row with a higher score of `detector` is an anomaly.
    label : str or None
        The column of labels that it was trained with.
    context : Context or None
        Judges rows by those before them; None where rows do not follow one another.
    timed : bool
        Whether rows follow one another by their times; otherwise they do as they are given.
    pasts : mapping of str, int or None to PastV1
        What is remembered of each VM.
    """

    encoding: EncodingV1
    detector: Detector
    spread: RobustDeviationV1
    threshold: float
    label: str | None
    context: Context | None
    timed: bool
    pasts: Mapping[Vm, PastV1]

    def predict(self, rows: Sequence[Any], horizon: int | None = None) -> list[dict[str, Any]]:
        """Return a verdict for each row, or raise InvalidInputError.

        Parameters
        ----------
        rows : sequence
            JSON objects. Those with times are judged in the order of their times, after what is remembered
            of their VM; a row that too little is known before is judged by itself.
        horizon : int, optional
            Refused.

        Returns
        -------
        list of dict
            ``{is_anomaly, score, severity, contributing_metrics: [{column, share}]}``: a score above 1 is
            beyond the threshold (an alarm of a single series is raised once, so that such rows may follow
            it); ``severity`` is ``normal`` where there is no anomaly; at most five columns are named, whose
            shares sum to 1.
        """
        refuse_horizon(horizon)
        found = self.judge_rows(rows)
        order = np.argsort(-found.parts, axis=1, kind="stable")[:, :MOST_NAMED]
        named = shares(np.take_along_axis(found.parts, order, axis=1)).tolist()
        names = list(self.encoding.columns)
        return [
            {
                "is_anomaly": flag,
                "score": score,
                "severity": severity(score) if flag else "normal",
                "contributing_metrics": [
                    {"column": names[column], "share": share}
                    for column, share in zip(columns, parts, strict=True)
                    if share > 0
                ],
            }
            for flag, score, columns, parts in zip(
                found.flags.tolist(), found.scores.tolist(), order.tolist(), named, strict=True
            )
        ]

    def judge_rows(self, rows: Sequence[Any]) -> Judgement:
        """Return what is thought of rows, JSON objects, in their order."""
        x = self.encoding.matrix_of_rows(rows)
        if self.context is None:
            return self.judge_alone(x)
        return self.judge(read_table(rows, FIELD, only=self.encoding.columns), x)

    def judge_alone(self, x: FloatArray) -> Judgement:
        """Return what is thought of the rows of X, each by itself."""
        scores = self.detector.scores(x)
        relative = (
            scores / self.threshold if self.threshold > 0 else 1 + scores - self.threshold
        )  # above 1 is above the threshold in both
        return Judgement(relative, scores > self.threshold, column_parts(self.detector, self.spread, x))

    def judge(self, table: Table, x: FloatArray) -> Judgement:
        """Return what is thought of the rows of a table, in its order.

        Parameters
        ----------
        table : Table
            The rows.
        x : array, shape (n_rows, n_features)
            Their X. A missing value is taken to be the VM's last known one where there is a context, and what
            X has for it otherwise.
        """
        alone = self.judge_alone(x)
        if self.context is None or (self.timed and table.timestamps is None):
            return alone
        scores, flags, parts = alone.scores.copy(), alone.flags.copy(), alone.parts.copy()
        cells = _cells(table, self.encoding)
        for vm, numbers, times in in_order(table, self.timed):
            past = self.pasts.get(vm)
            if past is not None and self.timed:
                past = past.before(float(times[0]))
            known = 0 if past is None else len(past.rows)
            if known + len(numbers) <= LEAST_ROWS:
                continue
            values = last_known(cells[numbers], x[numbers], None if past is None else past.rows[-1])
            found = self.context.judge(values, past)
            new = max(LEAST_ROWS - known, 0)
            scores[numbers[new:]], flags[numbers[new:]] = found.scores[new:], found.flags[new:]
            parts[numbers[new:]] = found.parts[new:]
        return Judgement(scores, flags, parts)

    def remembering(self, table: Table, x: FloatArray) -> AnomalyDetectorV2:
        """Return the detector with these rows as the past of those to come, and nothing else learned."""
        if self.context is None:
            return self
        most_rows = max(MOST_REMEMBERED // max(len(table.vm_ids) * x.shape[1], 1), 1)
        cells = _cells(table, self.encoding)
        pasts = {}
        for vm, numbers, times in in_order(table, self.timed):
            values = last_known(cells[numbers], x[numbers], None)
            pasts[vm] = self.context.remember(times, values, most_rows)
        return replace(self, pasts=pasts)


def severity(score: float) -> str:
    """Return how severe an anomaly is, by its score in multiples of the threshold.

    >>> [severity(score) for score in (1.1, 1.5, 2.0, 3.0)]
    ['low', 'medium', 'high', 'critical']
    """
    return next((name for least, name in SEVERITIES if score >= least), "low")


def last_known(cells: FloatArray, filled: FloatArray, before: FloatArray | None) -> FloatArray:
    """Return columns with each missing value replaced by the last known one.

    Parameters
    ----------
    cells : array, shape (n_rows, n_columns)
        NaN is missing.
    filled : array, same shape
        What stands for a missing value where nothing is known before it and `before` is None.
    before : array, shape (n_columns,), optional
        The last known values before the first row.

    Examples
    --------
    >>> cells = np.array([[np.nan], [3.0], [np.nan]])
    >>> last_known(cells, np.full((3, 1), 7.0), None).ravel().tolist()
    [7.0, 3.0, 3.0]
    """
    missing = np.isnan(cells)
    if not missing.any():
        return cells
    rows = np.where(missing, -1, np.arange(len(cells))[:, None])
    last = np.maximum.accumulate(rows, axis=0)
    known = np.take_along_axis(cells, np.maximum(last, 0), axis=0)
    values: FloatArray = np.where(last >= 0, known, filled if before is None else before)
    return values


def rows_of_vms(table: Table, x: FloatArray, encoding: EncodingV1, timed: bool) -> list[FloatArray]:
    """Return the X of each VM in time order, missing values replaced by the last known ones."""
    cells = _cells(table, encoding)
    return [last_known(cells[numbers], x[numbers], None) for _, numbers, _ in in_order(table, timed)]


def in_order(table: Table, timed: bool) -> Iterator[tuple[Vm, IntArray, FloatArray]]:
    """Yield each VM with the positions of its rows in time order and their times; no time, no row.

    Where rows have no times they keep their order, and their numbers stand for times.
    """
    if timed and table.timestamps is not None:
        moments = table.timestamps
        order = np.lexsort((moments, table.vm_codes))
        order = order[~np.isnan(moments[order])]
    else:
        moments = np.arange(len(table), dtype=np.float64)
        order = np.argsort(table.vm_codes, kind="stable")
    edges = np.searchsorted(table.vm_codes[order], np.arange(len(table.vm_ids) + 1))
    for vm, (start, end) in zip(table.vm_ids, pairwise(edges.tolist()), strict=True):
        if end > start:
            yield vm, order[start:end], moments[order[start:end]]


def _cells(table: Table, encoding: EncodingV1) -> FloatArray:
    return np.column_stack([table.numbers[name] for name in encoding.columns])
