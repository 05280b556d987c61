"""``resource_prediction``: numeric columns of one or many VMs, every step ahead up to a horizon.

Candidates: the last value, the value one season before, a ridge regression a step, boosted trees on
differences and on levels, and means of these. Baseline: the last value carried forward. The choice and the
90 % intervals come from the second half of the training rows, each of its quarters foretold by fits on what
lies before it; the chosen one is then fitted on all training rows and measured once on the held-out rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any, Final

import numpy as np

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.estimators.forecaster import ForecasterV1
from ai_engine.training.evaluation import measure_numbers
from ai_engine.training.forecast_selection import LEAST_BUDGET, MEASURED, Choice, choose
from ai_engine.training.grid import median_interval, series_of, stretches
from ai_engine.training.metrics import TargetMetrics
from ai_engine.training.progress import Part, Progress
from ai_engine.training.recipes.columns import cleaning_of, described, named_targets, varying
from ai_engine.training.recipes.protocol import Fitted
from ai_engine.training.request import TrainingRequest
from ai_engine.training.table import Table, in_time_order, read_table
from ai_engine.training.timeline import Timeline, cuts_of, moments_of
from ai_engine.training.windows import Windows

# Rows of X for one fit, and for all targets together: 60,000 rows take about two seconds on one core, and
# more of them lowered the error of three VMs by less than 1 %.
BUDGET: Final = 60_000
BUDGET_OF_ALL: Final = 300_000
# More are asked for by mistake, and answers grow with them.
MOST_TARGETS: Final = 100


def train(request: TrainingRequest, progress: Progress) -> Fitted:
    """Return a fitted `ForecasterV1`; see `Recipe`."""
    progress(0.0, "reading the rows")
    table = in_time_order(read_table(request.rows))
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
    budget = int(np.clip(BUDGET_OF_ALL // len(targets), LEAST_BUDGET, BUDGET))

    chosen: list[Choice] = []
    for number, target in enumerate(targets):
        part = Part(progress, 0.05 + 0.85 * number / len(targets), 0.05 + 0.85 * (number + 1) / len(targets))
        chosen.append(choose(data, target, horizon, request.hyperparameters, budget, part))

    progress(0.9, "measuring on the held-out rows")
    estimator = ForecasterV1(
        columns=columns,
        forecasts=tuple(choice.forecast for choice in chosen),
        horizon=horizon,
        interval=interval,
        reach=max(choice.space.reach for choice in chosen),
    )
    started = perf_counter()
    measured = {target: _measure(estimator, data, target, horizon) for target in targets}
    n_forecasts = sum(count for _, count in measured.values())
    return Fitted(
        estimator=estimator,
        by_target={target: metrics for target, (metrics, _) in measured.items()},
        targets=targets,
        algorithms=tuple(
            dict.fromkeys(name for choice in chosen for name in choice.forecast.model.algorithms)
        ),
        training_samples=len(training),
        held_out_samples=len(table) - len(training),
        feature_count=chosen[0].space.n_features,
        prediction_time=(perf_counter() - started) / n_forecasts,
        cleaning=cleaning_of(table, columns),
        metadata={
            **described(table, columns, training),
            "horizon": horizon,
            "interval_seconds": interval,
            "context_rows": estimator.reach,
            "vms": len(table.vm_ids),
            "split": data.description(request.validation_split),
            "candidates": {target: choice.errors for target, choice in zip(targets, chosen, strict=True)},
            "chosen": {target: choice.name for target, choice in zip(targets, chosen, strict=True)},
            "season_steps": {
                target: choice.space.season for target, choice in zip(targets, chosen, strict=True)
            },
            "rows_of_x_at_most": budget,
        },
        measure=lambda other: _mae_of(other, data, targets[0], horizon),
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


def _measure(estimator: ForecasterV1, data: Timeline, target: str, horizon: int) -> tuple[TargetMetrics, int]:
    """Return the measures of one target over all held-out windows and steps, and over how many forecasts."""
    windows = _held_out(estimator, data, target, horizon)
    assert windows is not None
    observed = windows.observed()
    centre, lower, upper = estimator.forecast_of(target).ahead(windows)
    naive = np.broadcast_to(windows.last_values()[:, None], observed.shape)
    known = ~np.isnan(observed)
    trained_on = np.concatenate(
        [run.values for stretch in data.learned for run in series_of(stretch, target, ())]
    )
    metrics = measure_numbers(
        observed[known],
        centre[known],
        lower[known],
        upper[known],
        naive[known],
        training_range=float(np.ptp(trained_on)),
    )
    return metrics, int(known.sum())


def _mae_of(other: Any, data: Timeline, target: str, horizon: int) -> float | None:
    """Return the error of another stored model (any object) on the held-out rows, or None."""
    windows = _held_out(other, data, target, horizon) if isinstance(other, ForecasterV1) else None
    if windows is None:
        return None
    observed = windows.observed()
    centre, _, _ = other.forecast_of(target).ahead(windows)
    return float(np.nanmean(np.abs(observed - centre)))


def _held_out(estimator: ForecasterV1, data: Timeline, target: str, horizon: int) -> Windows | None:
    windows = estimator.windows(data.stretches, target, horizon, data.cut)
    return None if windows is None else windows.at_most(max(1, MEASURED // horizon))
