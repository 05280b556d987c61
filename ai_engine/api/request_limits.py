"""Limits on the size of a request: its path and its body."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ai_engine.api.headers import values_of
from ai_engine.api.problems import RefusedError
from ai_engine.api.service import Service
from ai_engine.api.uploads import TABLES
from ai_engine.settings import variable

# Room for a name and a version of the longest kind, and for where another application mounts this one.
_LONGEST_PATH: Final = 3000


class RequestLimits:
    """ASGI middleware that refuses a path that is too long, and a body larger than the settings allow."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on. Raises RefusedError where it is too large."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        service: Service = scope["app"].state.service
        limit = _limit(values_of(scope, b"content-type"))
        most: int = getattr(service.settings, limit)
        _check_path(scope["path"])
        _check_length(values_of(scope, b"content-length"), most, limit)
        await self._app(scope, _bounded(receive, most, limit), send)


def _check_path(path: str) -> None:
    # Names may hold slashes, so the routes try every way to cut a path in two: 60,000 characters of
    # "/versions/" took 1.3 seconds of the one thread that answers everybody.
    if len(path) > _LONGEST_PATH:
        raise RefusedError(
            422,
            "path-too-long",
            f"the path has {len(path)} characters, and {_LONGEST_PATH} are the most; shorten the name in it",
        )


def _limit(content_types: list[str]) -> str:
    """Return the setting that bounds a body: tables are streamed to a file, and may be larger."""
    table = any(kind.partition(";")[0].strip().lower() in TABLES for kind in content_types)
    return "max_upload_bytes" if table else "max_body_bytes"


def _too_large(most: int, limit: str) -> RefusedError:
    return RefusedError(
        413,
        "body-too-large",
        f"the body is larger than {most} bytes; send fewer rows, or raise {variable(limit)}",
    )


def _check_length(given: list[str], most: int, limit: str) -> None:
    for length in given:
        if not (length.isascii() and length.isdigit()):
            raise RefusedError(400, "bad-content-length", f"Content-Length {length[:40]!r} is not a number")
        if len(length) > 18 or int(length) > most:
            raise _too_large(most, limit)


def _bounded(receive: Receive, most: int, limit: str) -> Receive:
    """Count the body while it comes in: what is sent in chunks declares no length."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise _too_large(most, limit)
        return message

    return counted
