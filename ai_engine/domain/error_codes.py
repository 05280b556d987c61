"""Public codes of errors, by which programs tell one from another: once released, a code stays for ever.

A class may be renamed; its code may not. A new error gets a line here and one in
``tests/snapshots/error_codes.txt``, where no line is ever removed or changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

from ai_engine.domain import errors
from ai_engine.domain.errors import AIEngineError

# In front of a code in the `type` of a problem (RFC 9457).
PROBLEM: Final = "urn:ai-engine:problem:"

CODES: Final[Mapping[type[AIEngineError], str]] = {
    errors.AIEngineError: "aiengine",
    errors.InvalidInputError: "invalid-input",
    errors.InvalidNameError: "invalid-name",
    errors.ModelNotFoundError: "model-not-found",
    errors.VersionNotFoundError: "version-not-found",
    errors.ConflictError: "conflict",
    errors.VersionExistsError: "version-exists",
    errors.VersionActiveError: "version-active",
    errors.NoPreviousVersionError: "no-previous-version",
    errors.SerializationError: "serialization",
    errors.ModelLoadError: "model-load",
    errors.ArtifactCorruptedError: "artifact-corrupted",
    errors.StorageError: "storage",
    errors.StorageFullError: "storage-full",
    errors.CatalogueUnavailableError: "catalogue-unavailable",
    errors.CatalogueCorruptedError: "catalogue-corrupted",
    errors.OutcomeUnknownError: "outcome-unknown",
    errors.RegistryNotFoundError: "registry-not-found",
    errors.CatalogueMismatchError: "catalogue-mismatch",
    errors.NewerCatalogueError: "newer-catalogue",
    errors.UnsafeDirectoryError: "unsafe-directory",
    errors.ClosedError: "closed",
    errors.ReentrantCallError: "reentrant-call",
    errors.BackupError: "backup",
    errors.MissingDependencyError: "missing-dependency",
    errors.TrainingFailedError: "training-failed",
    errors.IdempotencyKeyReusedError: "idempotency-key-reused",
    errors.JobNotFoundError: "job-not-found",
    errors.JobStateError: "job-state",
    errors.LeaseLostError: "lease-lost",
    errors.QueueFullError: "queue-full",
    errors.KeyNotFoundError: "key-not-found",
    errors.KeyExistsError: "key-exists",
    errors.SignatureError: "signature",
    errors.SigningKeyError: "signing-key",
    errors.JobLostError: "job-lost",
    errors.ScheduleNotFoundError: "schedule-not-found",
    errors.ScheduleChangedError: "schedule-changed",
    errors.NotAnswerableError: "not-answerable",
}

# Of requests that are refused for how they were sent, and of commands that were typed wrongly.
Refusal = Literal[
    "bad-content-length",
    "body-too-large",
    "busy",
    "foreign-form",
    "foreign-host",
    "foreign-origin",
    "http",
    "interrupted",
    "invalid-http",
    "invalid-input",
    "method-not-allowed",
    "no-key",
    "no-such-path",
    "not-allowed",
    "not-opened",
    "not-ready",
    "not-started",
    "path-too-long",
    "slow-request",
    "source-not-allowed",
    "stopping",
    "too-many-requests",
    "too-many-trainings",
    "unexpected",
    "unsupported-content-encoding",
    "unsupported-content-type",
    "usage",
    "wrong-key",
]


def code_of(error: type[AIEngineError]) -> str:
    """Return the public code of an error; of a class that has none, that of what it derives from.

    >>> code_of(errors.VersionExistsError)
    'version-exists'
    """
    return next(CODES[kind] for kind in error.__mro__ if kind in CODES)


def code_named(name: str) -> str:
    """Return the public code of an error by the name of its class; what is none of ours failed a training.

    >>> code_named("InvalidInputError"), code_named("MemoryError")
    ('invalid-input', 'training-failed')
    """
    found = (code for kind, code in CODES.items() if kind.__name__ == name)
    return next(found, CODES[errors.TrainingFailedError])


def every_code() -> frozenset[str]:
    """Return every public code."""
    return frozenset(CODES.values()) | frozenset(get_args(Refusal))
