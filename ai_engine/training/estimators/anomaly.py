"""The stored anomaly detector: one verdict a row, in the rows' order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ai_engine.training.arrays import BoolArray, FloatArray
from ai_engine.training.encoding import EncodingV1
from ai_engine.training.estimators.detectors import Detector
from ai_engine.training.estimators.protocol import RowEstimator
from ai_engine.training.estimators.tabular import refuse_horizon


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
