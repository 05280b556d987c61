"""The report of a version as the OpenAPI document describes it."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from ai_engine.api.schemas import IgnoredColumn, Reading, Reply, TargetMetrics

Value = bool | int | float | str | None


class Cleaning(Reply):
    """What was done to the rows before anything learned from them."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())
    __pydantic_extra__: dict[str, int] = Field(init=False)

    missing_values: dict[str, int] = Field(description="By column.")
    columns_ignored: list[str]


class Period(Reply):
    """From when to when the rows are."""

    from_: str = Field(alias="from")
    to: str


class ReportData(Reading):
    """What was understood of the rows."""

    ignored: list[IgnoredColumn]
    period: Period | None = Field(description="Where the rows have times.")
    cleaning: Cleaning | None


class ReportSplit(Reply):
    """What was held out."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())
    __pydantic_extra__: dict[str, str | float | None] = Field(init=False)

    method: str
    validation_split: float
    refit: bool | None = Field(description="Whether the kept object was fitted once more on all rows.")


class StepErrors(Reply):
    """Errors of forecasts so many steps ahead."""

    from_step: int
    to_step: int
    mae: float | None
    baseline_mae: float | None
    skill: float | None
    coverage: float | None = Field(description="Share inside the 90 % interval.")
    forecasts: int


class GroupErrors(Reply):
    """Errors of one machine, or of another group of rows."""

    group: str | int | None
    mae: float | None
    baseline_mae: float | None
    skill: float | None
    mase: float | None = Field(description="Of forecasts; over `mase_denominator`.")
    coverage: float | None
    rows: int = Field(description="Held-out rows.")


class Groups(Reply):
    """The groups with the lowest and the highest skill, and how many there are."""

    groups: int
    worse_than_baseline: int
    mase_denominator: str | None
    named: list[GroupErrors] = Field(description="The lowest skill first.")
    unnamed: int


class Intervals(Reply):
    """How the 90 % intervals of a target held."""

    nominal: float
    observed: float | None
    mean_width: float | None
    interval_score: float | None
    scaled_interval_score: float | None = Field(description="Over the baseline's mean absolute error.")
    values: int


class Bin(Reply):
    """Answers that were given a probability between two."""

    from_: float = Field(alias="from")
    to: float
    predicted: float | None = Field(description="Their mean probability.")
    observed: float | None = Field(description="The share of right ones.")
    count: int


class Reliability(Reply):
    """How often the classes that were named were right."""

    expected_error: float | None
    bins: list[Bin]


class Calibration(Reply):
    """By target, how intervals and probabilities held."""

    intervals: dict[str, Intervals] | None
    reliability: dict[str, Reliability] | None


class Window(Reply):
    """A forecast of held-out rows beside what came."""

    shown: str
    group: str | int | None
    origin: str | None = Field(description="The time of the last known row.")
    interval_seconds: float | None
    past_steps: list[int]
    past: list[float | None]
    steps: list[int]
    observed: list[float | None]
    centre: list[float | None]
    lower: list[float | None]
    upper: list[float | None]


class ColumnImportance(Reply):
    """By how much the error grows where a column is shuffled."""

    column: str
    increase: float | None
    spread: float | None


class Importance(Reply):
    """The columns of a target, the one that matters most first."""

    measure: str
    rows: int
    repeats: int
    columns: list[ColumnImportance]
    unnamed: int


class ReportReply(Reply):
    """What a training understood, chose and measured; null where a kind has none of it."""

    data: ReportData | None
    split: ReportSplit | None
    leaderboard: dict[str, dict[str, float]] | None = Field(description="By target, errors of candidates.")
    metrics: dict[str, str | float | None] | None = Field(
        description="On the held-out rows; of versions that no training made, what was recorded last."
    )
    by_target: dict[str, TargetMetrics] | None
    by_horizon: dict[str, list[StepErrors]] | None = Field(description="By target.")
    by_group: dict[str, Groups] | None = Field(description="By target.")
    calibration: Calibration | None
    forecast: dict[str, list[Window]] | None = Field(description="By target, a few windows.")
    importance: dict[str, Importance] | None = Field(description="By target.")
    worst: dict[str, list[dict[str, Value]]] | None = Field(
        description="By target, the groups or else the rows with the largest errors."
    )
