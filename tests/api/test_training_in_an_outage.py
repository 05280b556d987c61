"""Trainings over HTTP while the database takes nothing: who waits gets a version all the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ai_engine.domain.jobs import JobStatus
from ai_engine.training import child
from tests.api.serving import Served, serving, telemetry, train_body
from tests.api.test_strangers import problem
from tests.registry.outages import locked


def until(true: Callable[[], bool]) -> None:
    ticking = threading.Event()
    while not true():
        ticking.wait(0.01)


def test_a_training_that_is_waited_for_makes_a_version(tmp_path: Path) -> None:
    with serving(tmp_path, lock_timeout=0.05) as server:
        server.registry.save("resource_predictor", 1)
        with locked(tmp_path):
            answer = server.post("/train", train_body())
            assert answer.status_code == 200, answer.text
            trained = answer.json()
            assert (trained["persisted"], trained["active"]) == (True, True)
            assert server.get("/health").json()["status"] == "degraded"
        version = trained["model_version"]
        until(lambda: bool(server.get("/health").json()["status"] == "healthy"))
        told = server.get("/models/performance/resource_predictor").json()
        assert (told["version"], told["performance"]["mae"]) == (
            version,
            trained["performance_metrics"]["mae"],
        )
        predicted = server.post("/models/resource_predictor/predict", {"data": telemetry(50), "horizon": 2})
        assert predicted.json()["version"] == version
        assert server.get("/train/jobs").json()["jobs"] == []


def test_what_nobody_waits_for_or_may_be_sent_again_has_to_wait_itself(tmp_path: Path) -> None:
    with serving(tmp_path, lock_timeout=0.05) as server:
        server.registry.save("cpu", 1)
        with locked(tmp_path):
            problem(server.post("/train?wait=false", train_body()), 503)
            keyed: Any = server.post("/train", train_body(), headers={"Idempotency-Key": "one"})
            problem(keyed, 503)
            told = problem(server.post("/train", train_body(target_columns=["gpu"])), 422)
            assert "gpu" in str(told["detail"])
        assert server.get("/models/info").json()["total_models"] == 1


def test_one_without_a_job_ends_with_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path, lock_timeout=0.05) as server:
        server.registry.save("cpu", 1)
        monkeypatch.setattr(child, "COMMAND", ("sh", "-c", "cat >/dev/null"))
        answers: list[Any] = []

        def ask(served: Served) -> None:
            answers.append(served.post("/train", train_body()))

        with locked(tmp_path):
            request = threading.Thread(target=ask, args=(server,))
            request.start()
            until(lambda: bool(server.service.workers.processes))
            server.service.workers.stop()
            request.join()
        assert problem(answers[0], 503)["type"] == "urn:ai-engine:problem:stopping"
        assert not server.service.workers.processes
        assert not [job for job in server.registry.queue.page() if job.status is JobStatus.RUNNING]
