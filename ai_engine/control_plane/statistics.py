"""What this process answered, how quickly, and what went wrong."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ai_engine.control_plane.answers import Latency, PredictionStatistics, SystemMetrics
from ai_engine.control_plane.engine import Counts
from ai_engine.control_plane.given import number_of
from ai_engine.control_plane.host import Host
from ai_engine.control_plane.moments import stamp
from ai_engine.domain.filters import parse_search
from ai_engine.registry.registry import Registry

# Models whose accuracy is told, the newest ones first.
MOST_MODELS = 1_000


@dataclass
class Tally:
    """What the doors of one application are doing and have done; counted from many threads."""

    active: int = 0
    optimizations: int = 0
    anomalies: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        """Count a question that is being answered."""
        with self._lock:
            self.active += 1

    def end(self, anomalies: int = 0, optimizations: int = 0) -> None:
        """Count that it was, and what was found."""
        with self._lock:
            self.active -= 1
            self.anomalies += anomalies
            self.optimizations += optimizations


def accuracies(registry: Registry) -> dict[str, float]:
    """Return the newest accuracy of the active version of each model that has one measured.

    Recorded measurements count before those of the training; where neither tells accuracy there is none.
    """
    found = {}
    entries = registry.describe(limit=MOST_MODELS, search=parse_search("is_active", "-updated_at"))[0]
    for entry in entries:
        metadata = entry["metadata"]
        trained = metadata.get("performance_metrics")
        measured: Mapping[str, object] = entry["performance"] or {}
        for told in (measured, trained if isinstance(trained, dict) else {}):
            accuracy = number_of(told.get("accuracy_score"))
            if accuracy is not None:
                found[entry["name"]] = accuracy
                break
    return found


def statistics(registry: Registry, counts: Counts, now: float) -> PredictionStatistics:
    """Return what ``GET /statistics/predictions`` answers. Blocks."""
    total = sum(counts.answered.values())
    failed = sum(counts.failed.values())
    return PredictionStatistics(
        total_predictions=total,
        accuracy_by_model=accuracies(registry),
        prediction_latency=latency(counts),
        model_utilization={name: count / total for name, count in counts.answered.items() if total},
        error_rates={kind: count / (total + failed) for kind, count in sorted(counts.failed.items())},
        timestamp=stamp(now),
    )


def latency(counts: Counts) -> Latency:
    """Return how long predictions took; quantiles of the last ones."""
    total = sum(counts.answered.values())
    recent = sorted(counts.recent)
    return Latency(
        avg=counts.total_seconds / total if total else None,
        p95=quantile(recent, 0.95),
        p99=quantile(recent, 0.99),
        quantiles_of_last=len(recent),
    )


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the least value that a share of the ordered values does not exceed; None of nothing.

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5), quantile([1.0, 2.0, 3.0, 4.0], 0.99), quantile([], 0.5)
    (2.0, 4.0, None)
    """
    if not ordered:
        return None
    return ordered[max(0, min(len(ordered) - 1, -int(-share * len(ordered) // 1) - 1))]


def system_metrics(
    registry: Registry, counts: Counts, tally: Tally, host: Host, directory: str, now: float
) -> SystemMetrics:
    """Return what ``GET /metrics/system`` answers. Blocks.

    Raises
    ------
    NotAnswerableError
        If this system does not tell how busy it is.
    """
    load = host.load(directory)
    known = accuracies(registry)
    average = latency(counts).avg
    return SystemMetrics(
        cpu_utilization=load.cpu,
        memory_utilization=load.memory,
        disk_utilization=load.disk,
        network_utilization=load.network,
        active_predictions=tally.active,
        completed_optimizations=tally.optimizations,
        anomalies_detected=tally.anomalies,
        model_accuracy_avg=sum(known.values()) / len(known) if known else None,
        prediction_latency_ms=None if average is None else 1000 * average,
        system_load=load.system_load,
        network_basis=load.network_basis,
        timestamp=stamp(now),
    )
