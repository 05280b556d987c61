"""State that the endpoints of a running application share."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Depends, Request

from ai_engine.api.health import Health
from ai_engine.api.instruments import Instruments
from ai_engine.domain.errors import VersionNotFoundError
from ai_engine.files.sandbox import Sandbox
from ai_engine.jobs.upkeep import JobUpkeep
from ai_engine.jobs.workers import Workers
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings

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

    def acting(self, request: Request) -> Registry:
        """Return the registry for who sent a request: what it changes is written down with the address."""
        address = request.client.host if request.client else "unknown"
        return self.registry.as_actor(f"{address} over HTTP")

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
    return str(request.scope.get("root_path", "")).rstrip("/")


async def running(request: Request) -> Service:
    """Return the service of the application that a request reached."""
    service: Service = request.app.state.service
    return service


Running = Annotated[Service, Depends(running)]
