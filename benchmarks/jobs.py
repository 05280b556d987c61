"""How soon does a training begin, how soon again after a kill, and what do claims and heartbeats cost?

The raw limit of a claim and of a heartbeat is one INSERT, committed to a SQLite log with synchronous=FULL.
That of a beginning is a process that imports scikit-learn, which a training needs before its first row; the
one that waits for the next training has done so.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ai_engine.domain.jobs import Job, JobStatus, NewJob, Order
from ai_engine.jobs.submission import submit
from ai_engine.jobs.waiting import followed
from ai_engine.jobs.workers import Workers
from ai_engine.models import ModelManager
from ai_engine.settings import Settings
from ai_engine.training.request import TrainingRequest
from benchmarks.limits import RawStore
from benchmarks.measure import Answer, Options, alternating, medians

LEASE: Final = 600.0
ROWS: Final = [{"timestamp": 1_700_000_000 + 60 * n, "cpu": 50.0 + n % 7} for n in range(240)]
REQUEST: Final = TrainingRequest(
    "resource_prediction", target_columns=("cpu",), hyperparameters={"algorithm": "last_value"}
)
WORKER: Final = (
    sys.executable,
    "-c",
    "from ai_engine.cli.main import main; main()",
    "worker",
    "--workers",
    "1",
)


def ask(answer: Answer, options: Options) -> None:
    with options.scratch() as scratch, ModelManager(scratch / "ours") as manager:
        _begin(answer, options, manager)
    with options.scratch() as scratch, ModelManager(scratch / "ours") as manager:
        _again(answer, options, manager, scratch / "ours")
    for waiting in (10, 10_000):
        with options.scratch() as scratch, ModelManager(scratch / "ours") as manager:
            _claims(answer, options, manager, scratch, waiting)


def _submit(manager: ModelManager) -> Job:
    rows = json.dumps(ROWS).encode()
    return submit(manager.registry.queue, Settings(queue=10**6), REQUEST, [rows], "json")


def _begin(answer: Answer, options: Options, manager: ModelManager) -> None:
    """Measure from the call that asks for a training to the first stage that it tells."""
    begun, imported = [], []
    with _working(manager) as workers:
        _finish(manager, _submit(manager))  # the first one starts a process, and leaves one that waits
        for _ in range(options.times(15)):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", "import sklearn.linear_model"], check=True)
            imported.append(time.perf_counter() - began)
            _settle(workers)
            began = time.perf_counter()
            job = _submit(manager)
            workers.wake()
            for now in followed(manager.registry.queue, job.job_id):
                if now.stage is not None or now.status.is_ended:
                    break
            begun.append(time.perf_counter() - began)
            _finish(manager, job)
    answer.add("begin", "asked for, to the fit's first stage", "s", begun, imported)


def _settle(workers: Workers) -> None:
    """Wait until the process that waits for the next training has imported what it needs."""
    spare = workers._spare
    before = -1.0
    while spare is not None and (now := spare.cpu_seconds() or 0.0) > before:
        before = now
        time.sleep(0.3)


def _again(answer: Answer, options: Options, manager: ModelManager, directory: Path) -> None:
    """Measure from the kill of a worker to the next attempt, which another one makes."""
    seconds = []
    for _ in range(options.times(3)):
        job = _submit(manager)
        with subprocess.Popen([*WORKER, "--model-dir", str(directory)], stdout=subprocess.DEVNULL) as worker:
            for now in followed(manager.registry.queue, job.job_id):
                if now.status is JobStatus.RUNNING:
                    break
            worker.kill()
        killed = time.perf_counter()
        with _working(manager):
            while manager.registry.queue.get(job.job_id).attempt < 2:
                time.sleep(0.05)
            seconds.append(time.perf_counter() - killed)
            _finish(manager, job)
    answer.add("again", "worker killed, to the next attempt", "s", seconds)


def _claims(answer: Answer, options: Options, manager: ModelManager, scratch: Path, waiting: int) -> None:
    queue = manager.registry.queue
    first = _submit(manager)
    with manager.registry._stores.catalogue.write() as work:  # so many durable calls would take a minute
        for _ in range(waiting):
            work.jobs.enqueue(_as_new(first), 10**6)
    raw = RawStore(scratch / "raw")
    claimed: list[Job] = []

    def claim() -> None:
        job = queue.claim("worker", "host", LEASE)
        assert job is not None
        claimed.append(job)

    def beat() -> None:
        assert queue.beat(claimed[0].claim, LEASE, "fitting", 0.5) is Order.GO_ON

    rounds = options.times(10)
    mine, limit = alternating(claim, raw.record, rounds, min(10, waiting // rounds))
    answer.add(
        "claims",
        f"claims, {waiting:,} waiting",
        "claims/s",
        [1 / seconds for seconds in medians(mine)],
        [1 / seconds for seconds in medians(limit)],
        at=waiting,
    )
    mine, limit = alternating(beat, raw.record, options.times(15), 20)
    answer.add("beat", f"a heartbeat, {waiting:,} waiting", "s", medians(mine), medians(limit), at=waiting)
    raw.close()


def _as_new(job: Job) -> NewJob:
    assert job.rows is not None
    return NewJob(job.model_name, job.model_type, job.spec, job.rows)


def _finish(manager: ModelManager, job: Job) -> None:
    for now in followed(manager.registry.queue, job.job_id):
        job = now
    assert job.status is JobStatus.COMPLETED, job.error


@contextmanager
def _working(manager: ModelManager) -> Iterator[Workers]:
    workers = Workers(manager.registry.queue, Settings(model_dir=manager.model_dir, workers=1))
    workers.start()
    try:
        yield workers
    finally:
        workers.stop()
        workers.join()
