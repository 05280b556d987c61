"""The command `worker`: do the trainings that others asked for."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from ai_engine.cli.options import STORAGE, TRAINING, WORKING, AsJson, with_settings
from ai_engine.cli.output import print_json
from ai_engine.settings import Settings

if TYPE_CHECKING:
    from types import FrameType


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
    from ai_engine.jobs.workers import Workers
    from ai_engine.training.extras import require_training_packages
    from ai_engine.wiring import open_registry

    require_training_packages()
    told = threading.Event()
    with open_registry(settings) as registry:
        workers = Workers(registry.queue, settings)

        def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # as signals call it
            told.set()
            workers.stop()

        before = {one: signal.signal(one, end) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            if once:
                workers.run_once()
            else:
                workers.start()
                told.wait()
                workers.join()
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
    if as_json:
        print_json({"attempts": workers.begun, "without_version": workers.failed})
    else:
        print(f"{workers.begun} attempts, {workers.failed} of them without a version")
