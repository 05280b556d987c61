"""What a catalogue has to do for schedules: models that are trained again, each when it is due, once.

Any number of processes may look for what is due. Whoever sees a schedule that is, holds it while its source
is read, and then names the revision that was seen: the first who does is the only one, and what it is due for
next is settled in the same transaction that enqueues the job. A process that dies meanwhile leaves a hold
that ends by itself. Moments are those of the catalogue's clock: one that is set forward makes a
schedule due early, once, and one that is set back never lets it wait for longer than its own interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ai_engine.domain.schedules import Happening, NewSchedule, Schedule, SourceFile, Turn


class Schedules(Protocol):
    """Queries, all from one moment."""

    def get(self, name: str) -> Schedule | None:
        """Return the schedule of a model; None where it has none."""

    def page(self, limit: int | None = None, after: str | None = None) -> list[Schedule]:
        """Return schedules by the names of their models, from behind a name on."""

    def count(self) -> int:
        """Return how many there are."""

    def troubled(self, limit: int) -> list[Schedule]:
        """Return schedules that somebody should do something about, by name."""

    def due(self) -> list[Schedule]:
        """Return schedules that nobody holds and whose time has come, or that new rows may make due.

        Those are among them whose time lies too far ahead, as the clock was set back.
        """


class ScheduleBook(Schedules, Protocol):
    """Queries and changes, which become visible with the transaction."""

    def put(self, new: NewSchedule) -> Schedule:
        """Set the schedule of a model, which is due at once where it is the first one.

        One that takes the place of another is due when that was, or an interval from now where that is
        earlier. Where the source is the same, what came of the last time stays, and what the last version was
        trained on.
        """

    def remove(self, name: str) -> None:
        """Forget a schedule; trainings that were asked for go on. Raises ScheduleNotFoundError."""

    def hold(self, turn: Turn, seconds: float) -> bool:
        """Keep others from a schedule for as long as its source is read; False: somebody was first.

        One that is due later than an interval from now, as the clock was set back, is due then instead.
        """

    def asked(self, turn: Turn, job_id: str, files: Sequence[SourceFile]) -> None:
        """Note the job that was just enqueued, and settle when the schedule is due next.

        Raises
        ------
        ScheduleChangedError
            If somebody else did it, or changed the schedule.
        """

    def passed(self, turn: Turn, outcome: Happening, reason: str, again: float | None = None) -> None:
        """Note why no job was enqueued, and settle when the schedule is due next.

        Parameters
        ----------
        again : float or None
            Seconds after which to look once more, as the time that was due is not done with; None: it is.

        Raises
        ------
        ScheduleChangedError
            If somebody else did it, or changed the schedule.
        """
