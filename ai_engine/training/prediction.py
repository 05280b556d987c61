"""Predictions of any stored object for rows of JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.estimators.protocol import RowEstimator
from ai_engine.training.extras import require_training_packages

Reading = Callable[[], Mapping[str, Any]]


def predict(
    model: Any, rows: Sequence[Any], horizon: int | None = None, reading: Reading | None = None
) -> list[dict[str, Any]]:
    """Return a stored object's predictions for rows, as ``POST /models/{name}/predict`` answers them.

    Parameters
    ----------
    model : object
        A `RowEstimator`, as the recipes of this package make, or any object with scikit-learn's ``predict``
        (which has no type of its own).
    rows : sequence
        JSON objects, or `Columns`; at least one.
    horizon : int, optional
        Steps ahead; for forecasters only.
    reading : callable, optional
        Returns what was understood of the rows of the training: which columns say when and where. Asked for
        those models only that were trained here.

    Returns
    -------
    list of dict
        What a `RowEstimator` answers; for other objects ``{value}`` for each row, with ``probabilities``
        where the object tells them.

    Raises
    ------
    InvalidInputError
        If the rows do not fit the model, or the object cannot predict.
    MissingDependencyError
        If the packages of the ``train`` extra are not installed.
    """
    require_training_packages()
    from ai_engine.telemetry.columns import Columns  # needs them
    from ai_engine.telemetry.recognition import recognise
    from ai_engine.telemetry.renaming import renamed_again

    if not isinstance(rows, (list, Columns)) or not len(rows):
        raise InvalidInputError(
            "data", 'give a list of at least one row, each an object such as {"cpu": 12.5}'
        )
    if isinstance(model, RowEstimator):
        if reading is not None and (known := reading()):
            time, group = known.get("time_column"), known.get("group_column")
            table = renamed_again(Columns.of(rows, "data"), known.get("renamed", {}))
            rows, _ = recognise(
                table,
                time if table.has(time) else None,
                group if table.has(group) else None,
                series=group is not None,
                field="data",
            )
        return model.predict(rows, horizon)
    if horizon is not None:
        raise InvalidInputError("horizon", "only forecasts have one; leave it out for this model")
    # Here and not above, so that without the extra the message says how to install it.
    from ai_engine.training.sklearn_models import predict_matrix

    return predict_matrix(model, rows)
