"""State that the endpoints of a running application share."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Depends, Request
from starlette.types import Scope

from ai_engine.access.auditing import Refusals
from ai_engine.access.keyring import Keyring
from ai_engine.access.networks import OpenNetworks
from ai_engine.api.health import Health
from ai_engine.api.instruments import Instruments
from ai_engine.api.paths import root_of
from ai_engine.api.rates import Rates
from ai_engine.api.rights import principal_of
from ai_engine.api.sessions import Sessions
from ai_engine.domain.errors import VersionNotFoundError
from ai_engine.files.sandbox import Sandbox
from ai_engine.jobs.upkeep import JobUpkeep
from ai_engine.jobs.workers import Workers
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings, is_address, is_loopback

# Versions that an error names; a model may have a million.
_NAMED_IN_ERRORS = 10


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a running application, from its start to its end."""

    registry: Registry
    settings: Settings
    health: Health
    workers: Workers
    upkeep: JobUpkeep
    instruments: Instruments
    # Where the rows of a training are while they come in and until it is done.
    uploads: Sandbox
    keyring: Keyring
    sessions: Sessions
    networks: OpenNetworks  # what may be done from where without a key
    rates: Rates
    refusals: Refusals
    # A list is read a row at a time, and between two rows another thread may take the interpreter: eight
    # threads then spend a third of their time on handing it over. Two keep a core busy. All that read a page
    # or so wait in this one line: beside forty threads the two got a twentieth of the interpreter, and a page
    # took 30 times as long as its neighbours.
    short_reads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(2))
    # Reading rows and predicting from them is work for a core. Forty threads at it, as many as would be taken
    # otherwise, leave the loop that answers everybody a fortieth of the interpreter.
    large_bodies: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(os.cpu_count() or 1))
    # Trainings that no queue takes, as the database is down: as many at once as there are cores.
    unqueued: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(os.cpu_count() or 1))
    started: float = field(default_factory=time.monotonic)

    @property
    def database(self) -> str:
        """Return where the catalogue is."""
        return self.registry.location

    def is_guarded(self, scope: Scope) -> bool:
        """Tell whether who sends a request has to have a key, or an address that needs none."""
        if self.settings.no_auth:
            return False
        return self.keyring.required() or (bool(self.networks.entries) and not _is_local(scope))

    def acting(self, request: Request) -> Registry:
        """Return the registry for who sent a request: what it changes is written down with the address."""
        return self.registry.as_actor(principal_of(request).name)

    def version(self, name: str, version: str | None) -> str:
        """Return the version that is meant: this one, or the active one. Raises VersionNotFoundError."""
        return self.registry.number(name, version)

    def load(self, name: str, version: str) -> object:
        """Return the object of a version. Raises VersionNotFoundError where it was deleted meanwhile."""
        model = self.registry.load(name, version)
        if model is None:  # deleted since it was found
            raise VersionNotFoundError(name, version)
        return model


def address_of(request: Request) -> str:
    """Return the path under which the application is mounted, such as ``/ai``; else an empty text."""
    return root_of(request.scope)


def _is_local(scope: Scope) -> bool:
    """Tell whether a connection came in on an address that only this machine reaches."""
    server = scope.get("server")
    return server is None or not is_address(str(server[0])) or is_loopback(str(server[0]))


async def running(request: Request) -> Service:
    """Return the service of the application that a request reached."""
    service: Service = request.app.state.service
    return service


Running = Annotated[Service, Depends(running)]
