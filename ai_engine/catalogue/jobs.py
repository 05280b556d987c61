"""What a catalogue has to do for jobs: a queue of trainings that survives whatever is killed.

A worker that claims a job has it for the length of a lease, which its heartbeats renew. Where they stay out,
the next claim takes the job over, with an attempt that is one higher; whatever the first worker does with the
lower one from then on changes nothing and raises LeaseLostError. Moments are those of the catalogue's clock.
A clock that is set forward may end leases early, which costs an attempt; one that is set back makes a lease
no longer than it was from then on. Neither loses a job.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ai_engine.domain.entities import Digest
from ai_engine.domain.jobs import (
    Attempt,
    Job,
    JobClaim,
    JobEvent,
    JobStatus,
    NewJob,
    Order,
    Usage,
)


class Jobs(Protocol):
    """Queries, all from one moment."""

    def get(self, job_id: str) -> Job | None:
        """Return a job; None where there is none."""

    def page(
        self, status: JobStatus | None = None, limit: int | None = None, before: str | None = None
    ) -> list[Job]:
        """Return jobs, the newest first, from behind an id on."""

    def counts(self) -> dict[JobStatus, int]:
        """Return how many jobs there are of each status, of none 0."""

    def events(self, job_id: str, after: int = 0) -> list[JobEvent]:
        """Return what happened to a job after an event, oldest first."""

    def attempts(self, job_id: str) -> list[Attempt]:
        """Return the attempts to do a job, the first one first; also once the job itself is forgotten."""

    def needs(self, digest: Digest) -> bool:
        """Tell whether a job may yet be done with these bytes."""

    def needed(self) -> list[Digest]:
        """Return the bytes of every job that may yet be done."""

    def claimable(self) -> bool:
        """Tell whether a claim would find a job."""


class JobQueue(Jobs, Protocol):
    """Queries and changes, which become visible with the transaction."""

    def enqueue(self, new: NewJob, limit: int) -> tuple[Job, bool]:
        """Return the job of a request, and whether it is new.

        Parameters
        ----------
        limit : int
            How many may wait.

        Raises
        ------
        QueueFullError
            If as many wait as may.
        IdempotencyKeyReusedError
            If a job of the last day has the key and is of something else.
        """

    def claim(self, worker: str, host: str, lease: float) -> Job | None:
        """Take the oldest job that waits, or whose worker is gone, for `lease` seconds; None: there is none.

        A job whose worker is gone for the third time is set aside instead; one that is to be cancelled is.
        """

    def beat(self, claim: JobClaim, lease: float, stage: str | None, fraction: float | None) -> Order:
        """Renew a lease from now on, note how far the job is, and return what is to be done."""

    def complete(self, claim: JobClaim, model_id: str, result: Mapping[str, Any]) -> None:
        """End a job with its version, which is added in the same transaction. Raises LeaseLostError."""

    def fail(self, claim: JobClaim, error: Mapping[str, Any], told: str) -> None:
        """End a job without a version; `told` is the error as a sentence. Raises LeaseLostError."""

    def lose(self, claim: JobClaim, told: str) -> None:
        """Count a death; the job waits again, or is set aside after the third. Raises LeaseLostError."""

    def hand_back(self, claim: JobClaim) -> None:
        """Let a job wait again in its old place, without a death. Raises LeaseLostError."""

    def confirm_cancel(self, claim: JobClaim) -> None:
        """End a job that was to be cancelled, now that it runs no more. Raises LeaseLostError."""

    def record_usage(self, claim: JobClaim, usage: Usage) -> None:
        """Note what an attempt took, whatever has become of it."""

    def cancel(self, job_id: str) -> Job:
        """End a job that waits; ask the worker to end one that runs.

        Raises
        ------
        JobNotFoundError
            If there is none.
        JobStateError
            If it has ended.
        """

    def retry(self, job_id: str) -> Job:
        """Let a job that failed or was cancelled wait once more, its deaths forgiven.

        Raises
        ------
        JobNotFoundError
            If there is none.
        JobStateError
            If it waits, runs or is completed, or its rows are removed.
        """

    def forget(self, rows_after: float, jobs_after: float) -> int:
        """Forget ended jobs, and before that their rows; return how many jobs are forgotten.

        Parameters
        ----------
        rows_after, jobs_after : float
            Seconds since the end.
        """
