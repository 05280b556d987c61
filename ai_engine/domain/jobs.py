"""A training that was asked for and waits, runs or has ended: a job."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from ai_engine.domain.entities import Digest, SavedVersion

# Of so many attempts that ended with their process a job is set aside: it would end a fourth one, too.
MOST_DEATHS: Final = 3
# Seconds for which the key of a request means the same job, and for which rows can be trained on once more.
KEY_LIFETIME: Final = 24 * 3600.0
# Seconds for which an ended job can be looked up.
JOB_LIFETIME: Final = 7 * KEY_LIFETIME
# Attempts without a version that the history of a model keeps, once their jobs are forgotten.
MOST_ATTEMPTS: Final = 1000


class JobStatus(StrEnum):
    """How far a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_ended(self) -> bool:
        """Whether nothing happens to the job any more, unless it is retried."""
        return self not in (JobStatus.QUEUED, JobStatus.RUNNING)


class Outcome(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    HANDED_BACK = "handed back"  # its worker was told to stop
    DIED = "died"  # its process, or its worker, is gone


class Order(StrEnum):
    """What a worker is told in answer to its heartbeat."""

    GO_ON = "go on"
    CANCEL = "cancel"
    LOST = "lost"  # the job is another one's, or nobody's: stop, and change nothing


@dataclass(frozen=True, slots=True)
class JobRows:
    """The rows of a training, stored as they were sent.

    Attributes
    ----------
    digest : Digest
        Of the bytes.
    format : str
        How they are to be read.
    size : int
        How many bytes they are.
    """

    digest: Digest
    format: str
    size: int


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that is asked for.

    Attributes
    ----------
    model_name, model_type : str
        What is to be trained.
    spec : mapping
        How (JSON values); the rows are not in it.
    rows : JobRows
        On what.
    dedupe_key : str or None
        Tells the request from all others of a day; a second one with the same key is the same job.
    fingerprint : str
        Tells what was asked for from anything else that might be.
    request_id : str or None
        Under which the logs have it.
    """

    model_name: str
    model_type: str
    spec: Mapping[str, Any]
    rows: JobRows
    dedupe_key: str | None = None
    fingerprint: str = ""
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class JobClaim:
    """A worker's right to a job, until somebody else has claimed it: `attempt` counts the claims."""

    job_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class JobCompletion:
    """The job that a save ends, in the transaction that adds the version.

    Attributes
    ----------
    result : callable
        Returns what the job made (JSON values), from what the save settled.
    """

    claim: JobClaim
    result: Callable[[SavedVersion], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is at one moment of the catalogue's clock.

    Attributes
    ----------
    job_id : str
        Ids sort as the jobs were asked for.
    rows : JobRows or None
        None once they are removed.
    attempt : int
        How often it was claimed.
    deaths : int
        How many attempts ended with their process.
    submitted_at, started_at, completed_at, observed_at : datetime
        When it was asked for, when its last attempt began, when it ended, and now; by the catalogue's clock.
    stage : str or None
        What comes next in the training.
    fraction : float or None
        How much of it is done, 0 to 1.
    cancelling : bool
        Whether it is to end.
    result : mapping or None
        What was made (JSON values).
    error : mapping or None
        Why nothing was (JSON values).
    """

    job_id: str
    status: JobStatus
    model_name: str
    model_type: str
    spec: Mapping[str, Any]
    rows: JobRows | None
    attempt: int
    deaths: int
    submitted_by: str
    submitted_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    observed_at: datetime
    stage: str | None
    fraction: float | None
    cancelling: bool
    result: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    request_id: str | None

    @property
    def claim(self) -> JobClaim:
        """Return the right of whoever has the job now."""
        return JobClaim(self.job_id, self.attempt)

    @property
    def elapsed_seconds(self) -> float | None:
        """Return for how long the last attempt has run, or ran; None where there is none."""
        if self.started_at is None:
            return None
        return max(0.0, ((self.completed_at or self.observed_at) - self.started_at).total_seconds())


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One thing that happened to a job.

    Attributes
    ----------
    seq : int
        Grows with every event of the job.
    kind : str
        ``progress``, or how the job ended.
    """

    seq: int
    kind: str
    at: datetime
    stage: str | None
    fraction: float | None


@dataclass(frozen=True, slots=True)
class Usage:
    """What an attempt took of its machine; None where that is not known.

    Attributes
    ----------
    cpu_seconds : float or None
        Of all its threads, in user and system mode.
    peak_memory : int or None
        Bytes that were resident at most.
    """

    cpu_seconds: float | None = None
    peak_memory: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to do a job.

    Attributes
    ----------
    worker, host : str
        Who tried, and where.
    ended_at : datetime or None
        None while it is under way.
    error : str or None
        Why it made no version.
    """

    attempt: int
    worker: str
    host: str
    started_at: datetime
    ended_at: datetime | None
    outcome: Outcome | None
    error: str | None
    usage: Usage = field(default_factory=Usage)


def failure(told: str) -> dict[str, Any]:
    """Return the error (JSON values) of a job that nobody but its worker could tell of."""
    return {
        "kind": "internal",
        "type": "TrainingFailedError",
        "field": None,
        "detail": f"the training failed: {told}",
        "attributes": {"reason": told},
    }


def story(died: Sequence[Attempt], job_id: str) -> str:
    """Return why a job is set aside, from the attempts that died."""
    lives = "; ".join(
        f"attempt {one.attempt} on {one.host}, {one.started_at:%Y-%m-%d %H:%M:%S} to "
        f"{one.ended_at or one.started_at:%H:%M:%S} UTC: {one.error}"
        for one in died
    )
    return (
        f"it was set aside after its process had died {len(died)} times ({lives}). Send fewer rows, or give "
        f"its workers more memory and let it run once more with `ai-engine jobs retry {job_id}`"
    )
