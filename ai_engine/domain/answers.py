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
    """One training of a model, or an attempt at one; `version` is None where it made none.

    `job_id` is None of what was no job, and what comes behind it of what nobody kept account of. Seconds are
    those of the processor; they and the memory are None where the process did other things besides.
    """

    name: str
    version: str | None
    started: datetime | None
    completed: datetime | None
    dataset_size: int | None
    hyperparameters: dict[str, Any]
    validation_score: float | None
    job_id: str | None
    attempt: int | None
    outcome: str | None
    error: str | None
    ended: datetime | None
    host: str | None
    cpu_seconds: float | None
    peak_memory_bytes: int | None


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


class LastOutcome(TypedDict):
    """What came of the last time that a schedule was due; moments are ISO 8601."""

    outcome: str
    at: str
    version: str | None
    active: bool | None
    reason: str | None
    job_id: str | None


class ScheduleAnswer(TypedDict):
    """When and from what a model is trained again; moments are ISO 8601, `training` is how (JSON values)."""

    model_name: str
    model_type: str
    source: str
    files: str
    every_seconds: float | None
    rows: int | None
    next_at: str | None
    last: LastOutcome | None
    failures: int
    warning: str | None
    set_by: str
    set_at: str
    training: dict[str, Any]


class ScheduleHealth(TypedDict):
    """A schedule at a glance."""

    model_name: str
    next_at: str | None
    last: LastOutcome | None
    warning: str | None


class HealthAnswer(TypedDict):
    """How the engine is; `schedules` is None where the database cannot be read."""

    status: str
    version: str
    uptime_seconds: float
    persistence: Persistence
    active_models: dict[str, str]
    schedules: list[ScheduleHealth] | None
    warnings: list[str]


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
