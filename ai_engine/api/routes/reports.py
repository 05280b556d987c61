"""The endpoint of the report of a version, for programs and for eyes."""

from __future__ import annotations

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from ai_engine.api.accepted_types import prefers_html
from ai_engine.api.json_response import Answer
from ai_engine.api.report_schemas import ReportReply
from ai_engine.api.routes.models import Name, VersionPart
from ai_engine.api.routes.openapi import answers
from ai_engine.api.service import Running, Service, address_of
from ai_engine.reports.page import page, policy
from ai_engine.reports.stored import stored

router = APIRouter(tags=["models"])

_VARY = {"vary": "Accept"}


@router.get("/models/{model_name:path}/versions/{version:path}/report", responses=answers(ReportReply, 404))
async def report(service: Running, request: Request, model_name: Name, version: VersionPart) -> Response:
    """Return what a training understood, chose and measured; what its kind does not measure is null.

    With `Accept: text/html` the same as one page that needs no other file.
    """
    as_page = prefers_html(request.headers.get("accept", ""))
    home = f"{address_of(request)}/" if as_page else None
    return await to_thread.run_sync(_report, service, model_name, version, home, limiter=service.short_reads)


def _report(service: Service, model_name: str, version: str, home: str | None) -> Response:
    subject, told = stored(service.registry, model_name, version)
    if home is None:
        return Answer(told, headers=_VARY)
    return HTMLResponse(page(subject, told, home), headers={**_VARY, "content-security-policy": policy()})
