"""What is known of how a version was trained and how good it is, in one document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ai_engine.domain.performance import ModelPerformance
from ai_engine.domain.search import EVERYTHING
from ai_engine.registry.json_views import performance_shape
from ai_engine.registry.registry import Registry
from ai_engine.training.findings import NOTHING

PARTS: Final = (
    *("data", "split", "leaderboard", "metrics", "by_target"),
    *("by_horizon", "by_group", "calibration", "forecast", "importance", "worst"),
)


def report_of(
    metadata: Mapping[str, Any], found: Mapping[str, Any] | None, performance: ModelPerformance | None
) -> dict[str, Any]:
    """Return the report of a version (JSON values).

    Parameters
    ----------
    metadata : mapping
        Of the version; anybody may have written anything there.
    found : mapping or None
        What the training measured in detail, as `Findings.to_mapping` tells it.
    performance : ModelPerformance or None
        What was recorded of the version last: its metrics, where no training told any.

    Returns
    -------
    dict
        ``data`` (the reading, the period, the cleaning), ``split`` (and whether the kept object was fitted
        once more on all rows), ``leaderboard`` (the error of each candidate on training rows, by target),
        ``metrics``, ``by_target``, and the parts of `Findings`. What a kind does not measure is None.
    """
    told = metadata.get("performance_metrics")
    metrics = dict(told) if isinstance(told, Mapping) else {}
    by_target = metrics.pop("by_target", None)
    reading, split = metadata.get("reading"), metadata.get("split")
    details = NOTHING.to_mapping() | dict(found or {})
    return {
        "data": dict(reading) | {"period": metadata.get("data_period"), "cleaning": metadata.get("cleaning")}
        if isinstance(reading, Mapping)
        else None,
        "split": dict(split) | {"refit": metadata.get("refit")} if isinstance(split, Mapping) else None,
        "leaderboard": metadata.get("candidates"),
        "metrics": metrics or _recorded(performance),
        "by_target": by_target,
        **{part: details[part] for part in NOTHING.to_mapping()},
    }


def _recorded(performance: ModelPerformance | None) -> dict[str, Any] | None:
    """Return what was recorded of a version, without what is unknown."""
    shape = performance_shape(performance) or {}
    named = shape.pop("metrics", {})
    known = {name: value for name, value in (shape | named).items() if value is not None}
    return known or None


def stored_report(registry: Registry, name: str, version: str) -> dict[str, Any]:
    """Return the report of a version that there is (JSON values).

    Raises
    ------
    VersionNotFoundError
        If it was deleted meanwhile.
    """
    entries, _, _ = registry.describe(name, search=EVERYTHING.of(None, version))
    metadata = entries[0]["metadata"] if entries else {}
    return report_of(metadata, registry.report(name, version), registry.latest_performance(name, version))
