"""The queue of trainings: rows become durable, then a job makes them somebody's work.

A crash between the two leaves bytes that nobody names, never a job without rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from ai_engine.artifacts.protocol import Stored
from ai_engine.domain.audit import AuditEvent
from ai_engine.domain.digests import named
from ai_engine.domain.error_codes import code_named
from ai_engine.domain.errors import ArtifactCorruptedError, JobNotFoundError, OutcomeUnknownError
from ai_engine.domain.jobs import (
    JOB_LIFETIME,
    KEY_LIFETIME,
    Attempt,
    Job,
    JobClaim,
    JobEvent,
    JobRows,
    JobStatus,
    NewJob,
    Order,
    Usage,
)
from ai_engine.domain.schedules import SourceFile, Turn
from ai_engine.registry.audit_events import of_job
from ai_engine.registry.stores import Stores
from ai_engine.registry.sweep import Sweeper

# What is hashed at a time.
_PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Scheduled:
    """The schedule that a job is of, and the files that it trains on."""

    turn: Turn
    files: Sequence[SourceFile]


@dataclass(frozen=True, slots=True)
class TrainingQueue:
    """Asks for trainings, hands them out, and tells of them.

    Attributes
    ----------
    actor : str
        Who asks; written down with the job.
    """

    stores: Stores
    sweeper: Sweeper
    actor: str

    # -- asking ----------------------------------------------------------------------------------------------

    def submit(
        self,
        rows: Iterable[bytes],
        format_: str,
        *,
        model_name: str,
        model_type: str,
        spec: Mapping[str, Any],
        dedupe_key: str | None = None,
        request_id: str | None = None,
        limit: int,
        scheduled: Scheduled | None = None,
    ) -> Job:
        """Return the job of a request once it is durable.

        Parameters
        ----------
        rows : iterable of bytes
            As they were sent, piece by piece.
        format_ : str
            How they are to be read.
        spec : mapping
            What is to be trained, without the rows (JSON values).
        dedupe_key : str or None
            Makes a second request of the same day the same job.
        request_id : str or None
            Under which the logs of its training have it.
        limit : int
            How many jobs may wait.
        scheduled : Scheduled or None
            The schedule that is due, which is settled in the same transaction.

        Raises
        ------
        QueueFullError
            If as many wait as may.
        IdempotencyKeyReusedError
            If the key came with another request.
        ScheduleChangedError
            If the schedule is not due any more: somebody else asked for the training.
        StorageError
            If the rows or the job cannot be stored.
        """
        try:
            # Until the context is left nobody sweeps the bytes.
            with self.stores.artifacts.create() as writer:
                for piece in rows:
                    writer.write(piece)
                stored = writer.finish()
                new = _new_job(stored, format_, model_name, model_type, spec, dedupe_key)
                new = replace(new, request_id=request_id)
                with self.stores.catalogue.write(self.actor) as work:
                    if not self.stores.artifacts.has(stored.digest):  # equal bytes, swept since
                        writer.finish()
                    job, is_new = work.jobs.enqueue(new, limit)
                    if is_new:
                        work.audit.append(of_job("submit", job))
                    if scheduled is not None:
                        work.schedules.asked(scheduled.turn, job.job_id, scheduled.files)
        except OutcomeUnknownError:
            raise  # the job may be there, and needs its rows
        except BaseException:
            self.sweeper.discard()
            raise
        if not is_new:
            self.sweeper.sweep_if_possible()
        return job

    def cancel(self, job_id: str) -> Job:
        """End a job that waits at once, and one that runs within seconds.

        Raises
        ------
        JobNotFoundError
            If there is none.
        JobStateError
            If it has ended.
        """
        with self.stores.catalogue.write(self.actor) as work:
            job = work.jobs.cancel(job_id)
            work.audit.append(of_job("cancel", job))
        return job

    def retry(self, job_id: str) -> Job:
        """Let a job that failed or was cancelled wait once more.

        Raises
        ------
        JobNotFoundError
            If there is none.
        JobStateError
            If it has not failed, or its rows are removed.
        """
        with self.stores.catalogue.write(self.actor) as work:
            job = work.jobs.retry(job_id)
            work.audit.append(of_job("retry", job))
        return job

    # -- telling ---------------------------------------------------------------------------------------------

    def get(self, job_id: str) -> Job:
        """Return a job. Raises JobNotFoundError."""
        with self.stores.catalogue.read() as snapshot:
            job = snapshot.jobs.get(job_id)
        if job is None:
            raise JobNotFoundError(job_id)
        return job

    def page(
        self, status: JobStatus | None = None, limit: int | None = None, before: str | None = None
    ) -> list[Job]:
        """Return jobs, the newest first, from behind an id on."""
        with self.stores.catalogue.read() as snapshot:
            return snapshot.jobs.page(status, limit, before)

    def counts(self) -> dict[JobStatus, int]:
        """Return how many jobs there are of each status."""
        with self.stores.catalogue.read() as snapshot:
            return snapshot.jobs.counts()

    def events(self, job_id: str, after: int = 0) -> tuple[Job, list[JobEvent]]:
        """Return a job, and what happened to it after an event. Raises JobNotFoundError."""
        with self.stores.catalogue.read() as snapshot:
            job, events = snapshot.jobs.get(job_id), snapshot.jobs.events(job_id, after)
        if job is None:
            raise JobNotFoundError(job_id)
        return job, events

    def attempts(self, job_id: str) -> list[Attempt]:
        """Return the attempts to do a job, the first one first."""
        with self.stores.catalogue.read() as snapshot:
            return snapshot.jobs.attempts(job_id)

    def stamp(self) -> int | None:
        """Return a number that differs once anything has changed; None where that is not known."""
        return self.stores.catalogue.stamp()

    # -- doing -----------------------------------------------------------------------------------------------

    def claim(self, worker: str, host: str, lease: float) -> Job | None:
        """Take the oldest job that waits, or whose worker is gone; None where there is none."""
        with self.stores.catalogue.read() as snapshot:
            if not snapshot.jobs.claimable():
                return None
        with self.stores.catalogue.write(self.actor) as work:
            return work.jobs.claim(worker, host, lease)

    def beat(self, claim: JobClaim, lease: float, stage: str | None, fraction: float | None) -> Order:
        """Renew a lease, note how far the job is, and return what is to be done."""
        with self.stores.catalogue.write(self.actor) as work:
            return work.jobs.beat(claim, lease, stage, fraction)

    def fail(self, claim: JobClaim, error: Mapping[str, Any], told: str, usage: Usage) -> None:
        """End a job without a version. Raises LeaseLostError."""
        with self.stores.catalogue.write(self.actor) as work:
            work.jobs.fail(claim, error, told)
            job = work.jobs.get(claim.job_id)
            assert job is not None  # it was just ended
            code = code_named(str(error.get("type")))
            work.audit.append(AuditEvent("train", job.model_name, None, code, {"job": job.job_id}))
            work.jobs.record_usage(claim, usage)

    def lose(self, claim: JobClaim, told: str, usage: Usage) -> None:
        """Count a death; the job waits again, or is set aside. Raises LeaseLostError."""
        with self.stores.catalogue.write(self.actor) as work:
            work.jobs.lose(claim, told)
            work.jobs.record_usage(claim, usage)

    def hand_back(self, claim: JobClaim, usage: Usage) -> None:
        """Let a job wait again, without a death. Raises LeaseLostError."""
        with self.stores.catalogue.write(self.actor) as work:
            work.jobs.hand_back(claim)
            work.jobs.record_usage(claim, usage)

    def confirm_cancel(self, claim: JobClaim, usage: Usage) -> None:
        """End a job that was to be cancelled. Raises LeaseLostError."""
        with self.stores.catalogue.write(self.actor) as work:
            work.jobs.confirm_cancel(claim)
            work.jobs.record_usage(claim, usage)

    def close_books(self, claim: JobClaim, usage: Usage) -> None:
        """Note what an attempt took whose version is saved, and free the rows."""
        with self.stores.catalogue.write(self.actor) as work:
            work.jobs.record_usage(claim, usage)
        self.sweeper.sweep_if_possible()

    @contextmanager
    def rows(self, job: Job) -> Iterator[str]:
        """Give a file with the rows of a job, which are as they were sent.

        Raises
        ------
        ArtifactCorruptedError
            If they are missing or damaged.
        """
        found = None if job.rows is None else self.stores.artifacts.open(job.rows.digest)
        if job.rows is None or found is None:
            raise ArtifactCorruptedError(f"the rows of job {job.job_id}", "are missing")
        digest = sha256()
        for start in range(0, len(found.view), _PIECE):
            digest.update(found.view[start : start + _PIECE])
        if named(digest.hexdigest()) != job.rows.digest:
            raise ArtifactCorruptedError(f"the rows of job {job.job_id}", "do not match their digest")
        path = self.stores.artifacts.path(job.rows.digest)
        if path is not None:
            yield path
            return
        from tempfile import NamedTemporaryFile  # slow to import, and rarely needed

        with NamedTemporaryFile(prefix="ai-engine-rows-") as copy:
            copy.write(found.view)
            copy.flush()
            yield copy.name

    # -- forgetting ------------------------------------------------------------------------------------------

    def forget(self) -> int:
        """Forget jobs that ended long ago, and the rows of those that cannot be retried any more."""
        with self.stores.catalogue.write(self.actor) as work:
            forgotten = work.jobs.forget(KEY_LIFETIME, JOB_LIFETIME)
        self.sweeper.sweep_if_possible()
        return forgotten


def _new_job(
    stored: Stored,
    format_: str,
    model_name: str,
    model_type: str,
    spec: Mapping[str, Any],
    dedupe_key: str | None,
) -> NewJob:
    asked = json.dumps([dict(spec), format_, str(stored.digest)], sort_keys=True)
    return NewJob(
        model_name=model_name,
        model_type=model_type,
        spec=spec,
        rows=JobRows(stored.digest, format_, stored.size),
        dedupe_key=dedupe_key,
        fingerprint=sha256(asked.encode()).hexdigest(),
    )
