"""Queries about jobs over whatever runs statements; see catalogue.jobs.Jobs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ai_engine.catalogue.sql.dialect import Dialect
from ai_engine.domain import clock
from ai_engine.domain.entities import Digest
from ai_engine.domain.job_ids import id_of, parsed_id
from ai_engine.domain.jobs import (
    Attempt,
    Job,
    JobEvent,
    JobRows,
    JobStatus,
    Outcome,
    Usage,
)

if TYPE_CHECKING:
    from ai_engine.catalogue.sql.snapshot import Execute

_COLUMNS = """
    j.seq, j.token, j.status, j.model_name, j.model_type, j.spec, j.rows_digest, j.rows_format, j.rows_size,
    j.attempt, j.deaths, j.submitted_by, j.submitted_at, j.started_at, j.completed_at,
    COALESCE(l.stage, CASE WHEN j.attempt > 0 AND j.status IN ('queued', 'running') THEN
        (SELECT e.stage FROM engine_job_events e WHERE e.job = j.seq ORDER BY e.seq DESC LIMIT 1) END),
    l.fraction, j.cancelling, j.result, j.error, j.request_id
"""
_FROM = "FROM engine_jobs j LEFT JOIN engine_job_leases l ON l.job = j.seq"
_LAPSED = "l.lapses_at <= {now} OR l.beat_at > {soon}"
# Seconds by which a heartbeat may lie ahead of the clock before the clock was set back.
AHEAD = 5.0


class SqlJobs:
    """See catalogue.jobs.Jobs."""

    def __init__(self, execute: Execute, dialect: Dialect) -> None:
        self._execute, self._dialect = execute, dialect

    def get(self, job_id: str) -> Job | None:
        """See catalogue.jobs.Jobs."""
        place = parsed_id(job_id)
        if place is None:
            return None
        rows = self._execute(
            f"SELECT {_COLUMNS}, {self._dialect.now} {_FROM} WHERE j.seq = :seq AND j.token = :token",
            {"seq": place[0], "token": place[1]},
        )
        return _job(rows[0]) if rows else None

    def page(
        self, status: JobStatus | None = None, limit: int | None = None, before: str | None = None
    ) -> list[Job]:
        """See catalogue.jobs.Jobs."""
        place = None if before is None else parsed_id(before)
        conditions = [
            *(["j.status = :status"] if status is not None else []),
            *(["j.seq < :before"] if place is not None else []),
        ]
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = self._execute(
            f"SELECT {_COLUMNS}, {self._dialect.now} {_FROM} {where} ORDER BY j.seq DESC "
            f"{'' if limit is None else 'LIMIT :limit'}",
            {"status": status and status.value, "before": place and place[0], "limit": limit},
        )
        return [_job(row) for row in rows]

    def counts(self) -> dict[JobStatus, int]:
        """See catalogue.jobs.Jobs."""
        rows = self._execute("SELECT status, COUNT(*) FROM engine_jobs GROUP BY status")
        found = {status: int(count) for status, count in rows}
        return {status: found.get(status.value, 0) for status in JobStatus}

    def events(self, job_id: str, after: int = 0) -> list[JobEvent]:
        """See catalogue.jobs.Jobs."""
        place = self._place(job_id)
        rows = self._execute(
            "SELECT seq, kind, at, stage, fraction FROM engine_job_events WHERE job = :job AND seq > :after "
            "ORDER BY seq",
            {"job": place, "after": after},
        )
        return [JobEvent(seq, kind, _moment(at), stage, fraction) for seq, kind, at, stage, fraction in rows]

    def attempts(self, job_id: str) -> list[Attempt]:
        """See catalogue.jobs.Jobs."""
        rows = self._execute(
            "SELECT attempt, worker, host, started_at, ended_at, outcome, error, cpu_seconds, peak_memory "
            "FROM engine_attempts WHERE job = :job ORDER BY attempt",
            {"job": job_id},
        )
        return [attempt_of(row) for row in rows]

    def needs(self, digest: Digest) -> bool:
        """See catalogue.jobs.Jobs."""
        return bool(
            self._execute(
                "SELECT 1 FROM engine_jobs WHERE rows_digest = :digest LIMIT 1", {"digest": str(digest)}
            )
        )

    def needed(self) -> list[Digest]:
        """See catalogue.jobs.Jobs."""
        rows = self._execute("SELECT DISTINCT rows_digest FROM engine_jobs WHERE rows_digest IS NOT NULL")
        return [Digest(digest) for (digest,) in rows]

    def claimable(self) -> bool:
        """See catalogue.jobs.Jobs."""
        if self._oldest_queued() is not None:
            return True
        lapsed = _LAPSED.format(now=self._dialect.now, soon=self._dialect.later(":ahead"))
        return bool(
            self._execute(f"SELECT 1 FROM engine_job_leases l WHERE {lapsed} LIMIT 1", {"ahead": AHEAD})
        )

    def _oldest_queued(self) -> int | None:
        rows = self._execute(
            "SELECT seq FROM engine_jobs WHERE status = :queued ORDER BY seq LIMIT 1",
            {"queued": JobStatus.QUEUED.value},
        )
        return int(rows[0][0]) if rows else None

    def _place(self, job_id: str) -> int:
        """Return the place of a job; 0, which is nobody's, where there is none of that id."""
        job = self.get(job_id)
        place = parsed_id(job_id)
        return place[0] if job is not None and place is not None else 0


def attempt_of(row: Sequence[Any]) -> Attempt:
    """Return the attempt of a row."""
    attempt, worker, host, started, ended, outcome, error, cpu, peak = row
    return Attempt(
        attempt,
        worker,
        host,
        _moment(started),
        clock.from_text(ended),
        Outcome(outcome) if outcome else None,
        error,
        Usage(cpu, peak),
    )


def _job(row: Sequence[Any]) -> Job:
    seq, token, status, name, kind, spec, digest, format_, size, attempt, deaths, by, *rest = row
    submitted, started, completed, stage, fraction, cancelling, result, error, request_id, now = rest
    return Job(
        job_id=id_of(seq, token),
        status=JobStatus(status),
        model_name=name,
        model_type=kind,
        spec=json.loads(spec),
        rows=None if digest is None else JobRows(Digest(digest), format_, size),
        attempt=attempt,
        deaths=deaths,
        submitted_by=by,
        submitted_at=_moment(submitted),
        started_at=clock.from_text(started),
        completed_at=clock.from_text(completed),
        observed_at=_moment(now),
        stage=stage,
        fraction=fraction,
        cancelling=cancelling == 1,
        result=json.loads(result) if result else None,
        error=json.loads(error) if error else None,
        request_id=request_id,
    )


def _moment(text: str) -> datetime:
    moment = clock.from_text(text)
    assert moment is not None  # written by ourselves
    return moment
