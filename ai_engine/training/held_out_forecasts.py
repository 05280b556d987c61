"""Forecasts of held-out rows beside what came: by step ahead, by machine, and a few of them whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ai_engine.training.arrays import BoolArray, FloatArray, IntArray
from ai_engine.training.calibration import intervals_told
from ai_engine.training.evaluation import skill
from ai_engine.training.findings import Findings, rounded
from ai_engine.training.groups import GroupErrors, by_group_told, worst_told
from ai_engine.training.histories import History
from ai_engine.training.table import iso_utc

# Longer horizons are told in groups of steps, narrow ones first.
MOST_STEPS: Final = 24
# Of a longer window every n-th step is shown, and so many slots before it.
MOST_POINTS: Final = 120
# Of very many targets the first ones are told in detail.
MOST_TARGETS: Final = 10
TARGETS_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class HeldOutForecasts:
    """What was foretold of the held-out rows of one target, and what came; flat arrays of one length.

    Attributes
    ----------
    histories : tuple of History
        The series, with all of their rows.
    series, origins, steps : array of int
        For each forecast its position in `histories`, the slot of the last known value, and the step ahead.
    observed, centre, lower, upper, baseline : array
        What came, the forecast with its 90 % interval, and what the baseline says, in the target's unit.
    """

    histories: tuple[History, ...]
    series: IntArray
    origins: IntArray
    steps: IntArray
    observed: FloatArray
    centre: FloatArray
    lower: FloatArray
    upper: FloatArray
    baseline: FloatArray

    @property
    def error(self) -> FloatArray:
        """Return the absolute errors."""
        return np.abs(self.observed - self.centre)

    @property
    def inside(self) -> BoolArray:
        """Return where the value is inside its interval."""
        inside: BoolArray = (self.lower <= self.observed) & (self.observed <= self.upper)
        return inside


def findings_of(by_target: Mapping[str, HeldOutForecasts], cut: float) -> Findings:
    """Return what a report tells of forecasts.

    Parameters
    ----------
    by_target : mapping of str to HeldOutForecasts
        The first target first.
    cut : float
        The moment from which on rows are held out.
    """
    told = dict(list(by_target.items())[:MOST_TARGETS])
    groups = {target: _group_errors(found, cut).each() for target, found in told.items()}
    named = any(one["group"] is not None for each in groups.values() for one in each)
    return Findings(
        by_horizon={target: _by_step(found) for target, found in told.items()},
        by_group={target: by_group_told(each, in_time=True) for target, each in groups.items()}
        if named
        else None,
        calibration={
            "intervals": {
                target: intervals_told(found.observed, found.lower, found.upper, found.baseline)
                for target, found in told.items()
            },
            "reliability": None,
        },
        forecast={
            target: _windows(found, [one["group"] for one in sorted(groups[target], key=_mae)])
            for target, found in list(told.items())[:TARGETS_SHOWN]
        },
        worst={target: worst_told(each) for target, each in groups.items()} if named else None,
    )


def _mae(one: Mapping[str, Any]) -> float:
    return float(one["mae"] or 0.0)


def _by_step(found: HeldOutForecasts) -> list[dict[str, Any]]:
    """Return the errors by step ahead, of steps together where there are very many (JSON values)."""
    horizon = int(found.steps.max())
    ends = np.unique(np.geomspace(1, horizon, MOST_STEPS).round().astype(np.intp))
    if horizon <= MOST_STEPS:
        ends = np.arange(1, horizon + 1)
    place = np.searchsorted(ends, found.steps)
    count = np.bincount(place, minlength=len(ends))
    some = np.maximum(count, 1)
    mae = np.bincount(place, found.error, len(ends)) / some
    baseline = np.bincount(place, np.abs(found.observed - found.baseline), len(ends)) / some
    inside = np.bincount(place, found.inside.astype(np.float64), len(ends)) / some
    return [
        {
            "from_step": int(ends[at - 1]) + 1 if at else 1,
            "to_step": int(ends[at]),
            "mae": rounded(float(mae[at])),
            "baseline_mae": rounded(float(baseline[at])),
            "skill": rounded(skill(float(mae[at]), float(baseline[at]))),
            "coverage": rounded(float(inside[at])),
            "forecasts": int(count[at]),
        }
        for at in np.flatnonzero(count).tolist()
    ]


def _group_errors(found: HeldOutForecasts, cut: float) -> GroupErrors:
    """Return the errors by machine, with the denominators of their MASE."""
    names: dict[tuple[type, object], int] = {}
    group = np.array([names.setdefault((type(one.vm), one.vm), len(names)) for one in found.histories])
    change, count = np.zeros(len(names)), np.zeros(len(names))
    for code, history in zip(group.tolist(), found.histories, strict=True):
        past = history.until(cut)
        known = past.observed[1:] & past.observed[:-1]
        change[code] += float(np.abs(np.diff(past.values))[known].sum())
        count[code] += int(known.sum())
    slots = np.unique(np.column_stack([found.series, found.origins + found.steps]), axis=0)
    return GroupErrors(
        names=tuple(vm for _, vm in names),
        codes=group[found.series],
        error=found.error,
        baseline_error=np.abs(found.observed - found.baseline),
        inside=found.inside.astype(np.float64),
        rows=np.bincount(group[slots[:, 0]], minlength=len(names)),
        naive=np.where(count > 0, change / np.maximum(count, 1), np.nan),
    )


def _windows(found: HeldOutForecasts, best_first: Sequence[Any]) -> list[dict[str, Any]]:
    """Return windows of the machine in the middle and of the worst one: a usual one and the worst of each."""
    shown = []
    machines = {"median": (len(best_first) - 1) // 2, "worst": len(best_first) - 1}
    for of, place in machines.items():
        if of == "worst" and place == machines["median"]:
            continue
        vm = best_first[place]
        own = [
            number for number, one in enumerate(found.histories) if (type(one.vm), one.vm) == (type(vm), vm)
        ]
        rows = np.flatnonzero(np.isin(found.series, own))
        windows, place_of = np.unique(
            np.column_stack([found.series[rows], found.origins[rows]]), axis=0, return_inverse=True
        )
        place_of = place_of.ravel()
        mae = np.bincount(place_of, found.error[rows]) / np.bincount(place_of)
        order = np.argsort(mae, kind="stable")
        places = {"usual": (len(order) - 1) // 2, "worst": len(order) - 1}
        for kind, window in places.items():
            if kind == "worst" and window == places["usual"]:
                continue
            number, origin = windows[order[window]].tolist()
            at = rows[place_of == order[window]]
            what = "the machine" if len(best_first) == 1 else f"the {of} machine"
            shown.append(_window(found, number, origin, at) | {"shown": f"{kind} window of {what}"})
    return shown


def _window(found: HeldOutForecasts, number: int, origin: int, at: IntArray) -> dict[str, Any]:
    """Return one window with what came before it (JSON values)."""
    history = found.histories[number]
    at = at[np.argsort(found.steps[at])]
    stride = -(-len(at) // MOST_POINTS)
    at = at[stride - 1 :: stride] if stride > 1 else at
    before = np.arange(max(0, origin - stride * min(len(at) * 2, MOST_POINTS)), origin + 1)[::-1][::stride]
    before = before[::-1]
    past = np.where(history.observed, history.values, np.nan)[before]
    clock = history.clock

    def listed(values: FloatArray) -> list[float | None]:
        return [rounded(value) for value in values.tolist()]

    return {
        "group": history.vm,
        "origin": iso_utc(clock.start + origin * clock.interval) if clock.timed else None,
        "interval_seconds": rounded(clock.interval) if clock.timed else None,
        "past_steps": (before - origin).tolist(),
        "past": listed(past),
        "steps": found.steps[at].tolist(),
        "observed": listed(found.observed[at]),
        "centre": listed(found.centre[at]),
        "lower": listed(found.lower[at]),
        "upper": listed(found.upper[at]),
    }
