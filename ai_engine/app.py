"""`app`: the engine as a service, configured by the environment when it starts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from fastapi import FastAPI, Request

from ai_engine.api.application import Opened, create_app
from ai_engine.api.service import Service
from ai_engine.dashboard.pages import Shown, router
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings, from_environment
from ai_engine.wiring import open_registry, upkeep


def build(registry: Registry, settings: Settings, hosts: Collection[str] = ()) -> FastAPI:
    """Return the application over a registry that is open and that its owner closes."""
    return _complete(lambda: nullcontext((registry, settings)), hosts)


def _complete(opened: Callable[[], AbstractContextManager[Opened]], hosts: Collection[str] = ()) -> FastAPI:
    complete = create_app(opened, hosts)
    complete.include_router(router(_shown))
    return complete


def _shown(request: Request) -> Shown:
    service: Service = request.app.state.service
    return Shown(service.registry, service.settings.model_dir, service.health.state)


@contextmanager
def _from_environment() -> Iterator[Opened]:
    settings = from_environment()
    with open_registry(settings) as registry, upkeep(registry, settings):
        yield registry, settings


app = _complete(_from_environment)
