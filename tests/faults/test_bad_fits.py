"""Fits that do not behave, and what becomes of the database under a job: no other job suffers from it."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from ai_engine.domain.digests import digest_of
from ai_engine.domain.errors import CatalogueUnavailableError, JobLostError, QueueFullError
from ai_engine.domain.jobs import JobRows, JobStatus, NewJob, Outcome, Usage, failure
from ai_engine.jobs import attempt
from ai_engine.jobs.waiting import followed
from ai_engine.models import ModelManager
from ai_engine.recovery import recover
from ai_engine.settings import Settings
from ai_engine.training import child
from tests.faults.driver import diagnose
from tests.faults.test_jobs import ask, finished, one_version, until, working
from tests.registry.outages import locked

LONG = bool(os.environ.get("AI_ENGINE_SOAK_ROUNDS"))
# The real process of a training, but for what it does instead of training.
PROGRAM = """
import ctypes, os, re, signal, sys
from ai_engine.training import worker

def misbehave(order, progress):
    progress(0.5, "misbehaving")
    {what}

worker._train = misbehave
sys.exit(worker.main())
"""
EATS = "eaten = [];\n    while True: eaten.append(bytearray(10_000_000))"
SPINS = "\n    while True: pass"
DEAF = f"signal.signal(signal.SIGTERM, signal.SIG_IGN){SPINS}"
# Within one call into C, so that no other thread of the process gets to run.
HOLDS = "ctypes.PyDLL(None).sleep({seconds}); raise ValueError('it is awake')"


@contextmanager
def misbehaving(what: str) -> Iterator[None]:
    """Let every process of a training misbehave."""
    right = child.COMMAND
    child.COMMAND = (sys.executable, "-c", PROGRAM.format(what=what))  # type: ignore[misc,assignment]  # for a while
    try:
        yield
    finally:
        child.COMMAND = right  # type: ignore[misc]  # see above


def the_next_is_done(manager: ModelManager, directory: Path) -> None:
    """Check that a worker does the next job as if nothing had been."""
    job = ask(manager.registry)
    with working(manager.registry, directory):
        assert finished(manager.registry, job).status is JobStatus.COMPLETED


def test_a_fit_that_eats_memory_ends_at_its_limit(tmp_path: Path) -> None:
    limit = 1_500_000_000
    with ModelManager(tmp_path) as manager:
        job = ask(manager.registry)
        with misbehaving(EATS), working(manager.registry, tmp_path, training_memory=limit):
            done = finished(manager.registry, job)
        assert (done.status, done.attempt) == (JobStatus.FAILED, 1)
        assert done.error is not None
        assert "memory" in done.error["detail"]
        (tried,) = manager.registry.queue.attempts(job.job_id)
        assert tried.usage.peak_memory is not None
        assert 10_000_000 < tried.usage.peak_memory <= limit
        (told,) = manager.get_training_history("cpu")
        assert (told["version"], told["outcome"], told["error"]) == (None, "failed", tried.error)
        the_next_is_done(manager, tmp_path)


def test_a_fit_that_spins_ends_at_its_time(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        job = ask(manager.registry)
        with misbehaving(SPINS), working(manager.registry, tmp_path, training_timeout=1.0):
            done = finished(manager.registry, job)
        assert (done.status, done.attempt) == (JobStatus.FAILED, 1)
        assert "longer than 1 seconds" in str(done.error)


@pytest.mark.parametrize("what", [SPINS, DEAF], ids=["spins", "ignores SIGTERM"])
@pytest.mark.parametrize("end", ["cancelled", "stopped"])
def test_a_fit_that_will_not_end_is_ended(
    what: str, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "_MERCY", 0.2)
    with ModelManager(tmp_path) as manager:
        queue = manager.registry.queue
        job = ask(manager.registry)
        with misbehaving(what), working(manager.registry, tmp_path) as workers:
            until(lambda: queue.get(job.job_id).stage == "misbehaving")
            if end == "cancelled":
                queue.cancel(job.job_id)
                assert finished(manager.registry, job).status is JobStatus.CANCELLED
            else:
                workers.stop()
                workers.join()
        now = queue.get(job.job_id)
        (tried,) = queue.attempts(job.job_id)
        if end == "cancelled":
            assert (now.status, tried.outcome) == (JobStatus.CANCELLED, Outcome.CANCELLED)
        else:
            assert (now.status, now.deaths, tried.outcome) == (JobStatus.QUEUED, 0, Outcome.HANDED_BACK)
            assert now.stage == "the worker of attempt 1 was stopped; attempt 2 follows"


@pytest.mark.parametrize("seconds", [4, *([60] if LONG else [])])
def test_a_fit_that_holds_the_interpreter_keeps_its_job(
    seconds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease is shorter than that; for a minute, that of every day has ended, too."""
    if seconds < attempt.LEASE:
        for module in ("attempt", "workers"):
            monkeypatch.setattr(f"ai_engine.jobs.{module}.LEASE", 1.0)
        monkeypatch.setattr(attempt, "BEAT", 0.1)
    with ModelManager(tmp_path) as manager:
        queue = manager.registry.queue
        job = ask(manager.registry)
        with misbehaving(HOLDS.format(seconds=seconds)), working(manager.registry, tmp_path):
            until(lambda: queue.get(job.job_id).status is JobStatus.RUNNING)
            while not (now := queue.get(job.job_id)).status.is_ended:
                assert queue.claim("other", "host", 60.0) is None
        assert (now.status, now.attempt) == (JobStatus.FAILED, 1)
        assert "it is awake" in str(now.error)


def test_between_two_attempts_a_watcher_is_told_what_happened(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        job = ask(manager.registry)
        told: list[str | None] = []
        with misbehaving("os.kill(os.getpid(), signal.SIGKILL)"), working(manager.registry, tmp_path):
            for now in followed(manager.registry.queue, job.job_id):
                told.append(now.stage)
        _, events = manager.registry.queue.events(job.job_id)
        stages = [event.stage or "" for event in events]
        for number in (1, 2):
            (said,) = (stage for stage in stages if stage.startswith(f"attempt {number} died"))
            assert "SIGKILL" in said
            assert said.endswith(f"attempt {number + 1} follows")
            assert stages.index(said) < len(stages) - 1
        assert events[-1].kind == "failed"
        assert len(manager.get_training_history("cpu")) == 3


# -- the database --------------------------------------------------------------------------------------------


def test_a_database_that_is_locked_costs_no_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "BEAT", 0.05)
    beats = threading.Semaphore(0)
    beat = attempt.Attempt._beat

    def counting(self: attempt.Attempt, process: child.TrainingProcess) -> None:
        beat(self, process)
        beats.release()

    monkeypatch.setattr(attempt.Attempt, "_beat", counting)
    monkeypatch.setenv("AI_ENGINE_LOCK_TIMEOUT", "0.05")
    with ModelManager(tmp_path) as manager:
        job = ask(manager.registry)
        with working(manager.registry, tmp_path, lock_timeout=0.05):
            assert beats.acquire(timeout=60)
            with locked(tmp_path):
                for _ in range(5):  # none of which comes through
                    assert beats.acquire(timeout=60)
                assert manager.registry.queue.get(job.job_id).status is JobStatus.RUNNING
            done = finished(manager.registry, job)
        assert (done.status, done.attempt) == (JobStatus.COMPLETED, 1)
        one_version(manager, tmp_path)


def snapshot_of(directory: Path, target: Path) -> None:
    """Copy the database as it is now."""
    with sqlite3.connect(directory / "model_registry.db") as source, sqlite3.connect(target) as copy:
        source.backup(copy)
    source.close()
    copy.close()


def replace(directory: Path, with_: Path | None) -> None:
    """Take the database away under everybody who has it open, and put another one in its place."""
    for ending in ("-wal", "-shm"):
        (directory / f"model_registry.db{ending}").unlink(missing_ok=True)
    if with_ is None:
        (directory / "model_registry.db").unlink()
    else:  # in one step: half a database would be taken for a damaged one, and set aside
        with_.rename(directory / "model_registry.db")


@pytest.mark.parametrize("how", ["deleted", "restored"])
def test_a_job_of_a_database_that_is_gone_is_lost_with_a_sentence(how: str, tmp_path: Path) -> None:
    directory = tmp_path / "models"
    with ModelManager(directory) as manager:
        manager.save_model("other", [1])
        snapshot_of(directory, tmp_path / "before.db")
        job = ask(manager.registry)
        seen: list[BaseException] = []
        waits = threading.Event()

        def wait() -> None:
            try:
                for now in followed(manager.registry.queue, job.job_id):
                    if now.status is JobStatus.RUNNING:
                        waits.set()
            except JobLostError as error:
                seen.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        with misbehaving(SPINS), working(manager.registry, directory) as workers:
            assert waits.wait(60)
            (process,) = workers.processes
            if how == "deleted":
                replace(directory, None)
                with pytest.raises(CatalogueUnavailableError, match="doctor --rebuild"):
                    manager.registry.queue.cancel(job.job_id)
                assert manager.health()["schedules"] is None
                assert recover(Settings(model_dir=str(directory)), from_files=True).versions == [
                    "other@1.0.0"
                ]
            else:
                replace(directory, tmp_path / "before.db")
            waiting.join(60)
            (error,) = seen
            assert "ask for the training again" in str(error)
            until(lambda: not process.is_alive)  # nobody has it, so it ends
        assert list(manager.model_versions) == ["other"]
        # Its rows are nobody's: they are found, and go.
        (found,) = [one for one in diagnose(directory) if one.kind == "artifact"]
        assert found.is_open
        assert manager.doctor(repair=True)["healthy"]
        assert list((directory / ".engine" / "artifacts").glob("*")) == []
        assert manager.doctor()["findings"] == []


# -- many ----------------------------------------------------------------------------------------------------


def test_a_thousand_jobs_wait_and_each_is_done_once(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        queue = manager.registry.queue
        with queue.stores.catalogue.write() as transaction:
            new = NewJob("cpu", "kind", {}, JobRows(digest_of(b"[]"), "json", 2))
            ids = [transaction.jobs.enqueue(new, 1000)[0].job_id for _ in range(1000)]
        assert ids == sorted(ids)
        with pytest.raises(QueueFullError):
            ask(manager.registry)

        def work(number: int) -> list[str]:
            done = []
            while (job := queue.claim(f"worker {number}", "host", 600.0)) is not None:
                queue.fail(job.claim, failure("no"), "no", Usage())
                done.append(job.job_id)
            return done

        with ThreadPoolExecutor(4) as workers:
            shares = list(workers.map(work, range(4)))
        assert sorted(one for share in shares for one in share) == ids
        assert all(share == sorted(share) for share in shares)
        assert queue.counts()[JobStatus.FAILED] == 1000
        assert len(manager.get_training_history("cpu")) == 1000
