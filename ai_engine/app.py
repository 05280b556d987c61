"""`app`: the engine as a service, configured by the environment when it starts."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Final

from fastapi import FastAPI, Request

from ai_engine.api.application import OpenArtifact, create_app, include
from ai_engine.api.identity import SESSION
from ai_engine.api.instruments import Instruments
from ai_engine.api.request_body import read_object
from ai_engine.api.rights import Models, Right, check_scope, principal_of
from ai_engine.api.routes.operations import health_told
from ai_engine.api.service import Service
from ai_engine.api.sessions import Session
from ai_engine.api.trainings import finished
from ai_engine.control_plane.engine import Counts, Engine
from ai_engine.control_plane.router import router as doors
from ai_engine.control_plane.router import scopes, with_question
from ai_engine.dashboard.pages import Shown, router
from ai_engine.domain.rights import Scope
from ai_engine.logs import configure
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings, check_reach, from_environment, origins
from ai_engine.wiring import keys_exist, open_registry, upkeep

# The route of predictions, as requests are counted by it.
_PREDICT: Final = "/models/{model_name}/predict"


def build(registry: Registry, settings: Settings, hosts: Collection[str] = ()) -> FastAPI:
    """Return the application over a registry that is open and that its owner closes."""
    return _complete(lambda: nullcontext((registry, settings)), hosts)


def _complete(
    opened: Callable[[], AbstractContextManager[OpenArtifact]], hosts: Collection[str] = ()
) -> FastAPI:
    complete = create_app(opened, hosts)
    include(complete, router(_shown))
    # Doors choose among all models.
    rights = {name: Right(tuple(map(Scope, wanted)), Models.ALL) for name, wanted in scopes().items()}
    include(complete, doors(_engine), rights)
    plain = complete.openapi
    complete.openapi = lambda: with_question(plain())  # type: ignore[method-assign]  # as FastAPI documents
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


def _engine(request: Request) -> Engine:
    """Return what the doors of the control plane use of the service that a request reached."""
    service: Service = request.app.state.service
    instruments = service.instruments
    return Engine(
        registry=service.acting(request),
        settings=service.settings,
        read=read_object,
        health=partial(health_told, service, principal_of(request).rights),
        finished=partial(finished, service),
        wake=service.workers.wake,
        predicted=instruments.predicted,
        refused=partial(_refused, instruments),
        counts=partial(_counts, instruments),
        lane=service.large_bodies,
        check=lambda scope: check_scope(principal_of(request), request, Scope(scope)),
    )


def _refused(instruments: Instruments, code: str) -> None:
    instruments.refusals[code] += 1


def _counts(instruments: Instruments) -> Counts:
    """Return what was predicted and refused, at the doors and at ``/models/{name}/predict``."""
    failed = Counter(instruments.refusals)
    for (_, route, status), count in instruments.requests.items():
        if route == _PREDICT and status >= "400":
            failed[f"http-{status}"] += count
    answered = {name: sum(told.times.counts) for name, told in instruments.predictions.items()}
    total = sum(told.times.total for told in instruments.predictions.values())
    return Counts(answered, total, tuple(instruments.recent), failed)


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
