"""The registry's records as JSON, the same for everyone who tells of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from ai_engine.domain.answers import (
    Cleanup,
    Examination,
    HealthAnswer,
    LastOutcome,
    ModelInfo,
    ModelSummary,
    Removed,
    TrainingRecord,
    VersionInfo,
)
from ai_engine.domain.audit import AuditEntry
from ai_engine.domain.clock import to_iso
from ai_engine.domain.entities import Health
from ai_engine.domain.history import RunRecord
from ai_engine.domain.performance import ModelPerformance
from ai_engine.domain.schedules import Last
from ai_engine.registry.retention import CleanUp
from ai_engine.version import __version__

if TYPE_CHECKING:
    from ai_engine.registry.doctor import Finding

_MOMENTS = ("created_at", "updated_at", "last_metric_update")


def to_json(content: Any, indent: int | None = None) -> str:
    """Return JSON values as text; NaN and the infinities, which JSON does not have, become null.

    >>> to_json({"mae": float("nan")})
    '{"mae": null}'
    """
    try:
        return json.dumps(content, allow_nan=False, indent=indent)
    except (ValueError, TypeError):
        return json.dumps(_finite(content), allow_nan=False, indent=indent)


def _finite(value: Any) -> Any:
    """Return a JSON value with null where a number is not finite, and bytes that others wrote as text."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def audit_shape(entry: AuditEntry) -> dict[str, Any]:
    """Return an entry of the audit log."""
    event = entry.event
    return {
        "seq": entry.seq,
        "at": to_iso(entry.at),
        "actor": entry.actor,
        "action": event.action,
        "model": event.model,
        "version": event.version,
        "outcome": event.outcome,
        "detail": dict(event.detail),
        "digest": entry.digest,
    }


def entry_shape(entry: VersionInfo) -> dict[str, Any]:
    """Return an entry of `Registry.describe` with moments ISO 8601, without its place in the order."""
    told: dict[str, Any] = dict(entry)
    del told["seq"]
    for key in _MOMENTS:
        told[key] = to_iso(told.get(key))
    return told


def model_shape(entry: ModelInfo) -> ModelSummary:
    """Return an entry of `Registry.models`, with moments ISO 8601."""
    return ModelSummary(
        name=entry["name"],
        active_version=entry["version"] if entry["is_active"] else None,
        versions=entry["versions"],
        version=entry["version"],
        model_id=entry["model_id"],
        model_type=entry["model_type"],
        algorithms=entry["algorithms"],
        created_at=to_iso(entry["created_at"]),
        updated_at=to_iso(entry["updated_at"]),
        size=entry["size"],
        metric_count=entry["metric_count"],
        avg_accuracy=entry["avg_accuracy"],
        last_metric_update=to_iso(entry["last_metric_update"]),
        performance=entry["performance"],
    )


def performance_shape(performance: ModelPerformance | None) -> dict[str, Any] | None:
    """Return a measurement."""
    if performance is None:
        return None
    return asdict(performance) | {"last_updated": to_iso(performance.last_updated)}


def run_entry(record: RunRecord) -> TrainingRecord:
    """Return a training record with its moments as datetimes."""
    run, attempt = record.run, record.attempt
    used: Any = run.hyperparameters  # a caller may have given what is no mapping, and it is stored
    told: TrainingRecord = {
        "name": record.name,
        "version": record.version,
        "started": run.started,
        "completed": run.completed,
        "dataset_size": run.dataset_size,
        "hyperparameters": dict(used) if isinstance(used, Mapping) else {"unparsed": used},
        "validation_score": run.validation_score,
        "job_id": record.job_id,
        "attempt": None,
        "outcome": None,
        "error": None,
        "ended": None,
        "host": None,
        "cpu_seconds": None,
        "peak_memory_bytes": None,
    }
    if attempt is not None:
        told["attempt"], told["host"], told["error"] = attempt.attempt, attempt.host, attempt.error
        told["outcome"] = attempt.outcome and attempt.outcome.value
        told["ended"] = attempt.ended_at
        told["cpu_seconds"] = attempt.usage.cpu_seconds
        told["peak_memory_bytes"] = attempt.usage.peak_memory
    return told


def run_shape(record: RunRecord) -> dict[str, Any]:
    """Return a training record."""
    told: dict[str, Any] = dict(run_entry(record))
    return told | {key: to_iso(told[key]) for key in ("started", "completed", "ended")}


def last_shape(last: Last | None) -> LastOutcome | None:
    """Return what came of the last time that a schedule was due; None where it never was."""
    if last is None:
        return None
    return {  # a moment that there is has its text
        "outcome": last.outcome.value,
        "at": to_iso(last.at) or "",
        "version": last.version,
        "active": last.active,
        "reason": last.reason,
        "job_id": last.job_id,
    }


def health_answer(
    state: Mapping[str, Any], uptime: float, database: str, actives: dict[str, str]
) -> HealthAnswer:
    """Return the answer of ``GET /health``.

    Parameters
    ----------
    state : mapping
        As `health_shape` tells it.
    uptime : float
        Seconds since the start.
    """
    return {
        "status": state["status"],
        "version": __version__,
        "uptime_seconds": round(uptime, 3),
        "persistence": {
            "enabled": state["status"] == "healthy",
            "reason": state["reason"],
            "waiting": state["waiting"],
            "in_memory_only": state["in_memory_only"],
            "database": database,
            "journal": state.get("journal"),
        },
        "active_models": actives,
        "schedules": state.get("schedules"),
        "warnings": state.get("warnings", []),
    }


def findings_answer(
    findings: Iterable[Finding],
    restored: Sequence[str] = (),
    lost: Sequence[str] = (),
    signed: Sequence[str] = (),
) -> Examination:
    """Return the answer of ``ai-engine doctor --json``."""
    told = list(findings)
    return {
        "healthy": not any(finding.is_open for finding in told) and not lost,
        "findings": [finding.as_dict() for finding in told],
        "restored": list(restored),
        "lost": list(lost),
        "signed": list(signed),
    }


def health_shape(health: Health) -> dict[str, Any]:
    """Return what a registry says of itself."""
    told = {field.name: getattr(health, field.name) for field in fields(health)}
    schedules = health.schedules
    return told | {
        "damaged": list(health.damaged),
        "schedules": None
        if schedules is None
        else [
            {
                "model_name": one.name,
                "next_at": to_iso(one.due_at),
                "last": last_shape(one.last),
                "warning": one.warning,
            }
            for one in schedules
        ],
        "warnings": [one.warning for one in schedules or () if one.warning is not None],
    }


def clean_up_shape(done: CleanUp) -> Cleanup:
    """Return what a clean-up removed, or would."""
    removed = [Removed(name=version.name, version=version.version) for version in done.dropped]
    return Cleanup(removed=removed, freed_bytes=done.freed_bytes)
