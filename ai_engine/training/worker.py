"""The child process in which a training runs, as `ai_engine.training.child` starts it.

It reads a line of JSON from its standard input::

    {"settings": {…}, "request": {…}, "rows": {…}, "memory_limit_bytes": null, "request_id": null,
     "job": null}

where ``settings`` are the fields of `ai_engine.settings.Settings`, ``request`` is a `TrainingRequest`,
``rows`` a `RowsFile` and ``job`` the id and the attempt of the job that is done, if it is one; and writes the
events of `ai_engine.training.events` to its standard output, one a line.

Logs go to its standard error. Its standard input stays open for as long as the parent lives: when it ends,
so does the child, at once.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import threading
from contextlib import suppress
from typing import Any, Final, TextIO

from ai_engine.domain.errors import InvalidInputError, JobNotFoundError, StorageError
from ai_engine.domain.jobs import JobClaim
from ai_engine.logs import REQUEST_ID, configure
from ai_engine.training.events import Completed, Event, Failed, to_line
from ai_engine.training.progress import Progress, Stage
from ai_engine.training.results import TrainingResult

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2
# A training gives way to everything that somebody waits for.
NICENESS: Final = 10
# Beyond four threads the fits of this package gain nothing, and one core is left to the server.
MOST_THREADS: Final = 4
THREAD_CAPS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
ORPHANED: Final = 3

log = logging.getLogger("ai_engine.training")


def main(prepare: bool = False) -> int:
    """Train what standard input says; return the exit code.

    Parameters
    ----------
    prepare : bool
        Import what trainings need before it says anything.
    """
    events = _take_over_stdout()
    _be_modest()
    if prepare:
        _import_recipes()
    with open(STDIN, "rb", closefd=False) as stdin:
        line = stdin.readline()
    if not line:  # nothing was to be trained after all
        return 0
    order = json.loads(line)
    _limit_memory(order.get("memory_limit_bytes"))
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    settings = order["settings"]
    configure(settings.get("log_level") or "info", settings.get("log_format", "text"))
    REQUEST_ID.set(order.get("request_id"))

    def tell(event: Event) -> None:
        events.write(to_line(event))
        events.flush()

    try:
        result = _train(order, lambda fraction, message: tell(Stage(fraction, message)))
        tell(Completed(result))
    except Exception as error:  # whatever it is, the parent is told, and the log has the trace
        if not isinstance(error, InvalidInputError):
            log.exception("the training failed")
        tell(Failed(error))
        return 1
    return 0


def _train(order: dict[str, Any], progress: Progress) -> TrainingResult:
    """Train what an order (JSON values) says, and save it."""
    # Imported here: numpy reads the thread caps when it loads.
    from ai_engine.settings import Settings
    from ai_engine.telemetry.readers import read_columns
    from ai_engine.telemetry.rows_file import RowsFile
    from ai_engine.training.engine import TrainingEngine
    from ai_engine.training.request import TrainingRequest
    from ai_engine.wiring import open_registry

    request = TrainingRequest.from_mapping(order["request"])
    told = order.get("job")
    job = None if told is None else JobClaim(told["id"], told["attempt"])
    progress(0.0, "reading the rows")
    machine = request.group_column
    rows = read_columns(RowsFile.from_mapping(order["rows"]), () if machine is None else (machine,))
    with open_registry(Settings(**order["settings"])) as registry:
        if job is not None:
            # The version is theirs who asked for it, whichever machine has made it.
            with suppress(StorageError, JobNotFoundError):
                registry = registry.as_actor(registry.queue.get(job.job_id).submitted_by)
        return TrainingEngine(registry, alone=True).train(request, rows, progress, job)


def _import_recipes() -> None:
    """Import what the trainings of every built-in kind need, which takes longer than many a training."""
    import ai_engine.telemetry.readers
    import ai_engine.training.engine
    import ai_engine.wiring  # noqa: F401  # see `_train`
    from ai_engine.training.kinds import BUILT_IN, find_kind

    for kind in BUILT_IN:
        find_kind(kind).load_recipe()


def _take_over_stdout() -> TextIO:
    """Return the event stream, and send what anything else prints to standard error."""
    events = os.fdopen(os.dup(STDOUT), "w", encoding="utf-8")
    os.dup2(STDERR, STDOUT)
    return events


def _exit_with_parent() -> None:
    # os.read and not sys.stdin: a buffered reader blocked in a thread holds a lock that the interpreter
    # wants at exit.
    while os.read(STDIN, 1024):
        pass
    os._exit(ORPHANED)


def _be_modest() -> None:
    """Lower the priority, and cap the threads of the numeric libraries before they load."""
    os.nice(NICENESS)
    threads = str(min(MOST_THREADS, max(1, (os.cpu_count() or 1) - 1)))
    # Passive: threads that spin while they wait for one another made a fit a hundred times slower on busy
    # cores.
    os.environ.update(dict.fromkeys(THREAD_CAPS, threads) | {"OMP_WAIT_POLICY": "PASSIVE"})
    # For processes that a library starts: like this one, they import nothing from the working directory.
    os.environ["PYTHONSAFEPATH"] = "1"


def _limit_memory(memory_limit_bytes: int | None) -> None:
    if memory_limit_bytes is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (memory_limit_bytes, hard))
