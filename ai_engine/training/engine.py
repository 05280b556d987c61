"""A training from request to saved version: fit, measure, save."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Protocol

from ai_engine.domain.entities import Run, SavedVersion
from ai_engine.domain.errors import AIEngineError
from ai_engine.domain.performance import ModelPerformance
from ai_engine.training.extras import require_training_packages
from ai_engine.training.kinds import find_kind
from ai_engine.training.metrics import TrainingMetrics
from ai_engine.training.progress import Part, Progress
from ai_engine.training.request import TrainingRequest
from ai_engine.training.results import Cleaning, TrainingResult


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training made, before anything is saved.

    Attributes
    ----------
    estimator : object
        With ``predict(rows, horizon)``; of a class of `ai_engine.training.estimators`.
    performance_metrics : TrainingMetrics
        What was measured.
    performance : ModelPerformance
        The same numbers, as a version records them.
    algorithms : tuple of str
        What was fitted and is in the estimator.
    cleaning : Cleaning
        What was done to the rows.
    metadata : dict
        Columns, cleaning, split, candidates (JSON values).
    run : Run
        The training record.
    measure : callable
        Returns the mean absolute error of another estimator on the same held-out rows, or None (any object
        may be asked for).
    """

    estimator: Any
    performance_metrics: TrainingMetrics
    performance: ModelPerformance
    algorithms: tuple[str, ...]
    cleaning: Cleaning
    metadata: dict[str, Any]
    run: Run
    measure: Callable[[Any], float | None]


def fit(request: TrainingRequest, progress: Progress) -> Trained:
    """Return a fitted and measured estimator. Does no I/O; blocks for seconds to a minute.

    Raises
    ------
    InvalidInputError
        Naming what in the rows or the settings cannot be used, and what would be right.
    MissingDependencyError
        If the packages of the ``train`` extra are not installed.
    """
    require_training_packages()
    recipe = find_kind(request.kind).load_recipe()
    started, clock = datetime.now(UTC), perf_counter()
    fitted = recipe(request, progress)
    seconds = perf_counter() - clock
    completed = datetime.now(UTC)
    metrics = TrainingMetrics(
        by_target=fitted.by_target,
        training_time=seconds,
        prediction_time=fitted.prediction_time,
        training_samples=fitted.training_samples,
        validation_samples=fitted.held_out_samples,
        feature_count=fitted.feature_count,
        extra=fitted.extra,
    )
    targets = list(fitted.targets)
    return Trained(
        estimator=fitted.estimator,
        performance_metrics=metrics,
        performance=_performance(metrics, completed),
        algorithms=fitted.algorithms,
        cleaning=fitted.cleaning,
        metadata={
            **fitted.metadata,
            "targets": targets,
            "cleaning": fitted.cleaning.to_mapping(),
            "performance_metrics": metrics.to_mapping(),
        },
        run=Run(
            started=started,
            completed=completed,
            dataset_size=len(request.rows),
            hyperparameters=dict(request.hyperparameters)
            | {"validation_split": request.validation_split, "target_columns": targets},
            validation_score=metrics.overall.to_mapping()["skill"],
        ),
        measure=fitted.measure,
    )


def _performance(metrics: TrainingMetrics, at: datetime) -> ModelPerformance:
    """Return the measures as a version records them."""
    overall = metrics.overall.to_mapping()
    return ModelPerformance(
        mae=overall["mae"],
        mse=overall["mse"],
        r2=overall["r2"],
        training_time=metrics.training_time,
        prediction_time=metrics.prediction_time,
        accuracy_score=overall["accuracy_score"],
        confidence_score=overall["confidence_score"],
        last_updated=at,
        training_samples=metrics.training_samples,
        feature_count=metrics.feature_count,
    )


class TrainingRegistry(Protocol):
    """What the engine needs of a registry."""

    def load(self, name: str, version: str | None = None) -> Any:
        """Return the object of a version, the active one by default; None if there is none (any object)."""
        ...

    def save(
        self,
        name: str,
        model: Any,
        *,
        model_type: str,
        algorithms: Sequence[str],
        metadata: Mapping[str, Any],
        activate: bool,
        performance: ModelPerformance,
        run: Run,
    ) -> SavedVersion:
        """Save an object (any) as a new version with its measures and its run, all or nothing."""
        ...


class TrainingEngine:
    """Trains models and saves them as new versions.

    Parameters
    ----------
    registry : TrainingRegistry
        Where the versions go.
    """

    def __init__(self, registry: TrainingRegistry) -> None:
        self._registry = registry

    def train(self, request: TrainingRequest, progress: Progress) -> TrainingResult:
        """Train, and return what was made once its version is saved; blocks.

        Raises
        ------
        InvalidInputError
            If the request cannot be trained; nothing is saved.
        StorageError
            If the version cannot be saved.
        """
        trained = fit(request, Part(progress, 0.0, 0.95))
        activate, reason = self._activation(request, trained)
        progress(0.95, "saving the version")
        saved = self._registry.save(
            request.model_name,
            trained.estimator,
            model_type=request.kind,
            algorithms=trained.algorithms,
            metadata=trained.metadata,
            activate=activate,
            performance=trained.performance,
            run=trained.run,
        )
        progress(1.0, "done")
        return TrainingResult(
            kind=request.kind,
            name=request.model_name,
            version=saved.version,
            model_id=saved.model_id,
            active=saved.active,
            performance_metrics=trained.performance_metrics,
            completed=trained.run.completed or datetime.now(UTC),
            algorithms=trained.algorithms,
            cleaning=trained.cleaning,
            activation_reason=reason,
        )

    def _activation(self, request: TrainingRequest, trained: Trained) -> tuple[bool, str | None]:
        """Return whether to activate and, where that was to be found out, why."""
        if isinstance(request.activate, bool):
            return request.activate, None
        new = trained.performance_metrics.overall.to_mapping()["mae"]
        if new is None:
            return (
                True,
                "Activated: without labels there is no error by which to compare it with the active version.",
            )
        try:
            active = self._registry.load(request.model_name)
            old = None if active is None else trained.measure(active)
        except (
            AIEngineError
        ) as error:  # its bytes are damaged, or it wants columns that these rows do not have
            return True, f"Activated: the active version cannot be measured on these rows: {error}"
        if active is None:
            return True, "Activated: there was no active version to compare it with."
        if old is None:
            return True, (
                "Activated: the active version cannot be measured on these rows; it has other targets, "
                "other columns or a shorter horizon."
            )
        better = new < old
        verdict = "Activated" if better else "Not activated"
        return better, (
            f"{verdict}: on the same held-out rows its mean absolute error is {new:.6g}, "
            f"and the active version's is {old:.6g}."
        )
