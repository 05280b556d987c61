"""The parent's side of a training in a child process. Imports no numeric library."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Final

from ai_engine.domain.errors import TrainingFailedError
from ai_engine.logs import REQUEST_ID
from ai_engine.telemetry.rows_file import RowsFile
from ai_engine.training.events import Completed, Failed, from_line
from ai_engine.training.extras import require_training_packages
from ai_engine.training.progress import Progress, Stage
from ai_engine.training.request import TrainingRequest
from ai_engine.training.results import TrainingResult

# `python -m` would put the working directory in front of the standard library: whoever may write a json.py
# there would run as the server. `-P` leaves it out; the package is then taken from where this module is, and
# nothing else is looked for there, as a checkout may well be the working directory.
_BOOTSTRAP: Final = """
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
spec = PathFinder.find_spec("ai_engine", sys.argv[1:])
sys.modules["ai_engine"] = package = module_from_spec(spec)
spec.loader.exec_module(package)
from ai_engine.training.worker import main
sys.exit(main())
"""
COMMAND: Final = (sys.executable, "-P", "-c", _BOOTSTRAP, str(Path(__file__).absolute().parents[2]))


def train_in_child(
    settings: Mapping[str, Any],
    request: TrainingRequest,
    rows: RowsFile,
    progress: Progress,
    timeout: float,
    memory_limit_bytes: int | None = None,
    on_start: Callable[[subprocess.Popen[bytes]], None] | None = None,
) -> TrainingResult:
    """Return what a child process has trained and saved; blocks until then.

    No child outlives the call, whatever ends it: an error, the timeout, or what `progress` raises.

    Parameters
    ----------
    settings : mapping
        The fields of `ai_engine.settings.Settings` (JSON values).
    request : TrainingRequest
        What to train.
    rows : RowsFile
        On which rows; the child reads them.
    progress : Progress
        Called in this thread.
    timeout : float
        Seconds after which the child is killed.
    memory_limit_bytes : int, optional
        The child's address space.
    on_start : callable, optional
        Is handed the child, which it may kill at any time.

    Raises
    ------
    AIEngineError
        What the training raised in the child, as the same class with the same fields.
    MissingDependencyError
        If the packages of the ``train`` extra are not installed; no child is started.
    TrainingFailedError
        If the child crashed, was killed, took longer than `timeout`, or told what cannot be read.
    """
    require_training_packages()
    told = {
        "settings": dict(settings),
        "request": request.to_mapping(),
        "rows": rows.to_mapping(),
        "memory_limit_bytes": memory_limit_bytes,
        "request_id": REQUEST_ID.get(),
    }
    order = json.dumps(told).encode()
    # A session of its own: Ctrl-C at a terminal is for the parent, which then ends the child.
    child = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdin is not None
    assert child.stdout is not None
    timed_out = threading.Event()

    def give_up() -> None:
        timed_out.set()
        child.kill()

    clock = threading.Timer(timeout, give_up)
    try:
        if on_start is not None:
            on_start(child)
        clock.start()
        _send(child.stdin, order)
        event = _last_event(child.stdout, progress)
        child.wait()
    finally:
        clock.cancel()
        child.kill()
        child.wait()
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        child.stdout.close()
    if event is None:
        raise TrainingFailedError(_ending(child.returncode, timeout if timed_out.is_set() else None))
    if isinstance(event, Failed):
        raise event.error
    return event.result


def _send(stdin: IO[bytes], line: bytes) -> None:
    # A child that ended early says why itself, or by its exit code.
    with contextlib.suppress(BrokenPipeError):
        stdin.write(line + b"\n")
        stdin.flush()


def _last_event(stdout: IO[bytes], progress: Progress) -> Completed | Failed | None:
    """Return the event that ends the training, or None if the child ended without one."""
    for line in stdout:
        event = from_line(line)
        if not isinstance(event, Stage):
            return event
        progress(event.fraction, event.message)
    return None


def _ending(code: int, timeout: float | None) -> str:
    if timeout is not None:
        return f"it took longer than {timeout:g} seconds and was stopped. Give fewer rows, targets or steps"
    if code < 0:
        name = signal.Signals(-code).name
        hint = "; often the system's memory ran out" if name == "SIGKILL" else ""
        return f"its process was killed by {name}{hint}"
    return f"its process ended with exit code {code} and without a result; its log says why"
