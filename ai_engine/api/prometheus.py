"""What Prometheus scrapes: what was counted, and what is read off the registry at the scrape.

Imported at the first scrape: a server that nobody scrapes starts without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ai_engine.api.instruments import BUCKETS, Instruments
from ai_engine.registry.model_cache import PROCESS
from ai_engine.registry.registry import Registry
from ai_engine.training.runner import TrainingRunner

__all__ = ["CONTENT_TYPE", "exposition"]


def exposition(
    instruments: Instruments, registry: Registry, trainings: TrainingRunner, state: dict[str, Any]
) -> bytes:
    """Return the Prometheus text; `state` is what `Registry.health` said (JSON values). Blocks."""
    now = CollectorRegistry()
    now.register(_Present(instruments, registry, trainings, state))
    return generate_latest(now)


class _Present(Collector):
    """What is true at the moment of a scrape."""

    def __init__(
        self, instruments: Instruments, registry: Registry, trainings: TrainingRunner, state: dict[str, Any]
    ) -> None:
        self._instruments = instruments
        self._registry, self._trainings, self._state = registry, trainings, state

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        yield from self._requests()
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

    def _requests(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "ai_engine_http_requests", "Requests answered.", labels=("method", "route", "status")
        )
        for labels, count in list(self._instruments.requests.items()):
            requests.add_metric(labels, count)
        yield requests
        seconds = HistogramMetricFamily(
            "ai_engine_http_request_seconds",
            "Time from a request to the end of its answer.",
            labels=("method", "route"),
        )
        bounds = [*map(str, BUCKETS), "+Inf"]
        for label, times in list(self._instruments.seconds.items()):
            counts = zip(bounds, map(float, accumulate(times.counts)), strict=True)
            seconds.add_metric(label, list(counts), times.total)
        yield seconds
