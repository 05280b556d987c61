"""Metrics as Prometheus text: what was counted, and what is read off the process and the registry.

Imported at the first scrape: a server that nobody scrapes starts without it.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from ai_engine.api.instruments import Instruments
from ai_engine.api.model_metrics import add_times, model_metrics
from ai_engine.domain.errors import StorageError
from ai_engine.domain.jobs import JobStatus
from ai_engine.jobs.workers import Workers
from ai_engine.registry.model_cache import PROCESS
from ai_engine.registry.registry import Registry
from ai_engine.version import __version__

__all__ = ["CONTENT_TYPE", "exposition"]


def exposition(
    instruments: Instruments,
    registry: Registry,
    workers: Workers,
    state: dict[str, Any],
    most_models: int,
) -> bytes:
    """Return the Prometheus text. Blocks.

    Parameters
    ----------
    state : dict
        What `Registry.health` said (JSON values).
    most_models : int
        So many models have series of their own.
    """
    now = CollectorRegistry()
    ProcessCollector(registry=now)
    now.register(_Present(instruments, registry, workers, state, most_models))
    return generate_latest(now)


# Schedules that are looked at: those with trouble come first.
_SCHEDULES = 1000


class _Present(Collector):
    """Reads every metric at the moment of a scrape."""

    def __init__(
        self,
        instruments: Instruments,
        registry: Registry,
        workers: Workers,
        state: dict[str, Any],
        most_models: int,
    ) -> None:
        self._instruments, self._most_models = instruments, most_models
        self._registry, self._workers, self._state = registry, workers, state

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        yield InfoMetricFamily(
            "ai_engine_build",
            "Versions of the engine and of Python.",
            {"version": __version__, "python": platform.python_version()},
        )
        yield from self._requests()
        _, versions, _ = self._registry.describe(limit=0)
        cache = PROCESS.instruments
        gauges: dict[str, tuple[str, float]] = {
            "versions": ("Versions that the registry has.", versions),
            "active_models": ("Models that have an active version.", len(self._registry.actives())),
            "degraded": ("1 while the database cannot be written.", self._state["status"] != "healthy"),
            "waiting_changes": ("Changes that wait for the database.", self._state["waiting"]),
            "memory_only_models": (
                "Models that are kept in memory only and end with the process.",
                self._state["in_memory_only"],
            ),
            "trainings_running": ("Trainings under way in this process.", len(self._workers.processes)),
            "loaded_models_bytes": ("Stored bytes of the models in memory.", cache.bytes),
        }
        counters = {
            "trainings": ("Trainings begun in this process.", self._workers.begun),
            "trainings_failed": ("Trainings here that made no version.", self._workers.failed),
            "loaded_models_hits": ("Models found in memory.", cache.hits),
            "loaded_models_misses": ("Models loaded from their stored bytes.", cache.misses),
        }
        with suppress(StorageError):  # what cannot be counted now is not told
            waiting = self._registry.queue.counts()[JobStatus.QUEUED]
            gauges["trainings_waiting"] = ("Trainings that wait for a worker.", waiting)
            with self._registry.catalogue.read() as snapshot:
                head, seal = snapshot.audit.head(), snapshot.audit.newest_seal()
            gauges["audit_entries"] = ("Entries of the audit log.", head.seq)
            # A series of its own for each, so the signed ones only: they come every ten minutes at most.
            signed = GaugeMetricFamily(
                "ai_engine_audit_signed_entry",
                "The entry that was signed last, by its digest.",
                labels=("digest",),
            )
            if seal is not None:
                signed.add_metric((seal.head.digest,), seal.head.seq)
            yield signed
            schedules, total = self._registry.schedules.told(_SCHEDULES)
            troubled = sum(one.warning is not None for one in schedules)
            gauges["schedules"] = ("Models that are trained again by themselves.", total)
            gauges["schedules_troubled"] = ("Schedules without a source, or whose trainings fail.", troubled)
        for name, (about, value) in gauges.items():
            yield GaugeMetricFamily(f"ai_engine_{name}", about, float(value))
        for name, (about, value) in counters.items():
            yield CounterMetricFamily(f"ai_engine_{name}", about, float(value))
        yield from model_metrics(self._registry, self._instruments, self._most_models)

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
        for label, times in list(self._instruments.seconds.items()):
            add_times(seconds, label, times)
        yield seconds
