"""Trained models: the active versions that may cover a resource, and the rows that they read."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ai_engine.control_plane.given import number_of
from ai_engine.control_plane.moments import stamp
from ai_engine.control_plane.tracks import Track
from ai_engine.domain.clock import from_text
from ai_engine.domain.errors import AIEngineError
from ai_engine.domain.filters import parse_search
from ai_engine.domain.names import check_name
from ai_engine.registry.registry import Registry
from ai_engine.training.kinds import BUILT_IN

log = logging.getLogger(__name__)


# Active models of a kind that are looked at for one question; each may have to be read from disk.
MOST_MODELS: Final = 20


# A context of three weeks at five minutes tells a forecaster all that it looks at.
MOST_ROWS: Final = 6_048


@dataclass(frozen=True, slots=True)
class Version:
    """An active version of a trained model.

    Attributes
    ----------
    name, version : str
    model : object
        As it was stored.
    metrics : mapping
        ``performance_metrics`` of its training (JSON values).
    reading : mapping
        What was understood of the rows of its training.
    trained_at : str
        RFC 3339.
    rows : int
        Rows that it was trained on; 0 where that is not known.
    """

    name: str
    version: str
    model: Any  # a stored object may be of any class
    metrics: Mapping[str, Any]
    reading: Mapping[str, Any]
    trained_at: str
    rows: int

    def measure(self, *names: str) -> float | None:
        """Return the first of some measures that is known."""
        found = (number_of(self.metrics.get(name)) for name in names)
        return next((value for value in found if value is not None), None)

    @property
    def confidence(self) -> tuple[float, str] | None:
        """Return the share of held-out values inside the interval, or the skill, and which of them it is."""
        inside = self.measure("confidence_score")
        if inside is not None:
            return inside, "share of held-out values inside the 90 % interval"
        skill = self.measure("skill")
        if skill is None:
            return None
        return max(
            skill, 0.0
        ), f"skill on held-out rows, 1 - mae / baseline_mae = {skill:.3f} (0 where below)"


def own_name(kind: str, resource: str) -> str:
    """Return the name of the model that is a resource's alone.

    >>> own_name("resource_prediction", "vm-1")
    'resource_predictor.vm-1'
    >>> own_name("resource_prediction", "../x")
    'resource_predictor.x-d6b96a97d147'
    """
    from hashlib import sha256

    default = BUILT_IN[kind].default_name
    plain = "".join(sign for sign in resource if sign.isascii() and (sign.isalnum() or sign in "_-+."))
    if plain != resource or len(plain) > 100 or plain.endswith("."):
        digest = sha256(resource.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        plain = f"{plain[:100].strip('.')}-{digest}"
    return check_name(f"{default}.{plain}")


def active_versions(registry: Registry, kinds: Sequence[str], resource: str = "") -> Iterator[Version]:
    """Yield the active versions of some kinds: the resource's own, then those of default names, then others.

    What cannot be loaded is logged and left out: another one, or a formula, may do.
    """
    seen = set()
    first = [own_name(kind, resource) for kind in kinds] if resource else []
    first += [name for kind in kinds if (name := BUILT_IN[kind].default_name) is not None]
    entries = []
    for kind in kinds:
        search = parse_search(f"is_active and model_type = '{kind}'", "-updated_at")
        entries += registry.describe(limit=10 * MOST_MODELS, search=search)[0]
    # A model that is one resource's alone says nothing of another.
    own = tuple(f"{BUILT_IN[kind].default_name}." for kind in kinds)
    entries = [e for e in entries if e["name"] in first or not e["name"].startswith(own)]
    entries.sort(key=lambda e: first.index(e["name"]) if e["name"] in first else len(first))
    for entry in entries[:MOST_MODELS]:
        if entry["name"] in seen:
            continue
        seen.add(entry["name"])
        metadata = entry["metadata"]
        told = metadata.get("performance_metrics")
        try:
            model = registry.load(entry["name"], entry["version"])
        except AIEngineError as error:
            log.warning("a model is passed over: %s", error)
            continue
        created = from_text(entry["created_at"])
        reading = metadata.get("reading")
        rows = number_of(reading.get("rows_used")) if isinstance(reading, Mapping) else None
        yield Version(
            entry["name"],
            entry["version"],
            model,
            told if isinstance(told, Mapping) else entry["performance"] or {},
            reading if isinstance(reading, Mapping) else {},
            stamp(created.timestamp() if created else 0.0),
            int(rows or 0),
        )


def rows_of(
    columns: Mapping[str, Track], reading: Mapping[str, Any], vm: str | int | None, now: float
) -> list[dict[str, Any]]:
    """Return the rows that a model reads, as it calls its columns."""
    time_column = reading.get("time_column") or "timestamp"
    group_column = reading.get("group_column")
    timed = all(track.times is not None for track in columns.values())
    by_moment: dict[float, dict[str, Any]] = {}
    longest = max(map(len, columns.values()))
    for name, track in columns.items():
        # Without times the newest numbers of each column belong together, and the last ones are of now.
        moments = (
            track.times if timed and track.times is not None else now - 60.0 * np.arange(len(track))[::-1]
        )
        for at, value in zip(np.asarray(moments).tolist(), track.values.tolist(), strict=True):
            by_moment.setdefault(at, {})[name] = value
    rows = []
    for at in sorted(by_moment)[-max(MOST_ROWS, 1) :]:
        row = by_moment[at]
        if timed or longest == 1:
            row[time_column] = at
        if group_column:
            row[group_column] = vm
        rows.append(row)
    return rows
