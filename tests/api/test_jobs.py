"""Trainings as jobs over HTTP: asked for, followed, cancelled, and asked for once more."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ai_engine.api.job_events import job_events
from ai_engine.domain.jobs import Job, JobStatus, Usage, failure
from ai_engine.jobs.waiting import Follower
from ai_engine.models import ModelManager
from ai_engine.training import child
from tests.api.serving import Served, serving, train_body
from tests.api.test_strangers import problem

BEGUN = 'echo \'{"event":"progress","fraction":0.1,"message":"fitting"}\''


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Served]:
    """A server without workers: what is done with jobs, the test does."""
    with serving(tmp_path, workers=0) as server:
        yield server


def submitted(server: Served, **headers: str) -> str:
    answer = server.post("/train?wait=false", train_body(), headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


def claimed(server: Served) -> Job:
    job = server.registry.queue.claim("worker", "host", 600.0)
    assert job is not None
    return job


def ended(server: Served, job_id: str) -> dict[str, Any]:
    """Follow a job to its end, and return it."""
    events(server, job_id)
    job: dict[str, Any] = server.get(f"/train/jobs/{job_id}").json()
    return job


def events(server: Served, job_id: str, **headers: str) -> list[dict[str, str]]:
    """Return the events of a job until its end, each with its fields as text."""
    found = []
    with server.client.stream("GET", f"/train/jobs/{job_id}/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"
        for block in "".join(answer.iter_text()).split("\n\n"):
            if block and not block.startswith(":"):
                found.append(dict(line.split(": ", 1) for line in block.splitlines()))
    return found


def test_a_job_is_accepted_followed_and_done(server: Served) -> None:
    answer = server.post("/train?wait=false", train_body())
    assert answer.status_code == 202
    accepted = answer.json()
    assert answer.headers["location"] == accepted["status_url"] == f"/train/jobs/{accepted['job_id']}"
    assert accepted["status"] == "queued"
    told = events(server, accepted["job_id"])
    assert [event["event"] for event in told] == ["progress"] * (len(told) - 1) + ["completed"]
    assert [int(event["id"]) for event in told] == list(range(1, len(told) + 1))
    job = server.get(accepted["status_url"]).json()
    assert json.loads(told[-1]["data"])["result"] == job["result"]
    assert (job["status"], job["attempt"], job["error"]) == ("completed", 1, None)
    assert job["result"]["model_version"] == "1.0.0"
    assert job["submitted_at"] <= job["started_at"] <= job["completed_at"]
    assert job["progress"]["fraction"] == 1.0
    assert job["progress"]["expected_seconds"] == job["result"]["training_time"]
    (attempt,) = job["attempts"]
    assert attempt["outcome"] == "completed"
    assert server.get("/models/resource_predictor/versions").json()["total_versions"] == 1


def test_what_an_attempt_took_is_measured(server: Served) -> None:
    job = ended(server, submitted(server))
    follow_books = threading.Event()
    while (attempt := job["attempts"][0])["cpu_seconds"] is None:
        follow_books.wait(0.01)
        job = server.get(f"/train/jobs/{job['job_id']}").json()
    assert attempt["cpu_seconds"] > 0.1
    assert attempt["peak_memory_bytes"] > 10_000_000
    assert job["progress"]["elapsed_seconds"] > 0


def test_the_events_go_on_behind_the_last_one_on_any_server(server: Served, tmp_path: Path) -> None:
    job_id = submitted(server)
    told = events(server, job_id)
    with serving(tmp_path, workers=0) as other:
        assert events(other, job_id) == told
        assert events(other, job_id, **{"Last-Event-ID": told[0]["id"]}) == told[1:]
        last = {"Last-Event-ID": told[-1]["id"]}
        assert other.get(f"/train/jobs/{job_id}/events", headers=last).status_code == 204
        problem(other.get(f"/train/jobs/{job_id}/events", headers={"Last-Event-ID": "x"}), 422)


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_job_without_a_version_says_how_it_ended(idle: Served, end: str) -> None:
    job_id = submitted(idle)
    queue = idle.registry.queue
    if end == "failed":
        queue.fail(claimed(idle).claim, failure("no reason"), "no reason", Usage())
    else:
        queue.cancel(job_id)
    assert [event["event"] for event in events(idle, job_id)] == [end]
    job = idle.get(f"/train/jobs/{job_id}").json()
    assert (job["status"], job["result"]) == (end, None)
    expected = {"code": "training-failed", "detail": "the training failed: no reason", "field": None}
    assert job["error"] == (expected if end == "failed" else None)


def test_one_key_is_one_job_whatever_becomes_of_it(server: Served) -> None:
    key = {"Idempotency-Key": "b7c7d5a0"}
    first = submitted(server, **key)
    answers = [server.post("/train", train_body(), headers=key) for _ in range(2)]
    assert [answer.json()["model_version"] for answer in answers] == ["1.0.0"] * 2
    assert submitted(server, **key) == first
    other = server.post("/train?wait=false", train_body(name="other"), headers=key)
    told = problem(other, 422)
    assert told["type"] == "urn:ai-engine:problem:idempotency-key-reused"
    assert first in str(told["detail"])
    assert server.get("/models/resource_predictor/versions").json()["total_versions"] == 1
    assert server.get("/train/jobs").json()["jobs"][0]["job_id"] == first


@pytest.mark.parametrize("key", ["", "k" * 256, "tab\there"])
def test_a_key_that_is_none_is_refused(idle: Served, key: str) -> None:
    told = problem(idle.post("/train?wait=false", train_body(), headers={"Idempotency-Key": key}), 422)
    assert "Idempotency-Key" in str(told["detail"])
    assert idle.get("/train/jobs").json()["jobs"] == []


@pytest.mark.parametrize("length", [1, 255])
def test_a_key_may_be_so_long(idle: Served, length: int) -> None:
    assert submitted(idle, **{"Idempotency-Key": "k" * length})


def test_jobs_are_listed_page_by_page(idle: Served) -> None:
    ids = [submitted(idle) for _ in range(3)]
    idle.registry.queue.cancel(ids[1])
    first = idle.get("/train/jobs?limit=2").json()
    assert [job["job_id"] for job in first["jobs"]] == [ids[2], ids[1]]
    second = idle.get(f"/train/jobs?limit=2&page_token={first['next_page_token']}").json()
    assert [job["job_id"] for job in second["jobs"]] == [ids[0]]
    assert second["next_page_token"] is None
    waiting = idle.get("/train/jobs?status=queued").json()
    assert [job["job_id"] for job in waiting["jobs"]] == [ids[2], ids[0]]
    for wrong in ("status=lost", "limit=0", "page_token=x", "later=1"):
        problem(idle.get(f"/train/jobs?{wrong}"), 422)


def test_a_job_is_cancelled_in_every_state(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    problem(server.client.delete("/train/jobs/nobody"), 404)
    done = submitted(server)
    ended(server, done)
    problem(server.client.delete(f"/train/jobs/{done}"), 409)
    # A fit that does not listen.
    monkeypatch.setattr(child, "COMMAND", ("sh", "-c", f"trap '' TERM; {BEGUN}; while :; do sleep 1; done"))
    running = submitted(server)
    server.service.workers._let_spare_go()
    while server.get(f"/train/jobs/{running}").json()["progress"]["stage"] != "fitting":
        pass
    assert server.client.delete(f"/train/jobs/{running}").json()["status"] == "running"
    assert ended(server, running)["status"] == "cancelled"
    assert server.get("/models/info").json()["total_models"] == 1


def test_who_waits_for_a_job_that_is_cancelled_is_told(idle: Served) -> None:
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(idle.post("/train", train_body())))
    waiting.start()
    while not (jobs := idle.registry.queue.page()):
        pass
    idle.registry.queue.cancel(jobs[0].job_id)
    waiting.join()
    told = problem(answers[0], 409)
    assert told["type"] == "urn:ai-engine:problem:job-state"


def test_silence_is_broken_by_comments(idle: Served) -> None:
    job_id = submitted(idle)

    async def first() -> str:
        stream = job_events(idle.service, Follower(idle.registry.queue, job_id), silence=0.05)
        async for text in stream:
            return text
        raise AssertionError("it ended")

    import anyio

    assert anyio.run(first).startswith(": ")


def test_a_table_is_a_job_too(server: Served) -> None:
    rows = "timestamp,cpu\n" + "".join(f"{1_700_000_000 + 60 * n},{50 + n % 7}\n" for n in range(200))
    query = "wait=false&model_type=resource_prediction&target_columns=cpu"
    answer = server.client.post(f"/train?{query}", content=rows, headers={"Content-Type": "text/csv"})
    assert answer.status_code == 202, answer.text
    job = ended(server, answer.json()["job_id"])
    assert job["status"] == "completed", job["error"]
    assert job["result"]["reading"]["rows_used"] == 200


def test_a_stream_ends_with_its_server(tmp_path: Path) -> None:
    with serving(tmp_path, workers=0) as server:
        job_id = submitted(server)
        found: list[Any] = []
        following = threading.Thread(target=lambda: found.append(events(server, job_id)))
        following.start()
        server.service.workers.stop()
        following.join()
        assert found == [[]]


MOUNTED = """
import sys
from fastapi import FastAPI
from starlette.testclient import TestClient
from ai_engine.app import app
from tests.api.serving import train_body
parent = FastAPI()
parent.mount("/ai", app)
client = TestClient(parent, base_url="http://localhost")
answer = client.post("/ai/train?wait=false", json=train_body())
assert answer.headers["location"] == answer.json()["status_url"], answer.text
while client.get(answer.json()["status_url"]).json()["status"] == "queued":
    pass
print(answer.json()["status_url"])
"""


def test_a_program_that_ends_hands_its_jobs_back(tmp_path: Path) -> None:
    """One that mounts the application, whose lifespan nobody runs."""
    environment = {**os.environ, "AI_ENGINE_MODEL_DIR": str(tmp_path), "AI_ENGINE_WORKERS": "1"}
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MOUNTED],
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[2],
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("/ai/train/jobs/")
    with ModelManager(tmp_path) as manager:
        (job,) = manager.registry.queue.page()
        assert job.status in (JobStatus.QUEUED, JobStatus.COMPLETED)  # on a quick machine it is done
        assert job.deaths == 0


def lose_jobs(server: Served) -> None:
    """Let the database know no job any more, as one does that was restored."""
    with sqlite3.connect(server.registry.location, timeout=30) as database:
        database.execute("DELETE FROM engine_jobs")
    database.close()


def test_who_waits_for_a_job_that_is_lost_is_told(idle: Served) -> None:
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(idle.post("/train", train_body())))
    asking.start()
    while not idle.registry.queue.page():
        pass
    lose_jobs(idle)
    asking.join(60)
    told = problem(answers[0], 503)
    assert told["type"] == "urn:ai-engine:problem:job-lost"
    assert "ask for the training again" in told["detail"]


def test_who_follows_a_job_that_is_lost_is_told(idle: Served) -> None:
    job_id = submitted(idle)
    idle.registry.queue.beat(claimed(idle).claim, 600.0, "fitting", 0.5)
    with idle.client.stream("GET", f"/train/jobs/{job_id}/events") as answer:
        lines = answer.iter_lines()
        while next(lines) != "event: progress":
            pass
        lose_jobs(idle)
        rest = list(lines)
    start = rest.index("event: failed")
    assert not rest[start - 1].startswith("id:")  # nothing follows it, here or anywhere
    error = json.loads(rest[start + 1].removeprefix("data: "))["error"]
    assert error["code"] == "job-lost"
    assert "ask for the training again" in error["detail"]
    assert problem(idle.get(f"/train/jobs/{job_id}/events"), 404)
