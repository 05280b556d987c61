"""The stored models of independent rows: one prediction a row, in the rows' order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.arrays import FloatArray
from ai_engine.training.encoding import EncodingV1
from ai_engine.training.estimators.protocol import RowEstimator

Label = str | int | float | bool


def refuse_horizon(horizon: int | None) -> None:
    """Raise InvalidInputError if a horizon is given to a model that judges each row by itself."""
    if horizon is not None:
        raise InvalidInputError("horizon", "only forecasts have one; leave it out for this model")


@dataclass(frozen=True, slots=True)
class RegressorV1(RowEstimator):
    """A number for each row, with its 90 % prediction interval.

    Attributes
    ----------
    encoding : EncodingV1
        How rows become X.
    model : object
        A fitted scikit-learn regressor, which has no type of its own.
    radius : float
        Half the width of the interval, in the target's unit.
    target : str
        The column that is foretold.
    """

    encoding: EncodingV1
    model: Any
    radius: float
    target: str

    def predict(self, rows: Sequence[Any], horizon: int | None = None) -> list[dict[str, Any]]:
        """Return ``{value, lower, upper}`` for each row, a JSON object, or raise InvalidInputError."""
        refuse_horizon(horizon)
        values = self.values(self.encoding.matrix_of_rows(rows))
        return [
            {"value": value, "lower": value - self.radius, "upper": value + self.radius}
            for value in values.tolist()
        ]

    def values(self, x: FloatArray) -> FloatArray:
        """Return the foretold values of X, shape (n_rows,)."""
        return np.asarray(self.model.predict(x), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class ClassifierV1(RowEstimator):
    """A class for each row, with the probability of each class.

    Attributes
    ----------
    encoding : EncodingV1
        How rows become X.
    model : object
        A fitted scikit-learn classifier of class numbers 0 to n_classes - 1, which has no type of its own.
    labels : tuple
        The classes, with the JSON type that they had.
    target : str
        The column that is foretold.
    """

    encoding: EncodingV1
    model: Any
    labels: tuple[Label, ...]
    target: str

    def predict(self, rows: Sequence[Any], horizon: int | None = None) -> list[dict[str, Any]]:
        """Return ``{value, probabilities}`` for each row, a JSON object, or raise InvalidInputError."""
        refuse_horizon(horizon)
        names = [label_name(label) for label in self.labels]
        return [
            {
                "value": self.labels[int(np.argmax(shares))],
                "probabilities": dict(zip(names, shares.tolist(), strict=True)),
            }
            for shares in self.probabilities(self.encoding.matrix_of_rows(rows))
        ]

    def probabilities(self, x: FloatArray) -> FloatArray:
        """Return the probability of each class, shape (n_rows, n_classes)."""
        shares = np.zeros((len(x), len(self.labels)))
        # A class without a training row is unknown to the model.
        shares[:, np.asarray(self.model.classes_, dtype=np.intp)] = self.model.predict_proba(x)
        return shares


def label_name(label: Label) -> str:
    """Return a class label as a JSON object's key.

    >>> label_name(True), label_name(1), label_name("busy")
    ('true', '1', 'busy')
    """
    return str(label).lower() if isinstance(label, bool) else str(label)
