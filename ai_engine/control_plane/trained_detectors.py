"""What trained detectors that cover a resource say of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from ai_engine.control_plane.tracks import Tracks, resource_of
from ai_engine.control_plane.trained import Version, active_versions, rows_of
from ai_engine.domain.errors import InvalidInputError
from ai_engine.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a trained detector says of rows, the newest last."""

    by: Version
    verdicts: list[dict[str, Any]]
    columns: tuple[str, ...]


def verdicts(registry: Registry, resource: str, tracks: Tracks, now: float) -> Verdicts | None:
    """Return what the first trained detector says that covers a resource; None where none does."""
    for version in active_versions(registry, ("anomaly_detection",), resource):
        from ai_engine.training.calls import reading_of
        from ai_engine.training.estimators.anomaly import AnomalyDetectorV2
        from ai_engine.training.prediction import predict

        model = version.model
        if not isinstance(model, AnomalyDetectorV2):
            continue
        columns = {
            name: tracks.by_name.get(name) or tracks.of(resource_of(name)) for name in model.encoding.columns
        }
        present = {name: track for name, track in columns.items() if track is not None}
        if len(present) < len(columns):
            continue
        vm = next((one for one in model.pasts if one is not None and str(one) == resource), resource)
        rows = rows_of(present, version.reading, vm, now)
        reading = partial(reading_of, registry, version.name, version.version)
        try:
            return Verdicts(version, predict(model, rows, None, reading), tuple(columns))
        except InvalidInputError:
            continue
    return None
