"""The command `worker`: do the trainings that others asked for."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from ai_engine.cli.options import STORAGE, TRAINING, WORKING, AsJson, with_settings
from ai_engine.cli.output import print_json
from ai_engine.domain.errors import InvalidInputError
from ai_engine.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(worker)


@with_settings(*STORAGE, *TRAINING, *WORKING, log_level="info")
def worker(
    settings: Settings,
    once: Annotated[
        bool, typer.Option("--once", help="Do one job, if one waits, and end.", show_default=False)
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Do trainings that wait, until SIGINT or SIGTERM; any number of workers may share a directory.

    What is under way then is handed back, and goes on elsewhere or when a worker starts again.
    """
    from ai_engine.jobs.upkeep import JobUpkeep
    from ai_engine.jobs.workers import Workers
    from ai_engine.training.extras import require_training_packages
    from ai_engine.wiring import open_registry

    require_training_packages()
    if settings.workers == 0 and not once:
        raise InvalidInputError(
            "--workers", "is 0, so nothing would ever be done; give a number of at least 1"
        )
    with open_registry(settings) as registry, _told_to_end() as (ending, tell):
        workers = Workers(registry.queue, settings)
        upkeep = JobUpkeep(registry, settings, trains=True, asked=workers.wake)
        if once:

            def do() -> None:
                try:
                    upkeep.look()
                    workers.run_once()
                finally:
                    tell()

            doing = threading.Thread(target=do, name="training-once")
            doing.start()
            ending()
            workers.stop()
            doing.join()
        else:
            workers.start()
            upkeep.start()
            ending()
            upkeep.stop()
            workers.stop()
            workers.join()
            upkeep.join()
    if as_json:
        print_json({"attempts": workers.begun, "without_version": workers.failed})
    else:
        print(f"attempts: {workers.begun}, without a version: {workers.failed}")


@contextmanager
def _told_to_end() -> Iterator[tuple[Callable[[], object], Callable[[], object]]]:
    """Give what waits until SIGINT or SIGTERM comes, and what ends the wait without one.

    A signal may come to any thread, and only this one runs its handler, which it does not while it waits. So
    it is a pipe that it waits for: the system's part of the handler writes there, whichever thread it is in.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    waking = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    before = {one: signal.signal(one, lambda *_: None) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: os.read(reading, 1), lambda: os.write(writing, b".")
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        signal.set_wakeup_fd(waking)
        os.close(reading)
        os.close(writing)
