"""``workload_prediction``: forecasts as `recipes.forecast`, a level a step, and the pattern of each VM."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from ai_engine.telemetry.columns import Columns
from ai_engine.training.estimators.workload import WorkloadForecasterV1, bounds_of
from ai_engine.training.fleet_selection import slots_of_a_day
from ai_engine.training.grid import median_interval, stretches
from ai_engine.training.histories import histories
from ai_engine.training.progress import Part, Progress
from ai_engine.training.recipes.forecast import train as train_forecast
from ai_engine.training.recipes.protocol import Fitted
from ai_engine.training.request import TrainingRequest
from ai_engine.training.table import in_time_order, read_table
from ai_engine.training.timeline import cuts_of, moments_of
from ai_engine.training.workload_pattern import pattern_of

# Of the column's range over all VMs: who stays below in 95 % of the rows is idle.
IDLE: Final = 0.02


def train(request: TrainingRequest, rows: Columns, progress: Progress) -> Fitted:
    """Return a fitted `WorkloadForecasterV1`; see `Recipe`."""
    fitted = train_forecast(request, rows, Part(progress, 0.0, 0.9))
    progress(0.9, "telling the pattern of each VM")
    table = in_time_order(read_table(rows))
    cut, _ = cuts_of(table, request.validation_split)
    learned = table.take(np.flatnonzero(moments_of(table) < cut))
    target = fitted.targets[0]
    values = learned.numbers[target]
    by_vm = {vm: values[learned.vm_codes == code] for code, vm in enumerate(learned.vm_ids)}
    levels = {vm: bounds_of(own) for vm, own in by_vm.items() if not np.isnan(own).all()}
    known = values[~np.isnan(values)]
    idle_below = float(known.min() + IDLE * np.ptp(known))

    interval = median_interval(learned)
    day = slots_of_a_day(interval)
    told: dict[str, Any] = {}  # JSON values
    if day is not None:
        for history in histories(list(stretches(learned, interval, (target,))), target, day):
            told[str(history.vm)] = pattern_of(history.values, day, idle_below)
    return replace(
        fitted,
        estimator=WorkloadForecasterV1(fitted.estimator, target, levels),
        metadata={**fitted.metadata, "patterns": told},
        measure=lambda other: fitted.measure(
            other.forecaster if isinstance(other, WorkloadForecasterV1) else other
        ),
    )
