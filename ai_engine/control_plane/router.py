"""The routes of the doors."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any, Final

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from ai_engine.control_plane.answers import Envelope, as_json, plain
from ai_engine.control_plane.doors import DOORS, HEALTH, PAIRS, PROCESS, Door, supported_services
from ai_engine.control_plane.engine import Engine, Outcome, Question
from ai_engine.control_plane.given import Given
from ai_engine.control_plane.host import Host
from ai_engine.control_plane.repeats import Repeats, Reply
from ai_engine.control_plane.statistics import Tally, statistics, system_metrics
from ai_engine.control_plane.trainings import ResourceTrainings, registered, train
from ai_engine.domain.error_codes import code_of
from ai_engine.domain.errors import AIEngineError, InvalidInputError, NotAnswerableError
from ai_engine.training.extras import require_training_packages
from ai_engine.version import __version__

EngineOf = Callable[[Request], Engine]
_JSON: Final = "application/json"
QUESTION: Final = "Question"
_PROBLEM: Final = {"schema": {"$ref": "#/components/schemas/Problem"}}
# In front of an id in a key: another service of the same id is other work.
_SEPARATOR: Final = "\x1f"


class _Desk:
    """What one application remembers between questions."""

    def __init__(self, engine_of: EngineOf) -> None:
        self._engine_of = engine_of
        self.tally, self.host, self.repeats = Tally(), Host(), Repeats()
        self._trainings: tuple[Engine, ResourceTrainings] | None = None

    def engine(self, request: Request) -> Engine:
        return self._engine_of(request)

    def trainings(self, engine: Engine) -> ResourceTrainings:
        """Return the trainings of the running service; a service that was started anew has new ones."""
        known = self._trainings
        if known is None or known[0].lane is not engine.lane:
            known = self._trainings = (engine, ResourceTrainings(engine))
        return known[1]

    async def derived(self, engine: Engine, door: Door, fields: Mapping[str, Any]) -> tuple[Outcome, bytes]:
        """Return what a door answers and its JSON, derived in a thread, and count it."""
        now, began = time.time(), time.perf_counter()
        start = self.trainings(engine).start
        self.tally.begin()
        question = Question(engine.registry, engine.settings, fields, now, start)
        found = (0, 0)
        try:
            outcome, body = await to_thread.run_sync(_derive, door, question, limiter=engine.lane)
            found = outcome.anomalies, outcome.optimizations
        except AIEngineError as error:
            engine.refused(code_of(type(error)))
            raise
        finally:
            self.tally.end(*found)
        if outcome.numbers:
            engine.predicted(outcome.model, outcome.numbers, time.perf_counter() - began)
        return outcome, body


def _derive(door: Door, question: Question) -> tuple[Outcome, bytes]:
    require_training_packages()
    outcome = door.handler()(question)
    try:
        return outcome, as_json(outcome.answer)
    except ValueError as error:
        raise NotAnswerableError(
            "the question", f"{error}: the numbers that were sent are too large or too small to be told of"
        ) from None


def with_question(document: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI document (JSON values) with the body that every door takes."""
    document["components"]["schemas"][QUESTION] = {
        "title": QUESTION,
        "type": "object",
        "additionalProperties": True,
        "description": (
            "What NovaCron's programs send: null is empty, unknown fields are ignored, times have any zone. "
            "The page control-plane.md of the documentation tells the fields of each door."
        ),
    }
    return document


def scopes() -> dict[str, tuple[str, ...]]:
    """Return the scopes of which one is needed for each route, by its name.

    At the integration layer's door the service that is asked for decides.
    """
    found = {name_of(door.path): (door.scope,) for door in DOORS if door.path}
    return found | {name_of(PROCESS): tuple(sorted({door.scope for door in DOORS}))}


def name_of(path: str) -> str:
    """Return the name of a door's route.

    >>> name_of("/predict/resources")
    'predict_resources'
    """
    return path.strip("/").replace("/", "_").replace(".", "_")


def router(engine_of: EngineOf) -> APIRouter:
    """Return the routes of all doors over what `engine_of` finds for a request."""
    routes, desk = APIRouter(tags=["control plane"]), _Desk(engine_of)
    for door in DOORS:
        if door.derive and door.path:
            _add(routes, desk, door)
    _add_integration(routes, desk)
    _add_counts(routes, desk)
    return routes


def _add(routes: APIRouter, desk: _Desk, door: Door) -> None:
    async def answer(request: Request) -> Response:
        engine = desk.engine(request)
        fields = await _fields(engine, request)
        _, body = await desk.derived(engine, door, fields)
        return Response(body, media_type=_JSON)

    _route(routes, door.path, door.method, answer, door.answer, f"Answered from {door.source}.")


def _add_counts(routes: APIRouter, desk: _Desk) -> None:
    async def system(request: Request) -> Response:
        engine = desk.engine(request)
        directory = engine.settings.model_dir
        told = await to_thread.run_sync(
            system_metrics, engine.registry, engine.counts(), desk.tally, desk.host, directory, time.time()
        )
        return Response(as_json(told), media_type=_JSON)

    async def predictions(request: Request) -> Response:
        engine = desk.engine(request)
        told = await to_thread.run_sync(statistics, engine.registry, engine.counts(), time.time())
        return Response(as_json(told), media_type=_JSON)

    for door in DOORS:
        handler = {"/metrics/system": system, "/statistics/predictions": predictions}.get(door.path)
        if handler is not None:
            _route(routes, door.path, door.method, handler, door.answer, f"Told from {door.source}.")


def _add_integration(routes: APIRouter, desk: _Desk) -> None:
    async def process(request: Request) -> Response:
        engine = desk.engine(request)
        text = await request.body()
        fields = await to_thread.run_sync(engine.read, text, limiter=engine.lane)
        given = Given(fields)
        asked = _text(given, "id"), _text(given, "service").lower(), _text(given, "method").lower()
        _check(engine, asked[1:])  # before an answer that somebody else was given
        key = None
        if asked[0]:
            key = _SEPARATOR.join((*asked, sha256(text).hexdigest()))
        root = str(request.scope.get("root_path", "")).rstrip("/")

        async def work() -> Reply:
            return await _processed(desk, engine, given, asked, root)

        return Response(await desk.repeats.reply(key, work), media_type=_JSON)

    about = (
        "Answer a question of the integration layer; `service` and `method` name it. A question that cannot "
        "be answered is `success: false` with the reason in `error`. A repeated `id` is the same work for "
        "24 hours."
    )
    _route(routes, PROCESS, "POST", process, Envelope, about)


def _check(engine: Engine, pair: tuple[str, str]) -> None:
    """Refuse who may not ask a question of the integration layer; whether the engine lives, anybody may."""
    door = PAIRS.get(pair)
    if door is not None and pair != HEALTH:
        engine.check(door.scope)


async def _processed(
    desk: _Desk, engine: Engine, given: Given, asked: tuple[str, str, str], root: str
) -> Reply:
    """Return the envelope of an answer."""
    name, service, method = asked
    began = time.perf_counter()
    door = PAIRS.get((service, method))

    def refused(error: str, services: Mapping[str, list[str]] | None = None) -> Reply:
        seconds = time.perf_counter() - began
        told = Envelope(name, False, 0.0, seconds, "", None, error, services)
        return Reply(as_json(told), kept=False)

    if door is None:
        engine.refused("unknown-service")
        return refused(
            f"there is no method {method!r:.80} of a service {service!r:.80}; supported_services lists all",
            supported_services(),
        )
    try:
        fields = given.inner("data").fields
        if door.derive:
            outcome, _ = await desk.derived(engine, door, fields)
            data = await to_thread.run_sync(plain, outcome.answer, limiter=engine.lane)
        else:
            outcome = await _facts(engine, door, fields, name, root)
            data = plain(outcome.answer)
    except AIEngineError as error:
        if not door.derive:
            engine.refused(code_of(type(error)))
        return refused(str(error))
    seconds = time.perf_counter() - began
    told = Envelope(name, True, outcome.confidence, seconds, outcome.version, data)
    return Reply(as_json(told), kept=outcome.final)


async def _facts(engine: Engine, door: Door, fields: Mapping[str, Any], name: str, root: str) -> Outcome:
    """Return what is no derivation: the health, a training, a version of the registry."""
    service = door.pairs[0][0]
    if service == "health":
        health = await engine.health()
        return Outcome(health, 1.0, "ai-engine", __version__, final=False)
    if service == "model_training":
        return await train(engine, fields, name, root)
    return await to_thread.run_sync(registered, engine, fields)


async def _fields(engine: Engine, request: Request) -> Mapping[str, Any]:
    """Return the body of a request, a JSON object."""
    return await to_thread.run_sync(engine.read, await request.body(), limiter=engine.lane)


def _text(given: Given, field: str) -> str:
    try:
        return given.text(field)
    except InvalidInputError:
        return ""


def _route(
    routes: APIRouter,
    path: str,
    method: str,
    handler: Callable[[Request], Awaitable[Response]],
    answer: type,
    about: str,
) -> None:
    problems: dict[int | str, dict[str, Any]] = {
        status: {"description": text, "content": {"application/problem+json": _PROBLEM}}
        for status, text in (
            (409, "Neither a trained model nor the request can answer this; `detail` says what would."),
            (413, "The body is too large."),
            (422, "The input is invalid; `detail` names the field."),
            (503, "The storage or a package that is needed is not available now."),
        )
    }
    responses: dict[int | str, dict[str, Any]] = {
        200: {"description": (answer.__doc__ or "").split("\n")[0], "model": answer},
        **problems,
    }
    if method == "POST":
        schema = {"$ref": f"#/components/schemas/{QUESTION}"}
        extra = {"requestBody": {"required": True, "content": {_JSON: {"schema": schema}}}}
    else:
        extra = None
    routes.add_api_route(
        path,
        handler,
        methods=[method],
        name=name_of(path),
        responses=responses,
        description=about,
        summary=path.strip("/").replace("_", " ").replace("/", ": "),
        openapi_extra=extra,
    )
