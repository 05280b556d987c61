"""Trainings as requests ask for them and wait for them."""

from __future__ import annotations

from functools import partial

from anyio import sleep, to_thread
from fastapi import Request

from ai_engine.api.problems import RefusedError, stopping
from ai_engine.api.service import Service
from ai_engine.domain.errors import StorageError
from ai_engine.domain.jobs import Job
from ai_engine.jobs.shapes import outcome
from ai_engine.jobs.submission import submit_file
from ai_engine.jobs.waiting import LOOK, Follower
from ai_engine.telemetry.rows_file import RowsFile
from ai_engine.training.child import ProcessDiedError
from ai_engine.training.extras import require_training_packages
from ai_engine.training.request import TrainingRequest
from ai_engine.training.results import TrainingResult


async def enqueued(
    service: Service, request: Request, wanted: TrainingRequest, rows: RowsFile, key: str | None
) -> Job:
    """Return the job of a training once it is durable.

    Raises
    ------
    RefusedError
        If the server stops; nothing is enqueued.
    AIEngineError
        See `ai_engine.jobs.submission.submit_file`.
    """
    if service.workers.stopping:
        raise stopping()
    require_training_packages()
    queue = service.acting(request).queue
    job = await to_thread.run_sync(partial(submit_file, queue, service.settings, wanted, rows, key))
    service.workers.wake()
    return job


async def unqueued(service: Service, wanted: TrainingRequest, rows: RowsFile) -> TrainingResult:
    """Return what is trained while the database takes no job; see `Workers.train_unqueued`.

    Raises
    ------
    RefusedError
        If the server stops before there is a version.
    AIEngineError
        What the training raised.
    """
    train = partial(service.workers.train_unqueued, wanted, rows)
    try:
        return await to_thread.run_sync(train, limiter=service.unqueued)
    except ProcessDiedError:
        if service.workers.stopping:
            raise stopping() from None
        raise


async def finished(service: Service, job: Job) -> TrainingResult:
    """Return what a job has made, once it has ended. It goes on where nobody waits for it any more.

    Raises
    ------
    RefusedError
        If the server stops; the job goes on when one starts.
    AIEngineError
        What the training raised.
    """
    follower = Follower(service.registry.queue, job.job_id, was_there=True)
    while True:
        if follower.changed():
            try:
                job, _ = await to_thread.run_sync(follower.look)
            except StorageError:
                if service.workers.stopping:
                    raise
            if job.status.is_ended:
                return outcome(job)
        if service.workers.stopping:
            raise RefusedError(
                503,
                "stopping",
                f"the server is stopping. The training is job {job.job_id}; it goes on when a server or a "
                f"worker starts again: ask for it at /train/jobs/{job.job_id}, and do not send it again",
            )
        await sleep(LOOK)
