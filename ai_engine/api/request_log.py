"""Write a line about every request to the log."""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

access = logging.getLogger("ai_engine.access")


class RequestLog:
    """ASGI middleware that logs the client, the method, the path and the status of every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and log its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start" and access.isEnabledFor(logging.INFO):
                client = (scope.get("client") or ("-",))[0]
                path = ascii(scope["path"])[1:-1]
                access.info("%s %s %s %d", client, scope["method"], path, message["status"])
            await send(message)

        await self._app(scope, receive, watch)
