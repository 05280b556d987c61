"""The forecast of one series that needs no training: formulas, weighted by what they would have been worth.

`training/formulas.py` has the formulas (the last value, values of earlier seasons at that time, recent
levels); here their weights come from windows of the very history, the interval from later windows than those,
and what is told of both from windows later still. Nothing is said of a window by what followed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from ai_engine.control_plane.tracks import MOST_SLOTS, Track
from ai_engine.training.arrays import BoolArray, FloatArray, IntArray
from ai_engine.training.estimators.beliefs import SHARPNESS, combined, group_of
from ai_engine.training.estimators.fleet import measured_steps
from ai_engine.training.formulas import DAY_SECONDS, WEEK, Formulas
from ai_engine.training.grid import Clock, median_interval, stretches
from ai_engine.training.histories import History, histories
from ai_engine.training.intervals import conformal_radius
from ai_engine.training.season import SHORTEST, season_steps
from ai_engine.training.table import Table

# Three windows: one to weigh the formulas on, one for the interval, and one to measure that on.
LEAST_POINTS: Final = 4
MOST_WINDOWS: Final = 40
# Windows that are measured with one interval, that of all before them.
MOST_BLOCKS: Final = 6
# A week of minutes.
MOST_STEPS: Final = 10_080
# Of 10 % of the range around a value: what CONTRACT calls accuracy of numbers.
NEAR: Final = 0.1


@dataclass(frozen=True, slots=True)
class Forecast:
    """What follows a series.

    Attributes
    ----------
    name : str
        The metric.
    expected, lower, upper : array, shape (n_steps,)
        In the unit of the series; the ends of the 90 % interval.
    interval : float or None
        Seconds between steps; None where the points have no times.
    last : float or None
        The moment of the last point, seconds of the epoch.
    points : int
        How many points it rests on.
    measured_steps : int
        So far ahead errors were measured; steps beyond are as uncertain as the last one of these.
    season : int
        Steps after which the formulas look for a repetition.
    checked : int
        How many later values it was measured on.
    inside : float
        The share of these inside the interval, by the rule of succession: (k + 1) / (n + 2) says less of few.
    near : float
        The share of these that lie within a tenth of the series' range of what was foretold.
    mae, baseline_mae : float
        Mean absolute error on these, and that of carrying the last value forward.
    """

    name: str
    expected: FloatArray
    lower: FloatArray
    upper: FloatArray
    interval: float | None
    last: float | None
    points: int
    measured_steps: int
    season: int
    checked: int
    inside: float
    near: float
    mae: float
    baseline_mae: float

    @property
    def skill(self) -> float:
        """Return 1 - mae / baseline_mae; 0 where the baseline makes no error: nothing can be better."""
        return 1 - self.mae / self.baseline_mae if self.baseline_mae > 0 else 0.0

    def peak(self, bound: FloatArray) -> float:
        """Return the highest value of one of the arrays over the horizon."""
        return float(bound.max())


def succession(held: int, of: int) -> float:
    """Return what share to expect after something held so many times: of few times less than what was seen.

    References
    ----------
    Laplace (1814), Essai philosophique sur les probabilités, on the rule of succession.

    Examples
    --------
    >>> succession(1, 1), succession(98, 98)
    (0.6666666666666666, 0.99)
    """
    return (held + 1) / (of + 2)


def steps_of(track: Track, minutes: float) -> int:
    """Return how many steps of a track's rhythm some minutes are, one at least.

    Points without times are taken to be a minute apart.
    """
    interval = interval_of(track) or 60.0
    return max(1, int(np.ceil(minutes * 60 / interval - 1e-9)))


def interval_of(track: Track) -> float | None:
    """Return the seconds between two points of a track; None where they have no times."""
    return median_interval(_table(track))


def forecast(track: Track, steps: int) -> Forecast | None:
    """Return what follows a track; None where it is shorter than `LEAST_POINTS`.

    Parameters
    ----------
    track : Track
    steps : int
        How many steps of its rhythm, from 1 to `MOST_STEPS`.

    References
    ----------
    Bates & Granger (1969), Operational Research Quarterly 20(4), 451-468: weights by past errors. Lei et al.
    (2018), JASA 113(523), 1094-1111: intervals from errors that the fit has not seen. Tashman (2000), Int. J.
    Forecasting 16(4), 437-450: errors measured by moving the origin.
    """
    interval = interval_of(track)
    history = history_of(track, interval)
    if len(history) < LEAST_POINTS or len(track) < LEAST_POINTS:
        return None
    seasons = _seasons(history, interval, steps)
    windows = _Windows(history, seasons, steps)
    first, later = windows.parts()
    share = windows.shares(first)
    expected_later = windows.expected(later, share)
    seen = windows.seen(later)
    radius = windows.radius(np.abs(seen - expected_later))
    inside, checked = windows.covered(seen, expected_later)
    known = ~np.isnan(seen)
    errors = np.abs(seen - expected_later)[known]
    naive = np.abs(seen - windows.levels(later)[..., 0])[known]
    reach = NEAR * float(np.ptp(history.values))
    expected, width = windows.ahead(windows.shares(np.concatenate([first, later])), radius)
    lower, upper = expected - width, expected + width
    if float(history.values.min()) >= 0:  # never seen below: then none is foretold
        expected, lower, upper = (np.maximum(one, 0.0) for one in (expected, lower, upper))
    return Forecast(
        name=track.name,
        expected=expected,
        lower=lower,
        upper=upper,
        interval=interval,
        last=None if track.times is None else float(track.times[-1]),
        points=len(track),
        measured_steps=int(windows.judged[-1]),
        season=seasons[0],
        checked=checked,
        inside=inside,
        near=float((errors <= reach + 1e-12).mean()),
        mae=float(errors.mean()),
        baseline_mae=float(naive.mean()),
    )


class _Windows:
    """The windows of a history, and the formulas in each."""

    def __init__(self, history: History, seasons: Sequence[int], steps: int) -> None:
        self._history, self._steps = history, np.arange(1, steps + 1)
        n = len(history)
        reach = (n - 1) // 3 if n < 12 else (n - 1) // 2
        self.judged = measured_steps(min(steps, reach))
        span = int(self.judged[-1])
        earliest = 0 if n < 12 else max(1, min(n // 3, n - 1 - span - MOST_WINDOWS))
        origins = np.unique(np.linspace(earliest, n - 1 - span, MOST_WINDOWS).round().astype(np.intp))
        self._origins = origins
        self._spans = max(1.0, (n - earliest) / span)
        formulas = [Formulas(history, season) for season in seasons]
        past = np.broadcast_to(self.judged, (len(origins), len(self.judged)))
        self._past = _joined([one.at(origins, past).levels for one in formulas])
        self._now = _joined([one.at(np.array([n - 1]), self._steps[None, :]).levels for one in formulas])
        self._groups = group_of(self.judged)
        slots = origins[:, None] + self.judged
        self._seen = np.where(history.observed[slots], history.values[slots], np.nan)
        if np.isnan(self._seen).all():  # windows that fall into gaps: what was filled is all there is
            self._seen = history.values[slots]

    def parts(self) -> tuple[IntArray, IntArray]:
        """Return the windows to weigh formulas on, and the later ones to measure on: both with a value."""
        known = np.flatnonzero(~np.isnan(self._seen).all(axis=1))
        half = max(1, len(known) // 2)
        return known[:half], known[half:] if len(known) > half else known

    def levels(self, windows: IntArray) -> FloatArray:
        return self._past[windows]

    def seen(self, windows: IntArray) -> FloatArray:
        return self._seen[windows]

    def shares(self, windows: IntArray) -> FloatArray:
        """Return how much each formula counts, by step group; those unknown in most windows do not."""
        errors = np.abs(self._past[windows] - self._seen[windows][..., None])
        n_groups = int(self._groups[-1]) + 1
        means = np.full((n_groups, errors.shape[-1]), np.inf)
        overall, enough = _mean_known(errors.reshape(-1, errors.shape[-1]))
        for group in range(n_groups):
            part = errors[:, self._groups == group].reshape(-1, errors.shape[-1])
            mean, known = _mean_known(part)
            # Few windows tell little of one group: half of it is the mean over all steps.
            means[group] = np.where(known & enough, (mean + overall) / 2, np.inf)
        means[:, 0] = np.where(np.isfinite(means[:, 0]), means[:, 0], overall[0] if enough[0] else 1.0)
        least = np.maximum(means.min(axis=1, keepdims=True), 1e-12)
        share = (least / np.maximum(means, least)) ** SHARPNESS
        normed: FloatArray = share / share.sum(axis=1, keepdims=True)
        return normed

    def expected(self, windows: IntArray, share: FloatArray) -> FloatArray:
        """Return what would have been foretold, shape (n_windows, n_judged)."""
        return combined(self._past[windows], np.broadcast_to(share[self._groups], self._past[windows].shape))

    def radius(self, errors: FloatArray) -> FloatArray:
        """Return half the width of the interval by step group; it never shrinks with the step."""
        n_groups = int(self._groups[-1]) + 1
        radius = np.zeros(n_groups)
        for group in range(n_groups):
            part = errors[:, self._groups == group].reshape(-1, 1)
            radius[group] = conformal_radius(part, self._spans)[0]
        widest: FloatArray = np.maximum.accumulate(radius)
        return widest

    def covered(self, seen: FloatArray, expected: FloatArray) -> tuple[float, int]:
        """Return the share of values inside the interval of the windows before, and how many these are."""
        inside = count = 0
        errors = np.abs(seen - expected)
        edges = np.unique(np.linspace(1, len(seen), MOST_BLOCKS + 1).round().astype(np.intp))
        for start, end in pairwise(edges.tolist()):
            radius = self.radius(errors[:start])[self._groups]
            known = ~np.isnan(errors[start:end])
            inside += int(((errors[start:end] <= radius + 1e-12) & known).sum())
            count += int(known.sum())
        return (succession(inside, count) if count else 0.0), count

    def ahead(self, share: FloatArray, radius: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return what is foretold, and half the widths, each of shape (n_steps,)."""
        groups = np.minimum(group_of(self._steps), len(share) - 1)
        levels = self._now[0]
        return combined(levels, np.broadcast_to(share[groups], levels.shape)), radius[groups]


def _joined(parts: Sequence[FloatArray]) -> FloatArray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def _mean_known(errors: FloatArray) -> tuple[FloatArray, BoolArray]:
    known = ~np.isnan(errors)
    count = known.sum(axis=0)
    total = np.where(known, errors, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.inf), 2 * count >= max(len(errors), 1)


def _seasons(history: History, interval: float | None, steps: int) -> list[int]:
    """Return the seasons that the formulas look back by: a day, where two were seen, and what repeats itself.

    Formulas look back by at most a week of seasons; a multiple of a season is one too.
    """
    n = len(history)
    day = round(DAY_SECONDS / interval) if interval else 0
    repeated = season_steps([history.values], None)
    found = [day] if SHORTEST <= day <= n // 2 else []
    # A repetition that the day is a multiple of tells nothing new, but for the levels within it.
    found += [repeated] if repeated and repeated != day else []
    if not found:
        found = [int(np.clip(day or n, SHORTEST, max(SHORTEST, n)))]
    return [one * max(1, -(-steps // (WEEK * one))) for one in found]


def history_of(track: Track, interval: float | None) -> History:
    """Return the last stretch of a track on a regular grid."""
    if interval is None or track.times is None:
        clock = Clock(0.0, 1.0, timed=False)
        values = track.values
        return History(None, clock, values, np.ones(len(values), dtype=bool))
    day = max(2, round(DAY_SECONDS / interval))
    found = histories(list(stretches(_table(track), interval, (track.name,))), track.name, day)
    last = found[-1]
    if len(last) <= MOST_SLOTS:
        return last
    cut = len(last) - MOST_SLOTS
    return History(None, last.clock.from_slot(cut), last.values[cut:], last.observed[cut:])


def _table(track: Track) -> Table:
    n = len(track)
    return Table(
        {track.name: track.values}, {}, track.times, np.zeros(n, dtype=np.intp), (None,), np.arange(n), {}
    )
