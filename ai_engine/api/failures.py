"""Answer failures outside the endpoints: a service that cannot start or is stopping, unexpected errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ai_engine.api.json_response import Answer
from ai_engine.api.paths import path_of
from ai_engine.api.problems import UNEXPECTED, RefusedError, not_started, of_refusal, problem, stopping
from ai_engine.api.service import Service
from ai_engine.domain.errors import AIEngineError

log = logging.getLogger(__name__)


class FailuresAsProblems:
    """ASGI middleware that starts the service, and answers failures as problems.

    Parameters
    ----------
    app : ASGIApp
        What is behind it.
    service : callable
        Returns the running service, and starts it where it is not.
    """

    def __init__(self, app: ASGIApp, service: Callable[[], Awaitable[Service]]) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever it is."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._service()
            await self._app(scope, receive, watch)
        except RefusedError as error:
            if started:
                raise
            await of_refusal(error)(scope, receive, send)
        except AIEngineError as error:  # it was not running, and could not be started
            if started:
                raise
            log.error("the service cannot be started: %s", error)
            alive = path_of(scope) == "/health/live"
            answer = Answer({"status": "alive"}) if alive else not_started(error)
            await answer(scope, receive, send)
        except asyncio.CancelledError:  # a server that is to end has waited long enough for its answers
            service = getattr(scope["app"].state, "service", None)
            if started or service is None or not service.workers.stopping:
                raise
            await of_refusal(stopping())(scope, receive, send)
        except ClientDisconnect:
            log.info("%s %s: the client went away", scope["method"], ascii(scope["path"]))
        except Exception:
            log.exception("%s %s failed", scope["method"], ascii(scope["path"]))
            if started:
                raise
            await problem(500, "unexpected", UNEXPECTED)(scope, receive, send)
