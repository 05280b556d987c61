"""Endpoints to follow trainings."""

from __future__ import annotations

from typing import Annotated, Any, Final

from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response, StreamingResponse

from ai_engine.access.principals import Principal
from ai_engine.api.job_events import HEADERS, job_events
from ai_engine.api.job_schemas import JobDetails, JobReply, JobsReply
from ai_engine.api.json_response import Answer
from ai_engine.api.query_parameters import refuse_unknown
from ai_engine.api.rights import check_model, principal_of
from ai_engine.api.routes.openapi import answers
from ai_engine.api.service import Running, Service
from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.job_ids import parsed_id
from ai_engine.domain.jobs import Job, JobStatus
from ai_engine.domain.rights import Rights
from ai_engine.jobs.shapes import attempt_shape, expected_seconds, job_shape
from ai_engine.jobs.waiting import Follower

router = APIRouter(tags=["work"])

_MOST: Final = 1000
_EVENTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Events `progress`, then one of `completed`, `failed` and `cancelled`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    204: {"description": "The job has ended, and its end is known."},
}


@router.get("/train/jobs", responses=answers(JobsReply))
async def list_jobs(
    service: Running,
    request: Request,
    status: Annotated[JobStatus | None, Query(description="Only these.")] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
    page_token: Annotated[str | None, Query(description="The last page's `next_page_token`.")] = None,
) -> Answer:
    """Return the trainings that were asked for in the last week, the newest first."""
    refuse_unknown(request, "limit", "page_token", "status")
    if page_token is not None and parsed_id(page_token) is None:
        raise InvalidInputError(
            "page_token", "is no page token; give a next_page_token as it was answered, or none"
        )
    rights = principal_of(request).rights
    found = await to_thread.run_sync(_page, service, rights, status, limit + 1, page_token)
    jobs = found[:limit]
    after = jobs[-1].job_id if len(found) > limit else None
    return Answer({"jobs": [job_shape(job) for job in jobs], "next_page_token": after})


def _page(
    service: Service, rights: Rights, status: JobStatus | None, limit: int, before: str | None
) -> list[Job]:
    """Return jobs of the models that somebody may see, the newest first, from behind an id on."""
    found: list[Job] = []
    while True:
        jobs = service.registry.queue.page(status, limit, before)
        found += [job for job in jobs if rights.cover(job.model_name)]
        if len(jobs) < limit or len(found) >= limit:
            return found[:limit]
        before = jobs[-1].job_id


@router.get("/train/jobs/{job_id}", responses=answers(JobDetails, 404))
async def show_job(service: Running, request: Request, job_id: str) -> Answer:
    """Return a training that was asked for, how far it is, and what has become of it."""
    refuse_unknown(request)
    return Answer(await to_thread.run_sync(_details, service, principal_of(request), job_id))


def _details(service: Service, principal: Principal, job_id: str) -> dict[str, Any]:
    """Return a job and its attempts (JSON values)."""
    job = service.registry.queue.get(job_id)
    check_model(principal, job.model_name)
    attempts = service.registry.queue.attempts(job_id)
    expected = expected_seconds(service.registry, job.model_name)
    return {**job_shape(job, expected), "attempts": [attempt_shape(attempt) for attempt in attempts]}


@router.get("/train/jobs/{job_id}/events", responses=answers(None, 404) | _EVENTS)
async def follow_job(
    service: Running,
    request: Request,
    job_id: str,
    last_event_id: Annotated[str | None, Header(description="Go on behind this one.")] = None,
) -> Response:
    """Tell what happens to a training as it happens, as server-sent events."""
    refuse_unknown(request)
    after = _number(last_event_id)
    job, events = await to_thread.run_sync(service.registry.queue.events, job_id, after)
    check_model(principal_of(request), job.model_name)
    if job.status.is_ended and not events:
        return Response(status_code=204)  # by which a client knows not to ask again
    follower = Follower(service.registry.queue, job_id, after, was_there=True)
    return StreamingResponse(job_events(service, follower), media_type="text/event-stream", headers=HEADERS)


def _number(last_event_id: str | None) -> int:
    text = (last_event_id or "").strip()
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise InvalidInputError("Last-Event-ID", f"{text[:80]!r} is no id of an event; leave it out")
    return int(text)


@router.delete(
    "/train/jobs/{job_id}", responses=answers(JobReply, 403, 404, 409, status=202), status_code=202
)
async def cancel_job(service: Running, request: Request, job_id: str) -> Answer:
    """End a training: at once where it waits, within seconds where it runs."""
    refuse_unknown(request)
    job = await to_thread.run_sync(service.registry.queue.get, job_id)
    check_model(principal_of(request), job.model_name)
    job = await to_thread.run_sync(service.acting(request).queue.cancel, job_id)
    return Answer(job_shape(job), 202)
