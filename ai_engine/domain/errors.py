"""The exceptions of the engine, in one tree.

Each error also derives from the built-in that a caller would expect, says what happened and what to do
next, and keeps the values that it speaks of as attributes::

    AIEngineError
    ├── InvalidInputError (ValueError)
    │   ├── InvalidNameError
    │   └── IdempotencyKeyReusedError
    ├── ModelNotFoundError (LookupError)
    │   └── VersionNotFoundError
    ├── JobNotFoundError (LookupError)
    │   └── JobLostError
    ├── KeyNotFoundError (LookupError)
    ├── ScheduleNotFoundError (LookupError)
    ├── ConflictError
    │   ├── VersionExistsError (FileExistsError)
    │   ├── VersionActiveError (ValueError)
    │   ├── NoPreviousVersionError (LookupError)
    │   ├── KeyExistsError (FileExistsError)
    │   ├── JobStateError (RuntimeError)
    │   ├── NotAnswerableError (LookupError)
    │   ├── LeaseLostError (RuntimeError)
    │   └── ScheduleChangedError (RuntimeError)
    ├── SerializationError (TypeError)
    ├── ModelLoadError (ImportError)
    ├── ArtifactCorruptedError (OSError)
    │   └── SignatureError
    ├── SigningKeyError (PermissionError)
    ├── StorageError (OSError)
    │   ├── StorageFullError
    │   ├── CatalogueUnavailableError
    │   │   └── CatalogueCorruptedError
    │   └── OutcomeUnknownError
    ├── RegistryNotFoundError (FileNotFoundError)
    ├── CatalogueMismatchError (RuntimeError)
    ├── NewerCatalogueError (RuntimeError)
    ├── UnsafeDirectoryError (PermissionError)
    ├── ClosedError (RuntimeError)
    ├── ReentrantCallError (RuntimeError)
    ├── BackupError (RuntimeError)
    ├── MissingDependencyError (ImportError)
    ├── TrainingFailedError (RuntimeError)
    └── QueueFullError (RuntimeError)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class AIEngineError(Exception):
    """The root of every error that this package raises on purpose."""

    def __reduce__(self) -> tuple[object, ...]:
        # An error travels between processes; the default would call __init__ with the finished message.
        return _revive, (type(self), self.args, dict(self.__dict__))


def _revive(kind: type[AIEngineError], args: tuple[object, ...], state: dict[str, object]) -> AIEngineError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InvalidInputError(AIEngineError, ValueError):
    """A value that a caller gave cannot be used; nothing was changed.

    Attributes
    ----------
    field : str
        Where the value stands, for example ``training_data[17].cpu``.
    """

    def __init__(self, field: str, problem: str) -> None:
        self.field, self.problem = field, problem
        super().__init__(f"{field}: {problem}")


class InvalidNameError(InvalidInputError):
    """A model name or a version that the naming rule does not allow."""

    def __init__(self, what: str, value: object, problem: str) -> None:
        self.value = value
        super().__init__(what, f"{value!r} {problem}")


class IdempotencyKeyReusedError(InvalidInputError):
    """A key that tells a request from all others came with two different ones; nothing was queued."""

    def __init__(self, key: str, job_id: str) -> None:
        self.key, self.job_id = key, job_id
        super().__init__(
            "Idempotency-Key",
            f"{key!r} came with another request within the last 24 hours, which is job {job_id}. Repeat that "
            "request as it was, or give this one a key of its own",
        )


class ModelNotFoundError(AIEngineError, LookupError):
    """There is no model of that name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"there is no model {name!r}. List the models with `ai-engine models list`.")


# Versions that an error names; a model may have a million.
_NAMED = 10


class VersionNotFoundError(ModelNotFoundError):
    """The model has no such version, or there is no such model."""

    def __init__(self, name: str, version: str | None, known: Sequence[str] | None = None) -> None:
        self.version, self.known = version, tuple((known or ())[-_NAMED:])
        super().__init__(name)
        if known is not None and not known:
            return
        has = f"the newest are {', '.join(self.known)}" if known else "perhaps it was just deleted"
        what = "active version" if version is None else f"version {version!r}"
        self.args = (
            f"model {name!r} has no {what}; {has}. List them with `ai-engine models list --name {name!r}`.",
        )


class JobNotFoundError(AIEngineError, LookupError):
    """There is no job of that id."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"there is no job {job_id!r}; one that has ended is forgotten after a week. "
            "List the jobs with `ai-engine jobs list`."
        )


class KeyNotFoundError(AIEngineError, LookupError):
    """No valid key has this id or name."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(
            f"no valid key has the id or the name {key[:80]!r}; `ai-engine keys list` shows all of them"
        )


class JobLostError(JobNotFoundError):
    """The job was there and is not any more: the database that knew it was replaced or restored."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self.args = (
            f"job {job_id} is gone: the database that knew it was deleted, rebuilt or restored meanwhile. No "
            "worker goes on with it; ask for the training again",
        )


class ScheduleNotFoundError(AIEngineError, LookupError):
    """The model has no schedule."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"model {name!r} has no schedule by which it is trained again. Set one with `ai-engine schedules "
            "set`; `ai-engine schedules list` lists those that there are."
        )


class ConflictError(AIEngineError):
    """The change conflicts with the state of the registry."""


class VersionExistsError(ConflictError, FileExistsError):
    """The version exists already; a version is never overwritten.

    Attributes
    ----------
    trouble : str or None
        Why the database could not be asked, and another place tells of the version.
    """

    def __init__(self, name: str, version: str, trouble: str | None = None) -> None:
        self.name, self.version, self.trouble = name, version, trouble
        known = f" The database could not be read, and the records beside the models list it: {trouble}"
        super().__init__(
            f"version {version!r} of model {name!r} exists, and a version is never overwritten. "
            f"Leave the version out to get the next free number, or choose another.{known if trouble else ''}"
        )


class VersionActiveError(ConflictError, ValueError):
    """The active version is never deleted."""

    def __init__(self, name: str, version: str) -> None:
        self.name, self.version = name, version
        super().__init__(
            f"version {version!r} of model {name!r} is active and cannot be deleted. "
            "Activate another version first."
        )


class NoPreviousVersionError(ConflictError, LookupError):
    """No version was active before the present one."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"no version of model {name!r} was active before the present one, or all of those are deleted. "
            "Activate a version by its number instead."
        )


class KeyExistsError(ConflictError, FileExistsError):
    """A valid key has this name already."""

    def __init__(self, name: str, key_id: str) -> None:
        self.name, self.key_id = name, key_id
        super().__init__(
            f"there is a key named {name!r} already, {key_id}. Give another name, or replace that one with "
            f"`ai-engine keys rotate {key_id}`"
        )


class NotAnswerableError(ConflictError, LookupError):
    """Neither a trained model nor what the request carries can answer a question; no number was made up."""

    def __init__(self, question: str, wanted: str) -> None:
        self.question, self.wanted = question, wanted
        super().__init__(f"{question} cannot be answered: {wanted}")


class JobStateError(ConflictError, RuntimeError):
    """What was asked for cannot be done with a job as it is; nothing was changed."""

    def __init__(self, job_id: str, problem: str) -> None:
        self.job_id, self.problem = job_id, problem
        super().__init__(f"job {job_id} {problem}")


class LeaseLostError(ConflictError, RuntimeError):
    """The job is no longer this worker's: it was claimed by another one, or has ended. Nothing was saved."""

    def __init__(self, job_id: str, attempt: int) -> None:
        self.job_id, self.attempt = job_id, attempt
        super().__init__(
            f"attempt {attempt} of job {job_id} is over: another worker has the job, or it has ended. "
            f"Nothing was saved. Look at it with `ai-engine jobs show {job_id}`."
        )


class ScheduleChangedError(ConflictError, RuntimeError):
    """Somebody changed a schedule, or did what it was due for, at the same moment; nothing was queued."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"the schedule of model {name!r} was changed, or its training asked for, at the same moment by "
            f"somebody else; nothing was queued twice. Look at it with `ai-engine schedules show {name!r}`."
        )


class SerializationError(AIEngineError, TypeError):
    """The object cannot be pickled; nothing was saved."""

    def __init__(self, what: str, cause: BaseException | str) -> None:
        self.what, self.cause = what, cause
        told = cause if isinstance(cause, str) else f"{type(cause).__name__}: {cause}"
        super().__init__(
            f"{what} cannot be stored: {told}. Take out what cannot be pickled "
            "(open files, locks, connections, lambdas), or keep it in memory with `register_model`."
        )


class ModelLoadError(AIEngineError, ImportError):
    """The stored object is intact but cannot be unpickled here."""

    def __init__(self, label: str, cause: BaseException, saved_with: Mapping[str, str]) -> None:
        self.label, self.cause, self.saved_with = label, cause, dict(saved_with)
        packages = (
            ", ".join(f"{name} {version}" for name, version in saved_with.items()) or "unrecorded packages"
        )
        super().__init__(
            f"{label} cannot be loaded here: {type(cause).__name__}: {cause}. It was saved with {packages}. "
            "Install what is missing, or make the class importable under the name that it had."
        )


class ArtifactCorruptedError(AIEngineError, OSError):
    """The stored bytes are missing or are not those that were saved; they were not deserialised."""

    def __init__(self, label: str, problem: str) -> None:
        self.label, self.problem = label, problem
        super().__init__(
            f"the stored bytes of {label} {problem}. They were not loaded. Activate another version or "
            "restore a backup; `ai-engine doctor` lists everything that is damaged."
        )


class SignatureError(ArtifactCorruptedError):
    """A version is not signed by a key that counts here; its bytes were not deserialised."""

    def __init__(self, label: str, problem: str) -> None:
        self.label, self.problem = label, problem
        AIEngineError.__init__(
            self,
            f"the stored bytes of {label} {problem}. They were not loaded. If AI_ENGINE_SIGNING_KEY is "
            "another file where they were saved, add that key to this one; if you know where they come from, "
            "`ai-engine doctor --sign` signs them.",
        )


class SigningKeyError(AIEngineError, PermissionError):
    """The file of the signing key cannot be used; nothing was changed."""

    def __init__(self, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"the signing key {path} {problem}")


class StorageError(AIEngineError, OSError):
    """The storage refused the change; nothing was changed."""


class StorageFullError(StorageError):
    """The disk, a quota or a file-size limit is exhausted; nothing was changed."""

    def __init__(self, where: str, cause: BaseException) -> None:
        self.where, self.cause = where, cause
        super().__init__(
            f"no room to write in {where}: {cause}. Nothing was saved. "
            "Free space, for example with `ai-engine models cleanup`, and try again."
        )


class CatalogueUnavailableError(StorageError):
    """The database cannot be read or written right now."""

    def __init__(self, where: str, cause: BaseException | str) -> None:
        self.where, self.cause = where, cause
        super().__init__(f"the database {where} cannot be used: {cause}.")


class CatalogueCorruptedError(CatalogueUnavailableError):
    """The database file is damaged."""


class OutcomeUnknownError(StorageError):
    """The commit failed, and whether it holds is known only after the next opening."""

    def __init__(self, model_id: str | None, cause: BaseException) -> None:
        self.model_id, self.cause = model_id, cause
        what = f"the save of {model_id}" if model_id else "the change"
        super().__init__(
            f"the storage failed while {what} was being committed, and whether it holds cannot be known yet: "
            f"{cause}. The next opening settles it one way for everybody; look the version up then."
        )


class RegistryNotFoundError(AIEngineError, FileNotFoundError):
    """The model directory holds no registry; none was created."""

    def __init__(self, model_dir: str) -> None:
        self.model_dir = model_dir
        super().__init__(
            f"there is no registry in {model_dir}: it holds neither a database nor models. Name another "
            "directory with --model-dir or AI_ENGINE_MODEL_DIR; the first save of a model makes a new one."
        )


class CatalogueMismatchError(AIEngineError, RuntimeError):
    """The model directory belongs to another database."""

    def __init__(self, model_dir: str, db_path: str, owner: str) -> None:
        self.model_dir, self.db_path, self.owner = model_dir, db_path, owner
        super().__init__(
            f"{model_dir} belongs to the database {owner}, not to {db_path}. A directory belongs to one "
            "database: open it with that one, or give this one a directory of its own."
        )


class NewerCatalogueError(AIEngineError, RuntimeError):
    """The database was written by a newer version of this software."""

    def __init__(self, where: str, found: int, known: int) -> None:
        self.where, self.found, self.known = where, found, known
        super().__init__(
            f"the database {where} has schema {found}, and this novacron-ai-engine knows up to {known}. "
            "Nothing was changed. Upgrade novacron-ai-engine on this machine."
        )


class UnsafeDirectoryError(AIEngineError, PermissionError):
    """Another user could write into a directory whose content has to be trusted."""

    def __init__(
        self,
        path: str,
        problem: str,
        what: str = "the default directory",
        remedy: str = "Set AI_ENGINE_MODEL_DIR to a directory that only you can write.",
    ) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{what} {path} {problem}, so what it holds cannot be trusted. {remedy}")


class ClosedError(AIEngineError, RuntimeError):
    """The manager was closed."""

    def __init__(self) -> None:
        super().__init__("this ModelManager is closed. Open a new one.")


class ReentrantCallError(AIEngineError, RuntimeError):
    """A signal handler tried a change while its thread was in the middle of one; nothing was changed."""

    def __init__(self) -> None:
        super().__init__(
            "this thread is in the middle of another change, which waits until this call returns: a signal "
            "handler interrupted it. Nothing was changed. Have the handler set a flag, and save once the "
            "change is done, or save from another thread."
        )


class BackupError(AIEngineError, RuntimeError):
    """A backup is not whole, or a directory that was to be filled is not empty; nothing was changed."""


class MissingDependencyError(AIEngineError, ImportError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(
            f"{package} is not installed. Install it with `pip install 'novacron-ai-engine[{extra}]'`."
        )


class TrainingFailedError(AIEngineError, RuntimeError):
    """The training ended without a model; nothing was saved."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the training failed: {reason}")


class QueueFullError(AIEngineError, RuntimeError):
    """As many trainings wait as may; nothing was queued."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        super().__init__(
            f"{waiting} trainings are waiting already; try again later, start another `ai-engine worker`, or "
            "raise AI_ENGINE_QUEUE"
        )
