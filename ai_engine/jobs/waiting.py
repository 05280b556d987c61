"""Wait for what becomes of a job, wherever it is done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from ai_engine.domain.errors import JobLostError, JobNotFoundError, StorageError
from ai_engine.domain.jobs import Job, JobEvent
from ai_engine.registry.training_queue import TrainingQueue

# Seconds between two looks whether anybody has committed anything, which reads no database: a job may be done
# by any process, and none can be asked to call.
LOOK: Final = 0.05


class Follower:
    """What has happened to a job since one last looked.

    Parameters
    ----------
    after : int
        The last event that is known already.
    was_there : bool
        Whether the job was seen before, so that one that is not there is lost.
    """

    def __init__(self, queue: TrainingQueue, job_id: str, after: int = 0, was_there: bool = False) -> None:
        self._queue, self._job_id, self._was_there = queue, job_id, was_there
        self._after, self._seen = after, float("nan")

    def changed(self) -> bool:
        """Tell whether anybody has committed anything; costs microseconds where nobody has."""
        try:
            stamp = self._queue.stamp()
        except StorageError:
            return True
        if stamp is not None and stamp == self._seen:
            return False
        self._seen = float("nan") if stamp is None else stamp
        return True

    def look(self) -> tuple[Job, list[JobEvent]]:
        """Return the job, and what has happened to it since.

        Raises
        ------
        JobNotFoundError
            If there is none; JobLostError where there was.
        """
        try:
            job, events = self._queue.events(self._job_id, self._after)
        except JobNotFoundError:
            if self._was_there:
                raise JobLostError(self._job_id) from None
            raise
        self._was_there = True
        if events:
            self._after = events[-1].seq
        return job, events


def followed(queue: TrainingQueue, job_id: str, timeout: float | None = None) -> Iterator[Job]:
    """Yield a job each time that something has happened to it, and last of all once it has ended.

    Parameters
    ----------
    timeout : float or None
        Seconds after which nothing more is yielded.

    Raises
    ------
    JobNotFoundError
        If there is none; JobLostError where there was, and the database was replaced or restored since.
    """
    follower, told = Follower(queue, job_id), None
    give_up = None if timeout is None else time.monotonic() + timeout
    while True:
        if follower.changed():
            with suppress(StorageError):  # a database that is down for a while; the job waits as well
                job, events = follower.look()
                if events or told is None or job.status is not told:
                    told = job.status
                    yield job
                if job.status.is_ended:
                    return
        if give_up is not None and time.monotonic() >= give_up:
            return
        time.sleep(LOOK)
