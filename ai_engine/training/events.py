"""What a training in a child process tells its parent: one JSON object a line, read once into types.

::

    {"event": "progress", "fraction": 0.4, "message": "trying ridge on cpu"}
    {"event": "completed", "answer": {…}}
    {"event": "failed", "error": {"kind": "invalid"|"storage"|"internal", "type": "InvalidInputError",
                                  "field": "training_data[17].cpu", "detail": "…", "attributes": {…}}}

Any number of the first, and last one of the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ai_engine.domain import errors
from ai_engine.domain.errors import (
    AIEngineError,
    InvalidInputError,
    StorageError,
    TrainingFailedError,
)
from ai_engine.training.progress import Stage
from ai_engine.training.results import TrainingResult


@dataclass(frozen=True, slots=True)
class Completed:
    """The version is saved."""

    result: TrainingResult


@dataclass(frozen=True, slots=True)
class Failed:
    """The training ended without a version.

    Attributes
    ----------
    error : Exception
        What it raised: in the parent an `AIEngineError` of the same class, with the same sentence and those
        of its attributes that are text or numbers.
    """

    error: Exception


Event = Stage | Completed | Failed
_NO_MEMORY: Final = (
    "it ran out of memory. Give fewer rows, columns or machines, or let a training take more "
    "(AI_ENGINE_TRAINING_MEMORY)"
)


def to_line(event: Event) -> str:
    """Return an event as a line of JSON."""
    return json.dumps(_told(event), allow_nan=False) + "\n"


def from_line(line: bytes) -> Event:
    """Return the event that a line tells.

    Raises
    ------
    TrainingFailedError
        If the line is none.
    """
    try:
        return _read(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingFailedError(f"its process told what cannot be read: {line[:100]!r}") from error


def _told(event: Event) -> dict[str, Any]:
    """Return the JSON values of an event."""
    if isinstance(event, Stage):
        return {"event": "progress", "fraction": event.fraction, "message": event.message}
    if isinstance(event, Completed):
        return {"event": "completed", "answer": event.result.to_mapping()}
    return {"event": "failed", "error": described(event.error)}


def _read(told: Mapping[str, Any]) -> Event:
    """Return an event of its JSON values."""
    if told["event"] == "progress":
        return Stage(float(told["fraction"]), str(told["message"]))
    if told["event"] == "completed":
        return Completed(TrainingResult.from_mapping(told["answer"]))
    return Failed(rebuilt_error(told["error"]))


def described(error: Exception) -> dict[str, Any]:
    """Return the JSON values of an error; `rebuilt_error` reads them."""
    ours = isinstance(error, AIEngineError)
    invalid, memory = isinstance(error, InvalidInputError), isinstance(error, MemoryError)
    attributes = {name: value for name, value in vars(error).items() if isinstance(value, (str, int, float))}
    return {
        "kind": "invalid" if invalid else "storage" if isinstance(error, StorageError) else "internal",
        "type": type(error).__name__,
        "field": getattr(error, "field", None),
        "detail": str(error) if ours else _NO_MEMORY if memory else f"{type(error).__name__}: {error}",
        "attributes": attributes if ours else {},
    }


def rebuilt_error(error: Mapping[str, Any]) -> AIEngineError:
    """Return the error that JSON values describe, as an object of its own class.

    Raises
    ------
    KeyError
        If they describe none.
    """
    kind = getattr(errors, error["type"], None)
    if not (isinstance(kind, type) and issubclass(kind, AIEngineError)):
        return TrainingFailedError(error["detail"])
    # Past the constructor, whose arguments differ from class to class: the sentence is written already.
    rebuilt = kind.__new__(kind, error["detail"])
    rebuilt.args = (error["detail"],)
    vars(rebuilt).update(error["attributes"])
    return rebuilt
