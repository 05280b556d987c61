"""Bound how much is answered at once."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from ai_engine.api.paths import path_of
from ai_engine.api.problems import RefusedError
from ai_engine.api.service import Service

# By which an orchestrator tells that the process lives, however busy it is.
_ALWAYS: Final = frozenset(("/health", "/health/live", "/health/ready"))


class Admission:
    """ASGI middleware that refuses what would be too much at once."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. Raises RefusedError."""
        if scope["type"] != "http" or path_of(scope) in _ALWAYS:
            await self._app(scope, receive, send)
            return
        service: Service = scope["app"].state.service
        most = service.settings.max_requests
        if self._under_way >= most:
            raise RefusedError(
                503,
                "busy",
                f"{most} requests are being answered, as many as AI_ENGINE_MAX_REQUESTS allows; nothing was "
                "done. Send it again later",
                {"Retry-After": "1"},
            )
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1
