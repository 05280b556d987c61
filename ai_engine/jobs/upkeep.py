"""What whoever works does besides: ask for trainings that are due, and forget jobs of long ago."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from ai_engine.domain.errors import AIEngineError
from ai_engine.jobs.schedules import Scheduler
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings

log = logging.getLogger(__name__)

# Seconds between two looks for what is due, which are one query.
LOOK: Final = 1.0
# Jobs that ended long ago are looked for at the start, and so often; seconds.
FORGET_EVERY: Final = 3600.0
# Seconds that a look is given to end by itself.
_MERCY: Final = 5.0


class JobUpkeep:
    """A thread that looks for what is due and for what is to be forgotten until it is told to stop.

    Parameters
    ----------
    trains : bool
        Whether this process trains: one that does not leaves schedules to those that do.
    asked : callable
        Called when a training was asked for.

    Attributes
    ----------
    scheduler : Scheduler
        Which asks for trainings.
    """

    def __init__(
        self, registry: Registry, settings: Settings, trains: bool, asked: Callable[[], None]
    ) -> None:
        self._registry, self._trains, self._asked = registry, trains, asked
        self.scheduler = Scheduler(registry, settings)
        self._forget_at = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="job-upkeep", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def join(self) -> None:
        """Wait until the look is over that is under way, but not for as long as a large source takes."""
        if self._thread.ident is not None:
            self._thread.join(_MERCY)

    def look(self) -> None:
        """Do what is to be done now. A database that is down is looked at again later."""
        try:
            if time.monotonic() >= self._forget_at:
                self._registry.queue.forget()
                self._forget_at = time.monotonic() + FORGET_EVERY
            if self._trains and self.scheduler.look():
                self._asked()
        except AIEngineError as error:
            log.debug("what is due is looked for later: %s", error)

    def _run(self) -> None:
        while True:
            try:
                self.look()
            except Exception:  # as at any other edge of a thread: one schedule must not stop all others
                log.exception("what is due could not be looked for, and is looked for again")
            if self._stopped.wait(LOOK):
                return
