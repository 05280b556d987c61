"""What the doors use of the running service, handed to them by the application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from anyio import CapacityLimiter

from ai_engine.domain.jobs import Job
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings
from ai_engine.training.results import TrainingResult


@dataclass(frozen=True, slots=True)
class Counts:
    """What a process has predicted since its start.

    Attributes
    ----------
    answered : mapping of str to int
        Requests for predictions that were answered, by model.
    total_seconds : float
        What they took together.
    recent : sequence of float
        Seconds of the last ones, bounded.
    failed : mapping of str to int
        Requests for predictions that were refused, by the code of the error.
    """

    answered: Mapping[str, int]
    total_seconds: float
    recent: tuple[float, ...]
    failed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Engine:
    """The parts of the service that the doors use.

    Attributes
    ----------
    read : callable
        Returns the JSON object of a body. Raises InvalidInputError.
    health : callable
        Returns what ``GET /health`` answers (JSON values).
    finished : callable
        Returns what a job made, once it has ended.
    wake : callable
        Tells the workers that a job waits.
    predicted : callable
        Counts an answered prediction: the model, how many numbers, and the seconds. For the event loop's
        thread.
    refused : callable
        Counts a question that was refused, by the code of the error. For the event loop's thread.
    counts : callable
        Returns what was counted.
    check : callable
        Refuses a sender who has not this scope, where an endpoint is about more than one.
    lane : CapacityLimiter
        Of the threads that derive answers.
    """

    registry: Registry
    settings: Settings
    read: Callable[[bytes], dict[str, Any]]
    health: Callable[[], Awaitable[Mapping[str, Any]]]
    finished: Callable[[Job], Awaitable[TrainingResult]]
    wake: Callable[[], None]
    predicted: Callable[[str, int, float], None]
    refused: Callable[[str], None]
    counts: Callable[[], Counts]
    lane: CapacityLimiter
    check: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Question:
    """A request as a door sees it.

    Attributes
    ----------
    registry, settings
        Of the service.
    fields : mapping
        What was sent (JSON values).
    now : float
        The moment of the request, seconds of the epoch.
    start_training : callable
        Begins a training of a resource beside the answer, and says so; see `resource_trainings`.
    """

    registry: Registry
    settings: Settings
    fields: Mapping[str, Any]
    now: float
    start_training: Callable[..., str | None] = field(default=lambda *_, **__: None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a door answers.

    Attributes
    ----------
    answer : object
        One of `answers`.
    confidence : float
        For the envelope of the integration layer.
    model : str
        The model, or the method, that it comes from.
    version : str
        Of it.
    numbers : int
        How many numbers were foretold; 0: it is no prediction.
    anomalies, optimizations : int
        How many were found.
    final : bool
        Whether it stays true: an answer that will be another one soon is not kept for who asks again.
    """

    answer: Any  # a dataclass of `answers`
    confidence: float
    model: str
    version: str
    numbers: int = 0
    anomalies: int = 0
    optimizations: int = 0
    final: bool = True
