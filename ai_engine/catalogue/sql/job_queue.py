"""The queue as those see it who ask for jobs, over whatever runs statements; see catalogue.jobs.JobQueue."""

from __future__ import annotations

import json
from collections.abc import Callable
from secrets import token_hex
from typing import TYPE_CHECKING

from ai_engine.catalogue.sql.dialect import Dialect
from ai_engine.catalogue.sql.job_attempts import SqlAttempts
from ai_engine.domain.entities import Digest
from ai_engine.domain.errors import IdempotencyKeyReusedError, JobStateError, QueueFullError
from ai_engine.domain.job_ids import id_of
from ai_engine.domain.jobs import KEY_LIFETIME, MOST_ATTEMPTS, Job, JobStatus, NewJob, Outcome

if TYPE_CHECKING:
    from ai_engine.catalogue.sql.snapshot import Execute

_ENDED = ", ".join(f"'{status.value}'" for status in JobStatus if status.is_ended)


class SqlJobQueue(SqlAttempts):
    """See catalogue.jobs.JobQueue.

    Parameters
    ----------
    actor : str
        Who asks for jobs.
    discard : callable
        Told of bytes that no job needs any more.
    """

    def __init__(
        self, execute: Execute, dialect: Dialect, actor: str, discard: Callable[[Digest], None]
    ) -> None:
        super().__init__(execute, dialect, discard)
        self._actor = actor

    def enqueue(self, new: NewJob, limit: int) -> tuple[Job, bool]:
        """See catalogue.jobs.JobQueue."""
        known = self._of_key(new)
        if known is not None:
            self._discard(new.rows.digest)
            return known, False
        self._check_room(limit)
        token = token_hex(8)
        ((seq,),) = self._execute(
            f"""
            INSERT INTO engine_jobs (token, status, model_name, model_type, spec, rows_digest, rows_format,
                                     rows_size, dedupe_key, fingerprint, request_id,
                                     submitted_by, submitted_at)
            VALUES (:token, :status, :model_name, :model_type, :spec, :digest, :format, :size, :dedupe_key,
                    :fingerprint, :request_id, :by, {self._dialect.now})
            RETURNING seq
            """,
            {
                "token": token,
                "status": JobStatus.QUEUED.value,
                "model_name": new.model_name,
                "model_type": new.model_type,
                "spec": json.dumps(dict(new.spec)),
                "digest": str(new.rows.digest),
                "format": new.rows.format,
                "size": new.rows.size,
                "dedupe_key": new.dedupe_key,
                "fingerprint": new.fingerprint,
                "request_id": new.request_id,
                "by": self._actor,
            },
        )
        return self._require(id_of(seq, token)), True

    def _of_key(self, new: NewJob) -> Job | None:
        """Return the job that has the key of a request already; take the key of one of long ago."""
        if new.dedupe_key is None:
            return None
        found = self._execute(
            "SELECT seq, token, fingerprint FROM engine_jobs WHERE dedupe_key = :key "
            f"AND submitted_at > {self._dialect.later(':age')}",
            {"key": new.dedupe_key, "age": -KEY_LIFETIME},
        )
        if not found:
            self._execute(
                "UPDATE engine_jobs SET dedupe_key = NULL WHERE dedupe_key = :key", {"key": new.dedupe_key}
            )
            return None
        ((seq, token, fingerprint),) = found
        if fingerprint != new.fingerprint:
            raise IdempotencyKeyReusedError(new.dedupe_key, id_of(seq, token))
        return self._require(id_of(seq, token))

    def _check_room(self, limit: int) -> None:
        ((waiting,),) = self._execute(
            "SELECT COUNT(*) FROM (SELECT 1 FROM engine_jobs WHERE status = :queued LIMIT :limit) w",
            {"queued": JobStatus.QUEUED.value, "limit": limit},
        )
        if waiting >= limit:
            raise QueueFullError(waiting)

    def cancel(self, job_id: str) -> Job:
        """See catalogue.jobs.JobQueue."""
        job = self._require(job_id)
        seq = self._place(job_id)
        if job.status is JobStatus.RUNNING:
            self._execute("UPDATE engine_jobs SET cancelling = 1 WHERE seq = :seq", {"seq": seq})
        elif job.status is JobStatus.QUEUED:
            self._execute(
                f"UPDATE engine_jobs SET status = :cancelled, completed_at = {self._dialect.now} "
                "WHERE seq = :seq",
                {"cancelled": JobStatus.CANCELLED.value, "seq": seq},
            )
            self._tell(seq, JobStatus.CANCELLED.value)
            self._schedules.cancelled(job_id)
        else:
            raise JobStateError(job_id, f"is {job.status.value} already; there is nothing to cancel")
        return self._require(job_id)

    def retry(self, job_id: str) -> Job:
        """See catalogue.jobs.JobQueue."""
        job = self._require(job_id)
        if job.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
            raise JobStateError(
                job_id, f"is {job.status.value}; only one that failed or was cancelled can be retried"
            )
        if job.rows is None:
            raise JobStateError(job_id, "ended a day ago or more, and its rows are gone; send them again")
        seq = self._place(job_id)
        self._execute(
            "UPDATE engine_jobs SET status = :queued, deaths = 0, cancelling = 0, started_at = NULL, "
            "completed_at = NULL, error = NULL WHERE seq = :seq",
            {"queued": JobStatus.QUEUED.value, "seq": seq},
        )
        # Who follows the job from its beginning does not stop at an end that was none.
        self._execute(
            "UPDATE engine_job_events SET kind = 'progress', stage = 'waiting once more', fraction = 0 "
            "WHERE job = :seq AND kind <> 'progress'",
            {"seq": seq},
        )
        self._schedules.waits(job_id)
        return self._require(job_id)

    def forget(self, rows_after: float, jobs_after: float) -> int:
        """See catalogue.jobs.JobQueue."""
        ended = f"status IN ({_ENDED}) AND completed_at < {self._dialect.later(':age')}"
        released = self._execute(
            f"SELECT seq FROM engine_jobs WHERE {ended} AND rows_digest IS NOT NULL", {"age": -rows_after}
        )
        for (seq,) in released:
            self._release_rows(seq)
        forgotten = self._execute(f"SELECT seq FROM engine_jobs WHERE {ended}", {"age": -jobs_after})
        for (seq,) in forgotten:
            self._release_rows(seq)
            self._execute("DELETE FROM engine_job_events WHERE job = :seq", {"seq": seq})
            self._execute("DELETE FROM engine_jobs WHERE seq = :seq", {"seq": seq})
        # What made no version stays in the history of its model, and so does what made one that is there.
        self._execute(
            "DELETE FROM engine_attempts WHERE run IS NULL AND outcome = :completed "
            f"AND ended_at < {self._dialect.later(':age')}",
            {"completed": Outcome.COMPLETED.value, "age": -jobs_after},
        )
        self._execute(
            "DELETE FROM engine_attempts WHERE seq IN (SELECT seq FROM (SELECT seq, ROW_NUMBER() OVER "
            "(PARTITION BY model_name ORDER BY seq DESC) AS place FROM engine_attempts "
            "WHERE run IS NULL AND outcome IS NOT NULL) old WHERE place > :most)",
            {"most": MOST_ATTEMPTS},
        )
        return len(forgotten)
