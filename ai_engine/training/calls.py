"""Training and predicting in the caller's process, from data of any shape."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ai_engine.domain.errors import VersionNotFoundError
from ai_engine.domain.search import EVERYTHING
from ai_engine.registry.registry import Registry
from ai_engine.telemetry.columns import Columns
from ai_engine.telemetry.frames import columns_from, frame_of, library_of
from ai_engine.telemetry.readers import read_columns
from ai_engine.telemetry.rows_file import RowsFile
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


def table_of(data: Any, group_column: str | None) -> Columns:
    """Return a file, a frame or a list of objects as a table; in a file the machines are text."""
    if isinstance(data, (str, os.PathLike)):
        return read_columns(RowsFile(os.fspath(data)), () if group_column is None else (group_column,))
    return columns_from(data)


def train(
    registry: Registry,
    request: TrainingRequest,
    data: Any,
    progress: Callable[[float, str], None] | None,
) -> TrainedVersion:
    """Train on data of any shape; see `ModelManager.train`."""

    def tell(fraction: float, message: str) -> None:
        if progress is not None:
            progress(fraction, message)

    table = table_of(data, request.group_column)
    result = TrainingEngine(registry).train(request, table, tell)
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
    machine = reading().get("group_column") if isinstance(data, (str, os.PathLike)) else None
    rows = table_of(data, machine)
    if candidates is None:
        found = predictions(model, rows, horizon, reading)
        return found if library is None else frame_of(found, library)
    ranked = rank(model, list(rows), list(table_of(candidates, None)), horizon, reading)
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
