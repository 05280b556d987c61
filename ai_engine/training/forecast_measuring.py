"""Measure forecasters on held-out rows: the one that was made, and others that are stored."""

from __future__ import annotations

from typing import Any

import numpy as np

from ai_engine.training.estimators.fleet import FleetForecasterV1
from ai_engine.training.estimators.forecaster import ForecasterV1
from ai_engine.training.evaluation import measure_numbers
from ai_engine.training.fleet_measuring import measured_error
from ai_engine.training.forecast_selection import MEASURED, Choice
from ai_engine.training.grid import series_of
from ai_engine.training.held_out_forecasts import HeldOutForecasts
from ai_engine.training.histories import History
from ai_engine.training.metrics import TargetMetrics
from ai_engine.training.timeline import Timeline
from ai_engine.training.windows import Windows


def foretold(estimator: ForecasterV1, data: Timeline, choice: Choice, horizon: int) -> HeldOutForecasts:
    """Return what is foretold of one target over all held-out windows and steps."""
    target = choice.forecast.target
    windows = _held_out(estimator, data, target, horizon)
    assert windows is not None
    observed = windows.observed()
    centre, lower, upper = estimator.forecast_of(target).ahead(windows)
    naive = windows.last_values()[:, None] + choice.simple.ahead(windows)
    known = ~np.isnan(observed)
    window, step = np.nonzero(known)
    vms = [stretch.vm for stretch in data.stretches for _ in series_of(stretch, target, ())]
    return HeldOutForecasts(
        histories=tuple(
            History(vm, one.clock, one.values, one.observed)
            for vm, one in zip(vms, windows.series, strict=True)
        ),
        series=np.repeat(np.arange(len(vms)), [len(at) for at in windows.origins])[window],
        origins=np.concatenate(windows.origins)[window],
        steps=step + 1,
        observed=observed[known],
        centre=centre[known],
        lower=lower[known],
        upper=upper[known],
        baseline=naive[known],
    )


def metrics_of(found: HeldOutForecasts, data: Timeline, target: str) -> TargetMetrics:
    """Return the measures of what was foretold of one target."""
    return measure_numbers(
        found.observed,
        found.centre,
        found.lower,
        found.upper,
        found.baseline,
        training_range=_training_range(data, target),
    )


def _training_range(data: Timeline, target: str) -> float:
    """Return the highest less the lowest training value of a target."""
    known = np.concatenate([stretch.cells[target] for stretch in data.learned])
    known = known[~np.isnan(known)]
    return float(np.ptp(known)) if len(known) else 0.0


def error_of(other: Any, data: Timeline, target: str, horizon: int) -> float | None:
    """Return the error of another stored model (any object) on the held-out rows, or None."""
    if isinstance(other, FleetForecasterV1):
        return measured_error(other, data.stretches, target, horizon, data.cut)
    windows = _held_out(other, data, target, horizon) if isinstance(other, ForecasterV1) else None
    if windows is None:
        return None
    observed = windows.observed()
    centre, _, _ = other.forecast_of(target).ahead(windows)
    return float(np.nanmean(np.abs(observed - centre)))


def _held_out(estimator: ForecasterV1, data: Timeline, target: str, horizon: int) -> Windows | None:
    windows = estimator.windows(data.stretches, target, horizon, data.cut)
    return None if windows is None else windows.at_most(max(1, MEASURED // horizon))
