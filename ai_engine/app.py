"""`app`: the engine as a service, configured by the environment when it starts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from fastapi import FastAPI, Request

from ai_engine.api.application import OpenArtifact, create_app
from ai_engine.api.service import Service
from ai_engine.dashboard.pages import Shown, router
from ai_engine.logs import configure
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings, check_reach, from_environment, origins
from ai_engine.wiring import open_registry, upkeep


def build(registry: Registry, settings: Settings, hosts: Collection[str] = ()) -> FastAPI:
    """Return the application over a registry that is open and that its owner closes."""
    return _complete(lambda: nullcontext((registry, settings)), hosts)


def _complete(
    opened: Callable[[], AbstractContextManager[OpenArtifact]], hosts: Collection[str] = ()
) -> FastAPI:
    complete = create_app(opened, hosts)
    complete.include_router(router(_shown))
    return complete


def _shown(request: Request) -> Shown:
    service: Service = request.app.state.service
    return Shown(service.registry, service.settings.model_dir, service.health.state)


@contextmanager
def _from_environment() -> Iterator[OpenArtifact]:
    settings = from_environment()
    check_reach(settings)
    # Whoever holds an application writes its log, unless the environment says how it is to be written.
    sources = origins()
    if "environment" in (sources["log_level"], sources["log_format"]):
        configure(settings.log_level or "info", settings.log_format)
    with open_registry(settings) as registry, upkeep(registry, settings):
        yield registry, settings


def from_settings() -> FastAPI:
    """Return the application over the registry that the environment describes.

    It opens the registry when its lifespan starts, or at its first request where none ran: mounted under a
    path of another application, or in a test client. What started so is closed when the process exits;
    ``async with app.router.lifespan_context(app)`` in the other application's lifespan closes it earlier.
    """
    return _complete(_from_environment)


app = from_settings()
