"""Schedules over whatever runs statements; see catalogue.schedules."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ai_engine.catalogue.sql.dialect import Dialect
from ai_engine.domain import clock
from ai_engine.domain.errors import ScheduleChangedError, ScheduleNotFoundError
from ai_engine.domain.schedules import (
    AHEAD,
    FAILURES_TOLD,
    Happening,
    Last,
    NewSchedule,
    Schedule,
    Selection,
    Source,
    SourceFile,
    Turn,
    next_due,
)

if TYPE_CHECKING:
    from ai_engine.catalogue.sql.snapshot import Execute

_COLUMNS = """
    name, spec, source, files, below, every, min_rows, revision, set_by, set_at, due_at, job, asked, trained,
    outcome, outcome_at, outcome_job, version, active, reason, failures
"""
# The longest hold, in seconds; one that ends later was made by a clock that was set back since.
LONGEST_HOLD = 600.0


class SqlSchedules:
    """See catalogue.schedules.Schedules."""

    def __init__(self, execute: Execute, dialect: Dialect) -> None:
        self._execute, self._dialect = execute, dialect

    def get(self, name: str) -> Schedule | None:
        """See catalogue.schedules.Schedules."""
        found = self._select("WHERE name = :name", {"name": name})
        return found[0] if found else None

    def page(self, limit: int | None = None, after: str | None = None) -> list[Schedule]:
        """See catalogue.schedules.Schedules."""
        where = "" if after is None else "WHERE name > :after"
        at_most = "" if limit is None else "LIMIT :limit"
        return self._select(f"{where} ORDER BY name {at_most}", {"after": after, "limit": limit})

    def count(self) -> int:
        """See catalogue.schedules.Schedules."""
        return int(self._execute("SELECT COUNT(*) FROM engine_schedules")[0][0])

    def troubled(self, limit: int) -> list[Schedule]:
        """See catalogue.schedules.Schedules."""
        return self._select(
            "WHERE outcome = :unreadable OR failures >= :told ORDER BY name LIMIT :limit",
            {"unreadable": Happening.UNREADABLE.value, "told": FAILURES_TOLD, "limit": limit},
        )

    def due(self) -> list[Schedule]:
        """See catalogue.schedules.Schedules."""
        return self._select(
            f"WHERE (due_at <= {self._dialect.now} OR min_rows IS NOT NULL OR {self._is_ahead}) "
            f"AND {self._is_free} ORDER BY due_at, name",
            {"ahead": AHEAD, "longest": LONGEST_HOLD + AHEAD},
        )

    @property
    def _is_ahead(self) -> str:
        """Whether a schedule is due later than an interval from now: the clock was set back."""
        return f"(every IS NOT NULL AND due_at > {self._dialect.later('(every + :ahead)')})"

    @property
    def _is_free(self) -> str:
        later = self._dialect.later(":longest")
        return f"(held_until IS NULL OR held_until <= {self._dialect.now} OR held_until > {later})"

    def _select(self, rest: str, parameters: Mapping[str, Any]) -> list[Schedule]:
        rows = self._execute(
            f"SELECT {_COLUMNS}, {self._dialect.now} FROM engine_schedules {rest}", parameters
        )
        return [_schedule(row) for row in rows]


class SqlScheduleBook(SqlSchedules):
    """See catalogue.schedules.ScheduleBook.

    Parameters
    ----------
    actor : str
        Who sets schedules.
    """

    def __init__(self, execute: Execute, dialect: Dialect, actor: str) -> None:
        super().__init__(execute, dialect)
        self._actor = actor

    def put(self, new: NewSchedule) -> Schedule:
        """See catalogue.schedules.ScheduleBook."""
        known = self.get(new.name)
        due = None
        if new.every is not None:
            due = now = self._now()
            if known is not None:
                due = now + timedelta(seconds=new.every)
                due = min(due, known.due_at) if known.due_at is not None else due
        kept = known is not None and known.source == new.source
        self._execute(
            f"""
            INSERT INTO engine_schedules
                (name, spec, source, files, below, every, min_rows, revision, set_by, set_at, due_at)
            VALUES (:name, :spec, :source, :files, :below, :every, :rows, 1, :by,
                    {self._dialect.now}, :due)
            ON CONFLICT (name) DO UPDATE SET
                spec = excluded.spec, source = excluded.source, files = excluded.files,
                below = excluded.below, every = excluded.every, min_rows = excluded.min_rows,
                revision = engine_schedules.revision + 1, set_by = excluded.set_by, set_at = excluded.set_at,
                due_at = excluded.due_at, held_until = NULL
            """,
            {
                "name": new.name,
                "spec": json.dumps(dict(new.spec)),
                "source": new.source.pattern,
                "files": new.source.files.value,
                "below": new.source.below,
                "every": new.every,
                "rows": new.rows,
                "by": self._actor,
                "due": due and clock.to_text(due),
            },
        )
        if not kept:
            self._execute(
                "UPDATE engine_schedules SET asked = NULL, trained = NULL, outcome = NULL, "
                "outcome_at = NULL, outcome_job = NULL, version = NULL, active = NULL, reason = NULL, "
                "failures = 0 WHERE name = :name",
                {"name": new.name},
            )
        return self._require(new.name)

    def remove(self, name: str) -> None:
        """See catalogue.schedules.ScheduleBook."""
        self._require(name)
        self._execute("DELETE FROM engine_schedules WHERE name = :name", {"name": name})

    def hold(self, turn: Turn, seconds: float) -> bool:
        """See catalogue.schedules.ScheduleBook."""
        redated = self._execute(
            f"UPDATE engine_schedules SET due_at = {self._dialect.later('every')}, revision = revision + 1 "
            f"WHERE name = :name AND {self._is_ahead} RETURNING name",
            {"name": turn.name, "ahead": AHEAD},
        )
        if redated:
            return False
        held = self._execute(
            f"UPDATE engine_schedules SET held_until = {self._dialect.later(':seconds')} "
            f"WHERE name = :name AND revision = :revision AND {self._is_free} RETURNING name",
            {
                "name": turn.name,
                "revision": turn.revision,
                "seconds": min(seconds, LONGEST_HOLD),
                "longest": LONGEST_HOLD + AHEAD,
            },
        )
        return bool(held)

    def asked(self, turn: Turn, job_id: str, files: Sequence[SourceFile]) -> None:
        """See catalogue.schedules.ScheduleBook."""
        schedule = self._take(turn)
        due = schedule.due_at
        if due is not None and schedule.every is not None:
            # New rows came before its time: the next one is a whole interval away.
            due = (
                next_due(due, schedule.observed_at, schedule.every)
                if schedule.is_due
                else schedule.observed_at + timedelta(seconds=schedule.every)
            )
        self._execute(
            f"""
            UPDATE engine_schedules SET job = :job, asked = :asked, due_at = :due, outcome = :outcome,
                outcome_at = {self._dialect.now}, outcome_job = :job, version = NULL, active = NULL,
                reason = NULL
            WHERE name = :name
            """,
            {
                "name": turn.name,
                "job": job_id,
                "asked": json.dumps([file.to_mapping() for file in files]),
                "due": due and clock.to_text(due),
                "outcome": Happening.QUEUED.value,
            },
        )

    def passed(self, turn: Turn, outcome: Happening, reason: str, again: float | None = None) -> None:
        """See catalogue.schedules.ScheduleBook."""
        schedule = self._take(turn)
        due = schedule.due_at
        if again is None and due is not None and schedule.every is not None and schedule.is_due:
            due = next_due(due, schedule.observed_at, schedule.every)
        held = "NULL" if again is None else self._dialect.later(":again")
        self._execute(
            f"""
            UPDATE engine_schedules SET due_at = :due, held_until = {held}, outcome = :outcome,
                outcome_at = {self._dialect.now}, outcome_job = NULL, version = NULL, active = NULL,
                reason = :reason
            WHERE name = :name
            """,
            {
                "name": turn.name,
                "due": due and clock.to_text(due),
                "again": again,
                "outcome": outcome.value,
                "reason": reason,
            },
        )

    def _take(self, turn: Turn) -> Schedule:
        """Return the schedule of a turn, which is nobody's any more."""
        taken = self._execute(
            "UPDATE engine_schedules SET revision = revision + 1, held_until = NULL "
            "WHERE name = :name AND revision = :revision RETURNING name",
            {"name": turn.name, "revision": turn.revision},
        )
        if not taken:
            raise ScheduleChangedError(turn.name)
        return self._require(turn.name)

    def _require(self, name: str) -> Schedule:
        found = self.get(name)
        if found is None:
            raise ScheduleNotFoundError(name)
        return found

    def _now(self) -> Any:
        return clock.from_text(self._execute(f"SELECT {self._dialect.now}")[0][0])


class ScheduledJobs:
    """Tells schedules what has become of their jobs, in the transaction that ends them."""

    def __init__(self, execute: Execute, dialect: Dialect) -> None:
        self._execute, self._dialect = execute, dialect

    def completed(self, job_id: str, result: Mapping[str, Any]) -> None:
        """Note the version that a job made; `result` is as ``POST /train`` answers it (JSON values)."""
        self._execute(
            "UPDATE engine_schedules SET trained = COALESCE(asked, trained), failures = 0 WHERE job = :job",
            {"job": job_id},
        )
        active = result.get("active")
        self._note(
            job_id,
            Happening.COMPLETED,
            version=result.get("model_version"),
            active=None if active is None else int(active),
            reason=result.get("activation_reason"),
        )

    def failed(self, job_id: str, reason: str) -> None:
        """Note that a job made no version."""
        self._execute("UPDATE engine_schedules SET failures = failures + 1 WHERE job = :job", {"job": job_id})
        self._note(job_id, Happening.FAILED, reason=reason)

    def cancelled(self, job_id: str) -> None:
        """Note that somebody cancelled a job."""
        self._note(job_id, Happening.CANCELLED, reason="the training was cancelled")

    def waits(self, job_id: str) -> None:
        """Note that a job that had ended waits once more."""
        self._note(job_id, Happening.QUEUED)

    def _note(
        self,
        job_id: str,
        outcome: Happening,
        version: str | None = None,
        active: int | None = None,
        reason: str | None = None,
    ) -> None:
        self._execute(
            f"""
            UPDATE engine_schedules SET outcome = :outcome, outcome_at = {self._dialect.now},
                outcome_job = :job, version = :version, active = :active, reason = :reason
            WHERE job = :job
            """,
            {
                "job": job_id,
                "outcome": outcome.value,
                "version": version,
                "active": active,
                "reason": reason,
            },
        )


def _schedule(row: Sequence[Any]) -> Schedule:
    name, spec, pattern, files, below, every, rows, revision, by, set_at, due, job, *rest = row
    asked, trained, outcome, at, outcome_job, version, active, reason, failures, now = rest
    moments = [clock.from_text(moment) for moment in (set_at, due, now, at)]
    assert moments[0] is not None  # written by ourselves
    assert moments[2] is not None
    last = None
    if outcome is not None and moments[3] is not None:
        last = Last(
            Happening(outcome),
            moments[3],
            version,
            None if active is None else active == 1,
            reason,
            outcome_job,
        )
    return Schedule(
        name=name,
        spec=json.loads(spec),
        source=Source(pattern, Selection(files), below),
        every=every,
        rows=rows,
        revision=revision,
        set_by=by,
        set_at=moments[0],
        due_at=moments[1],
        observed_at=moments[2],
        job_id=job,
        asked=_files(asked),
        trained=_files(trained),
        last=last,
        failures=failures,
    )


def _files(told: str | None) -> tuple[SourceFile, ...]:
    return tuple(SourceFile.from_mapping(file) for file in json.loads(told or "[]"))
