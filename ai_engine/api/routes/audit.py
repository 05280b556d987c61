"""The endpoint of the audit log."""

from __future__ import annotations

from typing import Annotated, Final

from anyio import to_thread
from fastapi import APIRouter, Query, Request

from ai_engine.api.audit_schemas import AuditReply
from ai_engine.api.json_response import Answer
from ai_engine.api.query_parameters import refuse_unknown
from ai_engine.api.routes.openapi import answers
from ai_engine.api.service import Running, Service
from ai_engine.domain.errors import InvalidInputError
from ai_engine.registry.json_views import audit_shape

router = APIRouter(tags=["operations"])

_MOST: Final = 1000


@router.get("/audit", responses=answers(AuditReply))
async def audit_log(
    service: Running,
    request: Request,
    model: Annotated[
        str | None, Query(max_length=1000, description="Only what was done to this one.")
    ] = None,
    action: Annotated[
        str | None, Query(max_length=100, description="Only these, such as `activate`.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
    page_token: Annotated[
        str | None, Query(max_length=20, description="The last page's `next_page_token`.")
    ] = None,
) -> Answer:
    """Return who changed what, the newest first."""
    refuse_unknown(request, "model", "action", "limit", "page_token")
    before = _number(page_token)
    return await to_thread.run_sync(_page, service, limit, before, model, action, limiter=service.short_reads)


def _page(service: Service, limit: int, before: int | None, model: str | None, action: str | None) -> Answer:
    with service.registry.catalogue.read() as snapshot:
        found = snapshot.audit.page(limit + 1, before, model, action)
        head = snapshot.audit.head()
    entries = found[:limit]
    return Answer(
        {
            "entries": [audit_shape(entry) for entry in entries],
            "head": {"seq": head.seq, "digest": head.digest},
            "next_page_token": str(entries[-1].seq) if len(found) > limit else None,
        }
    )


def _number(page_token: str | None) -> int | None:
    if page_token is None:
        return None
    if not (page_token.isascii() and page_token.isdigit() and len(page_token) < 16):
        raise InvalidInputError(
            "page_token", "is no page token; give a next_page_token as it was answered, or none"
        )
    return int(page_token)
