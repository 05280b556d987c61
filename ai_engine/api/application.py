"""The FastAPI application: its routes, its middleware and its lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.datastructures import State
from starlette.middleware import Middleware

from ai_engine.api import problems, schemas
from ai_engine.api.admission import Admission
from ai_engine.api.clients import WhileConnected
from ai_engine.api.failures import FailuresAsProblems
from ai_engine.api.head_requests import HeadAsGet
from ai_engine.api.hosts import KnownHosts
from ai_engine.api.identity import Identified
from ai_engine.api.instruments import Instruments, Measured
from ai_engine.api.lifetime import Lifetime, OpenArtifact
from ai_engine.api.request_limits import RequestLimits
from ai_engine.api.request_log import RequestLog
from ai_engine.api.rights import RIGHTS, NotAllowedError, Right, authorize, not_allowed
from ai_engine.api.routes import (
    audit,
    jobs,
    models,
    operations,
    reports,
    schedules,
    sign_in,
    train_predict,
)
from ai_engine.api.routes.openapi import tell_rights
from ai_engine.api.schedule_schemas import ScheduleRequest
from ai_engine.api.security_headers import SecurityHeaders
from ai_engine.version import __version__

__all__ = ["OpenArtifact", "create_app"]


def create_app(
    opened: Callable[[], AbstractContextManager[OpenArtifact]], hosts: Collection[str] = ()
) -> FastAPI:
    """Return the application. Nothing is opened, read or written before its lifespan or its first request.

    Parameters
    ----------
    opened : callable
        Opens the registry and tells the settings, for as long as the application runs.
    hosts : collection of str
        Names under which the server may be addressed, besides this machine's loopback ones.
    """
    instruments, state = Instruments(), State()
    lifetime = Lifetime(opened, instruments, state)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await to_thread.run_sync(lifetime.start)
        try:
            yield
        finally:
            await to_thread.run_sync(lifetime.stop)

    app = FastAPI(
        title="NovaCron AI Engine",
        version=__version__,
        summary="Trains, keeps and serves models of virtual machines' telemetry.",
        lifespan=lifespan,
        dependencies=[Depends(authorize)],
        # Their pages fetch scripts from elsewhere; ours are among the operations.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[
            # What a request passes, outermost first.
            Middleware(RequestLog),
            Middleware(HeadAsGet),
            Middleware(Measured, instruments=instruments),
            Middleware(SecurityHeaders),
            Middleware(FailuresAsProblems, service=lifetime.service),  # those of all below, as an answer
            Middleware(KnownHosts, hosts=hosts),
            Middleware(RequestLimits),
            Middleware(Admission),
            Middleware(Identified),
            Middleware(WhileConnected),
        ],
        generate_unique_id_function=lambda route: route.name,
    )
    app.state = state
    state.lifetime = lifetime
    problems.install(app)
    app.add_exception_handler(NotAllowedError, not_allowed)
    state.endpoints, state.rights = [], {}
    for router in (
        sign_in.router,
        audit.router,
        operations.router,
        train_predict.router,
        jobs.router,
        reports.router,
        models.router,
        schedules.router,
    ):
        include(app, router)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # the way that FastAPI documents
    return app


def include(app: FastAPI, router: APIRouter, rights: Mapping[str, Right] = RIGHTS) -> None:
    """Add endpoints to an application, with what each of them needs, by its name.

    Raises
    ------
    LookupError
        If that is not said of one.
    """
    endpoints = [route for route in router.routes if isinstance(route, APIRoute)]
    app.state.rights |= rights
    for endpoint in endpoints:
        if endpoint.name not in rights:
            raise LookupError(f"api/rights.py does not say who may use {endpoint.path}")
    app.state.endpoints.extend(endpoints)
    app.include_router(router)


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document (JSON values), with the bodies that endpoints read by themselves."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        known = document["components"]["schemas"]
        for schema in (
            schemas.TrainRequest,
            schemas.ActivateRequest,
            schemas.PredictRequest,
            ScheduleRequest,
            schemas.Problem,
        ):
            known[schema.__name__] = schema.model_json_schema()
        # Every invalid parameter is answered as a Problem; FastAPI tells its own format beside it.
        for unused in ("HTTPValidationError", "ValidationError"):
            known.pop(unused, None)
        tell_rights(document, app.state.endpoints, app.state.rights)
        app.openapi_schema = document
    return app.openapi_schema
