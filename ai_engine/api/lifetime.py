"""Start and stop the service: with the application's lifespan, or at the first request."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from anyio import to_thread
from starlette.datastructures import State

from ai_engine.access.auditing import Refusals
from ai_engine.access.networks import parse_networks
from ai_engine.api.health import Health
from ai_engine.api.instruments import Instruments
from ai_engine.api.rates import Rates
from ai_engine.api.service import Service
from ai_engine.api.sessions import Sessions
from ai_engine.jobs.upkeep import JobUpkeep
from ai_engine.jobs.workers import Workers
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings, variable
from ai_engine.wiring import model_directory, open_keyring

OpenArtifact = tuple[Registry, Settings]


class Lifetime:
    """The service of one application, started once however many ask for it.

    Parameters
    ----------
    opened : callable
        Opens the registry and tells the settings, for as long as the application runs.
    state : State
        Where the service is to be found, as ``service``, while it runs.
    """

    def __init__(
        self,
        opened: Callable[[], AbstractContextManager[OpenArtifact]],
        instruments: Instruments,
        state: State,
    ) -> None:
        self._opened, self._instruments, self._state = opened, instruments, state
        self._context: AbstractContextManager[OpenArtifact] | None = None
        # Of threads and not of a loop: a test client has a new loop for every request.
        self._starting = threading.Lock()

    async def service(self) -> Service:
        """Return the service. Where no lifespan ran, as in a mounted application, it is started here."""
        running: Service | None = getattr(self._state, "service", None)
        return await to_thread.run_sync(self._start_until_exit) if running is None else running

    def start(self) -> Service:
        """Start the service, unless it runs; blocks.

        Raises
        ------
        AIEngineError
            If the registry cannot be opened, or not with these settings.
        """
        with self._starting:
            running: Service | None = getattr(self._state, "service", None)
            if running is not None:
                return running
            context = self._opened()
            registry, settings = context.__enter__()
            self._context = context
            keyring = open_keyring(registry, settings)
            networks = parse_networks(variable("open_to"), settings.open_to)
            workers = Workers(registry.queue, settings)
            self._state.service = Service(
                registry,
                settings,
                Health(registry),
                workers,
                JobUpkeep(registry, settings, workers.count > 0, workers.wake),
                self._instruments,
                model_directory(settings).sandbox,
                keyring,
                Sessions(),
                networks,
                Rates(settings.rate_limit),
                Refusals(registry.catalogue),
            )
            workers.start()
            self._state.service.upkeep.start()
            return self._state.service  # type: ignore[no-any-return]  # a State holds anything

    def _start_until_exit(self) -> Service:
        service = self.start()
        atexit.register(self.stop)
        return service

    def stop(self) -> None:
        """End what the service does, and close the registry; blocks."""
        with self._starting:
            atexit.unregister(self.stop)
            context, self._context = self._context, None
            if context is not None:
                self._state.service.upkeep.stop()
                self._state.service.workers.stop()
                self._state.service.workers.join()
                self._state.service.upkeep.join()
                del self._state.service
                context.__exit__(None, None, None)
