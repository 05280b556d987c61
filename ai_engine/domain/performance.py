"""The measured quality of a version."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, SupportsFloat, SupportsIndex

from ai_engine.domain import clock
from ai_engine.domain.errors import InvalidInputError

# The numbers of a measurement, in the order of the database's columns.
REALS = ("mae", "mse", "r2", "accuracy_score", "confidence_score", "training_time", "prediction_time")
COUNTS = ("training_samples", "feature_count")
NUMBERS = REALS + COUNTS
# Which way a metric is better; any other says nothing about quality.
LOWER_IS_BETTER = frozenset(("mae", "mse", "training_time", "prediction_time"))
HIGHER_IS_BETTER = frozenset(("r2", "accuracy_score", "confidence_score", "skill"))
# Other metrics of a measurement, and the characters of a name: enough for a report, too few for a series.
_MOST_METRICS, _LONGEST_NAME = 200, 100


@dataclass(frozen=True, slots=True)
class ModelPerformance:
    """One measurement of one version. Any number may be left out or None: unknown, never made up.

    Attributes
    ----------
    mae, mse : float or None
        Mean absolute and mean squared error, in the unit of the target and in its square.
    r2 : float or None
        Coefficient of determination; 1 is perfect, 0 is the mean's, it has no lower bound.
    training_time, prediction_time : float or None
        Seconds.
    accuracy_score, confidence_score : float or None
        Shares, 0 to 1.
    last_updated : datetime
        When it was measured, by default now; a naive one is local time.
    training_samples, feature_count : int or None
        Rows that the fit saw, and columns of its input.
    metrics : mapping of str to float or None
        Any other numbers by name, such as ``{"auc": 0.91}``.

    Examples
    --------
    >>> ModelPerformance(mae=0.5, metrics={"auc": 0.91}).metrics["auc"]
    0.91
    """

    mae: float | None = None
    mse: float | None = None
    r2: float | None = None
    training_time: float | None = None
    prediction_time: float | None = None
    accuracy_score: float | None = None
    confidence_score: float | None = None
    last_updated: datetime | None = field(default_factory=clock.now)
    training_samples: int | None = None
    feature_count: int | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict, hash=False)


def checked(performance: ModelPerformance) -> ModelPerformance:
    """Return a measurement whose numbers are all such that they can be stored.

    Raises
    ------
    InvalidInputError
        Naming the first that is not.
    """
    if performance.last_updated is not None:
        performance = replace(
            performance, last_updated=clock.checked("last_updated", performance.last_updated)
        )
    numbers: dict[str, Any] = {real: measured(real, getattr(performance, real)) for real in REALS}
    numbers |= {count: counted(count, getattr(performance, count)) for count in COUNTS}
    return replace(performance, **numbers, metrics=named(performance.metrics))


def named(metrics: Mapping[str, SupportsFloat | SupportsIndex | None]) -> dict[str, float | None]:
    """Return the metrics that a caller named, each as a float.

    Raises
    ------
    InvalidInputError
        If a name or a number cannot be stored.
    """
    if not metrics:
        return {}
    if not isinstance(metrics, Mapping):
        raise InvalidInputError("metrics", f"is a {type(metrics).__name__}; give a dict of numbers by name")
    if len(metrics) > _MOST_METRICS:
        raise InvalidInputError("metrics", f"has {len(metrics)} numbers; {_MOST_METRICS} are the most")
    for name in metrics:
        if name in NUMBERS:
            raise InvalidInputError(f"metrics.{name}", f"has a place of its own; give {name}=")
        if not is_metric_name(name):
            raise InvalidInputError(
                "metrics",
                f"{name!r:.80} is no name of a metric; use 1 to {_LONGEST_NAME} printable ASCII characters "
                "without quotes and backslashes",
            )
    return {str(name): measured(f"metrics.{name}", value) for name, value in metrics.items()}


def is_metric_name(name: object) -> bool:
    """Tell whether a metric may be called so: what JSON and a filter spell as it is."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= _LONGEST_NAME
        and name.isascii()
        and name.isprintable()
        and not {'"', "\\"} & set(name)
    )


def measured(field: str, value: SupportsFloat | SupportsIndex | None) -> float | None:
    """Return `value` as a float; None for None and for NaN, which are the same: unknown.

    Raises
    ------
    InvalidInputError
        If it is not a number.
    """
    if value is None:
        return None
    if type(value) is float:  # by far the most of them
        return None if value != value else value
    if isinstance(value, (str, bytes)):
        raise InvalidInputError(
            field, f"{value!r} is text, not a number; give a number, or None where it is unknown"
        )
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInputError(field, f"{value!r} is not a number; give a number, or None") from error
    return None if math.isnan(number) else number


def counted(field: str, value: SupportsFloat | SupportsIndex | None) -> int | None:
    """Return `value` as an int that a 64-bit column holds; None for None and for NaN.

    Raises
    ------
    InvalidInputError
        If it is not a whole number, or too large.
    """
    number = measured(field, value)
    if value is None or number is None:
        return None
    try:
        whole = operator.index(value)  # type: ignore[arg-type]  # a float is what the except clause is for
    except TypeError:
        if not number.is_integer():
            raise InvalidInputError(field, f"{value!r} is not a whole number") from None
        whole = int(number)
    if not -(2**63) <= whole < 2**63:
        raise InvalidInputError(field, f"{value!r} does not fit into 64 bits")
    return whole
