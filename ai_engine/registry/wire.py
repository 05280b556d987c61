"""A version as a JSON document: what the outage journal and the records beside the artifacts hold."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from ai_engine.domain import clock
from ai_engine.domain.performance import ModelPerformance, checked
from ai_engine.domain.plain import plain
from ai_engine.domain.records import Artifact, Digest, ModelId, NewVersion, Place, Run


def version_to_dict(new: NewVersion, version: str | None) -> dict[str, Any]:
    """Return everything of a version but its bytes."""
    return {
        "model_id": new.model_id,
        "name": new.name,
        "version": version,
        "model_type": new.model_type,
        "algorithms": list(new.algorithms),
        "metadata": new.metadata,
        "activate": new.activate,
        "created_at": clock.to_text(new.created_at),
        "artifact": _artifact_to_dict(new.artifact),
        "performance": performance_to_dict(new.performance) if new.performance else None,
        "run": run_to_dict(new.run) if new.run else None,
    }


def _artifact_to_dict(artifact: Artifact) -> dict[str, Any]:
    return {
        "place": artifact.place.value,
        "digest": artifact.digest,
        "format": artifact.format,
        "size": artifact.size,
        "python": artifact.python,
        "packages": dict(artifact.packages),
    }


def version_from_dict(document: dict[str, Any]) -> NewVersion:
    """Return the version of a document. Raises KeyError, TypeError or ValueError where it is not one."""
    artifact = dict(document["artifact"])
    performance, run = document["performance"], document["run"]
    return NewVersion(
        model_id=ModelId(str(document["model_id"])),
        name=str(document["name"]),
        version=document["version"],
        model_type=document["model_type"],
        algorithms=tuple(document["algorithms"]),
        metadata=dict(document["metadata"]),
        activate=bool(document["activate"]),
        artifact=Artifact(
            **{**artifact, "place": Place(artifact["place"]), "digest": Digest(artifact["digest"])}
        ),
        created_at=_moment(document["created_at"]),
        performance=performance_from_dict(performance) if performance else None,
        run=run_from_dict(run) if run else None,
    )


def performance_to_dict(performance: ModelPerformance) -> dict[str, Any]:
    """Return a measurement as plain JSON values."""
    values: dict[str, Any] = plain("performance", asdict(checked(performance)))
    return values


def performance_from_dict(values: dict[str, Any]) -> ModelPerformance:
    """Return the measurement of a document."""
    return ModelPerformance(**{**values, "last_updated": clock.from_text(values["last_updated"])})


def run_to_dict(run: Run) -> dict[str, Any]:
    """Return a training record as plain JSON values."""
    values: dict[str, Any] = plain("run", asdict(run))
    return values


def run_from_dict(values: dict[str, Any]) -> Run:
    """Return the training record of a document."""
    started, completed = clock.from_text(values["started"]), clock.from_text(values["completed"])
    return Run(**{**values, "started": started, "completed": completed})


def _moment(text: str) -> datetime:
    moment = clock.from_text(text)
    if moment is None:
        raise ValueError(f"{text!r} is no moment")
    return moment
