"""Rows of many metrics judged by what came before them.

A row is unusual by its values, or by how far they have moved from where they lately were. The second survives
a shift of level: after half of the window the new level is what is usual. Alarms have to stand out from the
scores of the last days as well, so that a shift is told once and not for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np

from ai_engine.training.arrays import BoolArray, FloatArray
from ai_engine.training.estimators.detectors import Detector, RobustDeviationV1, column_parts
from ai_engine.training.estimators.trailing import trailing_mean, trailing_median, trailing_quantile

# Rows: half a day of minutes, two and a half days of five minutes. On four SMD machines 360 to 1,440 differed
# by less than what the next machine differs.
MEDIAN_ROWS: Final = 720
# Anomalies of servers last minutes; one odd row among usual ones is noise.
MEAN_ROWS: Final = 15
# An alarm stands out from the scores of the last week: it lies three times as far beyond their upper quartile
# as that lies from their median, which of normal scores is one row in three hundred. So a lasting shift is
# flagged for a quarter of a week, and then it is what is usual.
MEMORY_SECONDS: Final = 7 * 86_400
MEMORY_ROWS: Final = (1_000, 10_080)  # the least and the most, which is also that of rows without times
MEMORY_SHARE: Final = 0.75
REACH: Final = 3.0
# With fewer rows before it a row has no context, and is judged by itself.
LEAST_ROWS: Final = 50
# Rows that one detector is fitted on.
MOST_ROWS: Final = 100_000


@dataclass(frozen=True, slots=True)
class PastV1:
    """What is remembered of one VM, for the rows to come to be judged in its context.

    Attributes
    ----------
    times : array, shape (n_rows,)
        When the rows were taken, epoch seconds; their numbers where there are no times.
    rows : array, shape (n_rows, n_columns)
        The newest rows.
    scores : array, shape (n_scores,)
        The newest scores.
    low, high : array, shape (n_columns,)
        The extremes of all rows before those that are kept.
    """

    times: FloatArray
    rows: FloatArray
    scores: FloatArray
    low: FloatArray
    high: FloatArray

    def before(self, moment: float) -> PastV1 | None:
        """Return what of it came before a moment; None if nothing did."""
        known = int(np.searchsorted(self.times, moment, side="left"))
        if known == len(self.times):
            return self
        if known == 0:
            return None
        later = len(self.times) - known
        scores = self.scores[: max(len(self.scores) - later, 0)]
        return PastV1(self.times[:known], self.rows[:known], scores, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is thought of the rows of one VM; not stored.

    Attributes
    ----------
    scores : array, shape (n_rows,)
        In multiples of the threshold; higher is more anomalous.
    flags : array of bool, shape (n_rows,)
        Which rows are anomalies.
    parts : array, shape (n_rows, n_columns)
        What each column adds to a score, from 0.
    """

    scores: FloatArray
    flags: BoolArray
    parts: FloatArray


class Context(Protocol):
    """Judges the rows of one VM, in time order, by those before them."""

    def judge(self, rows: FloatArray, past: PastV1 | None) -> Judgement:
        """Return what is thought of rows, shape (n_rows, n_columns), that follow the past."""
        ...

    def remember(self, times: FloatArray, rows: FloatArray, most_rows: int) -> PastV1:
        """Return the past that rows are, for those that follow them; at most so many of them are kept."""
        ...


@dataclass(frozen=True, slots=True)
class TailV1:
    """How rare a score is: minus the logarithm of the share of training rows that score higher.

    Attributes
    ----------
    levels, nats : array, shape (n_levels,)
        Scores, ascending, and how rare each is.
    scale : float
        The mean excess over the last level. Beyond it the tail is taken to be exponential, which is the limit
        of excesses over a high threshold for every distribution with a light tail.

    References
    ----------
    Balkema & de Haan (1974), Annals of Probability 2(5), 792-804; Pickands (1975), Annals of Statistics 3(1).
    """

    levels: FloatArray
    nats: FloatArray
    scale: float

    @classmethod
    def of(cls, scores: FloatArray) -> TailV1:
        """Return the tail of training scores.

        Examples
        --------
        >>> tail = TailV1.of(np.arange(1000.0))
        >>> tail.rarity(np.array([0.0, 499.5, 899.1])).round(2).tolist()
        [0.0, 0.69, 2.3]
        """
        shares = np.linspace(0, 0.98, 99)
        levels = np.quantile(scores, shares)
        excess = scores[scores > levels[-1]] - levels[-1]
        least = max(1e-3 * float(np.abs(scores).max()), 1e-9)
        scale = max(float(excess.mean()) if len(excess) else 0.0, least)
        return cls(levels, -np.log1p(-shares), scale)

    def rarity(self, scores: FloatArray) -> FloatArray:
        """Return how rare scores are, in nats: 0 is usual, 4.6 is one in a hundred."""
        inside = np.interp(scores, self.levels, self.nats)
        beyond = np.maximum(scores - self.levels[-1], 0.0) / self.scale
        rarity: FloatArray = inside + beyond
        return rarity


@dataclass(frozen=True, slots=True)
class ContextV1:
    """The rarity of the values plus that of their distances from their trailing medians.

    Attributes
    ----------
    level, change : Detector
        Fitted on the values, and on the values less their trailing medians.
    level_spread, change_spread : RobustDeviationV1
        Fitted on the same, to tell which columns are unusual.
    level_tail, change_tail : TailV1
        Of the trailing means of their scores.
    memory_rows : int
        How many rows before it an alarm has to stand out from.
    memory_shares : pair of float
        A lower and an upper share of them.
    usual : pair of float
        The scores that these shares of the training rows stay below.
    reach : float
        An alarm lies so many times the distance of the two quantiles beyond the upper one.
    threshold : float
        A row with a higher score, that stands out, is an anomaly.

    References
    ----------
    Mahalanobis (1936) for the detectors that are used unless others are asked for; Fisher (1932), Statistical
    Methods for Research Workers, 4th ed., sec. 21.1, on adding logarithms of two probabilities.
    """

    level: Detector
    change: Detector
    level_spread: RobustDeviationV1
    change_spread: RobustDeviationV1
    level_tail: TailV1
    change_tail: TailV1
    memory_rows: int
    memory_shares: tuple[float, float]
    usual: tuple[float, float]
    reach: float
    threshold: float

    @classmethod
    def fitted(
        cls,
        level: Detector,
        change: Detector,
        vms: list[FloatArray],
        contamination: float,
        interval: float | None = None,
    ) -> ContextV1:
        """Fit two detectors on the rows of each VM, in time order, shape (n_rows, n_columns).

        Parameters
        ----------
        level, change : Detector
            New ones.
        vms : list of array
            The training rows.
        contamination : float
            The share of them to be flagged.
        interval : float, optional
            Seconds between two rows.
        """
        changes = [rows - trailing_median(rows, MEDIAN_ROWS) for rows in vms]
        every = -(-sum(map(len, vms)) // MOST_ROWS)
        spreads = RobustDeviationV1(), RobustDeviationV1()
        for parts, detectors in ((vms, (level, spreads[0])), (changes, (change, spreads[1]))):
            for one in detectors:
                one.fit(np.concatenate(parts)[::every], None)
        averaged = [
            [trailing_mean(one.scores(rows), MEAN_ROWS) for rows in parts]
            for one, parts in ((level, vms), (change, changes))
        ]
        tails = [TailV1.of(np.concatenate(scores)) for scores in averaged]
        scores = [tails[0].rarity(a) + tails[1].rarity(b) for a, b in zip(*averaged, strict=True)]
        every_score = np.concatenate(scores)
        threshold = float(np.quantile(every_score, 1 - contamination))
        # What is flagged often cannot stand out from what is usual: the shares make room for it.
        upper = min(MEMORY_SHARE, 1 - 2 * contamination)
        shares_of_memory = 2 / 3 * upper, upper
        usual = float(np.quantile(every_score, shares_of_memory[0])), float(np.quantile(every_score, upper))
        room = 0.8 * (threshold - usual[1]) / max(usual[1] - usual[0], 1e-9)
        rows_of_memory = MEMORY_ROWS[1]
        if interval:
            rows_of_memory = min(max(round(MEMORY_SECONDS / interval), MEMORY_ROWS[0]), MEMORY_ROWS[1])
        made = cls(
            *(level, change, spreads[0], spreads[1], tails[0], tails[1]),
            *(rows_of_memory, shares_of_memory, usual, min(max(room, 0.0), REACH), threshold),
        )
        standing_out = np.concatenate([np.where(one > made._limits(one), one, 0.0) for one in scores])
        return replace(made, threshold=max(float(np.quantile(standing_out, 1 - contamination)), 1e-9))

    def judge(self, rows: FloatArray, past: PastV1 | None) -> Judgement:
        """Return what is thought of rows that follow the past; see `Context`."""
        known = 0 if past is None else len(past.rows)
        seen = rows if past is None else np.concatenate([past.rows, rows])
        changes = seen - trailing_median(seen, MEDIAN_ROWS)
        level = self.level_tail.rarity(trailing_mean(self.level.scores(seen), MEAN_ROWS))[known:]
        change = self.change_tail.rarity(trailing_mean(self.change.scores(changes), MEAN_ROWS))[known:]
        scores = level + change
        earlier = scores[:0] if past is None else past.scores
        limits = self._limits(np.concatenate([earlier, scores]))[len(earlier) :]
        flags = (scores > self.threshold) & (scores > limits)
        by_level = trailing_mean(column_parts(self.level, self.level_spread, seen), MEAN_ROWS)[known:]
        by_change = trailing_mean(column_parts(self.change, self.change_spread, changes), MEAN_ROWS)[known:]
        parts = level[:, None] * shares(by_level) + change[:, None] * shares(by_change)
        return Judgement(scores / self.threshold, flags, parts)

    def remember(self, times: FloatArray, rows: FloatArray, most_rows: int) -> PastV1:
        """Return the past that rows are; see `Context`."""
        kept = min(MEDIAN_ROWS + MEAN_ROWS, most_rows)
        scores = self.judge(rows[-(self.memory_rows + MEDIAN_ROWS) :], None).scores * self.threshold
        scores = scores[-min(self.memory_rows, 10 * most_rows) :]
        return PastV1(times[-kept:], rows[-kept:], scores, rows.min(axis=0), rows.max(axis=0))

    def _limits(self, scores: FloatArray) -> FloatArray:
        """Return what a score has to exceed to stand out from those before it, shape (n_rows,)."""
        lower, upper = (
            trailing_quantile(scores, self.memory_rows, share, usual)
            for share, usual in zip(self.memory_shares, self.usual, strict=True)
        )
        limits: FloatArray = upper + self.reach * (upper - lower)
        return limits


def shares(parts: FloatArray) -> FloatArray:
    """Return parts as shares of their sum in each row, equal ones where all are 0."""
    sums = parts.sum(axis=1, keepdims=True)
    shares: FloatArray = np.where(sums > 0, parts / np.where(sums > 0, sums, 1.0), 1 / parts.shape[1])
    return shares
