"""Endpoints to list, compare, activate and delete versions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from ai_engine.api import schemas
from ai_engine.api.json_response import Answer
from ai_engine.api.paging import page_token, read_token
from ai_engine.api.query_parameters import refuse_unknown
from ai_engine.api.request_body import Body
from ai_engine.api.rights import principal_of, theirs
from ai_engine.api.routes.openapi import answers, takes
from ai_engine.api.service import Running, Service
from ai_engine.domain import clock
from ai_engine.domain.errors import ModelNotFoundError, VersionNotFoundError
from ai_engine.domain.filters import LONGEST, parse_search
from ai_engine.domain.search import Position, Search
from ai_engine.registry.comparison import compare as compare_versions
from ai_engine.registry.json_views import (
    clean_up_shape,
    entry_shape,
    model_shape,
    performance_shape,
    run_shape,
)

# Names are paths: those that the original software wrote may hold a slash.
router = APIRouter(tags=["models"])

# No name of ours is longer than 200; one of the original software's may be.
_LONGEST: Final = 1000
# A page of no more than this is read in a few milliseconds.
_SHORT: Final = 1000
# It tells the value at the page's end, which may be any text of somebody's metadata.
_LONGEST_TOKEN: Final = 20_000

Name = Annotated[str, Path(max_length=_LONGEST, description="The model's name.")]
VersionPart = Annotated[str, Path(max_length=_LONGEST, description="The version.")]
Filter = Annotated[
    str | None,
    Query(
        alias="filter",
        max_length=LONGEST,
        description="Only versions of which this is true, such as "
        "`is_active and (mae < 0.5 or metadata.team = 'ops')`.",
    ),
]
Sort = Annotated[
    str | None,
    Query(
        max_length=LONGEST,
        description="By this field, such as `mae`; the highest first with `-` in front. "
        "Default: by name, newest first.",
    ),
]
Limit = Annotated[int | None, Query(ge=1, le=1_000_000, description="Default: everything.")]
PageToken = Annotated[
    str | None, Query(alias="page_token", max_length=_LONGEST_TOKEN, description="`next_page_token`.")
]
OptionalVersion = Annotated[str | None, Query(max_length=_LONGEST, description="Default: the active one.")]


@router.get("/models", responses=answers(schemas.ModelsReply))
async def models(
    service: Running,
    request: Request,
    filter_: Filter = None,
    sort: Sort = None,
    limit: Limit = None,
    page_token_: PageToken = None,
) -> Answer:
    """List models, each with its active version and the newest numbers of that, a page at a time.

    A model of which no version is active stands by its newest one. The filter and the sort are those of
    versions.
    """
    search = theirs(principal_of(request), parse_search(filter_, sort))
    after = read_token(page_token_, sort) if page_token_ else None
    lane = service.short_reads if limit is not None and limit <= _SHORT else None
    return await to_thread.run_sync(_models, service, search, limit, after, sort, limiter=lane)


def _models(
    service: Service, search: Search, limit: int | None, after: Position | None, sort: str | None
) -> Answer:
    # One more than is asked for tells whether there is a next page.
    more = None if limit is None else limit + 1
    entries, total, from_database = service.registry.models(more, after, search)
    following = None
    if limit is not None and len(entries) > limit:
        del entries[limit:]
        following = page_token(search.order.position(entries[-1]), sort)
    return Answer(
        {
            "models": [model_shape(entry) for entry in entries],
            "total_models": total,
            "source": "database" if from_database else "memory",
            "next_page_token": following,
        }
    )


@router.get("/models/info", responses=answers(schemas.InfoReply))
async def info(
    service: Running,
    request: Request,
    name: Annotated[str | None, Query(max_length=_LONGEST, description="Only this model.")] = None,
    filter_: Filter = None,
    sort: Sort = None,
    limit: Limit = None,
    page_token_: PageToken = None,
) -> Answer:
    """List versions, a page at a time."""
    search = theirs(principal_of(request), parse_search(filter_, sort))
    after = read_token(page_token_, sort) if page_token_ else None
    lane = service.short_reads if limit is not None and limit <= _SHORT else None
    return await to_thread.run_sync(_page, service, name, search, limit, after, sort, limiter=lane)


def _page(
    service: Service,
    name: str | None,
    search: Search,
    limit: int | None,
    after: Position | None,
    sort: str | None,
) -> Answer:
    # One more than is asked for tells whether there is a next page.
    entries, total, from_database = service.registry.describe(
        name, None if limit is None else limit + 1, after, search
    )
    following = None
    if limit is not None and len(entries) > limit:
        del entries[limit:]
        following = page_token(search.order.position(entries[-1]), sort)
    return Answer(
        {
            "models": [entry_shape(entry) for entry in entries],
            "total_models": total,
            "source": "database" if from_database else "memory",
            "system_info": {
                "model_manager_active": True,
                "persistence_enabled": from_database,
                "db_path": service.database,
            },
            "next_page_token": following,
        }
    )


@router.get("/models/performance/{model_name:path}", responses=answers(schemas.PerformanceReply, 404))
async def performance(service: Running, model_name: Name, version: OptionalVersion = None) -> Answer:
    """Return the measurements of a version: the newest one, and all of them, oldest first."""
    return await to_thread.run_sync(_performance, service, model_name, version, limiter=service.short_reads)


def _performance(service: Service, model_name: str, version: str | None) -> Answer:
    found = service.version(model_name, version)
    history = service.registry.performances(model_name, found)
    return Answer(
        {
            "model_name": model_name,
            "version": found,
            "performance": performance_shape(history[-1] if history else None),
            "history": [performance_shape(one) for one in history],
        }
    )


@router.post("/models/cleanup", responses=answers(schemas.CleanupReply))
def clean_up(
    service: Running,
    request: Request,
    keep_versions: Annotated[int, Query(ge=1, le=1_000_000_000, description="Of each model.")] = 5,
    dry_run: Annotated[bool, Query(description="Only report what would be removed.")] = False,
) -> Answer:
    """Delete old versions: of each model, all but the highest, the active and the pinned ones."""
    refuse_unknown(request, "keep_versions", "dry_run")  # a dry run that is misspelled would remove
    done = service.acting(request).clean_up(keep_versions, dry_run)
    count = len(done.dropped)
    what = f"{count} version{'' if count == 1 else 's'}"
    return Answer(
        {
            "status": "success",
            "message": f"{what} would be removed" if dry_run else f"{what} removed",
            "timestamp": clock.to_iso(clock.now()),
            "dry_run": dry_run,
            **clean_up_shape(done),
        }
    )


@router.get("/models/{model_name:path}/versions", responses=answers(schemas.VersionsReply, 404))
async def versions(service: Running, model_name: Name) -> Answer:
    """List the versions of a model, newest first, each with its training history."""
    answer = await to_thread.run_sync(_versions, service, model_name, _SHORT, limiter=service.short_reads)
    if answer is None:
        answer = await to_thread.run_sync(_versions, service, model_name, None)
        assert answer is not None
    return answer


def _versions(service: Service, model_name: str, most: int | None) -> Answer | None:
    """Return every version of a model, or None where there are more than `most`."""
    entries, total, _ = service.registry.describe(model_name, most)
    if not entries:
        raise ModelNotFoundError(model_name)
    if most is not None and total > most:
        return None
    runs: dict[str | None, list[dict[str, Any]]] = {}  # JSON values
    for record in service.registry.runs(model_name):
        runs.setdefault(record.version, []).append(run_shape(record))
    return Answer(
        {
            "model_name": model_name,
            "versions": [
                entry_shape(entry) | {"training_history": runs.get(entry["version"], [])} for entry in entries
            ],
            "total_versions": total,
            "attempts_without_version": runs.get(None, [])[:_SHORT],
        }
    )


@router.get("/models/{model_name:path}/training_history", responses=answers(schemas.TrainingsReply, 404))
async def training_history(
    service: Running,
    request: Request,
    model_name: Name,
    limit: Annotated[int, Query(ge=1, le=100_000, description="How many at most.")] = _SHORT,
) -> Answer:
    """List the trainings of a model, newest first, those that made no version among them."""
    refuse_unknown(request, "limit")
    runs = await to_thread.run_sync(service.registry.runs, model_name, limiter=service.short_reads)
    if not runs and not await to_thread.run_sync(service.registry.versions, model_name):
        raise ModelNotFoundError(model_name)
    return Answer({"model_name": model_name, "training_history": [run_shape(run) for run in runs[:limit]]})


@router.get("/models/{model_name:path}/compare", responses=answers(schemas.CompareReply, 404))
async def compare(
    service: Running,
    model_name: Name,
    versions: Annotated[str, Query(max_length=10_000, description="Two or more, separated by commas.")],
) -> Answer:
    """Compare the metrics of versions, with their differences to the first one."""
    return await to_thread.run_sync(_compare, service, model_name, versions, limiter=service.short_reads)


def _compare(service: Service, model_name: str, versions: str) -> Answer:
    wanted = [part.strip() for part in versions.split(",") if part.strip()]
    return Answer(compare_versions(service.registry, model_name, wanted))


@router.post(
    "/models/{model_name:path}/activate",
    responses=answers(schemas.PointerReply, 403, 404, 415),
    openapi_extra=takes(schemas.ActivateRequest),
)
def activate(service: Running, request: Request, model_name: Name, body: Body) -> Answer:
    """Activate a version."""
    wanted = schemas.read(schemas.ActivateRequest, body)
    return Answer(
        {"model_name": model_name} | asdict(service.acting(request).activate(model_name, wanted.version))
    )


@router.post("/models/{model_name:path}/rollback", responses=answers(schemas.PointerReply, 403, 404, 409))
def roll_back(service: Running, request: Request, model_name: Name) -> Answer:
    """Activate the version that was active before."""
    return Answer({"model_name": model_name} | asdict(service.acting(request).roll_back(model_name)))


@router.delete(
    "/models/{model_name:path}/versions/{version:path}",
    status_code=204,
    response_class=Response,
    responses=answers(None, 403, 404, 409, status=204),
)
def delete(service: Running, request: Request, model_name: Name, version: VersionPart) -> Response:
    """Delete a version and free its bytes. The active version cannot be deleted."""
    if not version:
        raise VersionNotFoundError(model_name, version)
    service.acting(request).delete(model_name, version)
    return Response(status_code=204)
