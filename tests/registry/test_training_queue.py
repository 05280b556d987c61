"""A job and its rows, a job and its version: each pair is there together, or not at all."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ai_engine import (
    ArtifactCorruptedError,
    CatalogueUnavailableError,
    IdempotencyKeyReusedError,
    JobNotFoundError,
    LeaseLostError,
    QueueFullError,
)
from ai_engine.domain.entities import SavedVersion
from ai_engine.domain.jobs import Job, JobCompletion, JobStatus, Usage, failure
from ai_engine.jobs.upkeep import JobUpkeep
from ai_engine.models import ModelManager
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings
from ai_engine.testing import in_memory
from tests.faults.driver import diagnose
from tests.models.estimators import large
from tests.registry.outages import entries_of, locked

ROWS = b'[{"cpu": 1.5}]'
LEASE, GONE = 600.0, -1.0


def submit(registry: Registry, rows: bytes = ROWS, key: str | None = None, limit: int = 1000) -> Job:
    return registry.queue.submit(
        [rows[:5], rows[5:]],
        "json",
        model_name="cpu",
        model_type="resource_prediction",
        spec={"horizon": 3},
        dedupe_key=key,
        limit=limit,
    )


def claimed(registry: Registry, lease: float = LEASE) -> Job:
    job = registry.queue.claim("worker", "host", lease)
    assert job is not None
    return job


def result(saved: SavedVersion) -> dict[str, object]:
    return {"model_version": saved.version, "active": saved.active}


def artifacts(directory: Path) -> list[Path]:
    return sorted((directory / ".engine" / "artifacts").glob("*"))


def test_rows_are_kept_for_as_long_as_the_job_needs_them(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        job = submit(manager.registry)
        assert manager.doctor(repair=True)["healthy"]
    with ModelManager(tmp_path) as manager:  # whose opening sweeps
        manager.cleanup_old_models(1)
        with manager.registry.queue.rows(job) as path:
            assert Path(path).read_bytes() == ROWS
        running = claimed(manager.registry)
        saved = manager.registry.save("cpu", [1], job=JobCompletion(running.claim, result))
        manager.registry.queue.close_books(running.claim, Usage(1.0, 2))
        assert artifacts(tmp_path) == []
        done = manager.registry.queue.get(job.job_id)
        assert (done.status, done.result) == (
            JobStatus.COMPLETED,
            {"model_version": saved.version, "active": True},
        )
        assert saved.model_id == f"cpu#{job.job_id}"
        assert manager.registry.queue.attempts(job.job_id)[0].usage == Usage(1.0, 2)
    assert diagnose(tmp_path) == []


def test_rows_that_are_the_bytes_of_a_version_stay_its_own(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("big", large(1))
        (artifact,) = artifacts(tmp_path)
        job = submit(manager.registry, artifact.read_bytes())
        manager.save_model("big", 2)
        manager.delete_version("big", "1.0.0")
        assert artifacts(tmp_path) == [artifact]  # for the job
        manager.save_model("big", large(1))
        manager.registry.queue.cancel(job.job_id)
        age(tmp_path, job, "-2 days")
        manager.registry.queue.forget()
        manager.cleanup_old_models(1)
        assert artifacts(tmp_path) == [artifact]  # for the version
        assert manager.get_model("big") == large(1)
    assert diagnose(tmp_path) == []


def test_a_lost_lease_saves_nothing(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        submit(manager.registry)
        slow, quick = claimed(manager.registry, GONE), claimed(manager.registry)
        for model in ([1], large(1)):
            with pytest.raises(LeaseLostError):
                manager.registry.save("cpu", model, job=JobCompletion(slow.claim, result))
        assert dict(manager.model_versions) == {}
        assert len(artifacts(tmp_path)) == 1  # the rows
        manager.registry.save("cpu", [2], job=JobCompletion(quick.claim, result))
        late = manager.registry.save("cpu", [1], job=JobCompletion(slow.claim, result))
        assert late.version == "1.0.0"  # what the job has made, and nothing besides
        assert manager.model_versions["cpu"] == ["1.0.0"]
        assert manager.get_model("cpu") == [2]
        manager.registry.queue.close_books(quick.claim, Usage())
    assert diagnose(tmp_path) == []


def test_a_version_that_was_deleted_is_not_made_again(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        submit(manager.registry)
        slow, quick = claimed(manager.registry, GONE), claimed(manager.registry)
        manager.registry.save("cpu", [2], job=JobCompletion(quick.claim, result))
        manager.save_model("cpu", [3])
        manager.delete_version("cpu", "1.0.0")
        with pytest.raises(LeaseLostError):
            manager.registry.save("cpu", [1], job=JobCompletion(slow.claim, result))
        assert manager.model_versions["cpu"] == ["1.0.1"]


def test_in_an_outage_a_job_waits_and_its_version_is_not_in_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AI_ENGINE_LOCK_TIMEOUT", "0.02")
    with ModelManager(tmp_path) as manager:
        submit(manager.registry)
        job = claimed(manager.registry)
        with locked(tmp_path):
            with pytest.raises(CatalogueUnavailableError):
                manager.registry.save("cpu", [1], job=JobCompletion(job.claim, result))
            with pytest.raises(CatalogueUnavailableError):
                submit(manager.registry, b"more")
            assert entries_of(tmp_path) == []
            assert manager.health()["status"] == "degraded"
        assert manager.registry.save("cpu", [1], job=JobCompletion(job.claim, result)).version == "1.0.0"
        assert manager.health()["status"] == "healthy"
    assert [finding for finding in diagnose(tmp_path) if finding.is_open] == []


def test_a_full_queue_and_a_key_of_another_request_leave_no_bytes(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        job = submit(manager.registry, key="k", limit=1)
        (rows,) = artifacts(tmp_path)
        with pytest.raises(QueueFullError):
            submit(manager.registry, b"other", limit=1)
        with pytest.raises(IdempotencyKeyReusedError):
            submit(manager.registry, b"other", key="k")
        assert artifacts(tmp_path) == [rows]
        assert submit(manager.registry, key="k", limit=1).job_id == job.job_id
        running = claimed(manager.registry)
        manager.registry.save("cpu", [1], job=JobCompletion(running.claim, result))
        manager.registry.queue.close_books(running.claim, Usage())
        assert submit(manager.registry, key="k").job_id == job.job_id
        assert artifacts(tmp_path) == []  # nobody trains on them any more


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_damaged_rows_are_not_trained_on(tmp_path: Path, damage: str) -> None:
    with ModelManager(tmp_path) as manager:
        job = submit(manager.registry)
        (rows,) = artifacts(tmp_path)
        rows.unlink()
        if damage == "altered":
            rows.write_bytes(ROWS[::-1])
        with pytest.raises(ArtifactCorruptedError, match=job.job_id), manager.registry.queue.rows(job):
            pass


def test_a_store_without_files_has_rows_in_one() -> None:
    with in_memory() as manager:
        job = submit(manager.registry)
        with manager.registry.queue.rows(job) as path:
            assert Path(path).read_bytes() == ROWS
        assert not Path(path).exists()


def test_a_backup_has_the_jobs_that_may_yet_be_done(tmp_path: Path) -> None:
    with ModelManager(tmp_path / "models") as manager:
        manager.save_model("cpu", [1])
        job, failed = submit(manager.registry), submit(manager.registry, b"others")
        running = claimed(manager.registry)
        manager.registry.queue.cancel(failed.job_id)
        manager.backup(tmp_path / "backup")
        manager.registry.save("cpu", [2], job=JobCompletion(running.claim, result))
    with ModelManager(tmp_path / "backup") as copy:
        assert copy.registry.queue.get(job.job_id).status is JobStatus.RUNNING
        for kept, rows in ((job, ROWS), (failed, b"others")):
            with copy.registry.queue.rows(copy.registry.queue.get(kept.job_id)) as path:
                assert Path(path).read_bytes() == rows
    assert diagnose(tmp_path / "backup") == []


def test_jobs_that_ended_long_ago_are_forgotten_while_nobody_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ModelManager(tmp_path) as manager:
        old, recent = submit(manager.registry, b"old"), submit(manager.registry, b"recent")
        for _ in (old, recent):
            manager.registry.queue.fail(claimed(manager.registry).claim, failure("no"), "no", Usage())
        age(tmp_path, old, "-8 days")
        age(tmp_path, recent, "-2 days")
        forgotten = threading.Event()
        queue = type(manager.registry.queue)
        forget: Callable[..., int] = queue.forget

        def telling(self: object) -> int:
            found = forget(self)
            forgotten.set()
            return found

        monkeypatch.setattr(queue, "forget", telling)
        upkeep = JobUpkeep(manager.registry, Settings(), trains=False, asked=pytest.fail)
        upkeep.start()
        assert forgotten.wait(20)
        upkeep.stop()
        upkeep.join()
        with pytest.raises(JobNotFoundError):
            manager.registry.queue.get(old.job_id)
        assert manager.registry.queue.get(recent.job_id).rows is None
        assert artifacts(tmp_path) == []


def age(directory: Path, job: Job, by: str) -> None:
    """Let a job have ended long ago."""
    with sqlite3.connect(directory / "model_registry.db") as database:
        database.execute(
            "UPDATE engine_jobs SET completed_at = strftime('%Y-%m-%d %H:%M:%f000', completed_at, ?) "
            "WHERE token = ?",
            (by, job.job_id.split("-")[1]),
        )
    database.close()
