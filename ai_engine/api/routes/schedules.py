"""Endpoints for schedules: models that are trained again by themselves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from ai_engine.api.job_schemas import Accepted
from ai_engine.api.json_response import Answer
from ai_engine.api.paging import page_token, read_token
from ai_engine.api.problems import RefusedError, stopping
from ai_engine.api.query_parameters import refuse_unknown
from ai_engine.api.request_body import Body
from ai_engine.api.rights import principal_of
from ai_engine.api.routes.openapi import answers, takes
from ai_engine.api.schedule_schemas import ScheduleReply, ScheduleRequest, SchedulesReply
from ai_engine.api.schemas import read
from ai_engine.api.service import Running, Service, address_of
from ai_engine.domain.rights import Rights
from ai_engine.domain.search import Position
from ai_engine.jobs.schedules import new_schedule, run_now
from ai_engine.jobs.shapes import schedule_shape
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings, variable
from ai_engine.telemetry.sources import lies_within
from ai_engine.training.extras import require_training_packages

router = APIRouter(tags=["work"])

_MOST: Final = 1000
Name = Annotated[str, Path(max_length=1000, description="The model's name.")]


@router.get("/schedules", responses=answers(SchedulesReply))
async def list_schedules(
    service: Running,
    request: Request,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
    page_token_: Annotated[
        str | None, Query(alias="page_token", description="The last page's `next_page_token`.")
    ] = None,
) -> Answer:
    """List the schedules by which models are trained again, by the names of the models."""
    refuse_unknown(request, "limit", "page_token")
    after = str(read_token(page_token_).value) if page_token_ else None
    rights = principal_of(request).rights
    return await to_thread.run_sync(_page, service, rights, limit, after, limiter=service.short_reads)


def _page(service: Service, rights: Rights, limit: int, after: str | None) -> Answer:
    theirs = [one for one in service.registry.schedules.page() if rights.cover(one.name)]
    found = [one for one in theirs if after is None or one.name > after]
    shown = found[:limit]
    following = page_token(Position(shown[-1].name, 0)) if len(found) > limit else None
    return Answer(
        {
            "schedules": [schedule_shape(one) for one in shown],
            "total_schedules": len(theirs),
            "next_page_token": following,
        }
    )


@router.get("/models/{model_name:path}/schedule", responses=answers(ScheduleReply, 404))
async def show_schedule(service: Running, request: Request, model_name: Name) -> Answer:
    """Return when a model is trained again, from which files, and what came of the last time."""
    refuse_unknown(request)
    found = await to_thread.run_sync(service.registry.schedules.get, model_name, limiter=service.short_reads)
    return Answer(schedule_shape(found))


@router.put(
    "/models/{model_name:path}/schedule",
    responses=answers(ScheduleReply, 403, 404, 415),
    openapi_extra=takes(ScheduleRequest),
)
async def set_schedule(service: Running, request: Request, model_name: Name, body: Body) -> Answer:
    """Train a model again by itself: every so often, or once enough new rows have come to its source.

    The files lie below a directory that the operator named; without one a schedule cannot be set here.
    """
    refuse_unknown(request)
    wanted = read(ScheduleRequest, body)
    given = wanted.model_dump(exclude_unset=True)
    return await to_thread.run_sync(
        partial(_set, service.acting(request), service.settings, model_name, given)
    )


def _set(registry: Registry, settings: Settings, name: str, given: Mapping[str, Any]) -> Answer:
    below = _sources(settings)
    source = os.path.normpath(os.path.join(below, given["source"]))
    if not lies_within(source, below):
        raise RefusedError(
            403,
            "source-not-allowed",
            f"source: {given['source']!r:.200} does not lie in the directory of sources, outside of which no "
            "file is read for requests. Name a file below it, or have the operator set the schedule with "
            "`ai-engine schedules set`",
        )
    new = new_schedule(registry, name, {**given, "source": source}, below)
    return Answer(schedule_shape(registry.schedules.put(new)))


def _sources(settings: Settings) -> str:
    """Return the directory below which sources lie. Raises RefusedError where the operator named none."""
    if not settings.sources:
        raise RefusedError(
            403,
            "source-not-allowed",
            "the operator has not named a directory whose files may be trained on, so no source can be set "
            f"over HTTP: start the server with {variable('sources')}=DIRECTORY, or set the schedule on its "
            "machine with `ai-engine schedules set`",
        )
    directory = os.path.realpath(settings.sources)
    if not os.path.isdir(directory):
        raise RefusedError(
            403,
            "source-not-allowed",
            f"the directory that the operator named in {variable('sources')} does not exist, so no source "
            "can be set over HTTP",
        )
    return directory


@router.delete(
    "/models/{model_name:path}/schedule",
    status_code=204,
    response_class=Response,
    responses=answers(None, 403, 404, status=204),
)
def remove_schedule(service: Running, request: Request, model_name: Name) -> Response:
    """Forget a schedule. Its model stays, and a training that was asked for goes on."""
    refuse_unknown(request)
    service.acting(request).schedules.remove(model_name)
    return Response(status_code=204)


@router.post(
    "/models/{model_name:path}/schedule/run",
    status_code=202,
    responses=answers(Accepted, 403, 404, 409, status=202),
)
async def run_schedule(service: Running, request: Request, model_name: Name) -> Answer:
    """Train a model now as its schedule says, whatever has come to its source."""
    refuse_unknown(request)
    if service.workers.stopping:
        raise stopping()
    require_training_packages()
    job = await to_thread.run_sync(run_now, service.acting(request), service.settings, model_name)
    service.workers.wake()
    url = f"{address_of(request)}/train/jobs/{job.job_id}"
    return Answer(
        {"job_id": job.job_id, "status": job.status.value, "status_url": url}, 202, {"Location": url}
    )
