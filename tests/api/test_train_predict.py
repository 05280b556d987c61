"""Training and predicting over HTTP, in a real child process."""

from __future__ import annotations

import gc
import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from ai_engine.domain import errors
from ai_engine.domain.jobs import MOST_DEATHS, JobStatus
from ai_engine.training import child
from ai_engine.training.events import Failed, to_line
from tests.api.serving import Served, serving, telemetry, train_body
from tests.api.test_strangers import problem


def test_rows_become_a_version_that_predicts(server: Served) -> None:
    answer = server.post("/train", train_body())
    assert answer.status_code == 200, answer.text
    trained = answer.json()
    assert (trained["model_name"], trained["model_version"]) == ("resource_predictor", "1.0.0")
    assert (trained["training_status"], trained["persisted"], trained["active"]) == ("completed", True, True)
    assert trained["timestamp"].endswith("Z")
    metrics = trained["performance_metrics"]
    assert metrics["mae"] < metrics["baseline_mae"]

    told = server.get("/models/performance/resource_predictor").json()
    assert told["performance"]["mae"] == metrics["mae"]
    (version,) = server.get("/models/resource_predictor/versions").json()["versions"]
    assert version["training_history"][0]["dataset_size"] == 240

    answer = server.post("/models/resource_predictor/predict", {"data": telemetry()[-50:], "horizon": 3})
    assert answer.status_code == 200, answer.text
    predicted = answer.json()
    assert predicted["version"] == "1.0.0"
    assert [one["step"] for one in predicted["predictions"]] == [1, 2, 3]
    assert all(one["cpu_lower"] <= one["cpu"] <= one["cpu_upper"] for one in predicted["predictions"])


def test_the_other_path_trains_too(server: Served) -> None:
    answer = server.post("/train/model", train_body(name="a b+c.d", activate=False))
    assert answer.status_code == 200, answer.text
    assert answer.json()["active"] is False
    problem(server.post("/models/a b+c.d/predict", {"data": telemetry(50)}), 404)
    named = {"data": telemetry(50), "version": "1.0.0"}
    assert server.post("/models/a b+c.d/predict", named).status_code == 200


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"model_type": "magic"}, "model_type"),
        ({"training_data": []}, "training_data"),
        ({"training_data": {"cpu": 1}}, "training_data"),
        ({"training_data": [1]}, "training_data[0]"),
        ({"target_columns": ["nothing"]}, "target_columns"),
        ({"validation_split": 1.5}, "validation_split"),
        ({"hyperparameters": {"trees": 1}}, "hyperparameters.trees"),
        ({"hyperparameters": []}, "hyperparameters"),
        ({"activate": "maybe"}, "activate"),
        ({"name": "../x"}, "name"),
        ({"name": "info"}, "name"),
        ({"rows": 1}, "rows"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_field(server: Served, more: dict[str, Any], field: str) -> None:
    told = problem(server.post("/train", train_body(**more)), 422)
    assert str(told["detail"]).startswith(field)
    assert [one["field"].startswith(field) for one in told["errors"]] == [True]
    assert server.get("/models/info").json()["total_models"] == 0


def test_a_parameter_that_training_does_not_take_is_refused(server: Served) -> None:
    told = problem(server.post("/train?later=true", train_body()), 422)
    assert told["detail"] == "later: is not a parameter; what is trained stands in the JSON body"
    assert server.get("/models/info").json()["total_models"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {"data": []},
        {"data": "x"},
        {"data": [1]},
        {"data": [{}]},
        {"data": [{"cpu": "x"}]},
        {"data": [{"other": 1}]},
        {"data": telemetry(30), "horizon": 0},
        {"data": telemetry(30), "horizon": -1},
        {"data": telemetry(30), "horizon": 13},
        {"data": telemetry(30), "horizon": 10**12},
        {"data": telemetry(30), "horizon": "3"},
        {"data": telemetry(30), "horizon": True},
        {"data": telemetry(30), "more": 1},
        {"rows": telemetry(30)},
    ],
    ids=lambda body: str(body)[-60:],
)
def test_what_cannot_be_predicted_from_is_refused(trained: Served, body: dict[str, Any]) -> None:
    told = problem(trained.post("/models/resource_predictor/predict", body), 422)
    assert told["errors"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with serving(tmp_path_factory.mktemp("models")) as server:
        assert server.post("/train", train_body()).status_code == 200
        yield server


def test_what_was_never_a_model_says_so(trained: Served) -> None:
    trained.registry.save("number", 7)
    told = problem(trained.post("/models/number/predict", {"data": [{"cpu": 1}]}), 422)
    assert "int" in str(told["detail"])
    problem(trained.post("/models/nothing/predict", {"data": [{"cpu": 1}]}), 404)
    problem(trained.post("/models/number/predict", {"data": [{"cpu": 1}], "version": "9"}), 404)


def test_damaged_bytes_are_told_and_hurt_nothing_else(trained: Served) -> None:
    trained.registry.save("large", bytes(400_000))
    (stored,) = (
        path
        for path in Path(trained.get("/health").json()["persistence"]["database"]).parent.rglob("*")
        if path.is_file() and path.stat().st_size > 390_000 and "artifacts" in str(path)
    )
    stored.chmod(0o600)
    stored.write_bytes(b"damage" + stored.read_bytes()[6:])
    told = problem(trained.post("/models/large/predict", {"data": [{"cpu": 1}]}), 503)
    assert told["type"] == "urn:ai-engine:problem:artifact-corrupted"
    predicted = trained.post("/models/resource_predictor/predict", {"data": telemetry(30)})
    assert predicted.status_code == 200


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of the child's program one that begins and never ends."""
    command = ("sh", "-c", 'echo \'{"event":"progress","fraction":0.1,"message":""}\'; cat >/dev/null')
    monkeypatch.setattr(child, "COMMAND", command)


def wait_for_child(server: Served) -> None:
    ticking = threading.Event()
    for _ in range(600):
        if server.service.workers.processes:
            return
        ticking.wait(0.05)
    raise AssertionError("no training began")


def kill_until_answered(server: Served, request: threading.Thread) -> None:
    """Kill each process that trains, until nobody tries it any more."""
    ticking = threading.Event()
    while request.is_alive():
        for training in server.service.workers.processes:
            training.signal(signal.SIGKILL)
        ticking.wait(0.02)


@pytest.mark.usefixtures("held")
def test_a_training_that_dies_takes_no_server_down(server: Served) -> None:
    answers: list[Any] = []
    request = threading.Thread(target=lambda: answers.append(server.post("/train", train_body())))
    request.start()
    wait_for_child(server)
    # While it trains, everything else answers.
    assert server.get("/health").json()["status"] == "healthy"
    assert "ai_engine_trainings_running 1.0" in server.get("/metrics").text
    kill_until_answered(server, request)
    told = problem(answers[0], 500)
    assert "set aside after its process had died 3 times" in str(told["detail"])
    assert "SIGKILL" in str(told["detail"])
    assert server.get("/models/info").json()["total_models"] == 0
    assert f"ai_engine_trainings_failed_total {MOST_DEATHS}.0" in server.get("/metrics").text


@pytest.mark.usefixtures("held")
def test_the_rows_do_not_wait_in_memory_for_the_end_of_their_training(server: Served) -> None:
    text = json.dumps(train_body(training_data=[{"marked": index} for index in range(321)]), indent=1)
    answers: list[Any] = []
    headers = {"Content-Type": "application/json"}
    request = threading.Thread(
        target=lambda: answers.append(server.client.post("/train", content=text, headers=headers))
    )
    request.start()
    wait_for_child(server)
    tables = [one for one in gc.get_objects() if isinstance(one, list) and len(one) == 321]
    held = [one for one in tables if isinstance(one[0], dict) and "marked" in one[0]]
    kill_until_answered(server, request)
    assert not held
    problem(answers[0], 500)


@pytest.mark.usefixtures("held")
def test_a_training_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with serving(tmp_path, training_timeout=0.5) as server:
        told = problem(server.post("/train", train_body()), 500)
        assert "longer than 0.5 seconds" in str(told["detail"])
        assert not server.service.workers.processes


@pytest.mark.usefixtures("held")
def test_trainings_wait_for_a_core_and_only_so_many_wait(tmp_path: Path) -> None:
    with serving(tmp_path, workers=1, queue=2) as server:
        accepted = [server.post("/train?wait=false", train_body())]
        wait_for_child(server)
        accepted += [server.post("/train?wait=false", train_body()) for _ in range(2)]
        assert [answer.status_code for answer in accepted] == [202] * 3
        refused = server.post("/train?wait=false", train_body())
        assert problem(refused, 503)["type"] == "urn:ai-engine:problem:queue-full"
        assert int(refused.headers["Retry-After"]) > 0
        assert len(server.service.workers.processes) == 1
        assert "ai_engine_trainings_waiting 2.0" in server.get("/metrics").text
        assert server.client.delete(accepted[1].json()["status_url"]).status_code == 202
        assert server.post("/train?wait=false", train_body()).status_code == 202


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.StorageFullError("/models", OSError("no space left")), 503),
        (errors.VersionExistsError("cpu", "1.0.0"), 409),
        (errors.MissingDependencyError("numpy", "train"), 503),
        (errors.TrainingFailedError("its process was killed"), 500),
        (errors.OutcomeUnknownError("cpu#1", OSError("I/O error")), 503),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_child_says_is_what_the_caller_reads(
    server: Served, monkeypatch: pytest.MonkeyPatch, error: errors.AIEngineError, status: int
) -> None:
    program = 'read order; printf %s "$0"; exit 1'
    monkeypatch.setattr(child, "COMMAND", ("sh", "-c", program, to_line(Failed(error))))
    assert problem(server.post("/train", train_body()), status)["detail"] == str(error)


@pytest.mark.usefixtures("held")
def test_a_training_that_the_server_stops_for_is_told_so(server: Served) -> None:
    answers: list[Any] = []
    request = threading.Thread(target=lambda: answers.append(server.post("/train", train_body())))
    request.start()
    wait_for_child(server)
    server.service.workers.stop()
    request.join()
    assert problem(answers[0], 503)["type"] == "urn:ai-engine:problem:stopping"
    assert problem(server.post("/train", train_body()), 503)["type"] == "urn:ai-engine:problem:stopping"
    server.service.workers.join()
    assert not server.service.workers.processes
    (job,) = server.registry.queue.page()
    assert (job.status, job.deaths) == (JobStatus.QUEUED, 0)  # it goes on when a worker starts
    assert job.job_id in str(answers[0].json()["detail"])


def test_hosts_are_ranked_for_a_migration_and_for_nothing_else(trained: Served) -> None:
    rows = [
        {"target": f"h{number % 2}", "duration_s": 20.0 + 40 * (number % 2) + number % 3}
        for number in range(120)
    ]
    body = {"model_type": "migration_prediction", "training_data": rows}
    assert trained.post("/train", body).status_code == 200
    asked = {"data": [{"vm": 1}], "candidates": [{"host": "h1"}, {"host": "h0", "cpu_percent": 20}]}
    answer = trained.post("/models/migration_predictor/predict", asked)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert [one["host"] for one in told["ranking"]] == ["h0", "h1"]
    assert [one["score"] for one in told["ranking"]] == sorted(
        (one["score"] for one in told["ranking"]), reverse=True
    )
    assert told["predictions"][0]["duration_s"] == told["ranking"][0]["duration_s"]
    assert all(isinstance(reason, str) for one in told["ranking"] for reason in one["reasons"])
    plain = trained.post("/models/migration_predictor/predict", {"data": [{"target": "h0"}]}).json()
    assert plain.keys() == {"model_name", "version", "predictions"}
    refused = problem(
        trained.post(
            "/models/resource_predictor/predict", {"data": telemetry(50), "candidates": [{"host": "h1"}]}
        ),
        422,
    )
    assert "only a model of migrations ranks hosts" in refused["detail"]
    problem(trained.post("/models/migration_predictor/predict", asked | {"candidates": []}), 422)
    problem(trained.post("/models/migration_predictor/predict", asked | {"candidates": [{"x": 1}]}), 422)
    problem(trained.post("/models/migration_predictor/predict", asked | {"horizon": 3}), 422)
