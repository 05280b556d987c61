"""Jobs as programs get them, over HTTP and with ``--json``."""

from __future__ import annotations

from typing import Any

from ai_engine.domain.answers import ScheduleAnswer
from ai_engine.domain.clock import to_iso
from ai_engine.domain.error_codes import code_of
from ai_engine.domain.errors import JobStateError
from ai_engine.domain.jobs import Attempt, Job, JobEvent, JobStatus
from ai_engine.domain.schedules import Schedule
from ai_engine.registry.json_views import last_shape
from ai_engine.registry.registry import Registry
from ai_engine.training.events import rebuilt_error
from ai_engine.training.results import TrainingResult


def job_shape(job: Job, expected_seconds: float | None = None) -> dict[str, Any]:
    """Return a job as ``GET /train/jobs/{id}`` answers it (JSON values).

    Parameters
    ----------
    expected_seconds : float or None
        How long a training of this model took when one was last measured.
    """
    done = job.status is JobStatus.COMPLETED
    return {
        "job_id": job.job_id,
        "status": job.status.value,
        "model_name": job.model_name,
        "model_type": job.model_type,
        "attempt": job.attempt,
        "progress": {
            "stage": "done" if done else job.stage,
            "fraction": 1.0 if done else job.fraction,
            "elapsed_seconds": job.elapsed_seconds,
            "expected_seconds": expected_seconds,
        },
        "submitted_at": to_iso(job.submitted_at),
        "started_at": job.started_at and to_iso(job.started_at),
        "completed_at": job.completed_at and to_iso(job.completed_at),
        "result": None if job.result is None else dict(job.result),
        "error": error_shape(job),
    }


def error_shape(job: Job) -> dict[str, Any] | None:
    """Return why a job failed (JSON values); None for one that did not."""
    if job.error is None:
        return None
    error = rebuilt_error(job.error)
    return {"code": code_of(type(error)), "detail": str(error), "field": job.error["field"]}


def attempt_shape(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt (JSON values)."""
    return {
        "attempt": attempt.attempt,
        "worker": attempt.worker,
        "host": attempt.host,
        "started_at": to_iso(attempt.started_at),
        "ended_at": attempt.ended_at and to_iso(attempt.ended_at),
        "outcome": attempt.outcome and attempt.outcome.value,
        "error": attempt.error,
        "cpu_seconds": attempt.usage.cpu_seconds,
        "peak_memory_bytes": attempt.usage.peak_memory,
    }


def event_shape(event: JobEvent, job: Job) -> dict[str, Any]:
    """Return an event of a job (JSON values): how far it is, or all of it once it has ended."""
    if event.kind != "progress":
        return job_shape(job)
    return {"stage": event.stage, "fraction": event.fraction, "at": to_iso(event.at)}


def schedule_shape(schedule: Schedule) -> ScheduleAnswer:
    """Return a schedule as ``GET /models/{model_name}/schedule`` answers it (JSON values)."""
    training = {key: value for key, value in schedule.spec.items() if key not in ("name", "model_type")}
    return {
        "model_name": schedule.name,
        "model_type": schedule.spec["model_type"],
        "source": schedule.source.pattern,
        "files": schedule.source.files.value,
        "every_seconds": schedule.every,
        "rows": schedule.rows,
        "next_at": to_iso(schedule.due_at),
        "last": last_shape(schedule.last),
        "failures": schedule.failures,
        "warning": schedule.warning,
        "set_by": schedule.set_by,
        "set_at": to_iso(schedule.set_at) or "",  # it has a text
        "training": training,
    }


def expected_seconds(registry: Registry, name: str) -> float | None:
    """Return how long the training of the active version took; None where that was not measured."""
    version = registry.active(name)
    measured = None if version is None else registry.latest_performance(name, version)
    return None if measured is None else measured.training_time


def outcome(job: Job) -> TrainingResult:
    """Return what a job that has ended made.

    Raises
    ------
    AIEngineError
        What the training raised, as the same class with the same fields, where it failed.
    JobStateError
        If it was cancelled, or has not ended.
    """
    if job.result is not None:
        return TrainingResult.from_mapping(job.result)
    if job.error is not None:
        raise rebuilt_error(job.error)
    raise JobStateError(job.job_id, f"is {job.status.value}; no version of it was saved")
