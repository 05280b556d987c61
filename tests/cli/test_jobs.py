"""`ai-engine train --detach`, `worker` and `jobs …`."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.jobs import JobStatus
from ai_engine.models import ModelManager
from tests.api.serving import telemetry
from tests.cli.conftest import Command
from tests.cli.test_start import MAIN

Detach = Callable[..., str]


@pytest.fixture
def detach(command: Command, tmp_path: Path) -> Detach:
    """Enqueue a training and return its id."""
    data = tmp_path / "telemetry.json"
    data.write_text(json.dumps(telemetry()))

    def ask(*more: str) -> str:
        given = ("--model-type", "resource_prediction", "--target", "cpu", "--set", "algorithm=ridge")
        ran = command("train", *given, "--data", data, "--detach", "--json", *more)
        assert ran.code == 0, ran.err
        return str(ran.json()["job_id"])

    return ask


def test_a_detached_training_waits_for_a_worker(command: Command, detach: Detach, model_dir: Path) -> None:
    job_id = detach()
    shown = command("jobs", "show", job_id, "--json").json()
    assert (shown["status"], shown["attempt"], shown["attempts"]) == ("queued", 0, [])
    ran = command("worker", "--once")
    assert (ran.code, ran.out) == (0, "attempts: 1, without a version: 0\n")
    result = command("jobs", "follow", job_id, "--json").json()
    assert result["model_version"] == "1.0.0"
    told = command("jobs", "follow", job_id).out
    assert "resource_predictor" in told
    assert "skill" in told
    shown = command("jobs", "show", job_id).out
    for part in (job_id, "completed", "100%", "1.0.0"):
        assert part in shown
    assert command("worker", "--once", "--json").json() == {"attempts": 0, "without_version": 0}
    with ModelManager(model_dir) as manager:
        assert manager.model_versions["resource_predictor"] == ["1.0.0"]


def test_jobs_are_listed_cancelled_and_retried(command: Command, detach: Detach) -> None:
    first, second = detach(), detach()
    listed = command("jobs", "list", "--json").json()["jobs"]
    assert [job["job_id"] for job in listed] == [second, first]
    assert command("jobs", "list", "--limit", "1", "--json").json()["jobs"] == listed[:1]
    assert command("jobs", "cancel", first).out == f"job {first} is cancelled\n"
    ran = command("jobs", "cancel", first)
    assert (ran.code, ran.out) == (4, "")
    assert "nothing to cancel" in ran.err
    assert command("jobs", "follow", first).code == 4
    queued = command("jobs", "list", "--status", "queued").out
    assert second in queued
    assert first not in queued
    assert command("jobs", "retry", first).out == f"job {first} waits for a worker\n"
    assert command("jobs", "retry", first).code == 4
    assert command("jobs", "list", "--status", "lost").code == 1
    for word in ("show", "follow", "cancel", "retry"):
        assert command("jobs", word, "nobody").code == 3


def test_a_failed_job_is_told_as_the_training_would_be(command: Command, detach: Detach) -> None:
    job_id = detach("--target", "gpu")
    assert command("worker", "--once", "--json").json() == {"attempts": 1, "without_version": 1}
    followed = command("jobs", "follow", job_id)
    assert (followed.code, followed.out) == (1, "")
    assert "target_columns[1]" in followed.err
    assert "target_columns[1]" in command("jobs", "show", job_id).out


def test_who_only_looks_makes_no_registry(command: Command, model_dir: Path) -> None:
    for words in (("list",), ("show", "x"), ("follow", "x"), ("cancel", "x"), ("retry", "x")):
        assert command("jobs", *words).code == 3
    assert not model_dir.exists()


def test_a_full_queue_is_told(command: Command, detach: Detach, tmp_path: Path) -> None:
    detach("--queue", "1")
    data = tmp_path / "telemetry.json"
    refused = command(
        "train", "--model-type", "resource_prediction", "--data", data, "--detach", "--queue", "1"
    )
    assert refused.code == 1
    assert "AI_ENGINE_QUEUE" in refused.err
    missing = command("train", "--model-type", "resource_prediction", "--data", "absent.csv", "--detach")
    assert missing.code == 1
    assert "absent.csv cannot be read" in missing.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_is_told_to_end_hands_its_job_back(
    detach: Detach, model_dir: Path, number: signal.Signals
) -> None:
    with ModelManager(model_dir) as manager:
        job_id = detach()
        arguments = ["worker", "--workers", "1", "--model-dir", str(model_dir), "--json"]
        worker = subprocess.Popen([*MAIN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        queue = manager.registry.queue
        while queue.get(job_id).status is JobStatus.QUEUED:
            assert worker.poll() is None
        worker.send_signal(number)
        out, _ = worker.communicate(timeout=60)
        assert worker.returncode == 0
        assert json.loads(out)["attempts"] == 1
        job = queue.get(job_id)
        if job.status is not JobStatus.COMPLETED:  # on a machine that is quicker than the signal
            assert (job.status, job.deaths, job.attempt) == (JobStatus.QUEUED, 0, 1)


def test_a_worker_that_would_do_nothing_says_so(command: Command, model_dir: Path) -> None:
    refused = command("worker", "--workers", "0")
    assert (refused.code, refused.out) == (1, "")
    assert "--workers" in refused.err
    assert not model_dir.exists()


def test_two_workers_share_a_directory(detach: Detach, model_dir: Path) -> None:
    with ModelManager(model_dir) as manager:
        ids = [detach("--name", f"model {number}") for number in range(4)]
        arguments = ["worker", "--workers", "1", "--model-dir", str(model_dir)]
        workers = [
            subprocess.Popen([*MAIN, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _ in range(2)
        ]
        queue = manager.registry.queue
        while queue.counts()[JobStatus.COMPLETED] < len(ids):
            assert [worker.poll() for worker in workers] == [None, None]
        for worker in workers:
            worker.terminate()
            assert worker.wait(60) == 0
        assert {queue.get(job_id).attempt for job_id in ids} == {1}
        assert {len(versions) for versions in manager.model_versions.values()} == {1}


def test_a_submitted_job_is_followed_from_python(command: Command, model_dir: Path) -> None:
    with ModelManager(model_dir) as manager:
        job = manager.submit(
            telemetry(),
            model_type="resource_prediction",
            target_columns=["cpu"],
            hyperparameters={"algorithm": "ridge"},
        )
        assert job.status == "queued"
        assert job.progress() == {
            "stage": None,
            "fraction": None,
            "elapsed_seconds": None,
            "expected_seconds": None,
        }
        with pytest.raises(TimeoutError, match=job.id):
            job.wait(0.0)
        assert command("worker", "--once").code == 0
        assert job.wait()["model_version"] == "1.0.0"
        assert job.progress()["fraction"] == 1.0
        with pytest.raises(InvalidInputError, match="no form for"):
            manager.submit([{"cpu": float("inf")}], model_type="resource_prediction")
        cancelled = manager.submit(telemetry(), model_type="resource_prediction")
        cancelled.cancel()
        assert cancelled.status == "cancelled"
