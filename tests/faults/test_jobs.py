"""Jobs whose worker, fit or server is killed, stopped or cut off at any step: each makes one version."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from ai_engine.domain.errors import TrainingFailedError
from ai_engine.domain.jobs import Job, JobCompletion, JobStatus, Usage
from ai_engine.jobs.submission import submit
from ai_engine.jobs.waiting import followed
from ai_engine.jobs.workers import Workers
from ai_engine.models import ModelManager
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings
from ai_engine.training import child, engine
from ai_engine.training.events import Failed, to_line
from ai_engine.training.request import TrainingRequest
from tests.api.serving import telemetry, train_body
from tests.cli.test_start import MAIN
from tests.faults.driver import LARGE, STRIDE, diagnose, first_step, run
from tests.registry.outages import locked

CHANGING = "write,pwrite64,fsync,fdatasync,rename,link,linkat,unlink,mkdir,ftruncate,fchmod,symlink"
REQUEST = TrainingRequest(
    "resource_prediction",
    name="cpu",
    target_columns=("cpu",),
    hyperparameters={"algorithm": "ridge"},
)


def ask(registry: Registry, request: TrainingRequest = REQUEST) -> Job:
    return submit(registry.queue, Settings(), request, [json.dumps(telemetry()).encode()], "json")


def lapse(directory: Path) -> None:
    """Let every lease have ended, as if its time had passed."""
    with sqlite3.connect(directory / "model_registry.db", timeout=30) as database:
        database.execute("UPDATE engine_job_leases SET lapses_at = '2026-01-01 00:00:00.000000'")
    database.close()


@contextmanager
def working(registry: Registry, directory: Path, **settings: Any) -> Iterator[Workers]:
    workers = Workers(registry.queue, Settings(model_dir=str(directory), workers=1, **settings))
    workers.start()
    try:
        yield workers
    finally:
        workers.stop()
        workers.join()


def finished(registry: Registry, job: Job) -> Job:
    for now in followed(registry.queue, job.job_id):
        job = now
    return job


def until(true: Callable[[], object]) -> None:
    ticking = threading.Event()
    while not true():
        ticking.wait(0.01)


def one_version(manager: ModelManager, directory: Path) -> None:
    """Check that the job made one version, which loads, and that nothing else is left."""
    assert manager.model_versions["cpu"] == ["1.0.0"]
    assert manager.get_model("cpu") is not None
    (job,) = manager.registry.queue.page()
    assert (job.status, job.rows) == (JobStatus.COMPLETED, None)
    assert job.result is not None
    assert job.result["model_version"] == "1.0.0"
    assert [found for found in diagnose(directory) if found.is_open] == []


# -- each step in one process --------------------------------------------------------------------------------

PROGRAM = """
    from ai_engine.domain.jobs import JobCompletion, Usage
    with ModelManager(directory) as manager:
        queue = manager.registry.queue
        job = queue.submit([b"[", b"]"], "json", model_name="cpu", model_type="kind", spec={{}}, limit=9)
        tell("submitted", job.job_id, 0, 0)
        claim = queue.claim("worker", "host", 600.0).claim
        result = lambda saved: {{"model_version": saved.version}}
        manager.registry.save("cpu", value(1, {size}), job=JobCompletion(claim, result))
        tell("completed", job.job_id, 0, 0)
        queue.close_books(claim, Usage(1.0, 2))
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace kills at a given system call")
@pytest.mark.parametrize("size", [100, LARGE])
@pytest.mark.timeout(900)
def test_killed_at_every_step_a_job_makes_one_version(size: int, tmp_path: Path) -> None:
    step, states = first_step() - STRIDE, set()
    while True:
        step += STRIDE
        directory = tmp_path / str(step)
        inject = ["-e", f"trace={CHANGING}", "-e", f"inject={CHANGING}:signal=KILL:when={step}"]
        told, code = run(
            PROGRAM.format(size=size), directory, "strace", "-f", "-qq", "-o", "/dev/null", *inject
        )
        if code == 0:
            break
        with ModelManager(directory) as manager:
            queue = manager.registry.queue
            jobs = queue.page()
            if told:
                assert [job.job_id for job in jobs] == [told[0].name], "an acknowledged job was lost"
            if not jobs:
                assert dict(manager.model_versions) == {}
                states.add("none")
                continue
            (job,) = jobs
            states.add(job.status.value)
            if [line.what for line in told][1:]:
                assert job.status is JobStatus.COMPLETED
            versions = list(manager.model_versions["cpu"]) if "cpu" in manager.model_versions else []
            assert versions == (["1.0.0"] if job.status is JobStatus.COMPLETED else [])
            if job.status is not JobStatus.COMPLETED:
                lapse(directory)
                claimed = queue.claim("other", "host", 600.0)
                assert claimed is not None
                with queue.rows(claimed) as path:
                    assert Path(path).read_bytes() == b"[]"
                manager.registry.save(
                    "cpu",
                    [2],
                    job=JobCompletion(claimed.claim, lambda saved: {"model_version": saved.version}),
                )
            queue.close_books(queue.get(job.job_id).claim, Usage())
            one_version(manager, directory)
        shutil.rmtree(directory)
    assert states >= {"queued", "running", "completed"}


# -- the fit -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_a_fit_that_is_killed_is_begun_again(tmp_path: Path, number: signal.Signals) -> None:
    with ModelManager(tmp_path) as manager:
        job = ask(manager.registry)
        with working(manager.registry, tmp_path) as workers:
            until(lambda: workers.processes)
            workers.processes[0].signal(number)
            done = finished(manager.registry, job)
        assert (done.attempt, done.deaths) == (2, 1)
        first, second = manager.registry.queue.attempts(job.job_id)
        assert first.error is not None
        assert number.name in first.error
        assert (first.outcome, second.outcome) == ("died", "completed")
        assert first.usage.peak_memory is not None
        one_version(manager, tmp_path)


def test_a_fit_without_enough_memory_fails_alone(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        job = ask(manager.registry)
        with working(manager.registry, tmp_path, training_memory=60_000_000):
            done = finished(manager.registry, job)
        assert done.status is JobStatus.FAILED
        assert done.error is not None
        assert done.error["type"] == "TrainingFailedError"
        manager.registry.queue.retry(job.job_id)
        with working(manager.registry, tmp_path):
            assert finished(manager.registry, job).status is JobStatus.COMPLETED
        one_version(manager, tmp_path)


def test_a_wish_to_cancel_is_seen_between_two_heartbeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ai_engine.jobs.attempt.BEAT", 1e6)
    monkeypatch.setattr(child, "COMMAND", ("sleep", "1000"))
    with ModelManager(tmp_path) as manager:
        job = ask(manager.registry)
        with working(manager.registry, tmp_path) as workers:
            until(lambda: workers.processes)
            manager.registry.queue.cancel(job.job_id)
            done = finished(manager.registry, job)
        assert (done.status, done.attempt) == (JobStatus.CANCELLED, 1)


def test_a_fit_that_outlasts_its_lease_keeps_its_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("attempt", "workers"):
        monkeypatch.setattr(f"ai_engine.jobs.{module}.LEASE", 2.0)
    monkeypatch.setattr("ai_engine.jobs.attempt.BEAT", 0.05)
    failed = to_line(Failed(TrainingFailedError("it was only asked to last")))
    monkeypatch.setattr(child, "COMMAND", ("sh", "-c", 'sleep 3; printf %s "$0"; exit 1', failed))
    with ModelManager(tmp_path) as manager:
        job = ask(manager.registry)
        queue = manager.registry.queue
        with working(manager.registry, tmp_path):
            while not queue.get(job.job_id).status.is_ended:
                if queue.get(job.job_id).status is JobStatus.RUNNING:
                    assert queue.claim("other", "host", 60.0) is None
        done = queue.get(job.job_id)
        assert (done.status, done.attempt) == (JobStatus.FAILED, 1)
        assert "asked to last" in str(done.error)


def test_a_fit_that_takes_too_long_fails_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "COMMAND", ("sleep", "1000"))
    with ModelManager(tmp_path) as manager:
        job = ask(manager.registry)
        with working(manager.registry, tmp_path, training_timeout=0.3):
            done = finished(manager.registry, job)
        assert (done.status, done.attempt) == (JobStatus.FAILED, 1)
        assert "longer than 0.3 seconds" in str(done.error)


def test_a_fit_that_does_nothing_any_more_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ai_engine.jobs.attempt._STILL", 0.3)
    monkeypatch.setattr(child, "COMMAND", ("sh", "-c", "trap '' TERM; exec sleep 1000"))
    with ModelManager(tmp_path) as manager:
        job = ask(manager.registry)
        with working(manager.registry, tmp_path):
            done = finished(manager.registry, job)
        assert (done.status, done.attempt) == (JobStatus.FAILED, 3)
        assert "nothing was seen of it" in str(done.error)


def test_no_process_can_be_started_and_the_job_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = child.COMMAND
    monkeypatch.setattr(child, "COMMAND", ("/no/such/program",))
    with ModelManager(tmp_path) as manager:
        job = ask(manager.registry)
        with working(manager.registry, tmp_path):
            until(lambda: manager.registry.queue.get(job.job_id).attempt)
            monkeypatch.setattr(child, "COMMAND", right)
            done = finished(manager.registry, job)
        assert (done.status, done.deaths) == (JobStatus.COMPLETED, 0)
        one_version(manager, tmp_path)


# -- the worker, and the server ------------------------------------------------------------------------------


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [*MAIN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def reached(registry: Registry, job: Job, stage: str, worker: subprocess.Popen[bytes]) -> None:
    """Wait until a job is at a stage, or behind it."""
    for now in followed(registry.queue, job.job_id):
        assert worker.poll() is None
        if now.status is JobStatus.RUNNING and (stage == "claimed" or now.stage is not None):
            return


@pytest.mark.parametrize("stage", ["claimed", "training"])
def test_a_killed_worker_leaves_its_job_to_another(tmp_path: Path, stage: str) -> None:
    with ModelManager(tmp_path) as manager:
        job = ask(manager.registry)
        with process("worker", "--workers", "1", "--model-dir", str(tmp_path)) as worker:
            reached(manager.registry, job, stage, worker)
            fits = psutil.Process(worker.pid).children()
            worker.kill()
            worker.wait()
        _, alive = psutil.wait_procs(fits, timeout=20)
        assert not alive  # none goes on without its parent
        lapse(tmp_path)
        with working(manager.registry, tmp_path):
            done = finished(manager.registry, job)
        assert done.attempt <= 2
        one_version(manager, tmp_path)


def test_a_killed_server_leaves_its_job_to_the_next(tmp_path: Path) -> None:
    given = ("serve", "--port", "0", "--json", "--workers", "1", "--model-dir", str(tmp_path))
    with process(*given) as server:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        asked = httpx.post(
            f"{url}/train?wait=false", json=train_body(name="cpu"), trust_env=False, timeout=60
        )
        job_id = asked.json()["job_id"]
        server.kill()
        server.wait()
    with process(*given) as server, ModelManager(tmp_path) as manager:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        lapse(tmp_path)
        with httpx.stream("GET", f"{url}/train/jobs/{job_id}/events", trust_env=False, timeout=120) as told:
            assert "event: completed" in "".join(told.iter_text())
        server.terminate()
        assert server.wait(60) == 0
        one_version(manager, tmp_path)


def test_a_worker_that_was_stopped_for_long_changes_nothing(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        job = ask(manager.registry)
        with process("worker", "--workers", "1", "--model-dir", str(tmp_path)) as slow:
            reached(manager.registry, job, "training", slow)
            fits = psutil.Process(slow.pid).children()
            os.kill(slow.pid, signal.SIGSTOP)
            for fit in fits:
                fit.suspend()
            lapse(tmp_path)
            with working(manager.registry, tmp_path):
                done = finished(manager.registry, job)
            for fit in fits:
                fit.resume()
            os.kill(slow.pid, signal.SIGCONT)
            slow.terminate()
            assert slow.wait(60) == 0
        now = manager.registry.queue.get(job.job_id)
        assert (now.status, now.attempt, now.result) == (JobStatus.COMPLETED, done.attempt, done.result)
        one_version(manager, tmp_path)


# -- the database --------------------------------------------------------------------------------------------


def test_a_version_waits_for_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AI_ENGINE_LOCK_TIMEOUT", "0.05")
    monkeypatch.setattr(engine, "_PAUSE", 0.01)
    waits = threading.Event()

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "waits for the database" in record.getMessage():
                waits.set()

    logging.getLogger("ai_engine").addHandler(listening := Listening())
    try:
        with ModelManager(tmp_path) as manager:
            ask(manager.registry)
            claimed = manager.registry.queue.claim("worker", "host", 600.0)
            assert claimed is not None
            fit = threading.Thread(
                target=lambda: engine.TrainingEngine(manager.registry).train(
                    REQUEST, telemetry(), lambda *_: None, claimed.claim
                )
            )
            with locked(tmp_path):
                fit.start()
                assert waits.wait(60)
                assert list((tmp_path / ".engine" / "outage").glob("*.json")) == []
            fit.join()
            manager.registry.queue.close_books(claimed.claim, Usage())
            one_version(manager, tmp_path)
    finally:
        logging.getLogger("ai_engine").removeHandler(listening)
