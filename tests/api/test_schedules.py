"""Schedules over HTTP: set, told, run, removed, and never a way to a file of the machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ai_engine.domain.jobs import Usage, failure
from tests.api.serving import Served, serving, telemetry
from tests.api.test_jobs import ended
from tests.api.test_strangers import problem

SCHEDULE = "/models/cpu/schedule"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    directory = tmp_path / "sources"
    directory.mkdir()
    (directory / "cpu.json").write_text(json.dumps(telemetry()))
    return directory


@pytest.fixture
def idle(tmp_path: Path, sources: Path) -> Iterator[Served]:
    """A server that trains nothing."""
    with serving(tmp_path / "models", workers=0, sources=str(sources)) as server:
        yield server


def body(**given: Any) -> dict[str, Any]:
    return {
        "source": "cpu.json",
        "every": "6h",
        "model_type": "resource_prediction",
        "target_columns": ["cpu"],
        "hyperparameters": {"algorithm": "ridge"},
        **given,
    }


def put(server: Served, name: str = "cpu", **given: Any) -> Any:
    return server.client.put(f"/models/{name}/schedule", json=body(**given))


def test_a_schedule_trains_by_itself(tmp_path: Path, sources: Path) -> None:
    with serving(tmp_path / "models", workers=1, sources=str(sources)) as server:
        told = put(server).json()
        assert (told["model_name"], told["every_seconds"], told["files"]) == ("cpu", 21600.0, "newest")
        assert told["source"] == str(sources / "cpu.json")
        assert told["training"]["activate"] == "if_better"
        while (job_id := (server.get(SCHEDULE).json()["last"] or {}).get("job_id")) is None:
            pass
        ended(server, job_id)
        last = server.get(SCHEDULE).json()["last"]
        assert (last["outcome"], last["version"], last["active"]) == ("completed", "1.0.0", True)
        assert last["reason"]
        health = server.get("/health").json()
        while health["schedules"][0]["last"] != last:  # it is asked for once a second
            health = server.get("/health").json()
        assert (health["status"], health["warnings"]) == ("healthy", [])
        answer = server.post(f"{SCHEDULE}/run")
        assert answer.status_code == 202
        assert answer.headers["location"] == answer.json()["status_url"]
        assert ended(server, answer.json()["job_id"])["result"]["model_version"] == "1.0.1"
        told = "/models/cpu/training_history"
        while server.get(told).json()["training_history"][0]["cpu_seconds"] is None:
            pass  # what it took is known once its process has ended
        (newest, first) = server.get(told).json()["training_history"]
        assert (newest["version"], first["version"]) == ("1.0.1", "1.0.0")
        assert newest["host"]
        assert newest["cpu_seconds"] > 0
        page = server.get("/").text
        assert "Trained again by themselves" in page
        assert "1.0.1" in page


def test_without_a_directory_of_sources_none_can_be_set(tmp_path: Path, sources: Path) -> None:
    with serving(tmp_path / "models", workers=0) as server:
        for source in ("cpu.json", str(sources / "cpu.json")):
            refused = put(server, source=source)
            assert problem(refused, 403)["type"] == "urn:ai-engine:problem:source-not-allowed"
            assert "AI_ENGINE_SOURCES" in refused.json()["detail"]
        assert server.get("/schedules").json() == {
            "schedules": [],
            "total_schedules": 0,
            "next_page_token": None,
        }


def test_a_directory_of_sources_that_is_not_there_is_told(tmp_path: Path) -> None:
    with serving(tmp_path / "models", workers=0, sources=str(tmp_path / "nowhere")) as server:
        assert "does not exist" in problem(put(server), 403)["detail"]


@pytest.mark.parametrize(
    "source",
    [
        *(
            "../secret.json",
            "/etc/passwd",
            "{outside}/secret.json",
            "{outside}/*.json",
            "a/../../secret.json",
        ),
        *("link.json", "way/secret.json", "way/*.json", "*/../../secret.json", "..", "/"),
    ],
)
def test_nothing_outside_of_it_is_read(idle: Served, sources: Path, tmp_path: Path, source: str) -> None:
    (tmp_path / "secret.json").write_text(json.dumps(telemetry()))
    (sources / "link.json").symlink_to(tmp_path / "secret.json")
    (sources / "way").symlink_to(tmp_path)
    refused = put(idle, source=source.replace("{outside}", str(tmp_path)))
    assert problem(refused, 403)["type"] == "urn:ai-engine:problem:source-not-allowed"
    assert idle.get("/schedules").json()["total_schedules"] == 0


def test_a_link_that_is_made_later_leads_nowhere(idle: Served, sources: Path, tmp_path: Path) -> None:
    assert put(idle, source="late.json").status_code == 200
    (tmp_path / "secret.json").write_text(json.dumps(telemetry()))
    (sources / "late.json").symlink_to(tmp_path / "secret.json")
    refused = idle.post(f"{SCHEDULE}/run")
    assert problem(refused, 422)["errors"][0]["field"] == "source"
    assert idle.get("/train/jobs").json()["jobs"] == []


def test_a_path_below_it_may_be_given_whole(idle: Served, sources: Path) -> None:
    assert put(idle, source=str(sources / "*.json")).json()["source"] == str(sources / "*.json")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"every": None}, "every"),
        ({"every": "soon"}, "every"),
        ({"every": 0.5}, "every"),
        ({"rows": 0}, "rows"),
        ({"files": "some"}, "files"),
        ({"source": ""}, "source"),
        ({"source": 5}, "source"),
        ({"source": "{date:%B}.csv"}, "source"),
        ({"model_type": "poetry"}, "model_type"),
        ({"training_data": []}, "training_data"),
        ({"validation_split": 1.0}, "validation_split"),
    ],
)
def test_what_cannot_be_scheduled_is_422(idle: Served, given: dict[str, Any], field: str) -> None:
    refused = problem(put(idle, **given), 422)
    assert refused["errors"][0]["field"].partition(".")[0] == field
    assert idle.get(SCHEDULE).status_code == 404


def test_a_name_that_is_none_is_refused(idle: Served) -> None:
    beside = idle.client.put(SCHEDULE, json=body(name="other"))
    assert problem(beside, 422)["errors"][0]["field"] == "name"
    assert problem(put(idle, "a@b"), 422)["errors"][0]["field"] == "name"


def test_schedules_are_listed_a_page_at_a_time(idle: Served) -> None:
    for name in ("b", "a", "c"):
        assert put(idle, name).status_code == 200
    seen, token = [], None
    while True:
        more = "" if token is None else f"&page_token={token}"
        page = idle.get(f"/schedules?limit=2{more}").json()
        assert page["total_schedules"] == 3
        seen.append([one["model_name"] for one in page["schedules"]])
        token = page["next_page_token"]
        if token is None:
            break
    assert seen == [["a", "b"], ["c"]]
    assert problem(idle.get("/schedules?page_token=x"), 422)


def test_one_that_is_removed_is_gone(idle: Served) -> None:
    put(idle)
    assert idle.client.delete(SCHEDULE).status_code == 204
    for answer in (idle.get(SCHEDULE), idle.client.delete(SCHEDULE), idle.post(f"{SCHEDULE}/run")):
        assert problem(answer, 404)["type"] == "urn:ai-engine:problem:schedule-not-found"


def test_one_training_at_a_time(idle: Served) -> None:
    put(idle)
    job_id = idle.post(f"{SCHEDULE}/run").json()["job_id"]
    refused = problem(idle.post(f"{SCHEDULE}/run"), 409)
    assert job_id in refused["detail"]


def test_trouble_is_told_wherever_somebody_looks(idle: Served, sources: Path) -> None:
    put(idle)
    for _ in range(2):
        idle.post(f"{SCHEDULE}/run")
        job = idle.registry.queue.claim("worker", "host", 600.0)
        assert job is not None
        idle.registry.queue.fail(job.claim, failure("no good rows"), "no good rows", Usage(1.5, 1000))
    health = idle.get("/health").json()
    while not health["warnings"]:  # it is asked for once a second
        health = idle.get("/health").json()
    (warning,) = health["warnings"]
    assert "the last 2 scheduled trainings of model 'cpu' failed: no good rows" in warning
    assert health["status"] == "healthy"
    assert health["schedules"][0]["warning"] == warning
    assert idle.get("/schedules").json()["schedules"][0]["failures"] == 2
    metrics = idle.get("/metrics").text
    assert "ai_engine_schedules 1.0" in metrics
    assert "ai_engine_schedules_troubled 1.0" in metrics
    page = idle.get("/").text
    assert "no good rows" in page
    told = idle.get("/models/cpu/training_history").json()["training_history"]
    assert [(one["version"], one["error"], one["cpu_seconds"]) for one in told] == [
        (None, "no good rows", 1.5)
    ] * 2
    assert problem(idle.get("/models/cpu/versions"), 404)
    assert problem(idle.get("/models/memory/training_history"), 404)
    idle.registry.save("cpu", [1])
    answer = idle.get("/models/cpu/versions").json()
    assert len(answer["attempts_without_version"]) == 2
    assert answer["versions"][0]["training_history"] == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_no_page_of_another_site_changes_a_schedule(idle: Served, method: str) -> None:
    path = f"{SCHEDULE}/run" if method == "POST" else SCHEDULE
    put(idle)
    answer = idle.client.request(method, path, json=body(), headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert idle.get("/train/jobs").json()["jobs"] == []
    assert idle.get(SCHEDULE).status_code == 200
