"""A training from request to saved version: fit, measure, save."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Protocol

from ai_engine.domain.answers import VersionInfo
from ai_engine.domain.entities import ModelVersion, Run, SavedVersion
from ai_engine.domain.errors import AIEngineError, CatalogueUnavailableError, OutcomeUnknownError
from ai_engine.domain.jobs import Attempt, JobClaim, JobCompletion
from ai_engine.domain.performance import ModelPerformance
from ai_engine.domain.search import EVERYTHING, Position, Search
from ai_engine.telemetry.reading import Reading
from ai_engine.training.account import Account
from ai_engine.training.extras import require_training_packages
from ai_engine.training.kinds import find_kind
from ai_engine.training.metrics import TrainingMetrics
from ai_engine.training.progress import Part, Progress
from ai_engine.training.request import TrainingRequest
from ai_engine.training.results import Cleaning, TrainingResult

log = logging.getLogger(__name__)

# Seconds between two tries to save the version of a job while the database is down.
_PAUSE = 0.5


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
    reading : Reading
        What was understood of them.
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
    reading: Reading
    metadata: dict[str, Any]
    run: Run
    measure: Callable[[Any], float | None]


def fit(request: TrainingRequest, rows: Sequence[Any], progress: Progress) -> Trained:
    """Return a fitted and measured estimator. Does no I/O; blocks for seconds to a minute.

    Raises
    ------
    InvalidInputError
        Naming what in the rows or the settings cannot be used, and what would be right.
    MissingDependencyError
        If the packages of the ``train`` extra are not installed.
    """
    require_training_packages()
    from ai_engine.training.understanding import reading_of, understand  # needs them

    kind = find_kind(request.kind)
    recipe = kind.load_recipe()
    started, clock = datetime.now(UTC), perf_counter()
    understood, source = understand(request, rows, kind)
    fitted = recipe(request, understood, progress)
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
        baseline=_baseline(fitted.metadata.get("baseline")),
    )
    targets = list(fitted.targets)
    reading = reading_of(understood, source, fitted)
    return Trained(
        estimator=fitted.estimator,
        performance_metrics=metrics,
        performance=_performance(metrics, completed),
        algorithms=fitted.algorithms,
        cleaning=fitted.cleaning,
        reading=reading,
        metadata={
            **fitted.metadata,
            "targets": targets,
            "cleaning": fitted.cleaning.to_mapping(),
            "reading": reading.to_mapping(),
            "performance_metrics": metrics.to_mapping(),
        },
        run=Run(
            started=started,
            completed=completed,
            dataset_size=len(rows),
            hyperparameters=dict(request.hyperparameters)
            | {"validation_split": request.validation_split, "target_columns": targets},
            validation_score=metrics.overall.to_mapping()["skill"],
            report=fitted.findings.to_mapping() if fitted.findings else None,
        ),
        measure=fitted.measure,
    )


def _baseline(told: object) -> str | None:
    """Return what a recipe says its skill compares with, in one text; it may differ from target to target."""
    if isinstance(told, Mapping):
        names = list(dict.fromkeys(map(str, told.values())))
        return (
            names[0] if len(names) == 1 else ", ".join(f"{target}: {name}" for target, name in told.items())
        )
    return None if told is None else str(told)


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

    def find(self, name: str, version: str | None = None) -> ModelVersion | None:
        """Return a version, or the active one; None if there is none."""
        ...

    def describe(
        self,
        name: str | None = None,
        limit: int | None = None,
        after: Position | None = None,
        search: Search = EVERYTHING,
    ) -> tuple[list[VersionInfo], int, bool]:
        """Return versions with their metadata."""
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
        job: JobCompletion | None,
    ) -> SavedVersion:
        """Save an object (any) as a new version with its measures and its run, all or nothing."""
        ...

    def record_attempt(
        self, name: str, attempt: Attempt, hyperparameters: Mapping[str, Any], model_id: str | None = None
    ) -> None:
        """Append an attempt that was no job to the history of a model."""
        ...


class TrainingEngine:
    """Trains models and saves them as new versions.

    Parameters
    ----------
    registry : TrainingRegistry
        Where the versions go.
    alone : bool
        Whether this process does nothing else, so that what it takes is what the training takes.
    """

    def __init__(self, registry: TrainingRegistry, alone: bool = False) -> None:
        self._registry, self._alone = registry, alone

    def train(
        self,
        request: TrainingRequest,
        rows: Sequence[Any],
        progress: Progress,
        job: JobClaim | None = None,
    ) -> TrainingResult:
        """Train, and return what was made once its version is saved; blocks.

        Parameters
        ----------
        job : JobClaim or None
            The job that is completed in the transaction that adds the version. The version of a job waits
            for as long as the database is down.

        Raises
        ------
        InvalidInputError
            If the request cannot be trained; nothing is saved.
        LeaseLostError
            If the job is another worker's by now; nothing is saved.
        StorageError
            If the version cannot be saved.
        """
        if job is not None:  # of which its worker keeps account
            return self._train(request, rows, progress, job)
        account = Account(self._registry, request, self._alone)
        try:
            result = self._train(request, rows, progress, None)
        except Exception as error:
            account.failed(error)
            raise
        account.completed(result)
        return result

    def _train(
        self, request: TrainingRequest, rows: Sequence[Any], progress: Progress, job: JobClaim | None
    ) -> TrainingResult:
        trained = fit(request, rows, Part(progress, 0.0, 0.95))
        progress(0.95, "saving the version")
        while True:
            try:
                result = self._save(request, trained, job)
                break
            except (CatalogueUnavailableError, OutcomeUnknownError) as error:
                if job is None:
                    raise
                log.warning("the version waits for the database: %s", error)
                time.sleep(_PAUSE)
        progress(1.0, "done")
        return result

    def _save(self, request: TrainingRequest, trained: Trained, job: JobClaim | None) -> TrainingResult:
        activate, reason = self._activation(request, trained)

        def result(saved: SavedVersion) -> TrainingResult:
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
                reading=trained.reading,
                activation_reason=reason,
            )

        saved = self._registry.save(
            request.model_name,
            trained.estimator,
            model_type=request.kind,
            algorithms=trained.algorithms,
            metadata=trained.metadata,
            activate=activate,
            performance=trained.performance,
            run=trained.run,
            job=None if job is None else JobCompletion(job, lambda saved: result(saved).to_mapping()),
        )
        return result(saved)

    def _activation(self, request: TrainingRequest, trained: Trained) -> tuple[bool, str | None]:
        """Return whether to activate and, where that was to be found out, why."""
        if request.activate in (False, "always"):
            return bool(request.activate), None
        skill = trained.performance_metrics.overall.to_mapping()["skill"]
        if request.activate is True:
            return self._unless_worse(request.model_name, skill)
        target, found = next(iter(trained.performance_metrics.by_target.items()))
        new = found.to_mapping()["mae"]
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
            f"{verdict}: on the same held-out rows its mean absolute error of {target} is {new:.6g}, "
            f"and the active version's is {old:.6g}.{self._reservation(request.model_name)}"
        )

    def _reservation(self, name: str) -> str:
        """Say it where the active version may have learned from the rows that it was just measured on."""
        if not self._active_metadata(name).get("refit"):
            return ""
        return (
            " The active version was fitted once more on all rows of its training; where these are among "
            "them, its error looks smaller than it is."
        )

    def _active_metadata(self, name: str) -> Mapping[str, Any]:
        active = self._registry.find(name)
        if active is None:
            return {}
        entries, _, _ = self._registry.describe(name, search=EVERYTHING.of(None, active.version))
        return entries[0]["metadata"] if entries else {}

    def _unless_worse(self, name: str, skill: float | None) -> tuple[bool, str | None]:
        """Keep a version that is worse than its baseline from taking the place of one that is better."""
        if skill is None or skill >= 0:
            return True, None
        worse = f"its error is larger than that of the baseline (skill {skill:.3g})"
        active = self._registry.find(name)
        if active is None:
            return (
                True,
                f"Activated, as no version was active; but {worse}, so a simple rule predicts better.",
            )
        told = self._active_metadata(name).get("performance_metrics")
        before = told.get("skill") if isinstance(told, Mapping) else None
        if isinstance(before, (int, float)) and before >= 0:
            return False, (
                f"Not activated: {worse}, and version {active.version} is better than its own (skill "
                f'{before:.3g}). Give activate="always" to activate it all the same.'
            )
        return True, f"Activated; but {worse}, so a simple rule predicts better."
