"""The stored model of live migrations: how long one takes, how long it interrupts, whether it fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ai_engine.training.arrays import FloatArray
from ai_engine.training.encoding import EncodingV1
from ai_engine.training.estimators.protocol import RowEstimator
from ai_engine.training.estimators.tabular import refuse_horizon


@dataclass(frozen=True, slots=True)
class MeanV1:
    """The mean of what several models say.

    Attributes
    ----------
    members : tuple of object
        Each with ``predict``; scikit-learn's regressors have no type of their own.
    """

    members: tuple[Any, ...]

    def predict(self, x: FloatArray) -> FloatArray:
        """Return a number for each row of X, shape (n_rows,)."""
        means: FloatArray = np.mean([member.predict(x) for member in self.members], axis=0)
        return means


@dataclass(frozen=True, slots=True)
class MigrationV1(RowEstimator):
    """Foretells the duration of a migration, and its downtime and failure where such outcomes were known.

    Attributes
    ----------
    encoding : EncodingV1
        How rows become X.
    duration : object
        With ``predict``; of seconds.
    radius : float
        Half the width of the 90 % interval, in seconds, or as a share of the duration if `relative`.
    relative : bool
        Whether long migrations are less certain than short ones.
    target : str
        The column of durations.
    downtime : object or None
        With ``predict``; of seconds.
    failure : object or None
        With scikit-learn's ``predict_proba``, or a float: the same for every row.
    """

    encoding: EncodingV1
    duration: Any  # scikit-learn ships no types; so are the next two
    radius: float
    relative: bool
    target: str
    downtime: Any
    failure: Any

    def predict(self, rows: Sequence[Any], horizon: int | None = None) -> list[dict[str, Any]]:
        """Return one object a row, or raise InvalidInputError naming the column that rows lack.

        ``{duration_s, duration_s_lower, duration_s_upper, downtime_s?, failure_probability?}``, in seconds.
        """
        refuse_horizon(horizon)
        x = self.encoding.matrix_of_rows(rows)
        seconds = self.seconds(x)
        lower, upper = self.interval(seconds)
        columns = {"duration_s": seconds, "duration_s_lower": lower, "duration_s_upper": upper}
        if self.downtime is not None:
            columns["downtime_s"] = np.maximum(self.downtime.predict(x), 0.0)
        if isinstance(self.failure, float):
            columns["failure_probability"] = np.full(len(x), self.failure)
        elif self.failure is not None:
            columns["failure_probability"] = self.failure.predict_proba(x)[:, 1]
        values = zip(*(column.tolist() for column in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in values]

    def seconds(self, x: FloatArray) -> FloatArray:
        """Return the foretold durations of X, from 0, shape (n_rows,)."""
        return np.maximum(np.asarray(self.duration.predict(x), dtype=np.float64), 0.0)

    def interval(self, seconds: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return where 90 % of durations lie that are foretold so."""
        width = self.radius * seconds if self.relative else np.full(len(seconds), self.radius)
        return np.maximum(seconds - width, 0.0), seconds + width
