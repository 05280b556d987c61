"""The schedules by which models are trained again: who sets them, who does what is due, and what is told."""

from __future__ import annotations

from dataclasses import dataclass

from ai_engine.domain.audit import AuditEvent
from ai_engine.domain.errors import ScheduleNotFoundError
from ai_engine.domain.jobs import Job
from ai_engine.domain.schedules import Happening, NewSchedule, Schedule, Turn
from ai_engine.registry.stores import Stores


@dataclass(frozen=True, slots=True)
class TrainingSchedules:
    """Each change is one transaction; what is due is done once, whoever sees it.

    Attributes
    ----------
    actor : str
        Who sets schedules; written down with them.
    """

    stores: Stores
    actor: str

    def put(self, new: NewSchedule) -> Schedule:
        """Set the schedule of a model, in the place of the one that it had."""
        with self.stores.catalogue.write(self.actor) as work:
            schedule = work.schedules.put(new)
            work.audit.append(AuditEvent("schedule", new.name, detail={"source": new.source.pattern}))
        return schedule

    def remove(self, name: str) -> None:
        """Forget a schedule; trainings that were asked for go on. Raises ScheduleNotFoundError."""
        with self.stores.catalogue.write(self.actor) as work:
            work.schedules.remove(name)
            work.audit.append(AuditEvent("unschedule", name))

    def get(self, name: str) -> Schedule:
        """Return the schedule of a model. Raises ScheduleNotFoundError."""
        with self.stores.catalogue.read() as snapshot:
            found = snapshot.schedules.get(name)
        if found is None:
            raise ScheduleNotFoundError(name)
        return found

    def page(self, limit: int | None = None, after: str | None = None) -> list[Schedule]:
        """Return schedules by the names of their models, from behind a name on."""
        with self.stores.catalogue.read() as snapshot:
            return snapshot.schedules.page(limit, after)

    def count(self) -> int:
        """Return how many there are."""
        with self.stores.catalogue.read() as snapshot:
            return snapshot.schedules.count()

    def told(self, limit: int) -> tuple[list[Schedule], int]:
        """Return schedules, first those that somebody should do something about, and how many there are."""
        with self.stores.catalogue.read() as snapshot:
            total = snapshot.schedules.count()
            if not total:
                return [], 0
            troubled = snapshot.schedules.troubled(limit)
            known = {schedule.name for schedule in troubled}
            others = [one for one in snapshot.schedules.page(limit) if one.name not in known]
        return [*troubled, *others][:limit], total

    def due(self) -> list[Schedule]:
        """Return schedules whose time has come, or that new rows may make due; nobody is at them."""
        with self.stores.catalogue.read() as snapshot:
            return snapshot.schedules.due()

    def hold(self, turn: Turn, seconds: float) -> bool:
        """Keep others from a schedule for as long as its source is read; False: somebody was first."""
        with self.stores.catalogue.write(self.actor) as work:
            return work.schedules.hold(turn, seconds)

    def passed(self, turn: Turn, outcome: Happening, reason: str, again: float | None = None) -> None:
        """Note why no training was asked for. Raises ScheduleChangedError where somebody else has done so."""
        with self.stores.catalogue.write(self.actor) as work:
            work.schedules.passed(turn, outcome, reason, again)

    def unended(self, schedule: Schedule) -> Job | None:
        """Return the training that a schedule asked for last, if it has not ended."""
        if schedule.job_id is None:
            return None
        with self.stores.catalogue.read() as snapshot:
            job = snapshot.jobs.get(schedule.job_id)
        return None if job is None or job.status.is_ended else job
