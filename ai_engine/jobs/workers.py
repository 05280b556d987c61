"""The workers of one process: threads that claim jobs, each with a child process for the training."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from secrets import token_hex
from typing import Final

from ai_engine.domain.errors import AIEngineError
from ai_engine.domain.jobs import Job, Usage
from ai_engine.jobs.attempt import LEASE, Attempt
from ai_engine.registry.training_queue import TrainingQueue
from ai_engine.settings import Settings
from ai_engine.telemetry.rows_file import RowsFile
from ai_engine.training.child import TrainingProcess
from ai_engine.training.extras import can_train
from ai_engine.training.request import TrainingRequest
from ai_engine.training.results import TrainingResult

log = logging.getLogger(__name__)

# Seconds between two looks whether anybody has committed anything, which reads no database.
_LOOK: Final = 0.05
# Seconds between two looks for jobs whose worker is gone: nothing is committed when it goes.
_LAPSES: Final = 1.0
# Seconds that a process with what trainings import, 150 MB, waits for the next one.
_SPARE: Final = 600.0


class Workers:
    """Threads that do jobs until they are told to stop.

    Parameters
    ----------
    queue : TrainingQueue
        Where the jobs are.
    settings : Settings
        Of the registry that the versions go to; `Settings.workers` are the threads. Where the packages are
        not installed with which to train, there are none.

    Attributes
    ----------
    worker : str
        Who claims: drawn for this process, as a name of a host is given again.
    begun, failed : int
        Attempts that were begun, and those of them that made no version.
    """

    def __init__(self, queue: TrainingQueue, settings: Settings) -> None:
        self._queue, self._settings = queue, settings
        self.worker, self._host = token_hex(8), socket.gethostname()
        count = os.cpu_count() or 1 if settings.workers is None else settings.workers
        if not can_train():
            count = 0
        # Daemons: an interpreter that ends joins all others before it runs what tells these to stop.
        self._threads = [
            threading.Thread(target=self._work, name=f"training-{number}", daemon=True)
            for number in range(count)
        ]
        self._draining = threading.Event()
        self._waking = threading.Condition()
        self._lock = threading.Lock()
        self._spare: TrainingProcess | None = None
        self._spare_until = float("inf")
        self._under_way: set[TrainingProcess] = set()
        self._unqueued: set[TrainingProcess] = set()
        self.begun = self.failed = 0

    def start(self) -> None:
        """Begin to claim jobs."""
        for thread in self._threads:
            thread.start()

    @property
    def count(self) -> int:
        """How many trainings run here at once; 0 where none can."""
        return len(self._threads)

    @property
    def processes(self) -> tuple[TrainingProcess, ...]:
        """The processes that train at this moment."""
        with self._lock:
            return tuple(self._under_way)

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._draining.is_set()

    def wake(self) -> None:
        """Look for a job now: one was just enqueued."""
        with self._waking:
            self._waking.notify_all()

    def stop(self) -> None:
        """Claim nothing more, end the trainings that are under way and hand their jobs back."""
        self._draining.set()
        self.wake()
        with self._lock:
            for process in self._unqueued:
                process.signal(signal.SIGKILL)

    def join(self) -> None:
        """Wait until that is done; some seconds at most."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        self._let_spare_go()

    def run_once(self) -> bool:
        """Do one job, if there is one, in this thread; tell whether there was."""
        job = self._claim()
        if job is not None:
            self._do(job)
        self._let_spare_go()
        return job is not None

    def train_unqueued(self, request: TrainingRequest, rows: RowsFile) -> TrainingResult:
        """Return what is trained without a job, for a database that takes none now; blocks until then.

        The version goes where versions go during an outage. The training ends with this process, or with
        `stop`.

        Raises
        ------
        AIEngineError
            What the training raised.
        """
        with self._process() as process:
            with self._lock:
                self._under_way.add(process)
                self._unqueued.add(process)
                if self.stopping:
                    process.signal(signal.SIGKILL)
            try:
                return process.train(
                    asdict(self._settings),
                    request,
                    rows,
                    lambda _fraction, _message: None,
                    self._settings.training_timeout,
                    self._settings.training_memory,
                )
            finally:
                with self._lock:
                    self._under_way.discard(process)
                    self._unqueued.discard(process)

    def _work(self) -> None:
        seen, looked = None, float("-inf")
        while not self.stopping:
            stamp, now = self._stamp(), time.monotonic()
            job = None
            if stamp is None or stamp != seen or now - looked > _LAPSES:
                seen, looked = stamp, now
                job = self._claim()
            if job is not None:
                self._do(job)
                self._prepare_spare()
                seen = None  # there may be more
                continue
            if now > self._spare_until:
                self._let_spare_go()
            with self._waking:
                if self._waking.wait(_LOOK):
                    seen = None

    def _stamp(self) -> int | None:
        with suppress(AIEngineError):
            return self._queue.stamp()
        return None

    def _claim(self) -> Job | None:
        try:
            return self._queue.claim(self.worker, self._host, LEASE)
        except AIEngineError as error:  # a database that is down tells of itself elsewhere
            log.debug("no job can be claimed now: %s", error)
            return None

    def _do(self, job: Job) -> None:
        with self._lock:
            self.begun += 1
        made, process = False, None
        try:
            process = self._process()
            with self._lock:
                self._under_way.add(process)
            made = Attempt(self._queue, self._settings, job, self._draining).run(process)
        except OSError as error:
            log.error("job %s is handed back, as no process can be started: %s", job.job_id, error)
            with suppress(AIEngineError):
                self._queue.hand_back(job.claim, Usage())
            self._draining.wait(_LAPSES)
        except Exception:  # as at any other edge: one job that cannot be done must not end its worker
            log.exception("job %s could not be done; its lease will lapse", job.job_id)
        finally:
            with self._lock:
                self._under_way -= {process}
                self.failed += not made

    # -- a process that is ready before the next job is there ------------------------------------------------

    def _process(self) -> TrainingProcess:
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None and spare.is_alive:
            return spare
        if spare is not None:  # somebody killed it
            with spare:
                pass
        return TrainingProcess()

    def _prepare_spare(self) -> None:
        """Have a process import what the next training needs: where one was asked for, more will be."""
        with self._lock:
            if self._spare is None and not self.stopping:
                self._spare = TrainingProcess(prepare=True)
            self._spare_until = time.monotonic() + _SPARE

    def _let_spare_go(self) -> None:
        with self._lock:
            spare, self._spare, self._spare_until = self._spare, None, float("inf")
        if spare is not None:
            with spare:
                pass
