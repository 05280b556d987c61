"""What the audit log tells of changes that are made in more than one place."""

from __future__ import annotations

from ai_engine.domain.audit import AuditEvent
from ai_engine.domain.entities import NewVersion
from ai_engine.domain.jobs import Job, JobCompletion


def saved(new: NewVersion, number: str, job: JobCompletion | None = None) -> AuditEvent:
    """Return the event of a version that is saved: a training's, or any other object's."""
    detail: dict[str, object] = {"activate": new.activate}
    if job is not None:
        detail["job"] = job.claim.job_id
    return AuditEvent("save" if new.run is None else "train", new.name, number, detail=detail)


def of_job(action: str, job: Job, **detail: object) -> AuditEvent:
    """Return the event of something that is done to a job; `detail` are JSON values."""
    return AuditEvent(action, job.model_name, detail={"job": job.job_id, **detail})
