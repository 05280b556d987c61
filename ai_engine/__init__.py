"""NovaCron AI Engine: a model registry that lives inside your service and never forgets what it learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ai_engine.version import __version__ as __version__

if TYPE_CHECKING:
    from ai_engine.domain.errors import AIEngineError as AIEngineError
    from ai_engine.domain.errors import ArtifactCorruptedError as ArtifactCorruptedError
    from ai_engine.domain.errors import BackupError as BackupError
    from ai_engine.domain.errors import CatalogueCorruptedError as CatalogueCorruptedError
    from ai_engine.domain.errors import CatalogueMismatchError as CatalogueMismatchError
    from ai_engine.domain.errors import CatalogueUnavailableError as CatalogueUnavailableError
    from ai_engine.domain.errors import ClosedError as ClosedError
    from ai_engine.domain.errors import ConflictError as ConflictError
    from ai_engine.domain.errors import IdempotencyKeyReusedError as IdempotencyKeyReusedError
    from ai_engine.domain.errors import InvalidInputError as InvalidInputError
    from ai_engine.domain.errors import InvalidNameError as InvalidNameError
    from ai_engine.domain.errors import JobLostError as JobLostError
    from ai_engine.domain.errors import JobNotFoundError as JobNotFoundError
    from ai_engine.domain.errors import JobStateError as JobStateError
    from ai_engine.domain.errors import KeyExistsError as KeyExistsError
    from ai_engine.domain.errors import KeyNotFoundError as KeyNotFoundError
    from ai_engine.domain.errors import LeaseLostError as LeaseLostError
    from ai_engine.domain.errors import MissingDependencyError as MissingDependencyError
    from ai_engine.domain.errors import ModelLoadError as ModelLoadError
    from ai_engine.domain.errors import ModelNotFoundError as ModelNotFoundError
    from ai_engine.domain.errors import NewerCatalogueError as NewerCatalogueError
    from ai_engine.domain.errors import NoPreviousVersionError as NoPreviousVersionError
    from ai_engine.domain.errors import NotAnswerableError as NotAnswerableError
    from ai_engine.domain.errors import OutcomeUnknownError as OutcomeUnknownError
    from ai_engine.domain.errors import QueueFullError as QueueFullError
    from ai_engine.domain.errors import ReentrantCallError as ReentrantCallError
    from ai_engine.domain.errors import RegistryNotFoundError as RegistryNotFoundError
    from ai_engine.domain.errors import ScheduleChangedError as ScheduleChangedError
    from ai_engine.domain.errors import ScheduleNotFoundError as ScheduleNotFoundError
    from ai_engine.domain.errors import SerializationError as SerializationError
    from ai_engine.domain.errors import SignatureError as SignatureError
    from ai_engine.domain.errors import SigningKeyError as SigningKeyError
    from ai_engine.domain.errors import StorageError as StorageError
    from ai_engine.domain.errors import StorageFullError as StorageFullError
    from ai_engine.domain.errors import TrainingFailedError as TrainingFailedError
    from ai_engine.domain.errors import UnsafeDirectoryError as UnsafeDirectoryError
    from ai_engine.domain.errors import VersionActiveError as VersionActiveError
    from ai_engine.domain.errors import VersionExistsError as VersionExistsError
    from ai_engine.domain.errors import VersionNotFoundError as VersionNotFoundError
    from ai_engine.models import ModelManager as ModelManager
    from ai_engine.models import ModelPerformance as ModelPerformance

# Where each public name is to be found: importing the package alone costs nothing.
_MODELS = frozenset(("ModelManager", "ModelPerformance"))
_ERRORS = frozenset(
    (
        "AIEngineError ArtifactCorruptedError BackupError CatalogueCorruptedError CatalogueMismatchError "
        "CatalogueUnavailableError ClosedError ConflictError IdempotencyKeyReusedError InvalidInputError "
        "InvalidNameError JobLostError JobNotFoundError JobStateError KeyExistsError KeyNotFoundError "
        "LeaseLostError MissingDependencyError ModelLoadError ModelNotFoundError NewerCatalogueError "
        "NoPreviousVersionError NotAnswerableError OutcomeUnknownError QueueFullError ReentrantCallError "
        "RegistryNotFoundError ScheduleChangedError ScheduleNotFoundError SerializationError "
        "SignatureError SigningKeyError StorageError StorageFullError TrainingFailedError "
        "UnsafeDirectoryError VersionActiveError VersionExistsError VersionNotFoundError"
    ).split()
)

if not TYPE_CHECKING:  # a type checker would take any name for one that is found here

    def __getattr__(name: str) -> object:
        """Import what is asked for when it is asked for."""
        if name in _MODELS:
            from ai_engine import models

            return getattr(models, name)
        if name in _ERRORS:
            from ai_engine.domain import errors

            return getattr(errors, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted({"__version__", *_MODELS, *_ERRORS})
