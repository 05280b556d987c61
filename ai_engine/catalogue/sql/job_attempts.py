"""The attempts to do a job, over whatever runs statements; see catalogue.jobs.JobQueue.

Whoever ends an attempt names it: a job that is not running in that attempt is somebody else's by now.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ai_engine.catalogue.sql.dialect import Dialect
from ai_engine.catalogue.sql.jobs import AHEAD, SqlJobs
from ai_engine.catalogue.sql.schedules import ScheduledJobs
from ai_engine.domain.entities import Digest
from ai_engine.domain.errors import JobNotFoundError, LeaseLostError
from ai_engine.domain.job_ids import id_of, parsed_id
from ai_engine.domain.jobs import (
    MOST_DEATHS,
    Job,
    JobClaim,
    JobStatus,
    Order,
    Outcome,
    Usage,
    failure,
    story,
)

if TYPE_CHECKING:
    from ai_engine.catalogue.sql.snapshot import Execute

_SILENT = "nothing was heard of its worker any more"


class SqlAttempts(SqlJobs):
    """What workers do with jobs.

    Parameters
    ----------
    discard : callable
        Told of bytes that no job needs any more.
    """

    def __init__(self, execute: Execute, dialect: Dialect, discard: Callable[[Digest], None]) -> None:
        super().__init__(execute, dialect)
        self._discard = discard
        self._schedules = ScheduledJobs(execute, dialect)

    def claim(self, worker: str, host: str, lease: float) -> Job | None:
        """See catalogue.jobs.JobQueue."""
        self._redate_leases()
        while (seq := self._oldest_claimable()) is not None:
            ((token, attempt, status),) = self._execute(
                "SELECT token, attempt, status FROM engine_jobs WHERE seq = :seq", {"seq": seq}
            )
            if status == JobStatus.RUNNING.value:
                self.lose(JobClaim(id_of(seq, token), attempt), _SILENT)
                continue  # it waits again, in its old place, unless it is set aside or cancelled
            return self._start(id_of(seq, token), seq, attempt + 1, worker, host, lease)
        return None

    def _redate_leases(self) -> None:
        """Let leases begin now that begin in the future: the clock was set back since."""
        self._execute(
            f"UPDATE engine_job_leases SET beat_at = {self._dialect.now}, "
            f"lapses_at = {self._dialect.later('seconds')} WHERE beat_at > {self._dialect.later(':ahead')}",
            {"ahead": AHEAD},
        )

    def _oldest_claimable(self) -> int | None:
        lapsed = self._execute(
            f"SELECT job FROM engine_job_leases WHERE lapses_at <= {self._dialect.now} ORDER BY job LIMIT 1"
        )
        found = [seq for seq in (self._oldest_queued(), lapsed[0][0] if lapsed else None) if seq is not None]
        return min(found, default=None)

    def _start(self, job_id: str, seq: int, attempt: int, worker: str, host: str, lease: float) -> Job:
        now, later = self._dialect.now, self._dialect.later(":lease")
        of = {"job": seq, "attempt": attempt, "id": job_id}
        self._execute(
            f"UPDATE engine_jobs SET status = :running, attempt = :attempt, started_at = {now} "
            "WHERE seq = :job",
            {**of, "running": JobStatus.RUNNING.value},
        )
        self._execute(
            "INSERT INTO engine_job_leases (job, attempt, seconds, beat_at, lapses_at) "
            f"VALUES (:job, :attempt, :lease, {now}, {later})",
            {**of, "lease": lease},
        )
        job = self._require(job_id)
        self._execute(
            "INSERT INTO engine_attempts "
            "(model_name, job, attempt, worker, host, hyperparameters, started_at) "
            f"VALUES (:name, :id, :attempt, :worker, :host, :hyperparameters, {now})",
            {
                **of,
                "name": job.model_name,
                "worker": worker,
                "host": host,
                "hyperparameters": json.dumps(job.spec.get("hyperparameters") or {}),
            },
        )
        return job

    def beat(self, claim: JobClaim, lease: float, stage: str | None, fraction: float | None) -> Order:
        """See catalogue.jobs.JobQueue."""
        of = self._parameters(claim)
        known = self._execute(
            "SELECT j.cancelling, l.stage, l.fraction FROM engine_jobs j JOIN engine_job_leases l "
            "ON l.job = j.seq WHERE j.seq = :seq AND j.token = :token AND l.attempt = :attempt",
            of,
        )
        if not known:
            return Order.LOST
        ((cancelling, *before),) = known
        self._execute(
            f"UPDATE engine_job_leases SET seconds = :lease, beat_at = {self._dialect.now}, "
            f"lapses_at = {self._dialect.later(':lease')}, stage = :stage, fraction = :fraction "
            "WHERE job = :seq",
            {"seq": of["seq"], "lease": lease, "stage": stage, "fraction": fraction},
        )
        if before != [stage, fraction]:
            self._tell(of["seq"], "progress", stage, fraction)
        return Order.CANCEL if cancelling else Order.GO_ON

    def complete(self, claim: JobClaim, model_id: str, result: Mapping[str, Any]) -> None:
        """See catalogue.jobs.JobQueue."""
        seq = self._end(claim, JobStatus.COMPLETED, Outcome.COMPLETED, None)
        self._execute(
            "UPDATE engine_jobs SET model_id = :model_id, result = :result WHERE seq = :seq",
            {"model_id": model_id, "result": json.dumps(dict(result)), "seq": seq},
        )
        self._execute(
            "UPDATE engine_attempts SET run = (SELECT MAX(t.id) FROM training_history t "
            "WHERE t.model_id = :model_id) WHERE job = :job AND attempt = :attempt",
            {"model_id": model_id, "job": claim.job_id, "attempt": claim.attempt},
        )
        self._schedules.completed(claim.job_id, result)
        self._release_rows(seq)

    def fail(self, claim: JobClaim, error: Mapping[str, Any], told: str) -> None:
        """See catalogue.jobs.JobQueue."""
        self._note_error(self._end(claim, JobStatus.FAILED, Outcome.FAILED, told), error)
        self._schedules.failed(claim.job_id, told)

    def lose(self, claim: JobClaim, told: str) -> None:
        """See catalogue.jobs.JobQueue."""
        seq = self._wait_again(claim, Outcome.DIED, told)
        ((deaths, status),) = self._execute(
            "UPDATE engine_jobs SET deaths = deaths + 1 WHERE seq = :seq RETURNING deaths, status",
            {"seq": seq},
        )
        if status != JobStatus.QUEUED.value:
            return
        if deaths < MOST_DEATHS:
            self._tell(seq, "progress", _follows(claim, f"attempt {claim.attempt} died: {told}"), 0.0)
            return
        self._execute(
            f"UPDATE engine_jobs SET status = :failed, completed_at = {self._dialect.now} WHERE seq = :seq",
            {"failed": JobStatus.FAILED.value, "seq": seq},
        )
        died = [one for one in self.attempts(claim.job_id) if one.outcome is Outcome.DIED]
        why = failure(story(died[-MOST_DEATHS:], claim.job_id))
        self._note_error(seq, why)
        self._tell(seq, JobStatus.FAILED.value)
        self._schedules.failed(claim.job_id, why["detail"])

    def hand_back(self, claim: JobClaim) -> None:
        """See catalogue.jobs.JobQueue."""
        seq = self._wait_again(claim, Outcome.HANDED_BACK, None)
        job = self._require(claim.job_id)
        if job.status is JobStatus.QUEUED:
            told = _follows(claim, f"the worker of attempt {claim.attempt} was stopped")
            self._tell(seq, "progress", told, 0.0)

    def confirm_cancel(self, claim: JobClaim) -> None:
        """See catalogue.jobs.JobQueue."""
        self._end(claim, JobStatus.CANCELLED, Outcome.CANCELLED, None)

    def record_usage(self, claim: JobClaim, usage: Usage) -> None:
        """See catalogue.jobs.JobQueue."""
        self._execute(
            "UPDATE engine_attempts SET cpu_seconds = :cpu, peak_memory = :peak "
            "WHERE job = :job AND attempt = :attempt",
            {
                "cpu": usage.cpu_seconds,
                "peak": usage.peak_memory,
                "job": claim.job_id,
                "attempt": claim.attempt,
            },
        )

    def _wait_again(self, claim: JobClaim, outcome: Outcome, told: str | None) -> int:
        """End an attempt, but not its job, unless that was to end anyway; return the job's place."""
        job = self.get(claim.job_id)
        if job is not None and job.cancelling:
            return self._end(claim, JobStatus.CANCELLED, outcome, told)
        return self._end(claim, JobStatus.QUEUED, outcome, told)

    def _end(self, claim: JobClaim, status: JobStatus, outcome: Outcome, told: str | None) -> int:
        """End an attempt, and its job unless it waits again; return the job's place."""
        completed = self._dialect.now if status.is_ended else "NULL"
        ended = self._execute(
            f"UPDATE engine_jobs SET status = :status, completed_at = {completed} "
            "WHERE seq = :seq AND token = :token AND attempt = :attempt AND status = :running RETURNING seq",
            {**self._parameters(claim), "status": status.value, "running": JobStatus.RUNNING.value},
        )
        if not ended:
            raise LeaseLostError(claim.job_id, claim.attempt)
        ((seq,),) = ended
        self._execute("DELETE FROM engine_job_leases WHERE job = :seq", {"seq": seq})
        self._execute(
            f"UPDATE engine_attempts SET ended_at = {self._dialect.now}, outcome = :outcome, error = :error, "
            "behind = (SELECT COALESCE(MAX(t.id), 0) FROM training_history t) "
            "WHERE job = :job AND attempt = :attempt",
            {"outcome": outcome.value, "error": told, "job": claim.job_id, "attempt": claim.attempt},
        )
        if status.is_ended:
            self._tell(seq, status.value)
        if status is JobStatus.CANCELLED:
            self._schedules.cancelled(claim.job_id)
        return int(seq)

    def _note_error(self, seq: int, error: Mapping[str, Any]) -> None:
        self._execute(
            "UPDATE engine_jobs SET error = :error WHERE seq = :seq",
            {"error": json.dumps(dict(error)), "seq": seq},
        )

    def _tell(self, seq: int, kind: str, stage: str | None = None, fraction: float | None = None) -> None:
        """Append an event."""
        self._execute(
            "INSERT INTO engine_job_events (job, seq, kind, at, stage, fraction) "
            "SELECT :job, COALESCE(MAX(e.seq), 0) + 1, :kind, "
            f"{self._dialect.now}, :stage, :fraction FROM engine_job_events e WHERE e.job = :job",
            {"job": seq, "kind": kind, "stage": stage, "fraction": fraction},
        )

    def _release_rows(self, seq: int) -> None:
        rows = self._execute("SELECT rows_digest FROM engine_jobs WHERE seq = :seq", {"seq": seq})
        self._execute("UPDATE engine_jobs SET rows_digest = NULL WHERE seq = :seq", {"seq": seq})
        if rows and rows[0][0] is not None:
            self._discard(Digest(rows[0][0]))

    def _require(self, job_id: str) -> Job:
        job = self.get(job_id)
        if job is None:
            raise JobNotFoundError(job_id)
        return job

    @staticmethod
    def _parameters(claim: JobClaim) -> dict[str, Any]:
        seq, token = parsed_id(claim.job_id) or (0, "")
        return {"seq": seq, "token": token, "attempt": claim.attempt}


def _follows(claim: JobClaim, told: str) -> str:
    """Return what who follows a job is told between two attempts."""
    return f"{told}; attempt {claim.attempt + 1} follows"
