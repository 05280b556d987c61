"""Rows to records and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ai_engine.catalogue.sql.jobs import attempt_of
from ai_engine.domain import clock
from ai_engine.domain.answers import VersionInfo
from ai_engine.domain.entities import Artifact, ModelVersion, Place, Run
from ai_engine.domain.history import RunRecord
from ai_engine.domain.json_values import to_json
from ai_engine.domain.performance import COUNTS, NUMBERS, REALS, ModelPerformance, counted, measured, named

SqlRow = Sequence[Any]
# What json.loads does between its checks, which a list of ten thousand versions would make as often: 0.7 µs
# of 2.3.
_scan: Callable[[str, int], tuple[Any, int]] = vars(json.JSONDecoder())["scan_once"]


def performance_columns(performance: ModelPerformance) -> dict[str, Any]:
    """Return the columns of a measurement; raise InvalidInputError where a number is none."""
    at = clock.checked("last_updated", performance.last_updated)
    return {
        "recorded_at": clock.to_text(at or clock.now()),
        **{real: measured(real, getattr(performance, real)) for real in REALS},
        **{count: counted(count, getattr(performance, count)) for count in COUNTS},
        "metrics": _metrics_text(named(performance.metrics)),
    }


def _metrics_text(metrics: Mapping[str, float | None]) -> str | None:
    """Return metrics as JSON, None where there are none; infinities as numbers that no float can hold."""
    if not metrics:
        return None
    return "{" + ", ".join(f"{json.dumps(name)}: {_number_text(n)}" for name, n in metrics.items()) + "}"


def _number_text(number: float | None) -> str:
    return json.dumps(number).replace("Infinity", "9e999")


def run_columns(run: Run) -> dict[str, Any]:
    """Return the columns of a training record; raise InvalidInputError where a value does not fit."""
    started, completed = clock.checked("started", run.started), clock.checked("completed", run.completed)
    return {
        "started": clock.to_text(started) if started else None,
        "completed": clock.to_text(completed) if completed else None,
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
        "packages": _packages_text(tuple(artifact.packages.items())),
        "store": artifact.store,
        "signature": artifact.signature,
    }


@lru_cache(maxsize=256)
def _packages_text(packages: tuple[tuple[str, str], ...]) -> str:
    """Return packages as JSON: most versions have the same."""
    return json.dumps(dict(packages))


def version_of(row: SqlRow, model_dir: str) -> ModelVersion:
    """Return the version of a row of one of the statements about versions; see `file_of`."""
    model_id, name, version, seq, is_active, model_path, file, *rest = row
    place, digest, format_, size, store, python, packages, signature = rest
    used = json.loads(packages) if packages else {}
    artifact = Artifact(Place(place), digest, format_, size, python, used, store, signature)
    path = model_path or "" if file is None else f"{model_dir}/{file}"
    return ModelVersion(model_id, name, version, seq, is_active == 1, path, artifact)


def file_of(path: str, model_dir: str) -> str | None:
    """Return a path as it is within the model directory; None where it is elsewhere.

    A directory may be moved, or be mounted under another path: what a row says of its own files stays true.

    >>> file_of("/models/cpu@1.0.0.pkl", "/models")
    'cpu@1.0.0.pkl'
    """
    return path.removeprefix(f"{model_dir}/") if path.startswith(f"{model_dir}/") else None


def entries_of(rows: Iterable[SqlRow], model_dir: str) -> list[VersionInfo]:
    """Return the entries that `describe` makes of rows of statements.DESCRIBE.

    Spelled out, and in one expression: for a list of ten thousand, a loop over the columns costs a fifth of
    all, and a call for each row a tenth.
    """
    # fmt: off
    return [
        {
            "seq": seq,
            "model_id": model_id,
            "name": name,
            "version": version,
            "model_type": model_type,
            "algorithms": [] if algorithms == "[]" else parsed(algorithms, list),
            "created_at": created_at,
            "updated_at": updated_at,
            "is_active": is_active == 1,
            "model_path": model_path if file is None else f"{model_dir}/{file}",
            "metadata": {} if metadata == "{}" else parsed(metadata, dict),
            "digest": digest,
            "format": format_,
            "size": size,
            "python": python,
            "packages": _packages(packages).copy(),
            "pinned": pinned == 1,
            "saved_by": saved_by,
            "metric_count": metric_count,
            "avg_accuracy": avg_accuracy,
            "last_metric_update": last_metric_update,
            "performance": {
                "mae": mae,
                "mse": mse,
                "r2": r2,
                "accuracy_score": accuracy_score,
                "confidence_score": confidence_score,
                "training_time": training_time,
                "prediction_time": prediction_time,
                "training_samples": training_samples,
                "feature_count": feature_count,
                "metrics": {} if metrics is None else parsed(metrics, dict),
            }
            if metric_count
            else None,
        }
        for (
            seq, model_id, name, version, model_type, algorithms, created_at, updated_at, is_active,
            model_path, file, metadata, digest, format_, size, python, packages, pinned, saved_by,
            metric_count, avg_accuracy, last_metric_update, mae, mse, r2, accuracy_score, confidence_score,
            training_time, prediction_time, training_samples, feature_count, metrics,
        ) in rows
    ]
    # fmt: on


@lru_cache(maxsize=256)
def _packages(text: str | None) -> dict[str, Any]:
    """Return the packages of a version: most versions have the same."""
    packages: dict[str, Any] = parsed(text, dict)
    return packages


def parsed(text: str | None, kind: type[list[Any]] | type[dict[str, Any]]) -> Any:
    """Parse a JSON column; what another program wrote there otherwise is kept as it stands, not lost."""
    if not text:
        return kind()
    try:
        value, end = _scan(text, 0)
    except (StopIteration, TypeError, ValueError, RecursionError):
        end = -1
    if end != len(text):
        try:
            value = json.loads(text)
        except (TypeError, ValueError, RecursionError):
            value = text
    if isinstance(value, kind):
        return value
    return [value] if kind is list else {"unparsed": value}


def performance_of(row: SqlRow) -> ModelPerformance:
    """Return the measurement of a row."""
    values = dict(zip(NUMBERS, map(number_of, row), strict=False))
    *_, recorded_at, metrics = row
    return ModelPerformance(
        **values, last_updated=clock.from_text(recorded_at), metrics=parsed(metrics, dict) if metrics else {}
    )


def number_of(value: object) -> Any:
    """Return a number of a column; None for what others wrote there otherwise, such as numpy's raw bytes."""
    return value if isinstance(value, (int, float)) else None


def run_of(row: SqlRow) -> RunRecord:
    """Return the training record of a row."""
    name, version, started, completed, dataset_size, hyperparameters, score, job_id, *attempt = row
    run = Run(
        started=clock.from_text(started),
        completed=clock.from_text(completed),
        dataset_size=number_of(dataset_size),
        hyperparameters=parsed(hyperparameters, dict),
        validation_score=number_of(score),
    )
    return RunRecord(name, version, run, job_id, None if attempt[0] is None else attempt_of(attempt))
