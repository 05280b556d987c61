"""Which model forecasts a target best, told on training rows that its fits have not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.arrays import FloatArray
from ai_engine.training.estimators.change_models import (
    BoostedTreesV1,
    ChangeModel,
    LastValueV1,
    MeanOfV1,
    MedianV1,
    RidgeV1,
    SeasonalNaiveV1,
)
from ai_engine.training.estimators.forecaster import TargetForecastV1
from ai_engine.training.features import FeatureSpace
from ai_engine.training.grid import Series, series_of
from ai_engine.training.hyperparameters import AUTO
from ai_engine.training.intervals import conformal_radius
from ai_engine.training.progress import Progress
from ai_engine.training.season import season_steps
from ai_engine.training.timeline import Timeline
from ai_engine.training.windows import Windows, windows_of

# With no more than this a target, at more than 20 targets, the fits of trees add up to minutes: they are
# left out.
LEAST_BUDGET: Final = 15_000
# Forecasts to measure on or to calibrate with; beyond, every n-th window is taken.
MEASURED: Final = 200_000
# How much of the foretold change is believed; less than 1 where a model exaggerates.
DAMPINGS: Final = (0.25, 0.5, 0.75, 1.0)
# Of the candidates that are this near to the best one, the first counts, and they stand in the order of how
# much they assume: what levels and means add in one month is often lost in the next.
AS_GOOD: Final = 1.02
# Without a season the median is of so many last values: a reach that features have anyway.
MEDIAN_WIDTH: Final = 72
# The least volatility that scales an interval, as a share of the typical one: a VM that has stood still is
# not certain to stand still.
LEAST_VOLATILITY: Final = 0.25


@dataclass(frozen=True, slots=True)
class Choice:
    """The forecast of one target, and how it came to be chosen.

    Attributes
    ----------
    forecast : TargetForecastV1
    space : FeatureSpace
    name : str
        The candidate that was chosen.
    errors : dict of str to float
        The candidates' mean absolute errors on training rows that their fits had not seen.
    baseline : str
        The simple answer with the least error on these rows.
    simple : ChangeModel
        It.
    """

    forecast: TargetForecastV1
    space: FeatureSpace
    name: str
    errors: dict[str, float]
    baseline: str
    simple: ChangeModel


def choose(
    data: Timeline, target: str, horizon: int, settings: Mapping[str, Any], budget: int, progress: Progress
) -> Choice:
    """Return the best candidate for a target, fitted on all training rows, with its interval.

    Parameters
    ----------
    data : Timeline
    target : str
        A column of it.
    horizon : int
        Steps ahead.
    settings : mapping
        The hyperparameters of ``resource_prediction`` (JSON values).
    budget : int
        Rows of X that one fit may take.
    progress : Progress

    Raises
    ------
    InvalidInputError
        If the rows are too few, or the algorithm that was asked for cannot be fitted to them.
    """
    others = data.others(target)
    runs = [run for stretch in data.learned for run in series_of(stretch, target, others)]
    folds = _folds(runs, horizon, data.ends)
    _check_lengths(data, target, horizon, folds)
    season = settings["season_steps"] or season_steps([run.values for run in runs], data.interval)
    space = FeatureSpace(season, horizon, len(others), span=data.span)

    candidates = _candidates(space, settings["algorithm"], settings["seed"], trees=budget > LEAST_BUDGET)
    answers = _simple(space)
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
    plain = {
        name: float(np.nanmean(np.abs(seen - np.concatenate([model.ahead(check) for check in checks]))))
        for name, model in answers.items()
    }
    baseline = min(plain, key=lambda name: plain[name])
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
    return Choice(
        TargetForecastV1(target, others, model, damping, radius, floor, nonnegative),
        space,
        name,
        {one: min(errors[one, damping] for damping in DAMPINGS) for one in candidates},
        baseline,
        answers[baseline],
    )


def fitted_again(choice: Choice, data: Timeline, horizon: int, budget: int) -> TargetForecastV1:
    """Return the chosen forecast with its model fitted on all rows, those held out included."""
    forecast = choice.forecast
    runs = [run for stretch in data.stretches for run in series_of(stretch, forecast.target, forecast.others)]
    model = deepcopy(forecast.model)
    model.fit(windows_of(runs, horizon), budget)
    return replace(
        forecast,
        model=model,
        nonnegative=forecast.nonnegative and all(float(run.values.min()) >= 0 for run in runs),
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


def _check_lengths(data: Timeline, target: str, horizon: int, folds: Sequence[object]) -> None:
    runs = [run for stretch in data.stretches for run in series_of(stretch, target, ())]
    held_out = _shows(windows_of(runs, horizon, after=data.cut))
    if not folds or not held_out:
        raise too_short(target, horizon, in_training=not folds)


def too_short(target: str, horizon: int, *, in_training: bool) -> InvalidInputError:
    """Return the refusal of rows that show no window: of the training rows, or else of those held out."""
    return InvalidInputError(
        "training_data",
        f"is too short for {target}: its {'training' if in_training else 'held-out'} rows have no "
        f"uninterrupted run of a VM that shows {horizon} steps ahead. Give at least about "
        f"{6 * horizon + 8} rows of one VM, a smaller hyperparameters.horizon, or another validation_split",
    )


def _simple(space: FeatureSpace) -> dict[str, ChangeModel]:
    """Return the answers that need no fit, one of which is the baseline."""
    found: dict[str, ChangeModel] = {"last_value": LastValueV1()}
    if space.season is not None:
        found["seasonal_naive"] = SeasonalNaiveV1(space.season)
    return found | {"median": MedianV1(space.season or MEDIAN_WIDTH)}


def _candidates(space: FeatureSpace, algorithm: str, seed: int, *, trees: bool) -> dict[str, ChangeModel]:
    """Return the models to try by name, members before their means."""
    on_levels = replace(space, levels=True)
    ridge, on_changes, on_both = RidgeV1(space), BoostedTreesV1(space, seed), BoostedTreesV1(on_levels, seed)
    found = _simple(space)
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
