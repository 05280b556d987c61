"""A single metric judged by its own past, and alarms that are raised once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ai_engine.training.arrays import BoolArray, FloatArray
from ai_engine.training.estimators.context import Judgement, PastV1
from ai_engine.training.estimators.trailing import lagged, trailing_deviation, trailing_mean

# Rows, unless they say otherwise. The signals were chosen on the 17 NAB files, each threshold by the others.
MEMORY_ROWS: Final = 2_000
SHORT_ROWS: Final = 24
LONG_ROWS: Final = 288
DAYS: Final = 7
# The same time of another day may be six rows earlier or later: people do not come at the same minute.
SLACK_ROWS: Final = 6
SMOOTH_ROWS: Final = 3
# Before so many rows a streaming mean and deviation are those of nothing.
BURN_IN_ROWS: Final = 50
# The least deviation of a signal, in spreads of the metric: a signal that was 0 so far is not divided by 0.
LEAST_DEVIATION: Final = 0.02
THRESHOLD: Final = 6.0
# No second alarm within half a day of five minutes, unless it is that much stronger.
HOLD_ROWS: Final = 144
STRONGER: Final = 1.5


@dataclass(frozen=True, slots=True)
class SeriesV1:
    """The highest of four signals, each in deviations from its mean over the last 2,000 rows.

    How far beyond all that was seen; the least distance to the same time of one to seven earlier days; the
    change of level and the change of spread of the last 24 rows against the 288 before them.

    Attributes
    ----------
    spread : float
        Of the metric in training.
    rows_a_day : int
        0: the rows do not tell the time of day.
    threshold : float
        A higher score is an alarm.
    hold : bool
        Whether an alarm is raised once; otherwise every row above the threshold is one.

    References
    ----------
    Ahmad et al. (2017), Neurocomputing 262, 134-147, on thresholds over the distribution of the last scores;
    Page (1954), Biometrika 41, on changes of level.
    """

    spread: float
    rows_a_day: int
    threshold: float
    hold: bool

    @classmethod
    def fitted(cls, vms: list[FloatArray], interval: float | None, contamination: float | None) -> SeriesV1:
        """Learn from the rows of each VM, in time order, shape (n_rows, 1).

        Parameters
        ----------
        vms : list of array
            The training rows.
        interval : float or None
            Seconds between two rows; None where they have no times.
        contamination : float or None
            The share of training rows to flag; None: alarms, each raised once.
        """
        values = np.concatenate(vms)[:, 0]
        low, high = np.percentile(values, [25, 75])
        size = float(np.abs(values).max())
        spread = max(float(high - low), float(values.std()), 1e-3 * size, 1e-12)
        rows_a_day = round(86_400 / interval) if interval else 0
        alarms = cls(spread, rows_a_day if rows_a_day >= 2 * SLACK_ROWS else 0, THRESHOLD, True)
        if contamination is None:
            return alarms
        scores = np.concatenate([alarms.deviations(rows[:, 0], None) for rows in vms])
        threshold = max(float(np.quantile(scores, 1 - contamination)), 1e-9)
        return cls(alarms.spread, alarms.rows_a_day, threshold, False)

    def deviations(self, values: FloatArray, seen: tuple[float, float] | None) -> FloatArray:
        """Return the highest deviation of the four signals, shape (n_rows,).

        Parameters
        ----------
        values : array, shape (n_rows,)
        seen : pair of float, optional
            The lowest and the highest value of all rows before the first one.
        """
        low, high = (values[0], values[0]) if seen is None else seen
        highest = np.maximum.accumulate(np.append(high, values))[:-1]
        lowest = np.minimum.accumulate(np.append(low, values))[:-1]
        beyond = np.maximum(np.maximum(values - highest, lowest - values), 0.0)
        level = trailing_mean(values, SHORT_ROWS) - lagged(trailing_mean(values, LONG_ROWS), SHORT_ROWS)
        spread = trailing_deviation(values, SHORT_ROWS) - lagged(
            trailing_deviation(values, LONG_ROWS), SHORT_ROWS
        )
        signals = [beyond, self._from_other_days(values), np.abs(level), np.abs(spread)]
        deviations: FloatArray = np.max([_streaming_z(signal / self.spread) for signal in signals], axis=0)
        return np.maximum(deviations, 0.0)

    def judge(self, rows: FloatArray, past: PastV1 | None) -> Judgement:
        """Return what is thought of rows that follow the past; see `Context`."""
        known = 0 if past is None else len(past.rows)
        values = rows[:, 0] if past is None else np.concatenate([past.rows, rows])[:, 0]
        seen = None if past is None else (float(past.low[0]), float(past.high[0]))
        scores = self.deviations(values, seen)
        flags = scores > self.threshold
        if self.hold:
            flags = raised_once(scores, self.threshold)
        return Judgement(scores[known:] / self.threshold, flags[known:], np.ones((len(rows), 1)))

    def remember(self, times: FloatArray, rows: FloatArray, most_rows: int) -> PastV1:
        """Return the past that rows are; see `Context`."""
        needed = MEMORY_ROWS + DAYS * self.rows_a_day + SLACK_ROWS + LONG_ROWS + SHORT_ROWS
        kept = max(min(needed, most_rows, len(rows)), 1)
        before = rows[: len(rows) - kept] if len(rows) > kept else rows[:1]
        return PastV1(times[-kept:], rows[-kept:], np.empty(0), before.min(axis=0), before.max(axis=0))

    def _from_other_days(self, values: FloatArray) -> FloatArray:
        """Return the least distance to the same time of an earlier day; 0 where no earlier day is known."""
        nearest = np.full(len(values), np.inf)
        for day in range(1, DAYS + 1) if self.rows_a_day else ():
            for slack in range(-SLACK_ROWS, SLACK_ROWS + 1):
                lag = day * self.rows_a_day + slack
                if lag < len(values):
                    np.minimum(nearest[lag:], np.abs(values[lag:] - values[:-lag]), out=nearest[lag:])
        return trailing_mean(np.where(np.isfinite(nearest), nearest, 0.0), SMOOTH_ROWS)


def raised_once(scores: FloatArray, threshold: float) -> BoolArray:
    """Return the rows that raise an alarm: above the threshold, and not soon after an alarm as strong.

    >>> raised_once(np.array([0.0, 7.0, 8.0, 11.0]), 6.0).tolist()
    [False, True, False, True]
    """
    flags = np.zeros(len(scores), dtype=np.bool_)
    last, strength = -HOLD_ROWS, 0.0
    for row in np.flatnonzero(scores > threshold).tolist():
        if row - last >= HOLD_ROWS or scores[row] > STRONGER * strength:
            flags[row] = True
            last, strength = row, float(scores[row])
    return flags


def _streaming_z(signal: FloatArray) -> FloatArray:
    """Return each row in deviations from the mean of the rows before it, 0 for the first ones."""
    mean = lagged(trailing_mean(signal, MEMORY_ROWS), 1)
    deviation = np.maximum(lagged(trailing_deviation(signal, MEMORY_ROWS), 1), LEAST_DEVIATION)
    z: FloatArray = (signal - mean) / deviation
    z[:BURN_IN_ROWS] = 0.0
    return z
