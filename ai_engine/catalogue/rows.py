"""Rows to records and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ai_engine.catalogue import statements
from ai_engine.domain import clock
from ai_engine.domain.performance import COUNTS, NUMBERS, REALS, ModelPerformance, counted, measured
from ai_engine.domain.plain import to_json
from ai_engine.domain.records import Artifact, ModelVersion, Place, Run

Row = Sequence[Any]


def performance_columns(performance: ModelPerformance) -> dict[str, Any]:
    """Return the columns of a measurement; raise InvalidInputError where a number is none."""
    at = performance.last_updated
    return {
        "recorded_at": clock.to_text(at if isinstance(at, datetime) else clock.now()),
        **{real: measured(real, getattr(performance, real)) for real in REALS},
        **{count: counted(count, getattr(performance, count)) for count in COUNTS},
    }


def run_columns(run: Run) -> dict[str, Any]:
    """Return the columns of a training record; raise InvalidInputError where a value does not fit."""
    return {
        "started": clock.to_text(run.started) if run.started else None,
        "completed": clock.to_text(run.completed) if run.completed else None,
        "dataset_size": counted("dataset_size", run.dataset_size),
        "hyperparameters": to_json("hyperparameters", run.hyperparameters),
        "validation_score": measured("validation_score", run.validation_score),
    }


def artifact_columns(artifact: Artifact) -> dict[str, Any]:
    """Return the columns of an artifact."""
    return {
        "place": artifact.place.value,
        "digest": artifact.digest,
        "format": artifact.format,
        "size": artifact.size,
        "python": artifact.python,
        "packages": json.dumps(dict(artifact.packages)),
    }


def version_of(row: Row) -> ModelVersion:
    """Return the version of a row of one of the statements about versions."""
    model_id, name, version, seq, is_active, model_path, place, digest, format_, size, python, packages = row
    artifact = Artifact(Place(place), digest, format_, size, python, json.loads(packages) if packages else {})
    return ModelVersion(model_id, name, version, seq, is_active == 1, model_path or "", artifact)


def entry_of(row: Row) -> dict[str, Any]:
    """Return the entry that `describe` makes of a row."""
    entry = dict(zip(statements.DESCRIBED, row, strict=True))
    entry["is_active"] = entry["is_active"] == 1
    entry["pinned"] = entry["pinned"] == 1
    entry["algorithms"] = parsed(entry["algorithms"], list)
    entry["metadata"] = parsed(entry["metadata"], dict)
    entry["packages"] = parsed(entry["packages"], dict)
    return entry


def parsed(text: str | None, kind: type[list[Any]] | type[dict[str, Any]]) -> Any:
    """Parse a JSON column; what another program wrote there otherwise is kept as it stands, not lost."""
    if not text:
        return kind()
    try:
        value = json.loads(text)
    except (TypeError, ValueError):
        value = text
    if isinstance(value, kind):
        return value
    return [value] if kind is list else {"unparsed": value}


def performance_of(row: Row) -> ModelPerformance:
    """Return the measurement of a row."""
    values = dict(zip(NUMBERS, row, strict=False))
    return ModelPerformance(**values, last_updated=clock.from_text(row[-1]))


def run_of(row: Row) -> dict[str, Any]:
    """Return the training record of a row, as a dict."""
    name, version, started, completed, dataset_size, hyperparameters, score = row
    return {
        "name": name,
        "version": version,
        "started": clock.from_text(started),
        "completed": clock.from_text(completed),
        "dataset_size": dataset_size,
        "hyperparameters": parsed(hyperparameters, dict),
        "validation_score": score,
    }
