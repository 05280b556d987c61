"""Trainings that the integration layer asks for, and those of a resource that go on beside an answer."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Any, Final

from anyio import move_on_after, to_thread

from ai_engine.control_plane.answers import Trained
from ai_engine.control_plane.engine import Engine, Outcome
from ai_engine.control_plane.given import Given, number_of
from ai_engine.control_plane.moments import moment
from ai_engine.domain.errors import (
    AIEngineError,
    IdempotencyKeyReusedError,
    InvalidInputError,
    NotAnswerableError,
)
from ai_engine.domain.jobs import JobStatus
from ai_engine.jobs.shapes import outcome
from ai_engine.jobs.submission import submit
from ai_engine.training.extras import require_training_packages
from ai_engine.training.kinds import find_kind
from ai_engine.training.request import FIELDS, ROWS, TrainingRequest
from ai_engine.training.results import TrainingResult

log = logging.getLogger(__name__)

# The client waits for 15 to 30 s in all, with three attempts.
PATIENCE: Final = 12.0
_LONGEST_KEY: Final = 255


async def train(engine: Engine, fields: Mapping[str, Any], request_id: str, root: str) -> Outcome:
    """Train a model as a job, and answer with its version, or with the job where it takes longer.

    Parameters
    ----------
    request_id : str
        The job's idempotency key: who repeats it within a day waits for the same job.
    root : str
        In front of the address of the job.

    Raises
    ------
    InvalidInputError
        If the request cannot be used.
    AIEngineError
        What the training raised, or why it cannot be queued.
    """
    require_training_packages()
    wanted, rows, ignored = await to_thread.run_sync(_wanted, fields, limiter=engine.lane)
    queue = engine.registry.queue
    pieces = [json.dumps(rows, allow_nan=False).encode()]
    key = _key(request_id)
    job = await to_thread.run_sync(partial(submit, queue, engine.settings, wanted, iter(pieces), "json", key))
    engine.wake()
    url = f"{root}/train/jobs/{job.job_id}"
    with move_on_after(PATIENCE):
        return _completed(await engine.finished(job), job.job_id, url, ignored)
    job = await to_thread.run_sync(queue.get, job.job_id)
    if job.status.is_ended:  # in the last moment; raises what it failed with
        return _completed(outcome(job), job.job_id, url, ignored)
    answer = Trained(
        training_status=job.status.value,
        model_type=wanted.kind,
        model_name=wanted.model_name,
        job_id=job.job_id,
        status_url=url,
        confidence=0.0,
        message=f"the training goes on as job {job.job_id}: ask for it at {url}, or repeat the "
        f"request.{ignored}",
    )
    return Outcome(answer, 0.0, wanted.model_name, "", final=False)


def _completed(result: TrainingResult, job_id: str, url: str, ignored: str) -> Outcome:
    """Return the answer of a training that has made a version."""
    told = result.to_mapping()
    measures = told["performance_metrics"]
    known = (number_of(measures.get(name)) for name in ("confidence_score", "skill", "accuracy_score"))
    confidence = max(next((value for value in known if value is not None), 0.0), 0.0)
    answer = Trained(
        job_id=job_id,
        status_url=url,
        confidence=confidence,
        message=f"version {told['model_version']} of {told['model_name']} is saved.{ignored}",
        training_status=told["training_status"],
        model_type=told["model_type"],
        model_name=told["model_name"],
        model_id=told["model_id"],
        model_version=told["model_version"],
        performance_metrics=measures,
        training_time=told["training_time"],
        timestamp=told["timestamp"],
        persisted=told["persisted"],
        active=told["active"],
        activation_reason=told.get("activation_reason"),
        reading=told["reading"],
    )
    return Outcome(answer, confidence, told["model_name"], told["model_version"])


def _wanted(fields: Mapping[str, Any]) -> tuple[TrainingRequest, list[dict[str, Any]], str]:
    """Return a request as ours, its rows, and what of it was ignored, in words."""
    given = Given(fields)
    kind = find_kind(given.text("model_type").lower())
    told = {
        name: value
        for name, value in given.fields.items()
        if name in FIELDS and value not in (None, "", [], {})
    }
    told["model_type"] = kind.name
    if number_of(told.get("validation_split")) == 0:  # a number that Go did not set
        del told["validation_split"]
    settings = given.inner("hyperparameters").fields
    told["hyperparameters"] = {name: value for name, value in settings.items() if name in kind.settings}
    unknown = sorted(set(settings) - set(kind.settings))
    rows = list(_rows(given.items(ROWS)))
    if not rows:
        raise InvalidInputError(ROWS, "is empty; give a list of rows, each an object")
    request = TrainingRequest.from_mapping(told)
    ignored = f" {kind.name} has no hyperparameters {', '.join(unknown)[:200]}: ignored." if unknown else ""
    return request, rows, ignored


def _rows(items: list[Any]) -> Iterator[dict[str, Any]]:
    """Yield rows without times that are not set, and without what is nested in them."""
    for item in items:
        if not isinstance(item, Mapping):
            raise InvalidInputError(ROWS, f"has {item!r:.60} among its rows; give objects")
        yield {
            name: value
            for name, value in item.items()
            if not isinstance(value, (Mapping, list))
            and not (isinstance(value, str) and value.startswith("0001-01-01") and moment(value) is None)
        }


def _key(request_id: str) -> str | None:
    if not request_id:
        return None
    if len(request_id) <= _LONGEST_KEY and request_id.isascii() and request_id.isprintable():
        return request_id
    return sha256(request_id.encode("utf-8", "surrogatepass")).hexdigest()


class ResourceTrainings:
    """Trainings of single resources that go on beside an answer: one a resource and day, when nothing waits.

    Called from many threads.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._asked: dict[str, None] = {}

    def start(self, kind: str, resource: str, tracks: Any, steps: int) -> str | None:
        """Begin a training where there is room for one, and return a sentence that says so.

        Parameters
        ----------
        kind : str
            The model type.
        resource : str
            Whose model it is; its name is the resource's alone.
        tracks : Tracks
            The history. Imported nowhere here: this module is imported without numeric libraries.
        steps : int
            How far ahead the model is to reach, at least.
        """
        settings = self._engine.settings
        if settings.resource_models <= 0 or settings.workers == 0 or tracks.span is None:
            return None
        day = datetime.now(UTC).date().isoformat()
        digest = sha256(resource.encode("utf-8", "surrogatepass")).hexdigest()[:24]
        key = f"resource-training {kind} {digest} {day}"
        with self._lock:
            if key in self._asked:
                return None
            self._asked[key] = None
            while len(self._asked) > 10_000:
                del self._asked[next(iter(self._asked))]
        try:
            return self._start(kind, resource, tracks, steps, key)
        except IdempotencyKeyReusedError:
            return None  # another process of today began it
        except (AIEngineError, OSError) as error:
            log.warning("no training of %r goes on beside its answer: %s", resource, error)
            return None

    def _start(self, kind: str, resource: str, tracks: Any, steps: int, key: str) -> str | None:
        from ai_engine.control_plane.trained import own_name

        registry = self._engine.registry
        name = own_name(kind, resource)
        counts = registry.queue.counts()
        if counts.get(JobStatus.QUEUED, 0) or counts.get(JobStatus.RUNNING, 0):
            with self._lock:
                self._asked.pop(key, None)  # the next question may find it idle
            return None
        prefix = name.partition(".")[0] + "."
        own = [known for known in registry.names() if known.startswith(prefix)]
        if name not in own and len(own) >= self._engine.settings.resource_models:
            return None
        rows: dict[float, dict[str, float]] = {}
        for column, track in tracks.by_name.items():
            if track.times is None:
                continue
            for at, value in zip(track.times.tolist(), track.values.tolist(), strict=True):
                rows.setdefault(at, {"timestamp": at})[column] = value
        hyperparameters = {"horizon": max(1, min(max(12, steps), 1000, len(rows) // 10))} if steps else {}
        wanted = TrainingRequest(kind, name, hyperparameters=hyperparameters)
        body = json.dumps([rows[at] for at in sorted(rows)], allow_nan=False).encode()
        job = submit(registry.queue, self._engine.settings, wanted, iter([body]), "json", key)
        self._engine.wake()
        return (
            f"A training on these {len(rows)} rows goes on beside this answer as job {job.job_id}; once it "
            f"is done, the model {name} answers for {resource}."
        )


def registered(engine: Engine, fields: Mapping[str, Any]) -> Outcome:
    """Return the active version of a model type, flat. Blocks.

    Raises
    ------
    NotAnswerableError
        If there is none with a measure.
    """
    require_training_packages()
    from ai_engine.control_plane.answers import RegisteredModel
    from ai_engine.control_plane.metric_forecasts import info_of_version
    from ai_engine.control_plane.trained import active_versions

    kind = Given(fields).text("model_type").lower()
    kinds = [find_kind(kind).name] if kind else []
    for version in active_versions(engine.registry, kinds):
        told = version.confidence
        info = info_of_version(version, "measure of its training" if told is None else told[1])
        if told is None and version.measure("accuracy_score", "skill", "f1", "flagged_share") is None:
            continue
        confidence = info.accuracy if told is None else told[0]
        answer = RegisteredModel(
            info.name,
            info.version,
            info.training_data,
            info.accuracy,
            info.last_trained,
            kinds[0],
            confidence,
        )
        return Outcome(answer, confidence, info.name, info.version, final=False)
    raise NotAnswerableError(
        f"what the model of {kind or 'no model_type'} is",
        "no active version of that type has a measure. Train one with POST /train",
    )
