"""Trainings as requests wait for them."""

from __future__ import annotations

from asyncio import wrap_future

from ai_engine.api.problems import RefusedError, stopping
from ai_engine.training.results import TrainingResult
from ai_engine.training.runner import RunnerStoppedError, TooManyTrainingsError, TrainingRunner


async def trained(runner: TrainingRunner, request: bytes) -> TrainingResult:
    """Return what a request, a line of JSON, trained, once its version is saved.

    The training ends with the task that waits for it: a client that has gone waits for no model.

    Raises
    ------
    RefusedError
        If too many wait already, or the server stops.
    AIEngineError
        What the training raised.
    """
    try:
        training = runner.submit(request)
        try:
            return await wrap_future(training.outcome)
        finally:
            training.end()
    except TooManyTrainingsError as error:
        raise RefusedError(503, "too-many-trainings", str(error)) from None
    except RunnerStoppedError:
        raise stopping() from None
