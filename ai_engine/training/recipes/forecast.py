"""``resource_prediction``: numeric columns of one or many VMs, every step ahead up to a horizon.

Candidates: the last value, the value one season before, a ridge regression a step, boosted trees on
differences and on levels, and means of these. Baseline: the last value carried forward. The choice and the
90 % intervals come from the second half of the training rows, each of its quarters foretold by fits on what
lies before it; the chosen one is then fitted on all training rows and measured once on the held-out rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Final

import numpy as np

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.estimators.change_models import (
    BoostedTreesV1,
    ChangeModel,
    LastValueV1,
    MeanOfV1,
    RidgeV1,
    SeasonalNaiveV1,
)
from ai_engine.training.estimators.forecaster import ForecasterV1, TargetForecastV1
from ai_engine.training.evaluation import TargetMetrics, measure_numbers
from ai_engine.training.features import FeatureSpace
from ai_engine.training.grid import Series, Stretch, median_interval, series_of, stretches
from ai_engine.training.hyperparameters import AUTO
from ai_engine.training.intervals import conformal_radius
from ai_engine.training.progress import Part, Progress
from ai_engine.training.recipes.columns import described, named_targets, varying
from ai_engine.training.recipes.protocol import Fitted
from ai_engine.training.request import TrainingRequest
from ai_engine.training.season import season_steps
from ai_engine.training.split import cut_moment
from ai_engine.training.table import FloatArray, Table, in_time_order, iso_utc, read_table
from ai_engine.training.windows import Windows, windows_of

# The shares of the training rows that the fits for choosing and for the intervals see. With one such fit,
# on three quarters, the intervals of 170 series of 200 to 500 rows held 84 % of what came, and less than 80 %
# in every fourth series; with these four 89 %, and in every tenth.
FOLD_ENDS: Final = (0.5, 0.625, 0.75, 0.875)
# Rows of X for one fit, and for all targets together: 60,000 rows take about two seconds on one core, and
# more of them lowered the error of three VMs by less than 1 %.
BUDGET: Final = 60_000
BUDGET_OF_ALL: Final = 300_000
# With no more than this a target, at more than 20 targets, the fits of trees add up to minutes: they are
# left out.
LEAST_BUDGET: Final = 15_000
# More are asked for by mistake, and answers grow with them.
MOST_TARGETS: Final = 100
# Of the other columns those that go most with the target: more of them cost time and gained nothing.
MOST_OTHERS: Final = 20
# Forecasts to measure on or to calibrate with; beyond, every n-th window is taken.
MEASURED: Final = 200_000
# How much of the foretold change is believed; less than 1 where a model exaggerates.
DAMPINGS: Final = (0.25, 0.5, 0.75, 1.0)
# Of the candidates that are this near to the best one, the first counts, and they stand in the order of how
# much they assume: what levels and means add in one month is often lost in the next.
AS_GOOD: Final = 1.02
# The least volatility that scales an interval, as a share of the typical one: a VM that has stood still is
# not certain to stand still.
LEAST_VOLATILITY: Final = 0.25


def train(request: TrainingRequest, progress: Progress) -> Fitted:
    """Return a fitted `ForecasterV1`; see `Recipe`."""
    progress(0.0, "reading the rows")
    table = in_time_order(read_table(request.rows))
    cut, ends = _cuts(table, request.validation_split)
    training = np.flatnonzero(_moments(table) < cut)
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
    data = _Data(tuple(stretches(table, interval, columns)), columns, interval, cut, ends)
    budget = int(np.clip(BUDGET_OF_ALL // len(targets), LEAST_BUDGET, BUDGET))

    chosen: list[_Choice] = []
    for number, target in enumerate(targets):
        part = Part(progress, 0.05 + 0.85 * number / len(targets), 0.05 + 0.85 * (number + 1) / len(targets))
        chosen.append(_choose(data, target, horizon, request.hyperparameters, budget, part))

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
        algorithms=tuple(
            dict.fromkeys(name for choice in chosen for name in choice.forecast.model.algorithms)
        ),
        training_samples=len(training),
        held_out_samples=len(table) - len(training),
        feature_count=chosen[0].space.n_features,
        prediction_time=(perf_counter() - started) / n_forecasts,
        metadata={
            **described(table, columns, training),
            "targets": list(targets),
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


@dataclass(frozen=True, slots=True)
class _Data:
    """The telemetry on its grid, where it is cut, and where the fits for choosing end."""

    stretches: tuple[Stretch, ...]
    columns: tuple[str, ...]
    interval: float | None
    cut: float
    ends: tuple[float, ...]

    @property
    def timed(self) -> bool:
        return self.interval is not None

    @property
    def learned(self) -> list[Stretch]:
        """Return the stretches as if what is held out had not happened yet."""
        return [stretch.until(self.cut) for stretch in self.stretches]

    @property
    def span(self) -> float:
        """Return how far the training rows reach, in seconds where there is time."""
        return self.cut - min(stretch.clock.start for stretch in self.stretches)

    def others(self, target: str) -> tuple[str, ...]:
        """Return the other columns whose training values go most with the target's, in the table's order."""
        others = [name for name in self.columns if name != target]
        if len(others) <= MOST_OTHERS:
            return tuple(others)
        column = {name: np.concatenate([one.cells[name] for one in self.learned]) for name in self.columns}
        together = {name: abs(_correlation(column[target], column[name])) for name in others}
        closest = sorted(others, key=lambda name: -together[name])[:MOST_OTHERS]
        return tuple(name for name in others if name in closest)

    def description(self, validation_split: float) -> dict[str, Any]:
        return {
            "method": "time" if self.timed else "given order",
            "validation_split": validation_split,
            "held_out_from": iso_utc(self.cut) if self.timed else None,
            "chosen_and_calibrated_from": iso_utc(self.ends[0]) if self.timed else None,
        }


@dataclass(frozen=True, slots=True)
class _Choice:
    """The forecast of one target, and how it came to be chosen."""

    forecast: TargetForecastV1
    space: FeatureSpace
    name: str
    errors: dict[str, float]


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


def _moments(table: Table) -> FloatArray:
    """Return where each row lies on the axis of the cuts: time, or else the share of its VM's rows."""
    if table.timestamps is not None and median_interval(table) is not None:
        return table.timestamps
    counts = np.bincount(table.vm_codes, minlength=len(table.vm_ids))
    first = np.concatenate([[0], np.cumsum(counts)])[table.vm_codes]
    shares: FloatArray = (np.arange(len(table)) - first) / counts[table.vm_codes]
    return shares


def _cuts(table: Table, validation_split: float) -> tuple[float, tuple[float, ...]]:
    """Return the moment from which on rows are held out, and those at which the fits for choosing end."""
    moments = _moments(table)
    cut = cut_moment(moments, validation_split)
    before = moments[moments < cut]
    return cut, tuple(cut_moment(before, 1 - share) if len(before) else cut for share in FOLD_ENDS)


def _choose(
    data: _Data, target: str, horizon: int, settings: Mapping[str, Any], budget: int, progress: Progress
) -> _Choice:
    others = data.others(target)
    runs = [run for stretch in data.learned for run in series_of(stretch, target, others)]
    folds = _folds(runs, horizon, data.ends)
    _check_lengths(data, target, horizon, folds)
    season = settings["season_steps"] or season_steps([run.values for run in runs], data.interval)
    space = FeatureSpace(season, horizon, len(others), span=data.span)

    candidates = _candidates(space, settings["algorithm"], settings["seed"], trees=budget > LEAST_BUDGET)
    ahead: dict[ChangeModel, list[FloatArray]] = {model: [] for model in candidates.values()}
    for number, (learn, check) in enumerate(folds):
        for name, model in candidates.items():
            progress(0.7 * number / len(folds), f"trying {name} on {target}")
            if isinstance(model, MeanOfV1):  # its members have been asked already
                ahead[model].append(np.mean([ahead[member][-1] for member in model.members], axis=0))
            else:
                model.fit(learn, budget // len(folds))
                ahead[model].append(model.ahead(check))
    changes = {name: np.concatenate(ahead[model]) for name, model in candidates.items()}
    checks = [check for _, check in folds]
    seen = np.concatenate([check.observed() - check.last_values()[:, None] for check in checks])
    errors = {
        (name, damping): float(np.nanmean(np.abs(seen - damping * change)))
        for name, change in changes.items()
        for damping in DAMPINGS
    }
    enough = AS_GOOD * min(errors.values())
    name = next(one for one in candidates if min(errors[one, damping] for damping in DAMPINGS) <= enough)
    damping = min(DAMPINGS, key=lambda share: errors[name, share])
    radius, floor = _interval(
        np.abs(seen - damping * changes[name]), np.concatenate([check.volatility() for check in checks])
    )

    progress(0.7, f"fitting {name} for {target} on all training rows")
    model = candidates[name]
    model.fit(windows_of(runs, horizon), budget)
    nonnegative = all(float(run.values.min()) >= 0 for run in runs)
    return _Choice(
        TargetForecastV1(target, others, model, damping, radius, floor, nonnegative),
        space,
        name,
        {one: min(errors[one, damping] for damping in DAMPINGS) for one in candidates},
    )


def _folds(runs: Sequence[Series], horizon: int, ends: Sequence[float]) -> list[tuple[Windows, Windows]]:
    """Return windows to learn from, and those that begin between the end of these and the next end."""
    most = max(1, MEASURED // (horizon * len(ends)))
    found = [
        (
            windows_of(runs, horizon, before=end),
            windows_of(runs, horizon, after=end, until=next_end).at_most(most),
        )
        for end, next_end in zip(ends, (*ends[1:], None), strict=True)
    ]
    return [(learn, check) for learn, check in found if _shows(learn) and _shows(check)]


def _shows(windows: Windows) -> bool:
    return len(windows) > 0 and bool(np.isfinite(windows.observed()).any())


def _check_lengths(data: _Data, target: str, horizon: int, folds: Sequence[object]) -> None:
    runs = [run for stretch in data.stretches for run in series_of(stretch, target, ())]
    held_out = _shows(windows_of(runs, horizon, after=data.cut))
    if folds and held_out:
        return
    raise InvalidInputError(
        "training_data",
        f"is too short for {target}: its {'held-out' if folds else 'training'} rows have no uninterrupted "
        f"run of a VM that shows {horizon} steps ahead. Give at least about {6 * horizon + 8} rows of one "
        "VM, a smaller hyperparameters.horizon, or another validation_split",
    )


def _candidates(space: FeatureSpace, algorithm: str, seed: int, *, trees: bool) -> dict[str, ChangeModel]:
    """Return the models to try by name, members before their means."""
    on_levels = replace(space, levels=True)
    ridge, on_changes, on_both = RidgeV1(space), BoostedTreesV1(space, seed), BoostedTreesV1(on_levels, seed)
    found: dict[str, ChangeModel] = {"last_value": LastValueV1()}
    if space.season is not None:
        found["seasonal_naive"] = SeasonalNaiveV1(space.season)
    found["ridge"] = ridge
    if trees or algorithm != AUTO:
        found |= {
            "boosted_trees": on_changes,
            "boosted_trees_on_levels": on_both,
            "mean_of_trees": MeanOfV1((on_changes, on_both)),
            "mean_of_ridge_and_trees": MeanOfV1((ridge, on_changes)),
        }
    if algorithm == AUTO:
        return found
    if algorithm not in found:
        raise InvalidInputError(
            "hyperparameters.algorithm",
            f"{algorithm} needs a season, and none was seen; give hyperparameters.season_steps",
        )
    return {algorithm: found[algorithm]}


def _correlation(one: FloatArray, other: FloatArray) -> float:
    """Return Pearson's correlation over the slots where both are known; 0 where it is not defined."""
    known = ~(np.isnan(one) | np.isnan(other))
    if not known.any() or np.ptp(one[known]) == 0 or np.ptp(other[known]) == 0:
        return 0.0
    return float(np.corrcoef(one[known], other[known])[0, 1])


def _interval(residuals: FloatArray, volatility: FloatArray) -> tuple[FloatArray, float | None]:
    """Return the half-widths of the narrower 90 % interval: of one width, or following the volatility."""
    n_windows, horizon = residuals.shape
    spans = n_windows / horizon
    radius = conformal_radius(residuals, spans)
    floor = LEAST_VOLATILITY * float(volatility.mean())
    if floor <= 0:
        return radius, None
    scale = np.maximum(volatility, floor)
    scaled = conformal_radius(residuals / scale[:, None], spans)
    if scaled.mean() * scale.mean() < radius.mean():
        return scaled, floor
    return radius, None


def _measure(estimator: ForecasterV1, data: _Data, target: str, horizon: int) -> tuple[TargetMetrics, int]:
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


def _mae_of(other: Any, data: _Data, target: str, horizon: int) -> float | None:
    """Return the error of another stored model (any object) on the held-out rows, or None."""
    windows = _held_out(other, data, target, horizon) if isinstance(other, ForecasterV1) else None
    if windows is None:
        return None
    observed = windows.observed()
    centre, _, _ = other.forecast_of(target).ahead(windows)
    return float(np.nanmean(np.abs(observed - centre)))


def _held_out(estimator: ForecasterV1, data: _Data, target: str, horizon: int) -> Windows | None:
    windows = estimator.windows(data.stretches, target, horizon, data.cut)
    return None if windows is None else windows.at_most(max(1, MEASURED // horizon))
