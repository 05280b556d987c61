"""The forecast of one series that needs no training: formulas, weighted by what they would have been worth.

`training/formulas.py` has the formulas (the last value, values of earlier seasons at that time, recent
levels); here their weights come from windows of the very history, the interval from later windows than those,
and what is told of both from windows later still. Nothing is said of a window by what followed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ai_engine.control_plane.derivations.windows import Measured, Places, measured
from ai_engine.control_plane.tracks import MOST_SLOTS, Track
from ai_engine.training.arrays import FloatArray
from ai_engine.training.formulas import DAY_SECONDS, WEEK, Formulas
from ai_engine.training.grid import Clock, median_interval, stretches
from ai_engine.training.histories import History, histories
from ai_engine.training.season import SHORTEST, season_steps
from ai_engine.training.table import Table

# Of two points one error is known, that of the last value. From four on the interval is measured too.
LEAST_POINTS: Final = 2
ENOUGH: Final = 4
MOST_WINDOWS: Final = 40
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
        0 where no interval could be measured.
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
        See `windows.measured` for how it is weighed and measured.
    """
    interval = interval_of(track)
    history = history_of(track, interval)
    if len(history) < LEAST_POINTS or len(track) < LEAST_POINTS:
        return None
    seasons = _seasons(history, interval, steps)
    places = Places.of(len(history), steps, MOST_WINDOWS)
    formulas = [Formulas(history, season) for season in seasons]
    asked = np.broadcast_to(places.judged, (len(places.origins), len(places.judged)))
    past = np.concatenate([one.at(places.origins, asked).levels for one in formulas], axis=-1)
    end, ahead = np.array([len(history) - 1]), np.arange(1, steps + 1)[None, :]
    now = np.concatenate([one.at(end, ahead).levels for one in formulas], axis=-1)
    slots = places.origins[:, None] + places.judged
    seen = np.where(history.observed[slots], history.values[slots], np.nan)
    if np.isnan(seen).all():  # windows that fall into gaps: what was filled is all there is
        seen = history.values[slots]
    found = measured(past[None], seen[None], now, places)
    return told_of(track, history.values, interval, places, seasons[0], found, 0)


def told_of(
    track: Track,
    values: FloatArray,
    interval: float | None,
    places: Places,
    season: int,
    found: Measured,
    number: int,
) -> Forecast:
    """Return the forecast of one of the series that were measured.

    Parameters
    ----------
    values : array
        Of the track, on a grid.
    number : int
        Which of `found` it is.
    """
    expected, width = found.expected[number], found.width[number]
    lower, upper = expected - width, expected + width
    if float(values.min()) >= 0:  # never seen below: then none is foretold
        expected, lower, upper = (np.maximum(one, 0.0) for one in (expected, lower, upper))
    known = ~np.isnan(found.errors[number])
    errors, naive = found.errors[number][known], found.naive[number][known]
    checked = int(found.checked[number])
    return Forecast(
        name=track.name,
        expected=expected,
        lower=lower,
        upper=upper,
        interval=interval,
        last=None if track.times is None else float(track.times[-1]),
        points=len(track),
        measured_steps=int(places.judged[-1]),
        season=season,
        checked=checked,
        inside=succession(int(found.held[number]), checked) if checked else 0.0,
        near=float((errors <= NEAR * float(np.ptp(values)) + 1e-12).mean()),
        mae=float(errors.mean()),
        baseline_mae=float(naive.mean()),
    )


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
    """Return the last history of a track, between gaps of more than two weeks, on a regular grid."""
    if interval is None or track.times is None:
        clock = Clock(0.0, 1.0, timed=False)
        values = track.values
        return History(None, clock, values, np.ones(len(values), dtype=bool))
    day = max(2, round(DAY_SECONDS / interval))
    found = histories(list(stretches(_table(track), interval, (track.name,))), track.name, day)
    # A lone point after weeks of nothing is no history; what was before it is.
    last = found[-1] if len(found[-1]) >= ENOUGH else max(found, key=len)
    if len(last) <= MOST_SLOTS:
        return last
    cut = len(last) - MOST_SLOTS
    return History(None, last.clock.from_slot(cut), last.values[cut:], last.observed[cut:])


def _table(track: Track) -> Table:
    n = len(track)
    return Table(
        {track.name: track.values}, {}, track.times, np.zeros(n, dtype=np.intp), (None,), np.arange(n), {}
    )
