"""Trained models answer where they cover a resource, and trainings are asked for and go on beside answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from ai_engine.control_plane.trained_forecasts import _misfits
from ai_engine.domain.jobs import JobStatus
from ai_engine.jobs.waiting import followed
from ai_engine.training.estimators.protocol import RowEstimator
from tests.api.serving import Served, serving
from tests.control_plane.clients import SERVICES, IntegrationLayer, decode
from tests.control_plane.conftest import sending
from tests.control_plane.samples import points, rows, times, wave

RIDGE = {"algorithm": "ridge"}


def process(server: Served, service: str, method: str, data: Any, name: str = "") -> dict[str, Any]:
    told: dict[str, Any] = server.post(
        "/api/v1/process", {"id": name, "service": service, "method": method, "data": data}
    ).json()
    return told


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a forecaster that knows vm-1, a detector, and a model of migrations."""
    with serving(tmp_path_factory.mktemp("models"), workers=2, resource_models=0) as server:
        named = [row | {"vm_id": "vm-1"} for row in rows(240)]
        for body in (
            {"model_type": "resource_prediction", "training_data": named, "hyperparameters": RIDGE},
            {"model_type": "anomaly_detection", "training_data": named},
            {"model_type": "migration_prediction", "training_data": migrations()},
        ):
            server.post("/train", body).raise_for_status()
        yield server


def migrations() -> list[dict[str, Any]]:
    noise = wave(240, height=0, level=0, noise=0.5)
    return [
        {"ram_gb": 2 + i % 8, "failed": i % 10 == 0, "duration_s": 10.0 * (2 + i % 8) + noise[i]}
        for i in range(240)
    ]


def test_a_known_machine_is_answered_from_a_single_row(trained: Served) -> None:
    body = {"resource_id": "vm-1", "metrics": {key: 0.5 for key in rows(1)[0] if key != "timestamp"}}
    told = trained.post("/predict/resources", body | {"prediction_horizon": 30}).json()
    assert told["model_used"] == "resource_predictor 1.0.0"
    assert told["target"] == "cpu_usage"
    assert 0 <= told["prediction"] <= 1
    assert len(told["predictions"]["cpu_usage"]) == 6
    unknown = trained.post("/predict/resources", body | {"resource_id": "vm-2"})
    assert unknown.status_code == 409
    lacking = trained.post("/predict/resources", body | {"metrics": {"cpu_usage": 0.5}})
    assert lacking.status_code == 409  # the model needs its other columns too


def test_an_unknown_machine_with_a_history_is_answered_by_the_model(trained: Served) -> None:
    body = {"resource_id": "vm-9", "history": rows(100, seed=9), "prediction_horizon": 60}
    told = trained.post("/predict/resources", body).json()
    assert told["model_used"] == "resource_predictor 1.0.0"
    # What the model was never trained so far for, formulas foretell.
    told = trained.post("/predict/resources", body | {"prediction_horizon": 600}).json()
    assert told["model_used"] == "seasonal-formulas 1"


def test_a_history_in_another_unit_is_none_of_the_model(trained: Served) -> None:
    body = {"resource_id": "vm-9", "history": rows(100, scale=1000.0), "prediction_horizon": 60}
    told = trained.post("/predict/resources", body).json()
    assert 20_000 < told["prediction"] < 90_000


class _Constant(RowEstimator):
    """Foretells one number for ever."""

    __slots__ = ("value",)

    def __init__(self, value: float) -> None:
        self.value = value

    def predict(self, rows: Sequence[Any], horizon: int | None = None) -> list[dict[str, Any]]:
        return [{"cpu": self.value} for _ in range(horizon or 1)]


@pytest.mark.parametrize(("value", "misfits"), [(50.0, False), (159.0, False), (161.0, True), (-41.0, True)])
def test_a_model_that_is_far_off_on_the_very_rows_is_not_asked(value: float, misfits: bool) -> None:
    """Rows of 40 and 60 in turns: a spread of 10, and 20 for the last value of 40 at a time of 60."""
    rows_ = [{"cpu": 40.0 + 20 * (i % 2)} for i in range(41)]
    assert _misfits(_Constant(value), rows_[:-1], "cpu", 1, None) is misfits
    assert not _misfits(_Constant(value), [{"mem": 1.0}] * 9, "cpu", 1, None)


def test_a_trained_detector_is_asked_first(trained: Served) -> None:
    history = rows(100)
    body = {"resource_id": "vm-1", "metrics": history[-1], "historical_data": history[:-1]}
    usual = trained.post("/detect/anomaly", body).json()
    assert usual["model_used"] == "anomaly_detector 1.0.0"
    assert not usual["is_anomaly"]
    odd = trained.post("/detect/anomaly", body | {"metrics": history[-1] | {"cpu_usage": 50.0}}).json()
    assert odd["is_anomaly"]
    assert odd["affected_metrics"][0] == "cpu_usage"
    found = process(trained, "anomaly_detection", "detect", {"resource_id": "vm-1", "data_points": history})
    decode(SERVICES["anomaly_detection", "detect"], found["data"])
    assert found["data"]["model_info"]["name"] == "anomaly_detector"


def test_a_trained_model_of_migrations_is_asked_first(trained: Served) -> None:
    asked = {"source_node": "a", "dest_node": "b", "vm_size": 4 * 2**30}
    told = trained.post("/predict/migration_time", asked).json()
    assert told["model_used"] == "migration_predictor 1.0.0"
    assert told["duration_seconds"] == pytest.approx(40, abs=3)
    larger = trained.post("/predict/migration_time", asked | {"vm_size": 8 * 2**30}).json()
    assert larger["duration_seconds"] == pytest.approx(80, abs=4)
    risk = trained.post("/predict/failure_risk", {"migration_params": {"memory_gb": 4}}).json()
    assert 0 < risk["risk"] < 0.6
    assert "migration_predictor" in risk["risk_is"]
    body = {"vm_id": "v", "source_host": "a", "target_hosts": ["b", "c"], "vm_metrics": {"memory_gb": 4}}
    loads = {"b": {"cpu_percent": 99}, "c": {"cpu_percent": 10}}
    ranked = trained.post("/predict/migration", body | {"network_topology": loads}).json()
    assert (ranked["recommended_host"], ranked["model_used"]) == ("c", "migration_predictor 1.0.0")
    assert ranked["prediction_time"] == pytest.approx(40, abs=3)


def test_facts_are_told_as_they_are_now(trained: Served) -> None:
    for pair, data in ((("health", "check"), {}), (("model", "info"), {"model_type": "anomaly_detection"})):
        first, second = (process(trained, *pair, data, "fact") for _ in range(2))
        assert first["success"]
        assert first["process_time"] != second["process_time"]


def test_the_version_of_a_type_is_told_flat(trained: Served) -> None:
    for kind in ("resource_prediction", " Anomaly_Detection ", "migration_prediction"):
        told = process(trained, "model_management", "get_info", {"model_type": kind})
        decode(SERVICES["model_management", "get_info"], told["data"])
        assert told["model_version"] == "1.0.0"
    assert not process(trained, "model", "info", {"model_type": "workload_prediction"})["success"]
    assert not process(trained, "model", "info", {"model_type": "magic"})["success"]


def test_scaling_is_advised_by_the_model_where_there_is_one(trained: Served) -> None:
    body = {"vm_id": "vm-1", "current_resources": {"cpu_usage": 0.5}, "historical_data": rows(100)}
    told = trained.post("/optimize/scaling", body).json()
    assert "resource_predictor 1.0.0" in told["decisions"][0]["reasoning"]


def test_a_training_is_asked_for_once_however_often(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ai_engine.control_plane.trainings.PATIENCE", 120.0)  # a busy machine is no failure
    data = {
        "model_type": "Resource_Prediction",
        "training_data": [
            {"timestamp": at, "cpu_usage": value, "metadata": {"a": 1}}
            for at, value in zip(times(240), wave(240), strict=True)
        ],
        "validation_split": 0,
        "hyperparameters": RIDGE | {"learning_rate": 0.1},
    }
    with serving(tmp_path, workers=1) as server:
        layer = IntegrationLayer(sending(server))
        told = layer.ask("t-1", "model_training", "train", data)
        assert told["training_status"] == "completed"
        assert told["_envelope"]["model_version"] == "1.0.0"
        assert "learning_rate" in told["_envelope"]["data"]["message"]
        job = server.get("/train/jobs").json()["jobs"][0]
        # The id is the job's key: the answer is the same where the memory of the process is gone.
        again = server.post(
            "/train?wait=false", data | {"model_type": "regression"}, headers={"Idempotency-Key": "t-1"}
        )
        assert again.status_code == 422
    with serving(tmp_path, workers=1) as server:
        told = process(server, "model_training", "train", data, "t-1")["data"]
        assert (told["job_id"], told["model_version"]) == (job["job_id"], "1.0.0")
        assert len(server.get("/train/jobs").json()["jobs"]) == 1


def test_a_training_that_takes_longer_answers_with_its_job(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ai_engine.control_plane.trainings.PATIENCE", 0.0)
    with serving(tmp_path, workers=0) as server:
        data = {"model_type": "resource_prediction", "training_data": rows(240)}
        told = process(server, "model", "train", data, "t")
        assert told["success"]
        decode(SERVICES["model_training", "train"], told["data"])
        assert told["data"]["training_status"] == "queued"
        assert server.get(told["data"]["status_url"]).json()["job_id"] == told["data"]["job_id"]
        assert told["data"]["job_id"] in told["data"]["message"]
        server.registry.queue.cancel(told["data"]["job_id"])
        again = process(server, "model", "train", data, "t")  # what was queued is not so for a day
        assert not again["success"]
        assert "cancelled" in again["error"]


@pytest.mark.parametrize(
    "data",
    [
        {"model_type": "magic", "training_data": rows(3)},
        {"model_type": "resource_prediction", "training_data": None},
        {"model_type": "resource_prediction", "training_data": [1, 2]},
        {"model_type": "resource_prediction", "training_data": rows(3)},
    ],
)
def test_a_training_that_cannot_be_is_refused_with_its_reason(data: Any, trained: Served) -> None:
    told = process(trained, "model", "train", data)
    assert (told["success"], told["confidence"]) == (False, 0)
    assert told["error"]


def test_a_long_history_trains_a_model_of_its_own_beside_the_answer(tmp_path: Any) -> None:
    with serving(tmp_path, workers=1, resource_models=1) as server:
        history = points(wave(240))
        asked = {"node_id": "node/1", "resource_type": "cpu", "historical_data": history}
        told = process(server, "resource_prediction", "predict_demand", asked)["data"]
        assert told["model_info"]["name"] == "seasonal-formulas"
        (job,) = server.get("/train/jobs").json()["jobs"]
        assert job["job_id"] in told["model_info"]["training_data"]
        assert job["model_name"].startswith("resource_predictor.node1-")
        *_, last = followed(server.registry.queue, job["job_id"], timeout=120)
        assert last.status is JobStatus.COMPLETED
        told = process(server, "resource_prediction", "predict_demand", asked)["data"]
        assert told["model_info"]["name"] == job["model_name"]
        assert len(server.get("/train/jobs").json()["jobs"]) == 1  # one a resource and day
        # Another resource: neither answered by that model, nor given one where there may be but one.
        other = process(server, "resource_prediction", "predict_demand", asked | {"node_id": "n2"})["data"]
        assert other["model_info"]["name"] == "seasonal-formulas"
        assert len(server.get("/train/jobs").json()["jobs"]) == 1
        assert "resource_predictor" not in server.registry.actives()


@pytest.mark.parametrize(
    ("settings", "count", "busy"),
    [({"resource_models": 0}, 240, False), ({"workers": 0}, 240, False), ({}, 199, False), ({}, 240, True)],
)
def test_no_training_goes_on_where_none_is_to(
    settings: dict[str, Any], count: int, busy: bool, tmp_path: Any
) -> None:
    with serving(tmp_path, **({"workers": 1} | settings)) as server:
        if busy:
            server.service.workers.stop()
            server.service.workers.join()
            data = {"model_type": "resource_prediction", "training_data": rows(240)}
            queue = server.registry.queue
            queue.submit(
                iter([b"[]"]), "json", model_name="x", model_type="resource_prediction", spec=data, limit=9
            )
        asked = {"node_id": "n", "resource_type": "cpu", "historical_data": points(wave(count))}
        told = process(server, "resource_prediction", "predict_demand", asked)
        assert told["success"]
        assert len(server.get("/train/jobs").json()["jobs"]) == int(busy)
