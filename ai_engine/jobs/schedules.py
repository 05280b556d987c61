"""Look for schedules that are due, and ask for their trainings: each time once, whoever looks."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from ai_engine.domain.errors import (
    AIEngineError,
    InvalidInputError,
    JobStateError,
    MissingDependencyError,
    QueueFullError,
    ScheduleChangedError,
    StorageError,
)
from ai_engine.domain.jobs import Job
from ai_engine.domain.names import check_name
from ai_engine.domain.schedules import (
    Happening,
    NewSchedule,
    Schedule,
    Source,
    interval,
    row_count,
    same_files,
    selection,
)
from ai_engine.jobs.submission import submit
from ai_engine.registry.registry import Registry
from ai_engine.registry.training_queue import Scheduled
from ai_engine.settings import Settings
from ai_engine.telemetry.sources import (
    Looks,
    SourceReading,
    checked_pattern,
    content,
    examine,
    looks,
)
from ai_engine.training.request import TrainingRequest

log = logging.getLogger(__name__)

# Seconds for which nobody else reads a source that somebody reads; who takes longer may be done twice with,
# and one of the two is refused.
_HOLD: Final = 120.0
# Seconds between two looks at the files of a schedule that waits for rows.
ROWS_EVERY: Final = 5.0
# Seconds after which a source that could not be read, or a queue that was full, is looked at once more.
AGAIN: Final = 60.0
# What a schedule takes besides the fields of a training.
SCHEDULE_FIELDS: Final = ("source", "files", "every", "rows")


def new_schedule(
    registry: Registry, name: str, given: Mapping[str, Any], below: str | None = None
) -> NewSchedule:
    """Return the schedule that a request describes.

    Parameters
    ----------
    given : mapping
        ``source``, ``every`` or ``rows`` or both, ``files``, and the fields of a training but for the name
        (any JSON values); without a ``model_type`` it is that of the newest version, and ``activate`` is
        ``"if_better"`` unless something else is said.
    below : str or None
        The directory outside of which nothing is read.

    Raises
    ------
    InvalidInputError
        Naming the field that is missing, unknown or out of bounds.
    """
    fields = {key: value for key, value in given.items() if key not in SCHEDULE_FIELDS and value is not None}
    if "model_type" not in fields:
        newest, _, _ = registry.describe(check_name(name), 1)
        if newest and newest[0]["model_type"] is not None:
            fields["model_type"] = newest[0]["model_type"]
    request = TrainingRequest.from_mapping({"activate": "if_better", **fields, "name": name})
    if given.get("source") is None:
        raise InvalidInputError("source", "is missing; give the path of a file, or a pattern of such")
    every, rows = given.get("every"), given.get("rows")
    return NewSchedule(
        name=request.model_name,
        spec=request.to_mapping(),
        source=Source(checked_pattern(given["source"]), selection(given.get("files") or "newest"), below),
        every=None if every is None else interval(every),
        rows=None if rows is None else row_count(rows),
    )


def run_now(registry: Registry, settings: Settings, name: str) -> Job:
    """Return the job of a training that a schedule is not due for yet, whatever has come to its source.

    Raises
    ------
    ScheduleNotFoundError
        If the model has no schedule.
    JobStateError
        If its last training has not ended.
    InvalidInputError
        If its source cannot be read.
    QueueFullError
        If as many trainings wait as may.
    """
    schedule = registry.schedules.get(name)
    before = registry.schedules.unended(schedule)
    if before is not None:
        raise JobStateError(
            before.job_id, f"of this schedule is {before.status.value}; wait for its end, or cancel it"
        )
    reading = examine(schedule.source, schedule.trained, schedule.rows is not None)
    return _ask(registry, settings, schedule, reading)


def _ask(registry: Registry, settings: Settings, schedule: Schedule, reading: SourceReading) -> Job:
    pieces, format_ = content(schedule.source, reading)
    return submit(
        registry.as_actor(f"the schedule of {schedule.name}").queue,
        settings,
        TrainingRequest.from_mapping(schedule.spec),
        pieces,
        format_,
        scheduled=Scheduled(schedule.turn, reading.files),
    )


class Scheduler:
    """Looks for schedules that are due. Any number of them may look at one registry.

    Attributes
    ----------
    asked : int
        Trainings that it asked for.
    """

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self._registry, self._settings = registry, settings
        # How the files looked when their rows were last counted here, and for which revision.
        self._counted: dict[str, tuple[int, Looks]] = {}
        self._count_at = float("-inf")
        self.asked = 0

    def look(self) -> int:
        """Ask for the trainings that are due; return how many. Blocks while sources are read.

        Raises
        ------
        StorageError
            If the database cannot be used.
        """
        asked, now = 0, time.monotonic()
        count = now >= self._count_at
        if count:
            self._count_at = now + ROWS_EVERY
        for schedule in self._registry.schedules.due():
            if schedule.is_ahead:
                self._registry.schedules.hold(schedule.turn, 0.0)  # which sets its time right
                continue
            if not schedule.is_due and not count:
                continue
            try:
                asked += self._do(schedule)
            except ScheduleChangedError as error:
                log.debug("%s", error)
            except StorageError:
                raise
            except Exception:  # at the edge of one: no other is to wait for it
                log.exception("the schedule of %s could not be done", schedule.name)
                with suppress(AIEngineError):
                    self._pass(schedule, Happening.UNREADABLE, _UNFORESEEN, AGAIN)
        self.asked += asked
        return asked

    def _do(self, schedule: Schedule) -> bool:
        """Do what a schedule is due for; tell whether a training was asked for."""
        schedules, reading = self._registry.schedules, None
        try:
            if not schedule.is_due:
                reading = self._news(schedule)
                if reading is None:
                    return False
            if not schedules.hold(schedule.turn, _HOLD):
                return False
            if (before := schedules.unended(schedule)) is not None:
                told = f"job {before.job_id}, for which it was due before, is still {before.status.value}"
                return self._pass(schedule, Happening.SKIPPED, told)
            if reading is None:
                reading = examine(schedule.source, schedule.trained, schedule.rows is not None)
            if same_files(reading.files, schedule.trained):
                return self._pass(schedule, Happening.UNCHANGED, _UNCHANGED)
            if not (schedule.is_due or _has_enough(schedule, reading)):
                return self._pass(schedule, Happening.UNCHANGED, _waits(schedule, reading))
            job = _ask(self._registry, self._settings, schedule, reading)
        except (InvalidInputError, MissingDependencyError) as error:
            log.warning("the schedule of %s: %s", schedule.name, error)
            return self._pass(schedule, Happening.UNREADABLE, str(error), AGAIN)
        except QueueFullError as error:
            return self._pass(schedule, Happening.SKIPPED, str(error), AGAIN)
        log.info("the schedule of %s asked for job %s", schedule.name, job.job_id)
        return True

    def _news(self, schedule: Schedule) -> SourceReading | None:
        """Return the source of a schedule whose time has not come, if it has news; counts what has changed.

        Rows are new that have come since a training was last asked for, lest one that fails is asked for
        again and again.
        """
        now = looks(schedule.source)
        is_back = schedule.last is not None and schedule.last.outcome is Happening.UNREADABLE
        if self._counted.get(schedule.name) == (schedule.revision, now) and not is_back:
            return None
        if self._registry.schedules.unended(schedule) is not None:
            return None
        reading = examine(schedule.source, schedule.asked or schedule.trained, count=True)
        self._counted[schedule.name] = schedule.revision, now
        return reading if is_back or _has_enough(schedule, reading) else None

    def _pass(self, schedule: Schedule, outcome: Happening, reason: str, again: float | None = None) -> bool:
        self._registry.schedules.passed(schedule.turn, outcome, reason, again)
        return False


_UNFORESEEN: Final = "it failed in a way that was not foreseen; the log of the worker has the details"
_UNCHANGED: Final = "the source holds what the last version was trained on"


def _has_enough(schedule: Schedule, reading: SourceReading) -> bool:
    return schedule.rows is not None and (reading.new_rows or 0) >= schedule.rows


def _waits(schedule: Schedule, reading: SourceReading) -> str:
    return f"{reading.new_rows} new rows have come, and {schedule.rows} are waited for"
