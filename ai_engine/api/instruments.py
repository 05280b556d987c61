"""What Prometheus scrapes: counted here, or read off the registry at the scrape."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ai_engine.api.trainings import Trainings
from ai_engine.registry.loaded import PROCESS
from ai_engine.registry.registry import Registry

# Anything else that a client calls a method is one label, lest it fill the memory with names.
_METHODS: Final = frozenset(("GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"))
# Reads take a millisecond, trainings a minute.
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Instruments:
    """The service counters of one application."""

    def __init__(self) -> None:
        self._collectors = CollectorRegistry()
        self._requests = Counter(
            "ai_engine_http_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self._collectors,
        )
        self._seconds = Histogram(
            "ai_engine_http_request_seconds",
            "Time from a request to the end of its answer.",
            ("method", "route"),
            registry=self._collectors,
            buckets=_BUCKETS,
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        label = method if method in _METHODS else "other"
        self._requests.labels(label, route, str(status)).inc()
        self._seconds.labels(label, route).observe(seconds)

    def scrape(self, registry: Registry, trainings: Trainings, state: dict[str, Any]) -> bytes:
        """Return the Prometheus text; `state` is what `Registry.health` said (JSON values). Blocks."""
        now = CollectorRegistry()
        now.register(_Present(registry, trainings, state))
        return generate_latest(self._collectors) + generate_latest(now)


class _Present(Collector):
    """What is true at the moment of a scrape."""

    def __init__(self, registry: Registry, trainings: Trainings, state: dict[str, Any]) -> None:
        self._registry, self._trainings, self._state = registry, trainings, state

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        _, versions, _ = self._registry.describe(limit=1)
        cache = PROCESS.instruments
        gauges = {
            "versions": ("Versions that the registry has.", versions),
            "active_models": ("Models that have an active version.", len(self._registry.actives())),
            "degraded": ("1 while the database cannot be written.", self._state["status"] != "healthy"),
            "waiting_changes": ("Changes that wait for the database.", self._state["waiting"]),
            "memory_only_models": ("Models that end with the process.", self._state["in_memory_only"]),
            "trainings_running": ("Trainings under way.", self._trainings.running),
            "trainings_waiting": ("Trainings that wait for a core.", self._trainings.waiting),
            "loaded_models_bytes": ("Stored bytes of the models in memory.", cache.bytes),
        }
        counters = {
            "trainings": ("Trainings begun.", self._trainings.begun),
            "trainings_failed": ("Trainings that ended without a version.", self._trainings.failed),
            "loaded_models_hits": ("Models found in memory.", cache.hits),
            "loaded_models_misses": ("Models made of their bytes.", cache.misses),
        }
        for name, (about, value) in gauges.items():
            yield GaugeMetricFamily(f"ai_engine_{name}", about, float(value))
        for name, (about, value) in counters.items():
            yield CounterMetricFamily(f"ai_engine_{name}", about, float(value))


class Measured:
    """ASGI middleware that counts and times every request under its route's template."""

    def __init__(self, app: ASGIApp, instruments: Instruments) -> None:
        self._app, self._instruments = app, instruments

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and count what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = 500, time.perf_counter()

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
