"""The bodies of requests and answers, as the OpenAPI document tells them.

Answers are sent as they are made and not read through these classes again; the tests compare the two.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.kinds import BUILT_IN

# Cells are checked against the model's columns, which no schema here knows.
Row = dict[str, Any]


class Request(BaseModel):
    """A body that is refused where it has a field that does not exist."""

    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())


class Reply(BaseModel):
    """A body that may have more fields in a later version."""

    model_config = ConfigDict(protected_namespaces=())


class TrainRequest(Request):
    """A training: the kind of model, the rows, and how to train on them."""

    model_type: str = Field(
        description=f"One of {', '.join(BUILT_IN)}, or what an installed package adds.",
        examples=list(BUILT_IN),
    )
    training_data: list[Row] = Field(min_length=1, description="One object a row, of one or many VMs.")
    name: str | None = Field(None, description="Default: the name of the model type, where it has one.")
    target_columns: list[str] | None = Field(None, description="What to predict.")
    validation_split: float = Field(0.2, gt=0, lt=1, description="Share of the rows to measure on.")
    hyperparameters: dict[str, Any] | None = None
    time_column: str | None = Field(
        None, description="Default: `timestamp`, or what shows itself as the time."
    )
    group_column: str | None = Field(
        None, description="Default: `vm_id`, or another usual name of a machine."
    )
    activate: bool | Literal["if_better", "always"] = True
    rename: dict[str, str] | None = Field(None, description="Columns of the rows to names of yours.")
    preset: Literal["node_exporter", "libvirt_exporter", "vcenter"] | None = Field(
        None, description="An exporter whose names of columns are known."
    )


class ActivateRequest(Request):
    """The version to activate."""

    version: str = Field(min_length=1, max_length=1000)


class PredictRequest(Request):
    """The rows to predict from."""

    data: list[Row] = Field(min_length=1, description="The newest rows last; at least one.")
    version: str | None = Field(None, max_length=1000, description="Default: the active one.")
    horizon: int | None = Field(None, ge=1, le=1_000_000, description="Steps ahead, for forecasts.")
    candidates: list[Row] | None = Field(
        None,
        min_length=1,
        description="For migrations: the hosts that it may go to, each with `host` and what is known of it, "
        "such as `cpu_percent`, `memory_percent`, `cpu_cores`, `memory_mb`. `data` is then one row.",
    )


class Problem(Reply):
    """An error: what is wrong, and what to do about it (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = Field(None, description="By field, where the input is invalid.")


class Numbers(Reply):
    """Numbers measured on rows held out of the training; null is unknown."""

    mae: float | None
    mse: float | None
    r2: float | None
    training_time: float | None = Field(description="Seconds.")
    prediction_time: float | None = Field(description="Seconds.")
    accuracy_score: float | None
    confidence_score: float | None
    training_samples: int | None
    feature_count: int | None
    metrics: dict[str, float | None] = Field(description="Any others, by name.")


class Performance(Numbers):
    """A measurement and its time."""

    last_updated: str | None


class TargetMetrics(Reply):
    """Metrics of one target on rows held out of the training; null where one does not apply."""

    mae: float | None = Field(description="Mean absolute error, in the target's unit.")
    mse: float | None = Field(description="Mean squared error.")
    r2: float | None
    accuracy_score: float | None = Field(
        description="Share of correct rows; for numbers, share within 10 % of the target's training range."
    )
    confidence_score: float | None = Field(description="Share of values inside their 90 % interval.")
    baseline_mae: float | None = Field(description="Mean absolute error of a baseline.")
    skill: float | None = Field(description="1 - mae / baseline_mae.")


class TrainingMetrics(TargetMetrics):
    """The measures of a training: those of its first target, and of each by its name.

    A kind of training that another package adds may have measures of its own.
    """

    model_config = ConfigDict(extra="allow", protected_namespaces=())
    __pydantic_extra__: dict[str, float | None] = Field(init=False)

    baseline: str | None = Field(description="The simple answer that `skill` compares with.")
    training_time: float = Field(description="Seconds.")
    prediction_time: float | None = Field(description="Seconds for a row.")
    training_samples: int
    validation_samples: int
    feature_count: int
    precision: float | None = Field(None, description="For anomalies with labels, as are the next two.")
    recall: float | None = None
    f1: float | None = None
    flagged_share: float | None = Field(None, description="For anomalies: share of the rows held out.")
    by_target: dict[str, TargetMetrics]


class IgnoredColumn(Reply):
    """A column that is not used."""

    column: str
    why: str


class Reading(Reply):
    """What was understood of the rows."""

    time_column: str | None
    group_column: str | None
    time_unit: Literal["iso8601", "s", "ms", "us", "ns"] | None
    interval_seconds: float | None
    groups: int = Field(description="Machines; 1 where nothing says so.")
    rows_used: int
    features: list[str]
    targets: list[str]
    ignored: list[IgnoredColumn]
    repaired: dict[str, int] = Field(description="What was done, to how many rows or cells.")
    renamed: dict[str, str] = Field(description="Columns as they were called, and as they are called now.")


class TrainReply(Reply):
    """The version that a training made."""

    model_type: str
    model_name: str
    model_id: str
    model_version: str
    training_status: Literal["completed"]
    performance_metrics: TrainingMetrics
    training_time: float = Field(description="Seconds.")
    timestamp: str
    persisted: bool
    active: bool
    algorithms: list[str] = Field(description="Algorithms that were fitted and are in the version.")
    cleaning: dict[str, int | dict[str, int] | list[str]] = Field(
        description="How rows were cleaned, and how many; columns with missing values or ignored."
    )
    reading: Reading
    activation_reason: str | None = Field(
        None, description="Why it was activated or not, where versions were compared."
    )


class Run(Reply):
    """One training, or an attempt at one that made no version."""

    name: str
    version: str | None = Field(description="What it made.")
    started: str | None
    completed: str | None
    dataset_size: int | None
    hyperparameters: dict[str, Any]
    validation_score: float | None
    job_id: str | None = Field(description="The job, which can be looked up for a week; others have none.")
    attempt: int | None
    outcome: Literal["completed", "failed", "cancelled", "handed back", "died"] | None
    error: str | None = Field(description="Why it made no version.")
    ended: str | None
    host: str | None
    cpu_seconds: float | None
    peak_memory_bytes: int | None


class Version(Reply):
    """One immutable save of a model."""

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
    metric_count: int
    avg_accuracy: float | None
    last_metric_update: str | None
    digest: str | None
    format: str
    size: int | None
    python: str | None
    packages: dict[str, str]
    pinned: bool
    saved_by: str | None = Field(description="Who saved it, where that is known.")
    performance: Numbers | None = Field(description="The newest measurement.")


class VersionWithHistory(Version):
    """A version and its training history."""

    training_history: list[Run] = Field(description="Newest first.")


class VersionsReply(Reply):
    """Every version of a model, newest first."""

    model_name: str
    versions: list[VersionWithHistory]
    total_versions: int
    attempts_without_version: list[Run] = Field(description="Newest first, at most a thousand.")


class TrainingsReply(Reply):
    """Every training of a model, newest first, and every attempt that made no version."""

    model_name: str
    training_history: list[Run]


class SystemInfo(Reply):
    """Where the models are stored."""

    model_manager_active: bool
    persistence_enabled: bool
    db_path: str


class InfoReply(Reply):
    """A page of versions."""

    models: list[Version]
    total_models: int = Field(description="Versions over all pages.")
    source: Literal["database", "memory"]
    system_info: SystemInfo
    next_page_token: str | None


class ModelInfo(Reply):
    """A model, by its active version, or by its newest one where none is active."""

    name: str
    active_version: str | None
    versions: int = Field(description="How many it has.")
    version: str = Field(description="The one that the rest is about.")
    model_id: str
    model_type: str | None
    algorithms: list[Any]
    created_at: str | None
    updated_at: str | None
    size: int | None = Field(description="Bytes.")
    metric_count: int
    avg_accuracy: float | None
    last_metric_update: str | None
    performance: Numbers | None = Field(description="The newest measurement.")


class ModelsReply(Reply):
    """A page of models."""

    models: list[ModelInfo]
    total_models: int = Field(description="Models over all pages.")
    source: Literal["database", "memory"]
    next_page_token: str | None


class PerformanceReply(Reply):
    """The measurements of a version."""

    model_name: str
    version: str
    performance: Performance | None
    history: list[Performance] = Field(description="Oldest first.")


class MetricComparison(Reply):
    """One metric side by side."""

    values: dict[str, float | None]
    differences: dict[str, float | None] = Field(description="To the first version.")
    better: Literal["lower", "higher"] | None
    best: str | None


class CompareReply(Reply):
    """Metrics of several versions, with their differences to the first one."""

    model_name: str
    versions: list[str]
    compared_with: str
    metrics: dict[str, MetricComparison]


class PointerReply(Reply):
    """The active version, and the one that was active before."""

    model_name: str
    version: str
    previous_version: str | None


class Removed(Reply):
    """A version that was removed."""

    name: str
    version: str


class CleanupReply(Reply):
    """The versions that a clean-up removed."""

    status: Literal["success"]
    message: str
    timestamp: str
    removed: list[Removed]
    freed_bytes: int
    dry_run: bool


class Contribution(Reply):
    """A column's part in what makes a row anomalous."""

    column: str
    share: float


class Prediction(Reply):
    """A prediction; each kind of model gives some of the fields.

    A forecast has `vm_id`, `step`, `timestamp`, and for each target `name`, `name_lower` and `name_upper`, of
    a workload `level`, too; an anomaly `is_anomaly`, `score`, `severity` and `contributing_metrics`; a
    migration `duration_s` with its bounds, `downtime_s` and `failure_probability`; others `value`, with
    `lower` and `upper` or with `probabilities`.
    """

    model_config = ConfigDict(extra="allow", protected_namespaces=())
    __pydantic_extra__: dict[str, float | None] = Field(init=False)

    vm_id: str | int | None = None
    step: int | None = Field(None, description="From 1; the first follows the last row.")
    timestamp: str | None = None
    is_anomaly: bool | None = None
    score: float | None = Field(None, description="Higher is more anomalous.")
    severity: Literal["normal", "low", "medium", "high", "critical"] | None = None
    contributing_metrics: list[Contribution] | None = Field(None, description="The largest share first.")
    level: Literal["idle", "low", "normal", "high"] | None = Field(
        None, description="By the VM's own history, for workloads."
    )
    value: bool | int | float | str | None = None
    lower: float | None = Field(None, description="Of the 90 % interval, as `upper`.")
    upper: float | None = None
    probabilities: dict[str, float] | None = Field(None, description="By class.")


class RankedHost(Reply):
    """A host that a migration may go to."""

    host: str | int
    score: float = Field(description="0 to 1: how near the expected time is to the best, times the room.")
    duration_s: float
    failure_probability: float | None = None
    reasons: list[str] = Field(description="What the place rests on, in words.")


class PredictReply(Reply):
    """Predictions: one for each row, or, for forecasts, one for each VM and step."""

    model_name: str
    version: str
    predictions: list[Prediction]
    ranking: list[RankedHost] | None = Field(None, description="With `candidates`: the best host first.")


class Persistence(Reply):
    """Whether changes are stored durably, and what still waits for the database."""

    enabled: bool
    reason: str | None
    waiting: int
    in_memory_only: int
    database: str
    journal: str | None


class LastOutcome(Reply):
    """What came of the last time that a schedule was due."""

    outcome: Literal["queued", "completed", "failed", "cancelled", "unchanged", "skipped", "unreadable"]
    at: str
    version: str | None
    active: bool | None
    reason: str | None = Field(description="Why the version is active or not, or why there is none.")
    job_id: str | None


class ScheduleAtAGlance(Reply):
    """A schedule, in the health of the engine."""

    model_name: str
    next_at: str | None
    last: LastOutcome | None
    warning: str | None


class HealthReply(Reply):
    """The health of the engine."""

    status: Literal["healthy", "degraded"]
    version: str
    uptime_seconds: float
    persistence: Persistence
    active_models: dict[str, str]
    schedules: list[ScheduleAtAGlance] | None = Field(
        description="A hundred at most, first those with a warning; null while the database cannot be read."
    )
    warnings: list[str] = Field(description="What somebody should do something about.")
    timestamp: str
    components: dict[str, str] = Field(description="How each part is: database, models, trainings.")


class LiveReply(Reply):
    """The process is alive."""

    status: Literal["alive"]


class ReadyReply(Reply):
    """Models can be served."""

    status: Literal["ready"]


_Body = TypeVar("_Body", bound=Request)

# Where pydantic's words are for programmers.
_TOLD = {
    "missing": "is missing",
    "extra_forbidden": "there is no such field",
    "too_short": "is empty; give at least one row",
    "dict_type": 'is not an object; a row is one, such as {"cpu": 12.5}',
    "string_type": "is not a string",
    "int_type": "is not a whole number",
    "list_type": "is not a list; give a list of rows",
}


def read(schema: type[_Body], body: dict[str, Any]) -> _Body:
    """Validate a body (JSON values) and return it as its class. Raises InvalidInputError naming the field."""
    try:
        return schema.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        named = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        fields = f"; the fields are {', '.join(schema.model_fields)}"
        known = fields if first["type"] in ("extra_forbidden", "missing") else ""
        message = _TOLD.get(first["type"], first["msg"])
        raise InvalidInputError(named.lstrip("."), f"{message[:1].lower()}{message[1:]}{known}") from None
