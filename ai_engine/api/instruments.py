"""Count and time requests and predictions; `prometheus.py` writes them out."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter, OrderedDict, defaultdict, deque
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

# Models whose predictions are counted: a name costs half a kilobyte, and may be deleted the next moment.
MOST_MODELS: Final = 10_000

# The last predictions, whose durations are kept for quantiles.
RECENT: Final = 4_096

# Counted for a client that had gone before its answer; the number that nginx gives it.
NOBODY: Final = 499


@dataclass(slots=True)
class Times:
    """A histogram of durations: how many up to each of BUCKETS and above, and their sum in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one more."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


@dataclass(slots=True)
class Predictions:
    """Predictions of one model: their durations, and how many rows were answered."""

    times: Times = field(default_factory=Times)
    rows: int = 0


class Instruments:
    """Requests and predictions of one application, counted by the one thread of its event loop."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, str]] = Counter()  # by method, route and status
        self.seconds: defaultdict[tuple[str, str], Times] = defaultdict(Times)  # by method and route
        # By model, the one that was asked last at the end.
        self.predictions: OrderedDict[str, Predictions] = OrderedDict()
        self.recent: deque[float] = deque(maxlen=RECENT)  # seconds of the last predictions
        self.refusals: Counter[str] = Counter()  # questions of the control plane, by the code of the error

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        label = method if method in _METHODS else "other"
        self.requests[label, route, str(status)] += 1
        self.seconds[label, route].add(seconds)

    def predicted(self, model: str, rows: int, seconds: float) -> None:
        """Count a request for predictions of a model."""
        told = self.predictions.setdefault(model, Predictions())
        told.times.add(seconds)
        told.rows += rows
        self.recent.append(seconds)
        self.predictions.move_to_end(model)
        if len(self.predictions) > MOST_MODELS:  # what starts anew is a counter's right
            self.predictions.popitem(last=False)


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
