"""A training from request to saved version: fit, measure, save, answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from ai_engine.domain.clock import to_iso
from ai_engine.domain.entities import Run, SavedVersion
from ai_engine.domain.errors import AIEngineError
from ai_engine.domain.performance import ModelPerformance
from ai_engine.training.extras import require_training_packages
from ai_engine.training.progress import Part, Progress
from ai_engine.training.request import TrainingRequest

if TYPE_CHECKING:
    from ai_engine.training.recipes.protocol import Fitted


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training made, before anything is saved.

    Attributes
    ----------
    estimator : object
        With ``predict(rows, horizon)``; of a class of `ai_engine.training.estimators`.
    performance_metrics : dict
        As ``POST /train`` answers them: every number finite or None.
    performance : ModelPerformance
        The same numbers, as a version records them.
    algorithms : tuple of str
        What was fitted and is in the estimator.
    metadata : dict
        Columns, cleaning, split, candidates (JSON values).
    run : Run
        The training record.
    measure : callable
        Returns the mean absolute error of another estimator on the same held-out rows, or None (any object
        may be asked for).
    """

    estimator: Any
    performance_metrics: dict[str, Any]
    performance: ModelPerformance
    algorithms: tuple[str, ...]
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
    # Here and not above, so that without the extra the message says how to install it.
    from ai_engine.training.recipes import RECIPES

    started, clock = datetime.now(UTC), perf_counter()
    fitted = RECIPES[request.kind](request, progress)
    seconds = perf_counter() - clock
    completed = datetime.now(UTC)
    metrics = _performance_metrics(fitted, seconds)
    return Trained(
        estimator=fitted.estimator,
        performance_metrics=metrics,
        performance=ModelPerformance(
            mae=metrics["mae"],
            mse=metrics["mse"],
            r2=metrics["r2"],
            training_time=metrics["training_time"],
            prediction_time=metrics["prediction_time"],
            accuracy_score=metrics["accuracy_score"],
            confidence_score=metrics["confidence_score"],
            last_updated=completed,
            training_samples=fitted.training_samples,
            feature_count=fitted.feature_count,
        ),
        algorithms=fitted.algorithms,
        metadata=dict(fitted.metadata) | {"performance_metrics": metrics},
        run=Run(
            started=started,
            completed=completed,
            dataset_size=len(request.rows),
            hyperparameters=dict(request.hyperparameters)
            | {"validation_split": request.validation_split, "target_columns": fitted.metadata["targets"]},
            validation_score=metrics["skill"],
        ),
        measure=fitted.measure,
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

    def train(self, request: TrainingRequest, progress: Progress) -> dict[str, Any]:
        """Return the answer of ``POST /train`` (JSON values) after the new version is saved; blocks.

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
        answer = {
            "model_type": request.kind,
            "model_name": request.model_name,
            "model_id": saved.model_id,
            "model_version": saved.version,
            "training_status": "completed",
            "performance_metrics": trained.performance_metrics,
            "training_time": trained.performance_metrics["training_time"],
            "timestamp": to_iso(trained.run.completed),
            "persisted": True,  # `save` raises otherwise
            "active": saved.active,
            "algorithms": list(trained.algorithms),
            "cleaning": trained.metadata["cleaning"],
        }
        return answer if reason is None else answer | {"activation_reason": reason}

    def _activation(self, request: TrainingRequest, trained: Trained) -> tuple[bool, str | None]:
        """Return whether to activate and, where that was to be found out, why."""
        if isinstance(request.activate, bool):
            return request.activate, None
        new = trained.performance_metrics["mae"]
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


def _performance_metrics(fitted: Fitted, seconds: float) -> dict[str, Any]:
    """Return the measures as they are answered: the first target's by their names, and all by target."""
    from ai_engine.training.evaluation import finite_or_none

    by_target = {target: finite_or_none(metrics.to_mapping()) for target, metrics in fitted.by_target.items()}
    return {
        **next(iter(by_target.values())),
        "training_time": seconds,
        "prediction_time": fitted.prediction_time,
        "training_samples": fitted.training_samples,
        "validation_samples": fitted.held_out_samples,
        "feature_count": fitted.feature_count,
        **finite_or_none(fitted.extra),
        "by_target": by_target,
    }
