"""Metrics of each model for Prometheus: its versions, its active version, its numbers and its predictions.

Every model is a handful of series, and who scrapes pays for each: no more models than a setting says are told
one by one, and the others are counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from ai_engine.api.instruments import BUCKETS, Instruments, Times
from ai_engine.domain.clock import from_text
from ai_engine.domain.filters import parse_search
from ai_engine.registry.registry import Registry

# Our own names have no more; those of the original software may.
_LONGEST: Final = 200
_ACTIVE: Final = parse_search("is_active", None)


def model_metrics(registry: Registry, instruments: Instruments, most: int) -> Iterator[Metric]:
    """Yield the metrics of the first `most` models by name, and how many others there are. Blocks.

    One page of active versions, and one count a model: what it costs does not grow with the versions.
    """
    names = registry.names()
    labels: dict[str, str] = {}  # by name, each once: two series of the same labels spoil a scrape
    for name in names[:most]:
        label = label_of(name)
        if label not in labels.values():
            labels[name] = label
    omitted = GaugeMetricFamily(
        "ai_engine_models_omitted",
        "Models without series of their own (see AI_ENGINE_METRICS_MODELS).",
        len(names) - len(labels),
    )
    yield omitted
    entries, *_ = registry.describe(limit=most, search=_ACTIVE)
    active = {entry["name"]: entry for entry in entries}
    yield from _versions(registry, labels)
    yield from _active(labels, active)
    yield from _predictions(labels, instruments)


def _versions(registry: Registry, labels: Mapping[str, str]) -> Iterator[Metric]:
    versions = GaugeMetricFamily("ai_engine_model_versions", "Versions of a model.", labels=("model",))
    for name, label in labels.items():
        versions.add_metric((label,), registry.describe(name, limit=0)[1])
    yield versions


def _active(labels: Mapping[str, str], active: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    """Yield the metrics of active versions (entries of `Registry.describe`)."""
    which = GaugeMetricFamily(
        "ai_engine_model_active_info", "Active version of a model.", labels=("model", "version")
    )
    since = GaugeMetricFamily(
        "ai_engine_model_active_since_timestamp_seconds",
        "When the active version became active, in seconds since 1970.",
        labels=("model",),
    )
    error = GaugeMetricFamily(
        "ai_engine_model_mae",
        "Newest mean absolute error of the active version, in the unit of its target.",
        labels=("model",),
    )
    skill = GaugeMetricFamily(
        "ai_engine_model_skill",
        "Skill of the active version: 1 - mae / mae of a baseline; 1 is perfect, 0 no better.",
        labels=("model",),
    )
    for name, label in labels.items():
        entry = active.get(name)
        if entry is None:
            continue
        which.add_metric((label, label_of(entry["version"])), 1)
        moment = from_text(entry["updated_at"])  # written when a version is saved, and at every activation
        if moment is not None:
            since.add_metric((label,), moment.timestamp())
        measured = entry["performance"] or {}
        for family, key in ((error, "mae"), (skill, "skill")):
            value = _number(measured.get(key))
            if value is None:
                value = _number(_trained(entry).get(key))
            if value is not None:
                family.add_metric((label,), value)
    yield from (which, since, error, skill)


def _predictions(labels: Mapping[str, str], instruments: Instruments) -> Iterator[Metric]:
    answered = CounterMetricFamily(
        "ai_engine_model_predictions", "Requests for predictions that were answered.", labels=("model",)
    )
    rows = CounterMetricFamily(
        "ai_engine_model_predicted_rows",
        "Predictions answered: one a row, or one a VM and step.",
        labels=("model",),
    )
    seconds = HistogramMetricFamily(
        "ai_engine_model_prediction_seconds",
        "Time to load a model, where it is not in memory, and to predict.",
        labels=("model",),
    )
    for name, told in list(instruments.predictions.items()):
        label = labels.get(name)
        if label is not None:
            answered.add_metric((label,), sum(told.times.counts))
            rows.add_metric((label,), told.rows)
            add_times(seconds, (label,), told.times)
    yield from (answered, rows, seconds)


def add_times(family: HistogramMetricFamily, labels: tuple[str, ...], times: Times) -> None:
    """Add durations to a histogram."""
    bounds = [*map(str, BUCKETS), "+Inf"]
    counts = zip(bounds, map(float, accumulate(times.counts)), strict=True)
    family.add_metric(labels, list(counts), times.total)


def label_of(text: str) -> str:
    """Return a name or a version as the value of a label: UTF-8, and no longer than names of ours.

    >>> label_of("cpu"), len(label_of("n" * 500))
    ('cpu', 200)
    """
    clean = text.encode(errors="backslashreplace").decode()
    return clean if len(clean) <= _LONGEST else f"{clean[: _LONGEST - 1]}…"


def _trained(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the metrics in an entry's metadata; they may have been written by any program."""
    metadata = entry.get("metadata")
    told = metadata.get("performance_metrics") if isinstance(metadata, Mapping) else None
    return told if isinstance(told, Mapping) else {}


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
