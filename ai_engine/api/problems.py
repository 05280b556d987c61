"""Map errors to HTTP status codes and problem bodies (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from ai_engine.api.json_response import Answer
from ai_engine.domain import errors
from ai_engine.domain.error_codes import PROBLEM, Refusal, code_of
from ai_engine.domain.errors import AIEngineError, InvalidInputError

# The first line whose class fits counts, so a class stands above its base.
STATUS: tuple[tuple[type[AIEngineError], int], ...] = (
    (errors.InvalidInputError, 422),
    (errors.SerializationError, 422),
    (errors.ModelNotFoundError, 404),
    (errors.JobLostError, 503),
    (errors.JobNotFoundError, 404),
    (errors.KeyNotFoundError, 404),
    (errors.ScheduleNotFoundError, 404),
    (errors.ConflictError, 409),
    (errors.ArtifactCorruptedError, 503),
    (errors.SigningKeyError, 503),
    (errors.ModelLoadError, 503),
    (errors.StorageError, 503),
    (errors.CatalogueMismatchError, 503),
    (errors.NewerCatalogueError, 503),
    (errors.UnsafeDirectoryError, 503),
    (errors.ClosedError, 503),
    (errors.ReentrantCallError, 503),
    (errors.RegistryNotFoundError, 503),
    (errors.MissingDependencyError, 503),
    (errors.QueueFullError, 503),
    (errors.TrainingFailedError, 500),
)
UNEXPECTED = (
    "the server failed in a way that was not foreseen. Its log has the details, under the X-Request-ID of "
    "this answer."
)
_LONGEST_DETAIL: Final = 2000
_TITLES = {
    400: "Bad request",
    401: "No key",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported content type",
    422: "Invalid input",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available",
}


class RefusedError(Exception):
    """A request that is refused for how it was sent, such as its size or its Host."""

    def __init__(
        self, status: int, code: Refusal, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status, self.code, self.detail, self.headers = status, code, detail, dict(headers or {})
        super().__init__(detail)


def stopping() -> RefusedError:
    """Return the error for work that the end of the server cut short."""
    return RefusedError(
        503,
        "stopping",
        "the server is stopping and cancelled this request; nothing was saved. Send it again later",
    )


def problem(
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    **more: Any,  # JSON values
) -> Answer:
    """Return a problem as an answer.

    Parameters
    ----------
    code : str
        By which programs tell problems apart, such as ``version-exists``; `domain/error_codes.py` has them.
    detail : str
        A sentence that says what to do.
    """
    if len(detail) > _LONGEST_DETAIL:  # it may quote what was sent
        detail = f"{detail[:_LONGEST_DETAIL]}…"
    body = {
        "type": f"{PROBLEM}{code}",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        **more,
    }
    return Answer(body, status, headers, media_type="application/problem+json")


def of_error(error: AIEngineError) -> Answer:
    """Return the answer for an error of ours.

    >>> of_error(errors.ModelNotFoundError("cpu")).status_code
    404
    """
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
    more: dict[str, Any] = {}
    if isinstance(error, InvalidInputError):
        more["errors"] = [
            {"field": error.field[:_LONGEST_DETAIL], "problem": error.problem[:_LONGEST_DETAIL]}
        ]
    return problem(status, code_of(type(error)), str(error), _patience(status), **more)


def not_started(error: AIEngineError) -> Answer:
    """Return the answer of an application that cannot start."""
    return problem(503, "not-started", f"the service cannot be started: {error}", _patience(503))


def _patience(status: int) -> dict[str, str]:
    return {"Retry-After": "5"} if status == 503 else {}


def install(app: FastAPI) -> None:
    """Register handlers that answer every error of an application as a problem."""
    app.add_exception_handler(AIEngineError, _ours)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _ours(_: Request, error: Exception) -> Answer:
    assert isinstance(error, AIEngineError)
    return of_error(error)


async def _refused(_: Request, error: Exception) -> Answer:
    assert isinstance(error, RefusedError)
    return of_refusal(error)


def of_refusal(error: RefusedError) -> Answer:
    """Return the answer for a request that is refused for how it was sent."""
    # What is left of a body that does not come is nothing to wait for.
    headers = {"Connection": "close"} if error.status == 408 else _patience(error.status) | error.headers
    return problem(error.status, error.code, error.detail, headers)


async def _invalid(_: Request, error: Exception) -> Answer:
    assert isinstance(error, RequestValidationError)
    return of_found(error.errors())


def of_found(found: Sequence[Mapping[str, Any]]) -> Answer:
    """Return the answer for validation errors, as pydantic lists them."""
    told = [{"field": _field(one["loc"]), "problem": _sentence(one)} for one in found]
    detail = "; ".join(f"{one['field']}: {one['problem']}" for one in told)
    return problem(422, "invalid-input", detail, errors=told)


def _field(place: Sequence[str | int]) -> str:
    parts = place[1:] if place and place[0] in ("query", "path", "body", "header") else place
    named = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return named.lstrip(".") or "body"


def _sentence(found: Mapping[str, Any]) -> str:
    message = str(found["msg"])
    return message[:1].lower() + message[1:]


async def _http(request: Request, error: Exception) -> Answer:
    assert isinstance(error, HTTPException)
    path = request.url.path[:200]
    if error.status_code == 404:
        return problem(404, "no-such-path", f"there is no endpoint {path}; GET /docs lists all of them")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return problem(
            405,
            "method-not-allowed",
            f"{path} does not support {request.method}; use {allowed or 'another method'}",
            error.headers,
        )
    return problem(error.status_code, "http", str(error.detail), error.headers)
