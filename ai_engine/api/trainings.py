"""Trainings on behalf of requests: each in a child process, no more at once than there are cores."""

from __future__ import annotations

import os
from dataclasses import asdict
from subprocess import Popen
from typing import Any, Final

from anyio import CapacityLimiter, to_thread

from ai_engine.api.problems import RefusedError
from ai_engine.settings import Settings
from ai_engine.training.child import train_in_child

# Requests whose rows may wait in memory for a free core, for each core.
WAITING: Final = 8


class Trainings:
    """Runs trainings.

    Attributes
    ----------
    begun, failed : int
        Since the application started.
    """

    def __init__(self, settings: Settings, cores: int | None = None) -> None:
        self._settings = settings
        # Tokens of its own: trainings that wait must not take the threads that answer reads.
        self._places = CapacityLimiter(cores or os.cpu_count() or 1)
        self._asked = 0  # requests that are here, whether they train or wait
        self._stopping = False
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

    async def train(self, request: bytes) -> dict[str, Any]:
        """Return the answer (JSON values) to a request, a line of JSON, once its version is saved."""
        # The limiter knows of one that waits only once it does, and by then more may have been let in.
        waiting = max(self._asked - int(self._places.total_tokens), self.waiting)
        if waiting >= WAITING * self._places.total_tokens:
            raise RefusedError(
                503, "too-many-trainings", f"{waiting} trainings are waiting already; try again later"
            )
        self._asked += 1
        try:
            return await to_thread.run_sync(
                self._train, request, abandon_on_cancel=True, limiter=self._places
            )
        finally:
            self._asked -= 1

    def _train(self, request: bytes) -> dict[str, Any]:
        if self._stopping:
            raise _stopped()
        self.begun += 1
        started: list[Popen[bytes]] = []

        def on_start(child: Popen[bytes]) -> None:
            started.append(child)
            self._children.add(child)
            if self._stopping:  # since it was asked above
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
            if self._stopping:
                raise _stopped() from None
            raise
        finally:
            self._children.difference_update(started)

    def stop(self) -> None:
        """End every training; those who wait for one are told so."""
        self._stopping = True
        for child in tuple(self._children):
            child.kill()


def _stopped() -> RefusedError:
    return RefusedError(
        503, "stopping", "the server is stopping, and the training was ended; nothing was saved"
    )


def _ignore_progress(fraction: float, message: str) -> None:
    """Nobody is told: the answer comes when all is done."""
