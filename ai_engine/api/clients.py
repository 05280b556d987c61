"""Cancel the work for clients that disconnect, and refuse bodies that come too slowly."""

from __future__ import annotations

import asyncio
import math
from typing import Final

from anyio import CancelScope, fail_after
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ai_engine.api.problems import RefusedError
from ai_engine.api.service import Service

# What a client sends within one `request_timeout`: a byte now and then is not progress.
STRETCH: Final = 64 * 1024


class WhileConnected:
    """ASGI middleware that refuses slow bodies, and cancels a request whose client has disconnected.

    Once the whole request is here, the end of the connection cancels its answer: what waits for a thread or
    for a core is dropped, and a training is ended. What a thread has begun runs to its end, so that nothing
    is left half written.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever it is."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        service: Service = scope["app"].state.service
        with CancelScope() as work:
            connection = _Connection(receive, send, work, service.settings.request_timeout)
            if scope["method"] in ("GET", "HEAD"):  # whose endpoints read no body
                connection.watch()
            try:
                await self._app(scope, connection.receive, connection.send)
            finally:
                connection.leave()
        if work.cancelled_caught:
            raise ClientDisconnect


class _Connection:
    """The client of one request."""

    def __init__(self, receive: Receive, send: Send, work: CancelScope, timeout: float) -> None:
        self._receive, self._send, self._work = receive, send, work
        self._timeout = timeout or math.inf
        self._answered = False
        self._watching: asyncio.Task[None] | None = None
        self._left = self._timeout  # seconds for the rest of this stretch
        self._missing = STRETCH  # bytes

    def watch(self) -> None:
        """Cancel the work once the client has disconnected."""
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._answered:
            self._work.cancel()

    def leave(self) -> None:
        """Stop watching the connection."""
        if self._watching is not None:
            self._watching.cancel()

    async def receive(self) -> Message:
        """Return the next part of the body. Raises RefusedError where the client takes too long for it."""
        if self._watching is not None:  # the body is here: what may come is the end of the connection
            await asyncio.wait({self._watching})
            return {"type": "http.disconnect"}
        now = asyncio.get_running_loop().time
        began = now()
        try:
            with fail_after(self._left):
                message = await self._receive()
        except TimeoutError:
            raise RefusedError(
                408,
                "slow-request",
                f"the body did not come within {self._timeout:g} seconds for each {STRETCH} bytes; send it "
                "without pauses, or raise AI_ENGINE_REQUEST_TIMEOUT",
            ) from None
        self._left -= now() - began
        self._missing -= len(message.get("body", b""))
        if self._missing <= 0:
            self._left, self._missing = self._timeout, STRETCH
        if message["type"] == "http.request" and not message.get("more_body", False):
            self.watch()
        return message

    async def send(self, message: Message) -> None:
        """Pass a part of the answer on."""
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._answered = True
        await self._send(message)
