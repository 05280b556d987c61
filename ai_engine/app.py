"""`app`: the engine as a service, configured by the environment when it starts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from fastapi import FastAPI, Request

from ai_engine.api.application import OpenArtifact, create_app, include
from ai_engine.api.identity import SESSION
from ai_engine.api.rights import principal_of
from ai_engine.api.service import Service
from ai_engine.api.sessions import Session
from ai_engine.dashboard.pages import Shown, router
from ai_engine.logs import configure
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings, check_reach, from_environment, origins
from ai_engine.wiring import keys_exist, open_registry, upkeep


def build(registry: Registry, settings: Settings, hosts: Collection[str] = ()) -> FastAPI:
    """Return the application over a registry that is open and that its owner closes."""
    return _complete(lambda: nullcontext((registry, settings)), hosts)


def _complete(
    opened: Callable[[], AbstractContextManager[OpenArtifact]], hosts: Collection[str] = ()
) -> FastAPI:
    complete = create_app(opened, hosts)
    include(complete, router(_shown))
    return complete


def _shown(request: Request) -> Shown:
    service: Service = request.app.state.service
    session: Session | None = request.scope.get(SESSION)
    principal = principal_of(request)
    return Shown(
        registry=service.registry,
        model_dir=service.settings.model_dir,
        health=service.health.state,
        rights=principal.rights,
        signed_in=principal.name.partition(" (")[0] if session else None,
        token=session.token if session else "",
    )


@contextmanager
def _from_environment() -> Iterator[OpenArtifact]:
    settings = from_environment()
    check_reach(settings, lambda: keys_exist(settings))
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


if __name__ == "__main__":
    from ai_engine.cli.main import main

    sys.argv[1:] = ["serve", *sys.argv[1:]]
    main()
