"""The parent's side of a training in a child process. Imports no numeric library."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

from ai_engine.domain.errors import TrainingFailedError
from ai_engine.domain.jobs import JobClaim, Usage
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
spec = PathFinder.find_spec("ai_engine", sys.argv[1:2])
sys.modules["ai_engine"] = package = module_from_spec(spec)
spec.loader.exec_module(package)
from ai_engine.training.worker import main
sys.exit(main(prepare=len(sys.argv) > 2))
"""
COMMAND: Final = (sys.executable, "-P", "-c", _BOOTSTRAP, str(Path(__file__).absolute().parents[2]))
# One more argument: import what trainings need before there is one.
PREPARE: Final = "prepare"


class ProcessDiedError(TrainingFailedError):
    """The process of a training ended without saying why; nothing was saved, unless it was just about to."""


class TrainingProcess:
    """A child process for one training, which it ends with; no child outlives the block.

    Parameters
    ----------
    prepare : bool
        Whether it imports what trainings need before it is told what to train.

    Raises
    ------
    MissingDependencyError
        If the packages of the ``train`` extra are not installed; no child is started.
    """

    def __init__(self, prepare: bool = False) -> None:
        require_training_packages()
        # A session of its own: Ctrl-C at a terminal is for the parent, which then ends the child.
        self._child = subprocess.Popen(
            [*COMMAND, *([PREPARE] if prepare else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._reaping = threading.Lock()  # while it is held, the number is the child's and nobody else's
        self._timed_out = False
        self.usage = Usage()

    def __enter__(self) -> TrainingProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.signal(signal.SIGKILL)
        self._wait()
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.close()
        self._child.stdout.close()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._child.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        with self._reaping:
            return self._child.returncode is None and not os.waitid(
                os.P_PID, self._child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        with self._reaping:
            if self._child.returncode is None:
                os.kill(self._child.pid, number)

    def cpu_seconds(self) -> float | None:
        """Return the processor time that it has taken so far; None where that cannot be read."""
        try:
            fields = Path(f"/proc/{self._child.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def train(
        self,
        settings: Mapping[str, Any],
        request: TrainingRequest,
        rows: RowsFile,
        progress: Progress,
        timeout: float,
        memory_limit_bytes: int | None = None,
        job: JobClaim | None = None,
    ) -> TrainingResult:
        """Return what the process has trained and saved; blocks until then.

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
        job : JobClaim, optional
            The job that is completed with the version.

        Raises
        ------
        AIEngineError
            What the training raised in the child, as the same class with the same fields.
        ProcessDiedError
            If the child crashed or was killed.
        TrainingFailedError
            If it took longer than `timeout`, or told what cannot be read.
        """
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        order = {
            "settings": dict(settings),
            "request": request.to_mapping(),
            "rows": rows.to_mapping(),
            "memory_limit_bytes": memory_limit_bytes,
            "request_id": REQUEST_ID.get(),
            "job": None if job is None else {"id": job.job_id, "attempt": job.attempt},
        }
        clock = threading.Timer(timeout, self._give_up)
        clock.daemon = True
        try:
            clock.start()
            _send(self._child.stdin, json.dumps(order).encode())
            event = _last_event(self._child.stdout, progress)
            self._wait()
        finally:
            clock.cancel()
        if event is None:
            if self._timed_out:
                raise TrainingFailedError(
                    f"it took longer than {timeout:g} seconds and was stopped. Give fewer rows, targets or "
                    "steps"
                )
            raise ProcessDiedError(_ending(self._child.returncode))
        if isinstance(event, Failed):
            raise event.error
        return event.result

    def _give_up(self) -> None:
        self._timed_out = True
        self.signal(signal.SIGKILL)

    def _wait(self) -> None:
        """Wait for the end of the process, and note what it took."""
        if self._child.returncode is not None:
            return
        os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOWAIT)
        with self._reaping:
            _, status, took = os.wait4(self._child.pid, 0)
            self._child.returncode = os.waitstatus_to_exitcode(status)
        unit = 1 if sys.platform == "darwin" else 1024
        self.usage = Usage(took.ru_utime + took.ru_stime, took.ru_maxrss * unit)


def train_in_child(
    settings: Mapping[str, Any],
    request: TrainingRequest,
    rows: RowsFile,
    progress: Progress,
    timeout: float,
    memory_limit_bytes: int | None = None,
    on_start: Callable[[TrainingProcess], None] | None = None,
) -> TrainingResult:
    """Return what a child process has trained and saved; see `TrainingProcess.train`.

    No child outlives the call, whatever ends it: an error, the timeout, or what `progress` raises.

    Parameters
    ----------
    on_start : callable, optional
        Is handed the child, to which it may send signals at any time.
    """
    with TrainingProcess() as process:
        if on_start is not None:
            on_start(process)
        return process.train(settings, request, rows, progress, timeout, memory_limit_bytes)


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


def _ending(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        hint = "; often the system's memory ran out" if name == "SIGKILL" else ""
        return f"its process was killed by {name}{hint}"
    return f"its process ended with exit code {code} and without a result; its log says why"
