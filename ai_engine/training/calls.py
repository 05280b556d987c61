"""Training and predicting in the caller's process, from data of any shape."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ai_engine.domain.errors import VersionNotFoundError
from ai_engine.domain.search import EVERYTHING
from ai_engine.registry.registry import Registry
from ai_engine.telemetry.frames import frame_of, library_of, rows_of
from ai_engine.telemetry.readers import read_rows
from ai_engine.training.engine import TrainingEngine
from ai_engine.training.prediction import predict as predictions
from ai_engine.training.ranking import rank
from ai_engine.training.report import stored_report
from ai_engine.training.request import TrainingRequest


@dataclass(frozen=True, slots=True)
class TrainedVersion:
    """The version that a training made.

    Attributes
    ----------
    model_id, name, version : str
        What was saved, and under which id.
    active : bool
        Whether the version is the active one.
    activation_reason : str or None
        Why, where that was to be found out.
    reading : dict
        What was understood of the rows, as ``POST /train`` answers it.
    performance_metrics : dict
        What was measured, as ``POST /train`` answers it.
    report : dict
        As ``GET /models/{name}/versions/{version}/report`` answers it; see `ai_engine.training.report`.
    """

    model_id: str
    name: str
    version: str
    active: bool
    activation_reason: str | None
    reading: dict[str, Any]
    performance_metrics: dict[str, Any]
    report: dict[str, Any]


def rows_from(data: Any) -> list[Any]:
    """Return the rows of a file or a frame, or those that were given."""
    return read_rows(os.fspath(data)) if isinstance(data, (str, os.PathLike)) else rows_of(data)


def train(
    registry: Registry,
    data: Any,
    *,
    model_type: str,
    name: str | None,
    target_columns: Sequence[str] | None,
    time_column: str | None,
    group_column: str | None,
    validation_split: float,
    hyperparameters: Mapping[str, Any] | None,
    activate: bool | str,
) -> TrainedVersion:
    """Train on data of any shape; see `ModelManager.train`."""
    request = TrainingRequest(
        kind=model_type,
        rows=rows_from(data),
        name=name,
        target_columns=None if target_columns is None else tuple(target_columns),
        time_column=time_column,
        group_column=group_column,
        validation_split=validation_split,
        hyperparameters=dict(hyperparameters or {}),
        activate=activate,
    )
    result = TrainingEngine(registry).train(request, lambda _fraction, _message: None)
    return TrainedVersion(
        model_id=result.model_id,
        name=result.name,
        version=result.version,
        active=result.active,
        activation_reason=result.activation_reason,
        reading=result.reading.to_mapping(),
        performance_metrics=result.performance_metrics.to_mapping(),
        report=stored_report(registry, result.name, result.version),
    )


def predict(
    registry: Registry,
    name: str,
    data: Any,
    *,
    version: str | None,
    horizon: int | None,
    candidates: Any,
) -> Any:
    """Predict from data of any shape; see `ModelManager.predict`."""
    number = registry.number(name, version)
    model = registry.load(name, number)
    if model is None:  # deleted since it was found
        raise VersionNotFoundError(name, number)
    reading, library = partial(reading_of, registry, name, number), library_of(data)
    if candidates is None:
        found = predictions(model, rows_from(data), horizon, reading)
        return found if library is None else frame_of(found, library)
    ranked = rank(model, rows_from(data), rows_from(candidates), horizon, reading)
    told = {"predictions": ranked.predictions, "ranking": ranked.ranking}
    return told if library is None else {part: frame_of(rows, library) for part, rows in told.items()}


def metadata_of(registry: Registry, name: str, version: str) -> Mapping[str, Any]:
    """Return the metadata of a version; nothing for one that is in memory only."""
    entries, _, _ = registry.describe(name, search=EVERYTHING.of(None, version))
    return entries[0]["metadata"] if entries else {}


def reading_of(registry: Registry, name: str, version: str) -> Mapping[str, Any]:
    """Return what was understood of the rows that a version was trained on, where that is known."""
    reading = metadata_of(registry, name, version).get("reading")
    return reading if isinstance(reading, Mapping) else {}
