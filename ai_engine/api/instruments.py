"""What every request was: counted here, told by exposition.py."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Anything else that a client calls a method is one label, lest it fill the memory with names.
_METHODS: Final = frozenset(("GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"))
# Queries take a millisecond, trainings a minute.
BUCKETS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)


# Counted for a client that had gone before its answer; the number that nginx gives it.
NOBODY: Final = 499


@dataclass(slots=True)
class Times:
    """How long requests took: how many of them no longer than each of BUCKETS, and longer; seconds in all."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0


class Instruments:
    """The requests of one application, counted by the one thread of its event loop."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, str]] = Counter()  # by method, route and status
        self.seconds: defaultdict[tuple[str, str], Times] = defaultdict(Times)  # by method and route

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        label = method if method in _METHODS else "other"
        self.requests[label, route, str(status)] += 1
        times = self.seconds[label, route]
        times.counts[bisect_left(BUCKETS, seconds)] += 1
        times.total += seconds


class Measured:
    """ASGI middleware that counts and times every request under its route's template."""

    def __init__(self, app: ASGIApp, instruments: Instruments) -> None:
        self._app, self._instruments = app, instruments

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and count what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = NOBODY, time.perf_counter()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            seconds = time.perf_counter() - began
            self._instruments.answered(scope["method"], route_of(scope), status, seconds)


def route_of(scope: Scope) -> str:
    """Return the template that a request matched, ``/models/{model_name}/versions``."""
    route = scope.get("route")
    return getattr(route, "path_format", None) or getattr(route, "path", None) or "unmatched"
