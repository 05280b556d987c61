"""The HTTP server of `serve`: uvicorn, with a bounded shutdown and timeouts for slow clients."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ai_engine.domain.error_codes import PROBLEM
from ai_engine.logs import REQUEST_ID
from ai_engine.registry.json_views import to_json

if TYPE_CHECKING:
    from types import FrameType

    from fastapi import FastAPI

log = logging.getLogger(__name__)

# From a SIGTERM to the end of the process, whatever is under way: orchestrators kill after 10 or 30 seconds.
GRACE: Final = 10
# Of these, how long answers may take; the rest is for closing the registry.
_ANSWERS: Final = 6
# What a client takes of an answer within one `request_timeout`; `api/clients.py` has it for bodies.
STRETCH: Final = 64 * 1024


class Server(uvicorn.Server):
    """A server that reports when it is ready, hands jobs back when it stops, and stops within GRACE seconds.

    Parameters
    ----------
    app : FastAPI
        What answers.
    request_timeout : float
        Seconds that a client may take for a request's head.
    ready : callable
        Is called once requests are answered.
    certificate : tuple of str or None
        The files of the certificate chain and of its private key; None: HTTP.
    trusted_proxies : str
        Addresses by commas, whose headers are believed that say who asks: anybody could send these.
    """

    def __init__(
        self,
        app: FastAPI,
        request_timeout: float,
        ready: Callable[[], None],
        certificate: tuple[str, str] | None = None,
        trusted_proxies: str = "",
    ) -> None:
        self._app, self._ready = app, ready
        self._ending: threading.Timer | None = None

        class Protocol(TimedProtocol):
            patience = request_timeout or math.inf

        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                lifespan="on",
                log_config=None,
                access_log=False,  # ours knows more, and goes to standard error
                server_header=False,
                timeout_graceful_shutdown=_ANSWERS,
                ws="none",
                proxy_headers=bool(trusted_proxies),
                forwarded_allow_ips=trusted_proxies,
                ssl_certfile=certificate[0] if certificate else None,
                ssl_keyfile=certificate[1] if certificate else None,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM for as long as the block runs."""
        # Not as uvicorn does it, which sends the signal to itself again at the end: to be told to stop is how
        # this ends, with the registry closed and exit code 0.
        before = {one: signal.signal(one, self.handle_exit) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to shut down."""
        if self._ending is None:
            # A thread cannot be ended, and the process would wait for those that still read or predict.
            # Nothing that was acknowledged can be lost by this: it would survive a SIGKILL.
            self._ending = threading.Timer(GRACE - 1, _end_at_once)
            self._ending.daemon = True
            self._ending.start()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and wait for what is under way."""
        self._app.state.service.workers.stop()
        await super().shutdown(sockets)


def _end_at_once() -> None:
    told = "requests were still running %s seconds after the signal; they are given up"
    telling = threading.Thread(target=log.warning, args=(told, GRACE), daemon=True)
    telling.start()
    telling.join(1)  # nobody may be reading the log
    os._exit(0)


class TimedProtocol(H11Protocol):
    """A connection that is closed when the client sends a head, or takes an answer, too slowly.

    A head has to come within `patience` seconds, and each STRETCH bytes of an answer have to be taken within
    as many, or the connection is cut off. Between requests uvicorn's own limit for idle connections counts,
    which ends at the first byte of the next one. The application looks after bodies.
    """

    patience: float

    def __init__(self, *given: Any, **named: Any) -> None:  # uvicorn's own
        super().__init__(*given, **named)
        self._head, self._answer = _Alarm(self.loop, self.patience), _Alarm(self.loop, self.patience)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Expect a head."""
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Expect the rest of a head, unless it is complete."""
        super().data_received(data)
        self._expect_head()

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are not HTTP: the application never sees them."""
        request_id = os.urandom(16).hex()
        REQUEST_ID.set(request_id)  # of this connection, which ends here
        log.info("%s: refused, %s", (self.client or ("-",))[0], msg)
        body = to_json(
            {
                "type": f"{PROBLEM}invalid-http",
                "title": "Bad request",
                "status": 400,
                "detail": f"{msg.rstrip('.')}: what came is not HTTP/1.1; check the address and the scheme",
            }
        ).encode()
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nconnection: close\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {request_id}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def on_response_complete(self) -> None:
        """Expect that the answer is taken."""
        super().on_response_complete()
        self._expect_reader()

    def pause_writing(self) -> None:
        """Expect that what was sent is taken."""
        super().pause_writing()
        self._expect_reader()

    def resume_writing(self) -> None:
        """Expect nothing: it was."""
        super().resume_writing()
        self._answer.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        super().connection_lost(exc)
        self._head.cancel()
        self._answer.cancel()

    def _expect_head(self) -> None:
        waiting = self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]  # at first
        if waiting:
            self._head.set(self._cut_off, "no whole request came")
        else:
            self._head.cancel()

    def _expect_reader(self) -> None:
        if unsent := self.transport.get_write_buffer_size():
            self._answer.set(self._check_reader, unsent)

    def _check_reader(self, unsent: int) -> None:
        if self.transport.get_write_buffer_size() > max(0, unsent - STRETCH):
            self._cut_off("the answer was not taken")
        else:
            self._expect_reader()

    def _cut_off(self, why: str) -> None:
        log.info("%s: cut off, %s within %g seconds", (self.client or ("-",))[0], why, self.patience)
        self.transport.abort()


class _Alarm:
    """A call that comes unless it is cancelled; set again while it is set, it stays as it was."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop, self._seconds = loop, seconds
        self._timer: asyncio.TimerHandle | None = None

    def set(self, call: Callable[..., None], given: object) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._ring, call, given)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self, call: Callable[..., None], given: object) -> None:
        self._timer = None
        call(given)
