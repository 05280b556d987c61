"""Jobs in answers, as the OpenAPI document tells them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ai_engine.api.schemas import Reply, TrainReply

Status = Literal["queued", "running", "completed", "failed", "cancelled"]


class Accepted(Reply):
    """The job of a training that nobody waits for."""

    job_id: str
    status: Status
    status_url: str = Field(description="Where to ask what has become of it.")


class Progress(Reply):
    """How far a job is."""

    stage: str | None = Field(description="What comes next.")
    fraction: float | None = Field(description="What is done, 0 to 1.")
    elapsed_seconds: float | None = Field(description="Of the last attempt.")
    expected_seconds: float | None = Field(description="What the training of the active version took.")


class JobError(Reply):
    """Why a job made no version."""

    code: str
    detail: str
    field: str | None


class JobReply(Reply):
    """A training that was asked for."""

    job_id: str
    status: Status
    model_name: str
    model_type: str
    attempt: int = Field(description="How often a worker has claimed it.")
    progress: Progress
    submitted_at: str
    started_at: str | None
    completed_at: str | None
    result: TrainReply | None
    error: JobError | None


class Attempt(Reply):
    """One try to do a job."""

    attempt: int
    worker: str
    host: str
    started_at: str
    ended_at: str | None
    outcome: Literal["completed", "failed", "cancelled", "handed back", "died"] | None
    error: str | None
    cpu_seconds: float | None
    peak_memory_bytes: int | None


class JobDetails(JobReply):
    """A training that was asked for, with every attempt to do it."""

    attempts: list[Attempt]


class JobsReply(Reply):
    """Jobs, the newest first."""

    jobs: list[JobReply]
    next_page_token: str | None
