"""One attempt to do a job: its training in a child process, looked after from outside.

It is the parent that renews the lease, each time that it has seen the child alive and moving: a fit that
keeps the interpreter busy cannot starve its own heartbeat, and one that hangs does not look alive.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from enum import Enum
from typing import Final

from ai_engine.domain.errors import (
    AIEngineError,
    ArtifactCorruptedError,
    JobNotFoundError,
    LeaseLostError,
    StorageError,
)
from ai_engine.domain.jobs import Job, Order, Usage
from ai_engine.logs import REQUEST_ID
from ai_engine.registry.training_queue import TrainingQueue
from ai_engine.settings import Settings
from ai_engine.telemetry.rows_file import RowsFile
from ai_engine.training.child import ProcessDiedError, TrainingProcess
from ai_engine.training.events import described
from ai_engine.training.progress import Stage
from ai_engine.training.request import TrainingRequest

log = logging.getLogger(__name__)

# Seconds for which a job is a worker's own after a heartbeat; by then a killed one's job runs elsewhere.
LEASE: Final = 10.0
# Seconds between two heartbeats, each of which is a durable row.
BEAT: Final = 5.0
# Seconds between a heartbeat and one that tells of another stage.
_NEWS: Final = 0.5
# Seconds between two looks whether the job is to be cancelled, the worker to stop, the child gone.
_LOOK: Final = 0.1
# Seconds that a child is given to end by itself.
_MERCY: Final = 2.0
# Seconds without a stage told and without any processor time, after which a child hangs.
_STILL: Final = 300.0
# Seconds between two tries to tell a database that is down how an attempt ended.
_PATIENCE: Final = 0.5
_LABEL: Final = "the body"


class _Why(Enum):
    """Why a child is told to end."""

    CANCELLED = "it is cancelled"
    DRAINED = "its worker stops"
    LOST = "another worker has the job"
    HANGS = "nothing was seen of it for 300 s"


class Attempt:
    """The attempt that a claim began.

    Parameters
    ----------
    queue : TrainingQueue
        Where the job is from.
    job : Job
        As it was claimed.
    draining : Event
        Set when the worker is to stop.
    """

    def __init__(self, queue: TrainingQueue, settings: Settings, job: Job, draining: threading.Event) -> None:
        self._queue, self._settings, self._job, self._draining = queue, settings, job, draining
        self._stage: Stage | None = None
        self._why: _Why | None = None
        self._told_to_end = 0.0
        self._moved, self._cpu = time.monotonic(), 0.0

    def run(self, process: TrainingProcess) -> bool:
        """Train, and record how that ended; tell whether there is a version. Blocks.

        Parameters
        ----------
        process : TrainingProcess
            In which to train; it has ended afterwards.
        """
        request_id = REQUEST_ID.set(self._job.request_id)
        try:
            log.info("job %s: attempt %s begins", self._job.job_id, self._job.attempt)
            failure = self._train(process)
            self._record(failure, process.usage)
            return failure is None
        finally:
            REQUEST_ID.reset(request_id)

    def _train(self, process: TrainingProcess) -> AIEngineError | None:
        """Return why there is no version; None where there is one."""
        done = threading.Event()
        watch = threading.Thread(target=self._watch, args=(process, done), name="heartbeat", daemon=True)
        rows = self._job.rows
        with process:
            watch.start()
            try:
                with self._queue.rows(self._job) as path:
                    process.train(
                        asdict(self._settings),
                        TrainingRequest.from_mapping(self._job.spec),
                        RowsFile(path, (rows and rows.format) or None, _LABEL),
                        self._tell,
                        self._settings.training_timeout,
                        self._settings.training_memory,
                        self._job.claim,
                    )
            except AIEngineError as error:
                return error
            finally:
                done.set()
                watch.join()
        return None

    def _tell(self, fraction: float, message: str) -> None:
        self._stage = Stage(fraction, message)
        self._moved = time.monotonic()

    # -- looking after the child -----------------------------------------------------------------------------

    def _watch(self, process: TrainingProcess, done: threading.Event) -> None:
        """Look after the child; one that nobody can look after any more is ended."""
        try:
            self._look_after(process, done)
        except Exception:  # as at any other edge of a thread: the attempt must not go on unseen
            log.exception("job %s: its process cannot be looked after, and is ended", self._job.job_id)
            process.signal(signal.SIGKILL)

    def _look_after(self, process: TrainingProcess, done: threading.Event) -> None:
        """Send heartbeats, and end the child when it is time to."""
        # The first stage is told at once, the next ones when they are news for long enough.
        beaten, told, stamp = time.monotonic() - _NEWS, self._stage, self._queue_stamp()
        while not done.wait(_LOOK):
            now = time.monotonic()
            if self._why is not None:
                if now - self._told_to_end > _MERCY:
                    process.signal(signal.SIGKILL)
                continue
            if self._draining.is_set():
                self._end(process, _Why.DRAINED)
                continue
            if not self._moves(process, now):
                self._end(process, _Why.HANGS)
                continue
            changed = self._queue_stamp()
            if now - beaten >= BEAT or (told is not self._stage and now - beaten >= _NEWS):
                told, beaten = self._stage, now
                self._beat(process)
                stamp = self._queue_stamp()
            elif changed != stamp:  # somebody has committed something: perhaps that this is to end
                stamp = changed
                self._look(process)

    def _moves(self, process: TrainingProcess, now: float) -> bool:
        cpu = process.cpu_seconds()
        if cpu is None or cpu > self._cpu:
            self._cpu, self._moved = cpu or 0.0, now
        return now - self._moved < _STILL

    def _beat(self, process: TrainingProcess) -> None:
        stage = self._stage or Stage(0.0, "starting")
        with suppress(StorageError):  # then nobody else can claim it either
            order = self._queue.beat(self._job.claim, LEASE, stage.message, stage.fraction)
            if order is Order.CANCEL:
                self._end(process, _Why.CANCELLED)
            elif order is Order.LOST and self._is_anothers():
                self._end(process, _Why.LOST)

    def _look(self, process: TrainingProcess) -> None:
        with suppress(AIEngineError):
            if self._queue.get(self._job.job_id).cancelling:
                self._end(process, _Why.CANCELLED)

    def _is_anothers(self) -> bool:
        """Tell whether the job was lost, and not just completed by this very attempt."""
        try:
            job = self._queue.get(self._job.job_id)
        except JobNotFoundError:  # its database was replaced
            return True
        return job.attempt != self._job.attempt or not job.status.is_ended

    def _queue_stamp(self) -> int | None:
        try:
            return self._queue.stamp()
        except StorageError:
            return None

    def _end(self, process: TrainingProcess, why: _Why) -> None:
        self._why, self._told_to_end = why, time.monotonic()
        log.info("job %s: its process is told to end: %s", self._job.job_id, why.value)
        process.signal(signal.SIGTERM)

    # -- telling how it ended --------------------------------------------------------------------------------

    def _record(self, failure: AIEngineError | None, usage: Usage) -> None:
        """Record how the attempt ended, as soon as the database takes it, or leave that to the lease."""
        while True:
            try:
                self._outcome(failure, usage)()
                return
            except LeaseLostError as error:  # or it was completed, and the child could not tell any more
                log.warning("%s", error)
                return
            except StorageError as error:
                log.warning("how job %s ended waits for the database: %s", self._job.job_id, error)
                if self._draining.wait(_PATIENCE):
                    return

    def _outcome(self, failure: AIEngineError | None, usage: Usage) -> Callable[[], None]:
        """Return what records the end of the attempt."""
        claim, queue = self._job.claim, self._queue
        if failure is None:
            return lambda: queue.close_books(claim, usage)
        if self._why is _Why.LOST or isinstance(failure, LeaseLostError):
            return lambda: log.warning("job %s is another worker's: %s", claim.job_id, failure)
        if isinstance(failure, ProcessDiedError):
            match self._why:
                case _Why.CANCELLED:
                    return lambda: queue.confirm_cancel(claim, usage)
                case _Why.DRAINED:
                    return lambda: queue.hand_back(claim, usage)
                case _Why.HANGS:
                    return lambda: queue.lose(claim, _Why.HANGS.value, usage)
                case _:
                    return lambda: queue.lose(claim, failure.reason, usage)
        if isinstance(failure, ArtifactCorruptedError):
            log.error("job %s: %s", claim.job_id, failure)
        return lambda: queue.fail(claim, described(failure), str(failure), usage)
