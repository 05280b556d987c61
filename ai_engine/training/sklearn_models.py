"""Objects that other programs fitted and stored: whatever has scikit-learn's ``predict``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.arrays import FloatArray
from ai_engine.training.estimators.tabular import label_name
from ai_engine.training.table import read_table

FIELD = "data"


def predict_matrix(model: Any, rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Return ``{value}`` for each row, with ``probabilities`` where the object has them.

    Parameters
    ----------
    model : object
        Anything; it has no type of its own.
    rows : sequence
        JSON objects. Its columns are those of ``feature_names_in_``, else the first row's in their order.

    Raises
    ------
    InvalidInputError
        If the object cannot predict, or not from these rows.
    """
    if not callable(getattr(model, "predict", None)):
        raise InvalidInputError(
            "model", f"this version is a {type(model).__name__}, which has no predict; activate one that has"
        )
    x = _matrix(model, rows)
    try:
        values = np.asarray(model.predict(x))
        shares = np.asarray(model.predict_proba(x)) if _has_classes(model) else None
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            FIELD, f"{type(model).__name__} cannot predict from these rows: {error}"
        ) from error
    if len(values) != len(rows):
        raise InvalidInputError("model", f"this version answered {len(values)} values for {len(rows)} rows")
    answer = [{"value": value} for value in values.tolist()]
    if shares is not None:
        names = [label_name(label) for label in np.asarray(model.classes_).tolist()]
        for row, share in zip(answer, shares.tolist(), strict=True):
            row["probabilities"] = dict(zip(names, share, strict=True))
    return answer


def _has_classes(model: Any) -> bool:
    """Return whether an object (of any type) tells one probability for each of its classes."""
    return callable(getattr(model, "predict_proba", None)) and hasattr(model, "classes_")


def _matrix(model: Any, rows: Sequence[Any]) -> FloatArray:
    """Return the rows as the matrix that an object (of any type) expects."""
    table = read_table(rows, FIELD)
    named = getattr(model, "feature_names_in_", None)
    if named is not None:
        names = [str(name) for name in named]
    else:
        first: Mapping[str, Any] = rows[0]
        names = [name for name in first if name in table.numbers]
    for name in names:
        if name in table.texts:
            raise InvalidInputError(f"{FIELD}[0].{name}", "is text; this model takes numbers")
        if name not in table.numbers:
            raise InvalidInputError(
                f"{FIELD}.{name}", f"is missing; the model was fitted on {', '.join(names)}"
            )
    expected = getattr(model, "n_features_in_", len(names))
    if len(names) != expected:
        raise InvalidInputError(
            FIELD,
            f"has {len(names)} numeric columns ({', '.join(names)}); the model was fitted on {expected}",
        )
    return np.column_stack([table.numbers[name] for name in names])
