"""What is known of how a version was trained and how good it is, in one document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def report_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report of a training, from what its version remembers (JSON values).

    Returns
    -------
    dict
        ``data`` (the reading, the period and what was repaired), ``split``, ``leaderboard`` (the error of
        each candidate on training rows, by target), ``metrics`` and ``by_target``; what a kind does not
        measure is None.
    """
    told = metadata.get("performance_metrics")
    metrics = dict(told) if isinstance(told, Mapping) else {}
    reading = metadata.get("reading")
    data = dict(reading) if isinstance(reading, Mapping) else None
    return {
        "data": None if data is None else data | {"period": metadata.get("data_period")},
        "split": metadata.get("split"),
        "leaderboard": metadata.get("candidates"),
        "metrics": {name: value for name, value in metrics.items() if name != "by_target"} or None,
        "by_target": metrics.get("by_target"),
        "by_horizon": metadata.get("by_horizon"),
        "by_group": metadata.get("by_group"),
        "calibration": metadata.get("calibration"),
        "forecast": metadata.get("forecast"),
        "importance": metadata.get("importance"),
        "worst": metadata.get("worst"),
    }
