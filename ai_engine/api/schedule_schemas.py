"""Schedules in requests and answers, as the OpenAPI document tells them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ai_engine.api.schemas import LastOutcome, Reply, Request
from ai_engine.training.kinds import BUILT_IN


class ScheduleRequest(Request):
    """When a model is trained again, from which files, and how."""

    source: str = Field(
        min_length=1,
        max_length=4000,
        description="A file below the directory that the operator named in `AI_ENGINE_SOURCES`, or a pattern "
        "of such, such as `telemetry/{date}.csv` or `exports/*.parquet`.",
    )
    files: Literal["newest", "all"] = Field("newest", description="Which of the files that fit.")
    every: str | float | None = Field(
        None, description="How often, such as `6h` or `30d`, or a number of seconds.", examples=["6h"]
    )
    rows: int | None = Field(None, ge=1, description="Train before that once so many new rows have come.")
    model_type: str | None = Field(
        None,
        description=f"One of {', '.join(BUILT_IN)}, or what an installed package adds. Default: that of the "
        "newest version.",
    )
    target_columns: list[str] | None = Field(None, description="What to predict.")
    validation_split: float | None = Field(None, gt=0, lt=1, description="Default: 0.2.")
    hyperparameters: dict[str, Any] | None = None
    time_column: str | None = None
    group_column: str | None = None
    activate: bool | Literal["if_better", "always"] = "if_better"
    rename: dict[str, str] | None = None
    preset: Literal["node_exporter", "libvirt_exporter", "vcenter"] | None = None


class ScheduledTraining(Reply):
    """How a model is trained again."""

    target_columns: list[str] | None
    time_column: str | None
    group_column: str | None
    validation_split: float
    hyperparameters: dict[str, Any] = Field(description="The given ones, and the defaults.")
    activate: bool | Literal["if_better", "always"]
    rename: dict[str, str]
    preset: str | None


class ScheduleReply(Reply):
    """When a model is trained again, from which files, and what came of the last time."""

    model_name: str
    model_type: str
    source: str
    files: Literal["newest", "all"]
    every_seconds: float | None
    rows: int | None
    next_at: str | None = Field(description="Where only rows count, there is none.")
    last: LastOutcome | None
    failures: int = Field(description="Trainings that failed since the last that made a version.")
    warning: str | None = Field(description="What somebody should do something about.")
    set_by: str
    set_at: str
    training: ScheduledTraining


class SchedulesReply(Reply):
    """Schedules, by the names of their models."""

    schedules: list[ScheduleReply]
    total_schedules: int
    next_page_token: str | None
