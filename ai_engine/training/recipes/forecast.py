"""``resource_prediction``: numeric columns of one or many VMs, every step ahead up to a horizon.

With six days of one VM before the held-out rows: one forecaster of the whole fleet, see `fleet_selection`.
With less, or without times, one model a target: the last value, the value one season before, the median of
the last values, a ridge regression a step, boosted trees on differences and on levels, and means of these.
There the choice and the 90 % intervals come from the second half of the training rows, each of its quarters
foretold by fits on what lies before it; the chosen one is then fitted on all training rows.

Either is measured once on the held-out rows, beside the simple answer that was best on training rows, and
then fitted again on all rows, unless ``refit`` is false: the numbers are those of before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Final

import numpy as np

from ai_engine.domain.errors import InvalidInputError
from ai_engine.telemetry.columns import Columns
from ai_engine.training.arrays import IntArray
from ai_engine.training.cells import TIMESTAMP, VM_ID
from ai_engine.training.estimators.forecaster import ForecasterV1
from ai_engine.training.fleet_selection import LEAST_DAYS, choose_fleet, long_enough
from ai_engine.training.fleet_trees import BUDGET as BUDGET_OF_FLEET
from ai_engine.training.forecast_measuring import error_of, foretold, metrics_of
from ai_engine.training.forecast_selection import (
    LEAST_BUDGET,
    Choice,
    choose,
    fitted_again,
    too_short,
)
from ai_engine.training.grid import median_interval, stretches
from ai_engine.training.held_out_forecasts import findings_of
from ai_engine.training.hyperparameters import AUTO
from ai_engine.training.progress import Part, Progress
from ai_engine.training.recipes.columns import cleaning_of, described, named_targets, varying
from ai_engine.training.recipes.protocol import Fitted
from ai_engine.training.request import TrainingRequest
from ai_engine.training.table import Table, in_time_order, read_table
from ai_engine.training.timeline import Timeline, cuts_of, moments_of

# Rows of X for one fit, and for all targets together: 60,000 rows take about two seconds on one core, and
# more of them lowered the error of three VMs by less than 1 %.
BUDGET: Final = 60_000
BUDGET_OF_ALL: Final = 300_000
FLEET: Final = "fleet"
# Of the ends of a timeline the one at which the fleet's trees stop and their judging begins: three quarters.
JUDGED_FROM: Final = 2
# More are asked for by mistake, and answers grow with them.
MOST_TARGETS: Final = 100


def train(request: TrainingRequest, rows: Columns, progress: Progress) -> Fitted:
    """Return a fitted `ForecasterV1`; see `Recipe`."""
    progress(0.0, "reading the rows")
    table = in_time_order(read_table(rows))
    cut, ends = cuts_of(table, request.validation_split)
    training = np.flatnonzero(moments_of(table) < cut)
    learned = table.take(training)
    targets = _targets(table, learned, request.target_columns)
    _check_names(targets)
    if len(targets) > MOST_TARGETS:
        raise InvalidInputError(
            "target_columns", f"{len(targets)} columns would be forecast; name at most {MOST_TARGETS} of them"
        )
    columns = (*targets, *(name for name in varying(learned) if name not in targets))
    horizon: int = request.hyperparameters["horizon"]
    interval = median_interval(table)
    data = Timeline(tuple(stretches(table, interval, columns)), columns, interval, cut, ends)

    told = {
        **described(table, columns, training),
        "horizon": horizon,
        "interval_seconds": interval,
        "vms": len(table.vm_ids),
        "split": data.description(request.validation_split),
    }
    given = _Given(request, table, data, targets, training, told)
    algorithm = request.hyperparameters["algorithm"]
    fits = long_enough(data.stretches, cut, interval, horizon)
    if algorithm == FLEET and not fits:
        raise InvalidInputError(
            "hyperparameters.algorithm",
            f"{FLEET} needs timestamps, {LEAST_DAYS} days of one VM before the held-out rows, and a horizon "
            "of at most a week; give more rows, or leave the algorithm out",
        )
    if fits and (
        algorithm == FLEET or (algorithm == AUTO and request.hyperparameters["season_steps"] is None)
    ):
        return _fleet(given, progress)
    return _by_target(given, progress)


@dataclass(frozen=True, slots=True)
class _Given:
    """What was read of a request."""

    request: TrainingRequest
    table: Table
    data: Timeline
    targets: tuple[str, ...]
    training: IntArray
    told: dict[str, Any]  # JSON values

    @property
    def horizon(self) -> int:
        horizon: int = self.request.hyperparameters["horizon"]
        return horizon

    @property
    def refit(self) -> bool:
        refit: bool = self.request.hyperparameters["refit"]
        return refit


def _fleet(given: _Given, progress: Progress) -> Fitted:
    """Return one forecaster of all VMs and targets."""
    data, horizon = given.data, given.horizon
    assert data.interval is not None
    choice = choose_fleet(
        data.stretches,
        given.targets,
        horizon=horizon,
        interval=data.interval,
        cut=data.cut,
        judged_from=data.ends[JUDGED_FROM],
        seed=given.request.hyperparameters["seed"],
        refit=given.refit,
        progress=Part(progress, 0.05, 0.98),
    )
    by_target = {}
    for target, found in choice.measured.items():
        if not len(found.observed):
            raise too_short(target, horizon, in_training=False)
        by_target[target] = metrics_of(found, data, target)
    started = perf_counter()
    rows = [{TIMESTAMP: 0.0, VM_ID: vm, **dict.fromkeys(given.targets, 0.0)} for vm in given.table.vm_ids]
    n_forecasts = len(choice.estimator.predict(rows, horizon)) * len(given.targets)
    return Fitted(
        estimator=choice.estimator,
        by_target=by_target,
        targets=given.targets,
        algorithms=("HistGradientBoostingRegressor", "SeasonalFormulas"),
        training_samples=len(given.training),
        held_out_samples=len(given.table) - len(given.training),
        feature_count=choice.n_features,
        prediction_time=(perf_counter() - started) / n_forecasts,
        cleaning=cleaning_of(given.table, given.targets),
        metadata={
            **given.told,
            "context_rows": 21 * choice.estimator.day,
            "candidates": choice.candidates,
            "chosen": {
                forecast.target: choice.baseline[forecast.target] if alone else "weighted"
                for forecast in choice.estimator.forecasts
                for alone in [any(belief.only >= 0 for belief in forecast.beliefs.values())]
            },
            "season_steps": dict.fromkeys(given.targets, choice.estimator.day),
            "rows_of_x_at_most": BUDGET_OF_FLEET,
            "baseline": choice.baseline,
            "refit": given.refit,
        },
        measure=lambda other: error_of(other, data, given.targets[0], horizon),
        findings=findings_of(choice.measured, data.cut),
    )


def _by_target(given: _Given, progress: Progress) -> Fitted:
    """Return a forecaster with one model a target."""
    data, targets, horizon = given.data, given.targets, given.horizon
    budget = int(np.clip(BUDGET_OF_ALL // len(targets), LEAST_BUDGET, BUDGET))
    chosen: list[Choice] = []
    for number, target in enumerate(targets):
        part = Part(progress, 0.05 + 0.8 * number / len(targets), 0.05 + 0.8 * (number + 1) / len(targets))
        chosen.append(choose(data, target, horizon, given.request.hyperparameters, budget, part))

    progress(0.85, "measuring on the held-out rows")
    estimator = ForecasterV1(
        columns=data.columns,
        forecasts=tuple(choice.forecast for choice in chosen),
        horizon=horizon,
        interval=data.interval,
        reach=max(choice.space.reach for choice in chosen),
    )
    started = perf_counter()
    measured = {choice.forecast.target: foretold(estimator, data, choice, horizon) for choice in chosen}
    n_forecasts = sum(len(found.observed) for found in measured.values())
    prediction_time = (perf_counter() - started) / n_forecasts
    if given.refit:
        progress(0.9, "fitting once more on all rows")
        again = tuple(fitted_again(choice, data, horizon, budget) for choice in chosen)
        estimator = replace(estimator, forecasts=again)
    by_name = dict(zip(targets, chosen, strict=True))
    return Fitted(
        estimator=estimator,
        by_target={target: metrics_of(found, data, target) for target, found in measured.items()},
        targets=targets,
        algorithms=tuple(
            dict.fromkeys(name for choice in chosen for name in choice.forecast.model.algorithms)
        ),
        training_samples=len(given.training),
        held_out_samples=len(given.table) - len(given.training),
        feature_count=chosen[0].space.n_features,
        prediction_time=prediction_time,
        cleaning=cleaning_of(given.table, data.columns),
        metadata={
            **given.told,
            "context_rows": estimator.reach,
            "candidates": {target: choice.errors for target, choice in by_name.items()},
            "chosen": {target: choice.name for target, choice in by_name.items()},
            "season_steps": {target: choice.space.season for target, choice in by_name.items()},
            "rows_of_x_at_most": budget,
            "baseline": {target: choice.baseline for target, choice in by_name.items()},
            "refit": given.refit,
        },
        measure=lambda other: error_of(other, data, targets[0], horizon),
        findings=findings_of(measured, data.cut),
    )


def _check_names(targets: Sequence[str]) -> None:
    """Raise where a column of the answer would have two meanings."""
    taken = {"vm_id", "step", "timestamp"}
    taken |= {f"{target}_{end}" for target in targets for end in ("lower", "upper")}
    clash = next((target for target in targets if target in taken), None)
    if clash is not None:
        raise InvalidInputError(
            "target_columns",
            f"{clash!r} is the name of another column of the forecast; name the targets without it, or "
            "rename the column",
        )


def _targets(table: Table, learned: Table, asked: tuple[str, ...] | None) -> tuple[str, ...]:
    if asked is not None:
        return named_targets(table, asked)
    # What stands still up to the cut is forecast to go on so.
    targets = varying(learned) or varying(table)
    if not targets:
        raise InvalidInputError(
            "training_data",
            "has no numeric column that varies, so there is nothing to forecast; give one such as cpu",
        )
    return targets
