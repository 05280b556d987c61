"""What a training made, once its version is saved. Imports no numeric library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ai_engine.domain.clock import to_iso
from ai_engine.telemetry.reading import Reading
from ai_engine.training.metrics import TrainingMetrics


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What was done to the rows of a training before anything learned from them.

    Attributes
    ----------
    counts : mapping of str to int
        What was done, to how many rows or cells; only what happened is listed.
    missing_values : mapping of str to int
        Missing cells of the columns that are used and have some.
    columns_ignored : tuple of str
        Columns that were given and are not used.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    missing_values: Mapping[str, int] = field(default_factory=dict)
    columns_ignored: tuple[str, ...] = ()

    def to_mapping(self) -> dict[str, int | dict[str, int] | list[str]]:
        """Return it as ``POST /train`` answers it (JSON values)."""
        return {
            **{what: int(count) for what, count in self.counts.items()},
            "missing_values": {column: int(count) for column, count in self.missing_values.items()},
            "columns_ignored": list(self.columns_ignored),
        }

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> Cleaning:
        """Return what `to_mapping` wrote (JSON values). Raises KeyError for anything else."""
        counts = dict(given)
        missing, ignored = counts.pop("missing_values"), counts.pop("columns_ignored")
        return cls(counts, missing, tuple(ignored))


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The version that a training made.

    Attributes
    ----------
    kind : str
        The model type.
    name, version, model_id : str
        What was saved, and under which id.
    active : bool
        Whether the version is the active one.
    performance_metrics : TrainingMetrics
        What was measured.
    completed : datetime
        When the fit and its measuring were done, in UTC.
    algorithms : tuple of str
        What was fitted and is in the version.
    cleaning : Cleaning
        What was done to the rows.
    reading : Reading
        What was understood of the rows.
    activation_reason : str or None
        Why it is active or not, where that was to be found out by comparing.
    persisted : bool
        Whether the version survives the process.
    """

    kind: str
    name: str
    version: str
    model_id: str
    active: bool
    performance_metrics: TrainingMetrics
    completed: datetime
    algorithms: tuple[str, ...]
    cleaning: Cleaning
    reading: Reading
    activation_reason: str | None = None
    persisted: bool = True  # a save that may be lost raises

    def to_mapping(self) -> dict[str, Any]:
        """Return the answer of ``POST /train`` and of ``ai-engine train --json`` (JSON values)."""
        reason = {} if self.activation_reason is None else {"activation_reason": self.activation_reason}
        return {
            "model_type": self.kind,
            "model_name": self.name,
            "model_id": self.model_id,
            "model_version": self.version,
            "training_status": "completed",
            "performance_metrics": self.performance_metrics.to_mapping(),
            "training_time": self.performance_metrics.training_time,
            "timestamp": to_iso(self.completed),
            "persisted": self.persisted,
            "active": self.active,
            "algorithms": list(self.algorithms),
            "cleaning": self.cleaning.to_mapping(),
            "reading": self.reading.to_mapping(),
            **reason,
        }

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> TrainingResult:
        """Return what `to_mapping` wrote (JSON values).

        Raises
        ------
        KeyError, TypeError, ValueError
            If anything else was given.
        """
        return cls(
            kind=given["model_type"],
            name=given["model_name"],
            version=given["model_version"],
            model_id=given["model_id"],
            active=given["active"],
            performance_metrics=TrainingMetrics.from_mapping(given["performance_metrics"]),
            completed=datetime.fromisoformat(given["timestamp"]),
            algorithms=tuple(given["algorithms"]),
            cleaning=Cleaning.from_mapping(given["cleaning"]),
            reading=Reading.from_mapping(given["reading"]),
            activation_reason=given.get("activation_reason"),
            persisted=given["persisted"],
        )
