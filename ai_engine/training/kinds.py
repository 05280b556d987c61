"""The kinds of training as data: what each is called, what it may be told, and where its recipe is.

A kind is a row of `BUILT_IN`, or what another package names in its metadata::

    [project.entry-points."ai_engine.recipes"]
    queue_length = "queue_recipes.kinds:QUEUE_LENGTH"    # the kind's name = a `Kind`

Neither the recipe nor a numeric library is imported to read a request; both are once something trains. An
entry point is loaded when its kind is asked for, so that a broken package breaks nothing but its own kind.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Final, cast

from ai_engine.domain.errors import InvalidInputError, TrainingFailedError
from ai_engine.training.hyperparameters import AUTO, SEED, OneOf, Setting, Share, Switch, WholeNumber

if TYPE_CHECKING:
    from ai_engine.training.recipes.protocol import Recipe

FORECASTS: Final = (AUTO, "fleet", "last_value", "seasonal_naive", "median", "ridge", "boosted_trees")
GROUP: Final = "ai_engine.recipes"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of training.

    Attributes
    ----------
    name : str
        What callers give as ``model_type``.
    about : str
        What a model of this kind tells, in a few words.
    recipe : str
        ``"module:function"`` of its `Recipe`, imported when something trains.
    default_name : str or None
        The model that is trained where none is named; None: one has to be named.
    is_series : bool
        Whether rows are measurements in time, of machines: rows of several that look like one are refused.
    default_targets : tuple of str or None
        The target columns where none are named; None is left to the recipe.
    needs_target : bool
        Whether target columns have to be named.
    most_targets : int or None
        How many there may be; None: any number.
    settings : mapping of str to Setting
        Its hyperparameters.
    """

    name: str
    about: str
    recipe: str
    default_name: str | None = None
    is_series: bool = False
    default_targets: tuple[str, ...] | None = None
    needs_target: bool = False
    most_targets: int | None = 1
    settings: Mapping[str, Setting] = field(default_factory=dict)

    def load_recipe(self) -> Recipe:
        """Import the recipe.

        Raises
        ------
        TrainingFailedError
            If the recipe cannot be imported.
        """
        module, _, function = self.recipe.partition(":")
        try:
            return cast("Recipe", getattr(import_module(module), function))
        except Exception as error:  # a package of somebody else may raise anything
            raise TrainingFailedError(
                f"the recipe {self.recipe} of {self.name} cannot be imported: {type(error).__name__}: {error}"
            ) from error


BUILT_IN: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind(
            name="resource_prediction",
            about="forecasts of any numeric columns of one or many VMs, every step up to a horizon",
            recipe="ai_engine.training.recipes.forecast:train",
            default_name="resource_predictor",
            is_series=True,
            most_targets=None,
            settings={
                # 1,000 steps are 3.5 days at five minutes; beyond, a step ahead is no longer what decides.
                "horizon": WholeNumber(default=12, low=1, high=1000),
                "season_steps": WholeNumber(default=None, low=2, high=2016),
                "algorithm": OneOf(FORECASTS),
                "refit": Switch(default=True),
                "seed": SEED,
            },
        ),
        Kind(
            name="anomaly_detection",
            about="which rows are unlike the others, with or without a column of labels to learn from",
            recipe="ai_engine.training.recipes.anomaly:train",
            default_name="anomaly_detector",
            is_series=True,
            settings={
                # The share of training rows above the threshold; None: 1 %, or what fits the labels best.
                "contamination": Share(default=None, below=0.5),
                "algorithm": OneOf(
                    (
                        *(AUTO, "combined", "robust_deviation", "mahalanobis"),
                        *("isolation_forest", "boosted_trees"),
                    )
                ),
                # Fit again on all rows once the numbers are measured; with labels nothing is.
                "refit": Switch(default=True),
                "seed": SEED,
            },
        ),
        Kind(
            name="workload_prediction",
            is_series=True,
            about="forecasts with daily and weekly seasons, a level a step, and the pattern of each VM",
            recipe="ai_engine.training.recipes.workload:train",
            default_name="workload_predictor",
            most_targets=None,
            settings={
                # A week at a minute.
                "horizon": WholeNumber(default=12, low=1, high=10_080),
                "season_steps": WholeNumber(default=None, low=2, high=2016),
                "algorithm": OneOf(FORECASTS),
                "refit": Switch(default=True),
                "seed": SEED,
            },
        ),
        Kind(
            name="migration_prediction",
            about="how long a migration takes and interrupts, and whether it fails",
            recipe="ai_engine.training.recipes.migration:train",
            default_name="migration_predictor",
            default_targets=("duration_s",),
            settings={
                "algorithm": OneOf((AUTO, "boosted_trees", "simple", "combined")),
                "refit": Switch(default=True),
                "seed": SEED,
            },
        ),
        Kind(
            name="regression",
            about="one number a row, from the row's other columns",
            recipe="ai_engine.training.recipes.regression:train",
            needs_target=True,
            settings={
                "algorithm": OneOf(
                    (AUTO, "ridge", "random_forest", "boosted_trees", "boosted_trees_absolute")
                ),
                "refit": Switch(default=True),
                "seed": SEED,
            },
        ),
        Kind(
            name="classification",
            about="one of some classes a row, from the row's other columns",
            recipe="ai_engine.training.recipes.classification:train",
            needs_target=True,
            settings={
                "algorithm": OneOf((AUTO, "logistic_regression", "random_forest", "boosted_trees")),
                "refit": Switch(default=True),
                "seed": SEED,
            },
        ),
    )
}


def find_kind(name: object) -> Kind:
    """Return the kind that a request names, of this package or of another one that is installed.

    Raises
    ------
    InvalidInputError
        If there is none; the message lists those that there are.
    TrainingFailedError
        If another package is to bring it, and cannot.

    Examples
    --------
    >>> find_kind("regression").needs_target
    True
    """
    added = _added()
    if isinstance(name, str) and name in BUILT_IN:
        return BUILT_IN[name]
    if isinstance(name, str) and name in added:
        return _loaded(name, added[name])
    raise InvalidInputError("model_type", f"{name!r} is not known; choose one of {', '.join(known())}")


def known() -> tuple[str, ...]:
    """Return the names of all kinds, those that other packages add included."""
    return (*BUILT_IN, *_added())


@cache  # the packages of a process do not change, and to look costs some milliseconds
def _added() -> Mapping[str, tuple[EntryPoint, ...]]:
    """Return the entry points of other packages by the kind that they name; nothing of them is imported."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        if point.name in BUILT_IN:
            log.warning(
                "%s adds a kind of training named %s, which the engine has itself; the engine's is used. "
                "Rename the entry point in the group %s",
                _package(point),
                point.name,
                GROUP,
            )
        else:
            found[point.name] = (*found.get(point.name, ()), point)
    return found


def _loaded(name: str, points: tuple[EntryPoint, ...]) -> Kind:
    if len(points) > 1:
        raise TrainingFailedError(
            f"{' and '.join(map(_package, points))} both add a kind named {name}; uninstall one of them"
        )
    (point,) = points
    try:
        kind = point.load()
    except Exception as error:  # a package of somebody else may raise anything
        raise TrainingFailedError(
            f"{_package(point)} adds the kind {name} as {point.value}, which cannot be imported: "
            f"{type(error).__name__}: {error}. Repair or uninstall it"
        ) from error
    if not isinstance(kind, Kind) or kind.name != name:
        what = f"the kind {kind.name!r}" if isinstance(kind, Kind) else f"a {type(kind).__name__}"
        raise TrainingFailedError(
            f"{_package(point)} adds the kind {name} as {point.value}, which is {what}; it has to be an "
            "ai_engine.training.kinds.Kind of this name"
        )
    return kind


def _package(point: EntryPoint) -> str:
    return f"the package {point.dist.name} {point.dist.version}" if point.dist else "a package"
