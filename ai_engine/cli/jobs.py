"""The commands `jobs …`: the trainings that wait, run or have ended."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ai_engine.cli.options import STORAGE, AsJson, JobId, with_settings
from ai_engine.cli.output import print_facts, print_json, print_table
from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.jobs import Attempt, Job, JobStatus
from ai_engine.settings import Settings

app = typer.Typer(help="Look at trainings, and cancel them.", rich_markup_mode=None, no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app, name="jobs")


@app.command("list")
@with_settings(*STORAGE)
def list_jobs(
    settings: Settings,
    status: Annotated[
        str | None,
        typer.Option(help=f"One of {', '.join(JobStatus)}. Default: all.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """List the trainings of the last week, the newest first."""
    from ai_engine.jobs.shapes import job_shape
    from ai_engine.wiring import open_registry

    if status is not None and status not in tuple(JobStatus):
        raise InvalidInputError("--status", f"{status!r} is none of {', '.join(JobStatus)}")
    with open_registry(settings, must_exist=True) as registry:
        jobs = registry.queue.page(None if status is None else JobStatus(status), limit)
    if as_json:
        print_json({"jobs": [job_shape(job) for job in jobs]})
        return
    print_table(
        ("job", "status", "model", "type", "attempt", "submitted", "stage"),
        [
            (
                job.job_id,
                job.status.value,
                job.model_name,
                job.model_type,
                job.attempt,
                f"{job.submitted_at:%Y-%m-%d %H:%M:%S}",
                job.stage,
            )
            for job in jobs
        ],
        right=("attempt",),
    )


@app.command()
@with_settings(*STORAGE)
def show(settings: Settings, job_id: JobId, as_json: AsJson = False) -> None:
    """Show a training: how far it is, what has become of it, and every attempt to do it."""
    from ai_engine.jobs.shapes import attempt_shape, expected_seconds, job_shape
    from ai_engine.wiring import open_registry

    with open_registry(settings, must_exist=True) as registry:
        job, attempts = registry.queue.get(job_id), registry.queue.attempts(job_id)
        shape = job_shape(job, expected_seconds(registry, job.model_name))
    if as_json:
        print_json({**shape, "attempts": [attempt_shape(attempt) for attempt in attempts]})
    else:
        _print(shape, attempts)


def _print(shape: dict[str, Any], attempts: list[Attempt]) -> None:
    """Print a job (JSON values) and its attempts."""
    result, error, progress = shape["result"] or {}, shape["error"] or {}, shape["progress"]
    print_facts(
        {
            "job": shape["job_id"],
            "status": shape["status"],
            "model": shape["model_name"],
            "type": shape["model_type"],
            "stage": progress["stage"],
            "done": None if progress["fraction"] is None else f"{progress['fraction']:.0%}",
            "seconds": progress["elapsed_seconds"],
            "expected seconds": progress["expected_seconds"],
            "submitted": shape["submitted_at"],
            "version": result.get("model_version"),
            "error": error.get("detail"),
        }
    )
    print_table(
        ("attempt", "host", "outcome", "CPU seconds", "peak MB", "error"),
        [
            (
                one.attempt,
                one.host,
                one.outcome.value if one.outcome else "under way",
                one.usage.cpu_seconds,
                None if one.usage.peak_memory is None else round(one.usage.peak_memory / 1e6),
                one.error,
            )
            for one in attempts
        ],
        right=("attempt", "CPU seconds", "peak MB"),
    )


@app.command()
@with_settings(*STORAGE)
def follow(settings: Settings, job_id: JobId, as_json: AsJson = False) -> None:
    """Show how far a training is until it has ended, and then what it made."""
    from ai_engine.cli.train import print_trained, training_progress
    from ai_engine.jobs.shapes import outcome
    from ai_engine.jobs.waiting import followed
    from ai_engine.wiring import open_registry

    with open_registry(settings, must_exist=True) as registry, training_progress() as progress:
        job: Job = registry.queue.get(job_id)
        for job in followed(registry.queue, job_id):
            progress(job.fraction or 0.0, job.stage or job.status.value)
    result = outcome(job)
    if as_json:
        print_json(result.to_mapping())
    else:
        print_trained(result)


@app.command()
@with_settings(*STORAGE)
def cancel(settings: Settings, job_id: JobId, as_json: AsJson = False) -> None:
    """End a training: at once where it waits, within seconds where it runs."""
    from ai_engine.wiring import open_registry

    with open_registry(settings, must_exist=True) as registry:
        _tell(registry.queue.cancel(job_id), as_json, "is to end within seconds")


@app.command()
@with_settings(*STORAGE)
def retry(settings: Settings, job_id: JobId, as_json: AsJson = False) -> None:
    """Let a training that failed or was cancelled wait for a worker once more."""
    from ai_engine.wiring import open_registry

    with open_registry(settings, must_exist=True) as registry:
        _tell(registry.queue.retry(job_id), as_json, "is running")


def _tell(job: Job, as_json: bool, running: str) -> None:
    from ai_engine.jobs.shapes import job_shape

    if as_json:
        print_json(job_shape(job))
        return
    how = {JobStatus.RUNNING: running, JobStatus.QUEUED: "waits for a worker"}
    print(f"job {job.job_id} {how.get(job.status, f'is {job.status.value}')}")
