"""The shapes of what callers are answered, for their type checkers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict


class Numbers(TypedDict):
    """A measurement without its time; see `ModelPerformance`."""

    mae: float | None
    mse: float | None
    r2: float | None
    accuracy_score: float | None
    confidence_score: float | None
    training_time: float | None
    prediction_time: float | None
    training_samples: int | None
    feature_count: int | None
    metrics: Mapping[str, float | None]


class VersionInfo(TypedDict):
    """A version: its row, what is known of its bytes, and what was measured of it.

    Moments are text in UTC, as the database has them.
    """

    seq: int
    model_id: str
    name: str
    version: str
    model_type: str | None
    algorithms: list[Any]
    created_at: str | None
    updated_at: str | None
    is_active: bool
    model_path: str | None
    metadata: dict[str, Any]
    digest: str | None
    format: str
    size: int | None
    python: str | None
    packages: dict[str, str]
    pinned: bool
    saved_by: str | None
    metric_count: int
    avg_accuracy: float | None
    last_metric_update: str | None
    performance: Numbers | None


class ModelInfo(VersionInfo):
    """A model by its active version, or by its newest; `versions` is how many it has."""

    versions: int


class Listing(TypedDict):
    """A list of versions; `total` counts those that a limit left out, too."""

    models: list[VersionInfo]
    total: int


class ModelSummary(TypedDict):
    """A model at a glance; moments are ISO 8601."""

    name: str
    active_version: str | None
    versions: int
    version: str
    model_id: str
    model_type: str | None
    algorithms: list[Any]
    created_at: str | None
    updated_at: str | None
    size: int | None
    metric_count: int
    avg_accuracy: float | None
    last_metric_update: str | None
    performance: Numbers | None


class Overview(TypedDict):
    """A list of models; `total` counts those that a limit left out, too."""

    models: list[ModelSummary]
    total: int


class TrainingRecord(TypedDict):
    """One training of a model."""

    name: str
    version: str
    started: datetime | None
    completed: datetime | None
    dataset_size: int | None
    hyperparameters: dict[str, Any]
    validation_score: float | None


class Removed(TypedDict):
    """A version that a clean-up removed."""

    name: str
    version: str


class Cleanup(TypedDict):
    """What a clean-up came to."""

    removed: list[Removed]
    freed_bytes: int


class Pointer(TypedDict):
    """The active version of a model, and the one before."""

    version: str
    previous_version: str | None


class Pin(TypedDict):
    """Whether clean-ups keep a version."""

    model_name: str
    version: str
    pinned: bool


class MetricComparison(TypedDict):
    """A metric of several versions."""

    values: dict[str, float | None]
    differences: dict[str, float | None]
    better: str | None
    best: str | None


class Comparison(TypedDict):
    """Versions side by side."""

    model_name: str
    versions: list[str]
    compared_with: str
    metrics: dict[str, MetricComparison]


class Persistence(TypedDict):
    """Whether what is saved is durable, and why not."""

    enabled: bool
    reason: str | None
    waiting: int
    in_memory_only: int
    database: str
    journal: str | None


class HealthAnswer(TypedDict):
    """How the engine is."""

    status: str
    version: str
    uptime_seconds: float
    persistence: Persistence
    active_models: dict[str, str]


class FindingAnswer(TypedDict):
    """Something that is wrong."""

    severity: str
    kind: str
    subject: str
    detail: str
    repaired: bool


class Examination(TypedDict):
    """What `doctor` found."""

    healthy: bool
    findings: list[FindingAnswer]
    restored: list[str]
    lost: list[str]
    signed: list[str]


class BackupAnswer(TypedDict):
    """What was copied, and to where."""

    directory: str
    versions: int
    bytes: int
