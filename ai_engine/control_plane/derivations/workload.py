"""What kind of workload a metric shows: its season and how strong it is, its trend, its peaks and lows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from ai_engine.control_plane.derivations.series import history_of, interval_of
from ai_engine.control_plane.tracks import Track, resource_of
from ai_engine.training.arrays import FloatArray
from ai_engine.training.formulas import DAY_SECONDS, WEEK
from ai_engine.training.season import season_steps
from ai_engine.training.workload_pattern import STRONG, pattern_of, season_strength

# Fewer are on a straight line, whatever they are of.
LEAST_POINTS: Final = 4
# Of the mean: a metric that moves less about it is steady. A rule of ours; no data set labels workloads.
STEADY: Final = 0.1
# Of the mean of the other resources: the one that is used that much more gives the workload its name.
DOMINANT: Final = 1.5
# Peaks and lows that are told.
MOST_MOMENTS: Final = 3
_PERCENT: Final = 100.0


@dataclass(frozen=True, slots=True)
class Season:
    """A season.

    Attributes
    ----------
    steps : int
        Its length in steps of the series.
    seconds : float
        Its length.
    strength : float
        The share of the variance about the mean of each cycle that its phase explains, 0 to 1.
    cycles : int
        How many whole cycles were seen.
    amplitude : float
        From the lowest to the highest mean of a phase, in the unit of the series.
    """

    steps: int
    seconds: float
    strength: float
    cycles: int
    amplitude: float

    @property
    def name(self) -> str:
        """Return what it is called."""
        named = {DAY_SECONDS: "daily", WEEK * DAY_SECONDS: "weekly", 3600.0: "hourly"}
        return next(
            (name for length, name in named.items() if abs(self.seconds - length) < 0.02 * length), "periodic"
        )


@dataclass(frozen=True, slots=True)
class Workload:
    """What a metric shows.

    Attributes
    ----------
    name : str
        The metric.
    kind : str
        ``idle``, ``steady``, ``periodic``, ``trending`` or ``bursty``.
    season : Season or None
        The strongest one; None where there were not two cycles of any.
    trend : float
        The share of the variance that a straight line explains.
    rise : float
        What the line rises from the first to the last point, in the unit of the metric.
    certainty : float
        The share of the variance that speaks for the kind, or of the points, 0 to 1; `certainty_is` names it.
    certainty_is : str
    mean, p05, p95, peak, variation : float
        Of the points; the last is the standard deviation over the mean.
    peaks, lows : tuple of float
        Moments of the highest and the lowest values of the last cycles, seconds of the epoch.
    points : int
    span : pair of float or None
        The first and the last moment.
    """

    name: str
    kind: str
    season: Season | None
    trend: float
    rise: float
    certainty: float
    certainty_is: str
    mean: float
    p05: float
    p95: float
    peak: float
    variation: float
    peaks: tuple[float, ...]
    lows: tuple[float, ...]
    points: int
    span: tuple[float, float] | None

    @property
    def is_seasonal(self) -> bool:
        """Tell whether a season explains enough to speak of one."""
        return self.season is not None and self.season.strength >= STRONG


def workload_of(track: Track) -> Workload | None:
    """Return what a track shows; None where it is shorter than `LEAST_POINTS`.

    References
    ----------
    Wang, Smith & Hyndman (2006), Data Mining and Knowledge Discovery 13(3), 335-364, for the strengths of
    season and trend. Which strength gives which name is a rule of ours: no open data set labels workloads.
    """
    if len(track) < LEAST_POINTS:
        return None
    interval = interval_of(track)
    history = history_of(track, interval)
    values = history.values
    if len(values) < LEAST_POINTS:
        return None
    mean, deviation = float(values.mean()), float(values.std())
    low, high = (float(one) for one in np.quantile(values, (0.05, 0.95)))
    season = strongest_season(values, interval)
    # Idle is judged on the scale that the metric lives on: a share, percent, or what it was seen to reach.
    idle_below = 0.02 * _scale(values)
    steps = season.steps if season else len(values)
    told = pattern_of(values, steps, idle_below)
    variation = deviation / abs(mean) if mean else 0.0
    kind = told["pattern"]
    strength = season.strength if season else 0.0
    if kind != "idle":
        kind = "periodic" if strength >= STRONG else ("bursty" if kind == "periodic" else kind)
        if kind == "bursty" and variation <= STEADY:
            kind = "steady"
    near = float((np.abs(values - np.median(values)) <= STEADY * abs(mean) + 1e-12).mean())
    certainty, certainty_is = {
        "periodic": (strength, "share of the variance that the season explains"),
        "trending": (told["trend"], "share of the variance that a straight line explains"),
        "idle": (float((values <= idle_below).mean()), "share of the points at or below 2 % of the scale"),
        "steady": (near, "share of the points within a tenth of the mean around the median"),
        "bursty": (
            1 - max(strength, told["trend"]),
            "share of the variance that neither a season nor a line explains",
        ),
    }[kind]
    slope = float(np.polyfit(np.arange(len(values)), values, 1)[0]) if len(values) > 1 else 0.0
    peaks, lows = _extremes(track, season if season and strength >= STRONG else None)
    return Workload(
        name=track.name,
        kind=kind,
        season=season,
        trend=told["trend"],
        rise=slope * (len(values) - 1),
        certainty=certainty,
        certainty_is=certainty_is,
        mean=mean,
        p05=low,
        p95=high,
        peak=float(values.max()),
        variation=variation,
        peaks=peaks,
        lows=lows,
        points=len(track),
        span=None if track.times is None else (float(track.times[0]), float(track.times[-1])),
    )


def strongest_season(values: FloatArray, interval: float | None) -> Season | None:
    """Return the strongest season of at least two cycles: a day, a week, or what the values repeat after.

    Examples
    --------
    >>> found = strongest_season(np.tile([0.0, 1.0, 5.0, 1.0], 8), 3600.0)
    >>> found.steps, found.strength, found.seconds, found.amplitude
    (4, 1.0, 14400.0, 5.0)
    """
    lengths = [season_steps([values], None)]
    if interval:
        lengths += [round(DAY_SECONDS / interval), round(WEEK * DAY_SECONDS / interval)]
    trend = np.polyval(np.polyfit(np.arange(len(values)), values, 1), np.arange(len(values)))
    level = values - trend if float(np.ptp(values)) > 0 else values
    found = []
    for steps in dict.fromkeys(one for one in lengths if one and one >= 2):
        strength = season_strength(level, steps)
        if strength is None:
            continue
        cycles = len(values) // steps
        phases = values[len(values) - cycles * steps :].reshape(cycles, steps).mean(axis=0)
        seconds = steps * (interval or 60.0)
        found.append(Season(steps, seconds, strength, cycles, float(np.ptp(phases))))
    # Of equally strong ones the shortest: a multiple of a season is one as well.
    return max(found, key=lambda one: (round(one.strength, 2), -one.steps), default=None)


def dominant(workloads: Mapping[str, Workload]) -> str:
    """Return what a workload asks most of: ``cpu_intensive`` and the like, or ``balanced``.

    Only metrics on one scale are compared, shares or percents: what moves bytes a second is on none.
    """
    scales = {name: _scale(np.array([one.mean, one.peak])) for name, one in workloads.items()}
    common = max(scales.values(), default=0.0)
    alike = {
        name: workloads[name].mean / scale for name, scale in scales.items() if scale == common <= _PERCENT
    }
    if not alike:
        return "unknown"
    top = max(alike, key=lambda name: alike[name])
    others = [share for name, share in alike.items() if name != top]
    if others and alike[top] >= DOMINANT * float(np.mean(others)) and alike[top] > 0:
        return f"{resource_of(top)}_intensive"
    return "balanced" if others else f"{resource_of(top)}_only"


def _scale(values: FloatArray) -> float:
    """Return what full use is: 1 of shares, 100 of percents, else what was seen."""
    highest = float(np.abs(values).max())
    return 1.0 if highest <= 1 else _PERCENT if highest <= _PERCENT else highest


def _extremes(track: Track, season: Season | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the moments of the highest and lowest points of the last cycles, of all where none are."""
    if track.times is None:
        return (), ()
    end = float(track.times[-1])
    parts = [track.times <= end]
    if season is not None:
        edges = [end - season.seconds * back for back in range(min(MOST_MOMENTS, season.cycles) + 1)]
        parts = [(track.times > start) & (track.times <= stop) for stop, start in pairwise(edges)]
    peaks, lows = [], []
    for part in parts:
        if part.any():
            times, values = track.times[part], track.values[part]
            peaks.append(float(times[int(values.argmax())]))
            lows.append(float(times[int(values.argmin())]))
    return tuple(sorted(peaks)), tuple(sorted(lows))
