"""Endpoints to train models and to predict with them."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Header, Query, Request

from ai_engine.api import schemas
from ai_engine.api.job_schemas import Accepted
from ai_engine.api.json_response import Answer
from ai_engine.api.request_body import SMALL, Text, read_object
from ai_engine.api.rights import check_model, principal_of
from ai_engine.api.routes.models import Name
from ai_engine.api.routes.openapi import answers, takes, takes_table
from ai_engine.api.service import Running, Service, address_of
from ai_engine.api.trainings import enqueued, finished, unqueued
from ai_engine.api.uploads import TABLES, uploaded
from ai_engine.domain.errors import CatalogueUnavailableError
from ai_engine.training.extras import require_training_packages
from ai_engine.training.prediction import predict as predictions
from ai_engine.training.ranking import rank

router = APIRouter(tags=["work"])

_ANSWERS = answers(schemas.TrainReply, 403, 409, 413, 415, 500) | {
    202: {"description": (Accepted.__doc__ or "").strip(), "model": Accepted}
}
_TAKES = takes_table(schemas.TrainRequest, *TABLES)
Wait = Annotated[
    bool, Query(description="Whether to answer with the version once it is saved, or at once with the job.")
]
Key = Annotated[
    str | None,
    Header(description="Makes a repeated request the same job for 24 hours, whatever has become of it."),
]


@router.post("/train", responses=_ANSWERS, openapi_extra=_TAKES)
@router.post("/train/model", name="train_model", responses=_ANSWERS, openapi_extra=_TAKES)
async def train(service: Running, request: Request, wait: Wait = True, idempotency_key: Key = None) -> Answer:
    """Train a model on rows, measure it on held-out rows, and save it as a new version.

    The training is a job: whoever asks for it may go away, and whatever does it may be killed. While the
    database can take no job, who waits gets a version all the same, as every save does.
    """
    async with uploaded(service, request) as (wanted, rows):
        check_model(principal_of(request), wanted.model_name)
        try:
            job = await enqueued(service, request, wanted, rows, idempotency_key)
        except CatalogueUnavailableError:
            if not wait or idempotency_key is not None:
                raise
            return Answer((await unqueued(service, wanted, rows)).to_mapping())
    if wait:
        return Answer((await finished(service, job)).to_mapping())
    url = f"{address_of(request)}/train/jobs/{job.job_id}"
    told = {"job_id": job.job_id, "status": job.status.value, "status_url": url}
    return Answer(told, 202, {"Location": url})


@router.post(
    "/models/{model_name:path}/predict",
    responses=answers(schemas.PredictReply, 404, 413, 415),
    openapi_extra=takes(schemas.PredictRequest),
)
async def predict(service: Running, model_name: Name, text: Text) -> Answer:
    """Predict from rows with the active version, or with a given one."""
    answer, rows, seconds = await to_thread.run_sync(
        _predict, service, model_name, text, limiter=_lane(service, text)
    )
    service.instruments.predicted(model_name, rows, seconds)
    return answer


def _predict(service: Service, model_name: str, text: bytes) -> tuple[Answer, int, float]:
    """Return the answer, how many predictions it has, and the seconds to load and to predict."""
    require_training_packages()  # before a stored object asks for them in its own words
    from ai_engine.training.calls import reading_of  # needs them

    wanted = schemas.read(schemas.PredictRequest, read_object(text))
    version = service.version(model_name, wanted.version)
    began = time.perf_counter()
    model = service.load(model_name, version)
    reading = partial(reading_of, service.registry, model_name, version)
    told: dict[str, Any] = {"model_name": model_name, "version": version}  # JSON values
    if wanted.candidates is None:
        told["predictions"] = predictions(model, wanted.data, wanted.horizon, reading)
    else:
        ranked = rank(model, wanted.data, wanted.candidates, wanted.horizon, reading)
        told |= {"predictions": ranked.predictions, "ranking": ranked.ranking}
    seconds = time.perf_counter() - began
    return Answer(told), len(told["predictions"]), seconds


def _lane(service: Service, text: bytes) -> CapacityLimiter | None:
    """Return the limiter of threads for a body of this size; None is the one of all requests."""
    return service.large_bodies if len(text) > SMALL else None
