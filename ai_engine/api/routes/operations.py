"""Endpoints for operators: health, metrics and documentation."""

from __future__ import annotations

import time
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from ai_engine.api import schemas
from ai_engine.api.documentation import page
from ai_engine.api.json_response import Answer
from ai_engine.api.problems import RefusedError, stopping
from ai_engine.api.rights import principal_of
from ai_engine.api.routes.openapi import answers
from ai_engine.api.service import Running, Service, address_of
from ai_engine.domain.clock import now, to_iso
from ai_engine.domain.rights import Rights, Scope
from ai_engine.registry.json_views import health_answer
from ai_engine.training.extras import can_train

router = APIRouter(tags=["operations"])


@router.get("/health", responses=answers(schemas.HealthReply))
async def health(service: Running, request: Request) -> Answer:
    """Return the health of the engine. It answers 200 for as long as the process lives.

    It needs no key; what schedules say of their models is told to who may read.
    """
    return Answer(await health_told(service, principal_of(request).rights))


async def health_told(service: Service, rights: Rights) -> dict[str, Any]:
    """Return what ``GET /health`` answers (JSON values): with its moment, and with each part by itself."""
    state = await service.health.state()
    if not rights.allow(Scope.READ):
        state = state | {"schedules": None, "warnings": []}
    uptime = time.monotonic() - service.started
    told = health_answer(state, uptime, service.database, await service.health.actives())
    stopping = service.workers.stopping
    components = {
        "database": state["status"],
        "models": "healthy" if not state.get("damaged") else "degraded",
        "trainings": "stopping" if stopping else "healthy" if can_train() else "not installed",
    }
    return {**told, "timestamp": to_iso(now()), "components": components}


@router.get("/health/live", responses=answers(schemas.LiveReply))
async def live() -> Answer:
    """Answer 200 for as long as the process lives."""
    return Answer({"status": "alive"})


@router.get("/health/ready", responses=answers(schemas.ReadyReply))
async def ready(service: Running) -> Answer:
    """Answer 200 while models can be served, degraded or not, and 503 with the reason while none can."""
    if service.workers.stopping:
        raise stopping()
    reason = await service.health.unable()
    if reason is not None:
        raise RefusedError(503, "not-ready", f"no model can be served now: {reason}")
    return Answer({"status": "ready"})


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(service: Running) -> Response:
    """Return the metrics of the service, the process and each model as Prometheus text."""
    from ai_engine.api.prometheus import CONTENT_TYPE, exposition  # 50 ms, for a server that is scraped

    state = await service.health.state()
    most = service.settings.metrics_models
    text = await to_thread.run_sync(
        exposition, service.instruments, service.registry, service.workers, state, most
    )
    return Response(text, media_type=CONTENT_TYPE)


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Answer:
    """Return the OpenAPI document."""
    address = address_of(request)
    servers = {"servers": [{"url": address}]} if address else {}
    return Answer(request.app.openapi() | servers)


@router.get("/docs", include_in_schema=False)
async def documentation(request: Request) -> HTMLResponse:
    """Return the OpenAPI document as a page."""
    return HTMLResponse(page(request.app.openapi(), address_of(request)))
