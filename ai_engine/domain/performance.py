"""The measured quality of a version."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, SupportsFloat, SupportsIndex

from ai_engine.domain import clock
from ai_engine.domain.errors import InvalidInputError

# The numbers of a measurement, in the order of the database's columns.
REALS = ("mae", "mse", "r2", "accuracy_score", "confidence_score", "training_time", "prediction_time")
COUNTS = ("training_samples", "feature_count")
NUMBERS = REALS + COUNTS


@dataclass(frozen=True, slots=True)
class ModelPerformance:
    """One measurement of one version. Any number may be None: unknown, never made up.

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
        When it was measured; a naive one is local time.
    training_samples, feature_count : int or None
        Rows that the fit saw, and columns of its input.
    """

    mae: float | None
    mse: float | None
    r2: float | None
    training_time: float | None
    prediction_time: float | None
    accuracy_score: float | None
    confidence_score: float | None
    last_updated: datetime | None
    training_samples: int | None = None
    feature_count: int | None = None


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
    return replace(performance, **numbers)


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
