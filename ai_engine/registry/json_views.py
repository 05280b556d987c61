"""The registry's records as JSON, the same for everyone who tells of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ai_engine.domain.clock import to_iso
from ai_engine.domain.performance import ModelPerformance

_MOMENTS = ("created_at", "updated_at", "last_metric_update")


def to_json(content: Any, indent: int | None = None) -> str:
    """Return JSON values as text; NaN and the infinities, which JSON does not have, become null.

    >>> to_json({"mae": float("nan")})
    '{"mae": null}'
    """
    try:
        return json.dumps(content, allow_nan=False, indent=indent)
    except (ValueError, TypeError):
        return json.dumps(_finite(content), allow_nan=False, indent=indent)


def _finite(value: Any) -> Any:
    """Return a JSON value with null where a number is not finite, and bytes that others wrote as text."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def entry_shape(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry of `Registry.describe` with moments ISO 8601, without its place in the order."""
    told = dict(entry)
    told.pop("seq", None)
    for key in _MOMENTS:
        told[key] = to_iso(told.get(key))
    return told


def performance_shape(performance: ModelPerformance | None) -> dict[str, Any] | None:
    """Return a measurement."""
    if performance is None:
        return None
    return asdict(performance) | {"last_updated": to_iso(performance.last_updated)}


def run_shape(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return a training record, as `Registry.runs` gives it."""
    return dict(run) | {"started": to_iso(run["started"]), "completed": to_iso(run["completed"])}
