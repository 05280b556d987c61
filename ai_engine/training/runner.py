"""Trainings on behalf of others: each in a child process, no more at once than there are cores."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from subprocess import Popen
from typing import Final

from ai_engine.domain.errors import AIEngineError
from ai_engine.settings import Settings
from ai_engine.telemetry.rows_file import RowsFile
from ai_engine.training.child import train_in_child
from ai_engine.training.progress import Stage
from ai_engine.training.request import TrainingRequest
from ai_engine.training.results import TrainingResult

# Requests that may wait for a free core, for each core.
WAITING: Final = 8


class TooManyTrainingsError(AIEngineError, RuntimeError):
    """As many trainings wait as may; nothing was begun."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        super().__init__(f"{waiting} trainings are waiting already; try again later")


class RunnerStoppedError(AIEngineError, RuntimeError):
    """The runner was stopped before the training was done; nothing was saved."""

    def __init__(self) -> None:
        super().__init__("no training is run any more, and those that were under way are ended")


class Training:
    """One training that was asked for: it waits for a core, runs, and is done.

    Attributes
    ----------
    request : TrainingRequest
        What to train.
    rows : RowsFile
        On which rows; the file has to stay until the training is done.
    stage : Stage or None
        The last that the training told; None while it waits.
    outcome : Future of TrainingResult
        What it made, or the error that it ended with.
    """

    def __init__(self, request: TrainingRequest, rows: RowsFile) -> None:
        self.request, self.rows = request, rows
        self.stage: Stage | None = None
        self.outcome: Future[TrainingResult]
        self._child: Popen[bytes] | None = None
        self._ended = False

    @property
    def child(self) -> Popen[bytes] | None:
        """Return the process that trains, once there is one."""
        return self._child

    def begin(self, child: Popen[bytes]) -> None:
        """Take note of the process; it is killed at once where the training was ended before."""
        self._child = child
        if self._ended:
            child.kill()

    def tell(self, fraction: float, message: str) -> None:
        """Take note of how far it is (a `Progress`)."""
        self.stage = Stage(fraction, message)

    def end(self) -> None:
        """End the training, whether it waits, runs or is done; no version of it is saved from now on.

        One whose version was saved already stays saved.
        """
        self._ended = True
        self.outcome.cancel()
        if self._child is not None:
            self._child.kill()


class TrainingRunner:
    """Runs trainings: some at once, some that wait, and those beyond refused.

    It may be used from many threads.

    Parameters
    ----------
    settings : Settings
        Of the registry that the versions go to.
    places : int, optional
        How many train at once. Default: as many as there are cores.

    Attributes
    ----------
    begun, failed : int
        Trainings that left the queue, and those of them that made no version.
    stopping : bool
        Whether `stop` was called.
    """

    def __init__(self, settings: Settings, places: int | None = None) -> None:
        self._settings = settings
        self._places = places or os.cpu_count() or 1
        # Threads of its own: trainings that wait must not take those that answer reads.
        self._threads = ThreadPoolExecutor(self._places, "training")
        # What was asked for and is not done, in the order in which it was asked for.
        self._asked: dict[Training, None] = {}
        self._running: set[Training] = set()
        self._lock = threading.Lock()
        self.begun = self.failed = 0
        self.stopping = False

    @property
    def running(self) -> int:
        """How many train at this moment."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many wait for a core."""
        with self._lock:
            return len(self._asked) - len(self._running)

    @property
    def trainings(self) -> tuple[Training, ...]:
        """Return those that run or wait, the first asked for first; each tells how far it is."""
        with self._lock:
            return tuple(self._asked)

    @property
    def processes(self) -> frozenset[Popen[bytes]]:
        """Return the processes that train."""
        return frozenset(one.child for one in self.trainings if one.child is not None)

    def submit(self, request: TrainingRequest, rows: RowsFile) -> Training:
        """Have a training run as soon as there is a place for it, and return it at once.

        Raises
        ------
        TooManyTrainingsError
            If as many wait already as may.
        RunnerStoppedError
            If the runner was stopped.
        """
        training = Training(request, rows)
        with self._lock:
            if self.stopping:
                raise RunnerStoppedError
            waiting = len(self._asked) - self._places
            if waiting >= WAITING * self._places:
                raise TooManyTrainingsError(waiting)
            training.outcome = self._threads.submit(self._run, training)
            self._asked[training] = None
        training.outcome.add_done_callback(lambda _: self._forget(training))
        return training

    def _run(self, training: Training) -> TrainingResult:
        with self._lock:
            if self.stopping:
                raise RunnerStoppedError
            self.begun += 1
            self._running.add(training)

        def on_start(child: Popen[bytes]) -> None:
            training.begin(child)
            if self.stopping:  # since it was asked above
                child.kill()

        try:
            return train_in_child(
                asdict(self._settings),
                training.request,
                training.rows,
                training.tell,
                self._settings.training_timeout,
                on_start=on_start,
            )
        except BaseException:
            with self._lock:
                self.failed += 1
            if self.stopping:
                raise RunnerStoppedError from None
            raise

    def _forget(self, training: Training) -> None:
        with self._lock:
            self._asked.pop(training, None)
            self._running.discard(training)

    def stop(self) -> None:
        """End every training; those who wait for one get a `RunnerStoppedError`."""
        with self._lock:
            self.stopping = True
        for process in self.processes:
            process.kill()
        # Those that wait leave the queue by themselves, each with its error.
        self._threads.shutdown(wait=False)
