"""Give every request an id, and write a line about it to the log."""

from __future__ import annotations

import logging
import os
import re
import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ai_engine.api.headers import values_of
from ai_engine.api.instruments import NOBODY
from ai_engine.logs import REQUEST_ID

access = logging.getLogger("ai_engine.access")

_HEADER: Final = b"x-request-id"
# What tracers and proxies send: UUIDs, ULIDs, trace contexts, `Root=1-…` of load balancers. Nothing that
# could break a line or a header, or that a page or a shell would read as its own.
_TAKEN_OVER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:=+/@-]{0,127}", re.ASCII)
# Of a path, in a log line: the limit of the server is 64 KiB.
_LONGEST: Final = 1000


class RequestLog:
    """ASGI middleware that names every request in the answer and in the log, and logs how it ended.

    The id is the request's own ``X-Request-ID``, or a new one where there is none that can be taken over.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and log its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = id_of(values_of(scope, _HEADER))
        header = (_HEADER, request_id.encode())
        status, began = NOBODY, time.perf_counter()

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], header]
            await send(message)

        before = REQUEST_ID.set(request_id)
        try:
            await self._app(scope, receive, named)
        finally:
            _log(scope, status, time.perf_counter() - began)
        # Not after an error: the server tells of that too, and in the same context.
        REQUEST_ID.reset(before)


def id_of(given: list[str]) -> str:
    """Return the id of a request: the one that its header gives, if it is fit for a log, else a new one.

    >>> id_of(["7f3c-1"])
    '7f3c-1'
    >>> len(id_of(["7f3c", "another"])), len(id_of(["<script>"]))
    (32, 32)
    """
    if len(given) == 1 and _TAKEN_OVER.fullmatch(given[0]):
        return given[0]
    return os.urandom(16).hex()


def _log(scope: Scope, status: int, seconds: float) -> None:
    if not access.isEnabledFor(logging.INFO):
        return
    path = scope["path"][:_LONGEST]
    client = (scope.get("client") or ("-",))[0]
    told = {
        "client": client,
        "method": scope["method"][:_LONGEST],
        "path": path,
        "status": status,
        "duration_ms": round(seconds * 1000, 3),
    }
    given = (client, told["method"], ascii(path)[1:-1], status, seconds * 1000)
    access.info("%s %s %s %d, %.1f ms", *given, extra=told)
