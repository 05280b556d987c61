"""Trainings on behalf of requests: each in a child process, no more at once than there are cores."""

from __future__ import annotations

import os
from dataclasses import asdict
from subprocess import Popen
from typing import Any, Final

from anyio import CapacityLimiter, to_thread

from ai_engine.api.problems import RefusedError, stopping
from ai_engine.settings import Settings
from ai_engine.training.child import train_in_child

# Requests whose rows may wait in memory for a free core, for each core.
WAITING: Final = 8


class _Training:
    """One training, which may be ended before, while and after its process runs."""

    def __init__(self) -> None:
        self.child: Popen[bytes] | None = None
        self._ended = False

    def begin(self, child: Popen[bytes]) -> None:
        self.child = child
        if self._ended:
            child.kill()

    def end(self) -> None:
        self._ended = True
        if self.child is not None:
            self.child.kill()


class Trainings:
    """Runs trainings.

    Attributes
    ----------
    begun, failed : int
        Since the application started.
    stopping : bool
        Whether the application is about to end.
    """

    def __init__(self, settings: Settings, cores: int | None = None) -> None:
        self._settings = settings
        # Tokens of its own: trainings that wait must not take the threads that answer reads.
        self._places = CapacityLimiter(cores or os.cpu_count() or 1)
        self._asked = 0  # requests that are here, whether they train or wait
        self.stopping = False
        self._children: set[Popen[bytes]] = set()
        self.begun = self.failed = 0

    @property
    def running(self) -> int:
        """How many train at this moment."""
        return int(self._places.borrowed_tokens)

    @property
    def waiting(self) -> int:
        """How many wait for a core."""
        return self._places.statistics().tasks_waiting

    @property
    def processes(self) -> frozenset[Popen[bytes]]:
        """Return the processes that train."""
        return frozenset(self._children)

    async def train(self, request: bytes) -> dict[str, Any]:
        """Return the answer (JSON values) to a request, a line of JSON, once its version is saved."""
        # The limiter knows of one that waits only once it does, and by then more may have been let in.
        waiting = max(self._asked - int(self._places.total_tokens), self.waiting)
        if waiting >= WAITING * self._places.total_tokens:
            raise RefusedError(
                503, "too-many-trainings", f"{waiting} trainings are waiting already; try again later"
            )
        self._asked += 1
        training = _Training()
        try:
            return await to_thread.run_sync(
                self._train, request, training, abandon_on_cancel=True, limiter=self._places
            )
        finally:
            training.end()  # a client that has gone waits for no model
            self._asked -= 1

    def _train(self, request: bytes, training: _Training) -> dict[str, Any]:
        if self.stopping:
            raise stopping()
        self.begun += 1

        def on_start(child: Popen[bytes]) -> None:
            training.begin(child)
            self._children.add(child)
            if self.stopping:  # since it was asked above
                child.kill()

        try:
            return train_in_child(
                asdict(self._settings),
                request,
                _ignore_progress,
                self._settings.training_timeout,
                on_start=on_start,
            )
        except BaseException:
            self.failed += 1
            if self.stopping:
                raise stopping() from None
            raise
        finally:
            if training.child is not None:
                self._children.discard(training.child)

    def stop(self) -> None:
        """End every training; those who wait for one are told so."""
        self.stopping = True
        for child in tuple(self._children):
            child.kill()


def _ignore_progress(fraction: float, message: str) -> None:
    """Nobody is told: the answer comes when all is done."""
