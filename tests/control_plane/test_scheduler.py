"""The scheduler's client and the orchestrator's: refusals by status, and answers that follow the data."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.serving import Served
from tests.control_plane.clients import PATHS, Scheduler
from tests.control_plane.samples import MIGRATION, nodes, path_bodies, rows, times, wave

BODIES = path_bodies()
CONSTANT = {
    "resource_id": "node-7",
    "metrics": {f"{name}_usage": 0.5 for name in ("cpu", "memory", "disk", "network")},
    "prediction_horizon": 60,
}


def test_a_constant_without_a_model_makes_the_scheduler_fall_back(
    scheduler: Scheduler, served: Served
) -> None:
    assert scheduler.ask("/predict/resources", CONSTANT) is None
    assert scheduler.attempts == 4
    assert served.post("/predict/resources", CONSTANT).status_code == 409


@pytest.mark.parametrize("path", PATHS)
def test_an_empty_question_is_refused_by_status(path: str, served: Served) -> None:
    for body in ({}, dict.fromkeys(BODIES[path])):
        answer = served.post(path, body)
        assert answer.status_code in (409, 422), answer.text
        assert answer.json()["detail"]


@pytest.mark.parametrize("path", PATHS)
def test_a_wrong_type_is_refused_by_its_name(path: str, served: Served) -> None:
    for name in BODIES[path]:
        answer = served.post(path, BODIES[path] | {name: True})
        assert answer.status_code in (200, 409, 422)
        if answer.status_code == 422:
            assert name in answer.json()["detail"]


def test_the_verdict_follows_the_metrics(scheduler: Scheduler) -> None:
    history = rows()
    usual, odd = (
        scheduler.ask(
            "/detect/anomaly",
            {"resource_id": "node_metrics", "metrics": {"cpu_usage": cpu}, "historical_data": history},
        )
        for cpu in (0.5, 3.0)
    )
    assert usual is not None
    assert odd is not None
    assert (usual["is_anomaly"], usual["severity"], usual["affected_metrics"]) == (False, "normal", [])
    assert (odd["is_anomaly"], odd["anomaly_type"], odd["affected_metrics"]) == (True, "spike", ["cpu_usage"])
    assert usual["anomaly_score"] < 0.2 <= odd["anomaly_score"]
    assert odd["severity"] != "normal"


def test_the_clients_own_verdict_as_metrics_is_refused(served: Served) -> None:
    body = {
        "resource_id": "node_metrics",
        "metrics": {"anomaly_score": 0.0},
        "historical_data": None,
        "sensitivity": 0.1,
    }
    assert served.post("/detect/anomaly", body).status_code == 409


@pytest.mark.parametrize(
    ("present", "level", "action"),
    [(0.95, 90.0, "scale_up"), (0.1, 10.0, "scale_down"), (0.5, 50.0, "maintain"), (0.95, 50.0, "scale_up")],
)
def test_scaling_follows_use(present: float, level: float, action: str, scheduler: Scheduler) -> None:
    values = wave(100, level=level, height=2)
    for scale in (0.01, 1.0):  # shares, and percents
        history = [
            {"timestamp": at, "cpu_usage": scale * value}
            for at, value in zip(times(100), values, strict=True)
        ]
        asked = {
            "vm_id": "v",
            "current_resources": {"cpu_usage": 100 * scale * present},
            "historical_data": history,
        }
        found = scheduler.ask("/optimize/scaling", asked)
        assert found is not None
        (decision,) = found["decisions"]
        assert decision["action"] == action
        factor = decision["target_value"] / decision["current_value"]
        assert {"scale_up": factor > 1, "scale_down": factor < 1, "maintain": factor == 1}[action]
        assert "70%" in decision["reasoning"]
        assert "95 % quantile" in decision["reasoning"]
        assert bool(found["execution_timeline"]) == (action != "maintain")


def test_a_price_makes_the_cost_one_of_money(scheduler: Scheduler) -> None:
    body = BODIES["/optimize/scaling"] | {"cost_optimization": {"cpu": 12.0}}
    free, priced = (scheduler.ask("/optimize/scaling", one) for one in (BODIES["/optimize/scaling"], body))
    assert free is not None
    assert priced is not None
    for one, other in zip(free["decisions"], priced["decisions"], strict=True):
        times_dearer = 12.0 if one["resource"] == "cpu_usage" else 1.0
        assert other["cost_impact"] == pytest.approx(times_dearer * one["cost_impact"])


def test_many_vms_are_advised_at_once_as_each_alone(served: Served) -> None:
    asked = [
        {"vm_id": f"v{i}", "current_resources": {"cpu_usage": 0.4 + i / 20}, "historical_data": rows(seed=i)}
        for i in range(6)
    ]
    fleet = served.post(
        "/optimize/scaling", {"vms": [*asked, {"vm_id": "bare"}], "scaling_policy": None}
    ).json()
    assert [one["vm_id"] for one in fleet["vms"]] == [f"v{i}" for i in range(6)]
    assert list(fleet["refused"]) == ["bare"]
    for one, body in zip(fleet["vms"], asked, strict=True):
        alone = served.post("/optimize/scaling", body).json()
        assert [d["action"] for d in one["decisions"]] == [d["action"] for d in alone["decisions"]]


def test_the_wider_link_and_the_emptier_host_are_better(scheduler: Scheduler) -> None:
    body = BODIES["/predict/migration"]
    found = scheduler.ask("/predict/migration", body)
    assert found is not None
    assert found["recommended_host"] == "h2"
    swapped = body | {
        "network_topology": {
            "h1": {"capacity_score": 0.9, "bandwidth_gbps": 1},
            "h2": {"capacity_score": 0.9},
        }
    }
    found = scheduler.ask("/predict/migration", swapped)
    assert found is not None
    assert found["recommended_host"] == "h2"


def test_migration_takes_what_the_model_says(served: Served) -> None:
    told = served.post("/predict/migration_time", {"source_node": "a", "dest_node": "b", **MIGRATION}).json()
    # 8 GB in 8 s, 0.8 GB dirty in 0.8 s, of which 80 MB are left for the downtime.
    assert told["duration_seconds"] == pytest.approx(8.88)
    assert told["confidence"] == pytest.approx(0.9)
    bare = served.post("/predict/migration_time", {"source_node": "a", "dest_node": "b", "vm_size": 8e9})
    assert bare.status_code == 409
    assert "dirty_rate, bandwidth is missing" in bare.json()["detail"]


def test_the_widest_path_is_chosen(served: Served) -> None:
    told = served.post("/predict/optimal_path", BODIES["/predict/optimal_path"]).json()
    assert (told["path"], told["bottleneck"]) == (["a", "b", "c"], 5)
    nowhere = BODIES["/predict/optimal_path"] | {"dest_node": "z"}
    assert served.post("/predict/optimal_path", nowhere).status_code == 409


def test_a_cluster_that_is_even_is_left_alone(served: Served) -> None:
    body = {"cluster_id": "c", "performance_data": nodes(high=0.5, low=0.5), "optimization_goals": []}
    kinds = [one["type"] for one in served.post("/optimize/performance", body).json()["optimizations"]]
    assert "load_balancing" not in kinds
    uneven = served.post("/optimize/performance", BODIES["/optimize/performance"]).json()
    kinds = [one["type"] for one in uneven["optimizations"]]
    assert {"load_balancing", "migration", "energy_optimization"} <= set(kinds)
    assert kinds[0] == "energy_optimization"  # the goal that was named
    assert [one["priority"] for one in uneven["optimizations"]] == list(range(1, len(kinds) + 1))


def test_what_is_not_understood_is_named(served: Served) -> None:
    body: dict[str, Any] = {
        "cluster_id": "c",
        "cluster_data": {"nodes": [{"node_id": "a", "cpu_usage": 0.5, "mood": "good"}], "weather": 3},
    }
    asked = {"id": "", "service": "performance_optimization", "method": "optimize_cluster", "data": body}
    notes = " ".join(served.post("/api/v1/process", asked).json()["data"]["notes"])
    assert "mood" in notes
    assert "weather" in notes
