"""Trainings as requests wait for them."""

from __future__ import annotations

from asyncio import wrap_future

from ai_engine.api.problems import RefusedError, stopping
from ai_engine.telemetry.rows_file import RowsFile
from ai_engine.training.request import TrainingRequest
from ai_engine.training.results import TrainingResult
from ai_engine.training.runner import RunnerStoppedError, TooManyTrainingsError, TrainingRunner


async def trained(runner: TrainingRunner, request: TrainingRequest, rows: RowsFile) -> TrainingResult:
    """Return what a request trained on rows, once its version is saved.

    The training ends with the task that waits for it: a client that has gone waits for no model.

    Raises
    ------
    RefusedError
        If too many wait already, or the server stops.
    AIEngineError
        What the training raised.
    """
    try:
        training = runner.submit(request, rows)
        try:
            return await wrap_future(training.outcome)
        finally:
            training.end()
    except TooManyTrainingsError as error:
        raise RefusedError(503, "too-many-trainings", str(error)) from None
    except RunnerStoppedError:
        raise stopping() from None
