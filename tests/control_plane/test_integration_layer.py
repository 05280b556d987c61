"""The client of door 1: its envelope, its attempts and its breaker, against a real server."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.api.serving import Served
from tests.control_plane.clients import IntegrationLayer, RefusedError
from tests.control_plane.samples import points, rows, service_data, times, wave

DEMAND = ("resource_prediction", "predict_demand")
DATA = service_data()


def demand(**more: Any) -> dict[str, Any]:
    return DATA[DEMAND] | more


def test_an_unknown_pair_tells_what_there_is(served: Served) -> None:
    told = served.post(
        "/api/v1/process", {"id": "x", "service": "magic", "method": "do", "data": None}
    ).json()
    assert (told["success"], "data" in told) == (False, False)
    assert "magic" in told["error"]
    assert told["supported_services"]["resource_prediction"] == ["predict_demand"]


@pytest.mark.parametrize("body", [b"[]", b"7", b"", b"{", b'{"id": NaN}', b'{"id": 1, "id": 2}'])
def test_what_is_no_object_is_refused_by_status(body: bytes, served: Served) -> None:
    headers = {"Content-Type": "application/json"}
    assert served.client.post("/api/v1/process", content=body, headers=headers).status_code == 422


def test_five_failed_attempts_shut_everything_for_a_minute_and_a_success_counts_anew(
    layer: IntegrationLayer,
) -> None:
    nothing = demand(historical_data=None, node_id="nobody")
    with pytest.raises(RefusedError, match="cannot be answered"):
        layer.ask("a", *DEMAND, nothing)
    assert layer.failures == 3
    layer.ask("b", *DEMAND, demand())
    assert layer.failures == 0
    for name in "cd":
        with pytest.raises(RefusedError):
            layer.ask(name, *DEMAND, nothing)
    with pytest.raises(RefusedError, match="breaker"):
        layer.ask("e", "health", "check", {})
    layer.clock.sleep(61)
    layer.ask("e", "health", "check", {})


def test_an_id_that_comes_again_gets_the_first_answer(served: Served) -> None:
    body = {"id": "same", "service": DEMAND[0], "method": DEMAND[1], "data": demand(), "metadata": None}
    first, second = (served.post("/api/v1/process", body) for _ in range(2))
    assert first.content == second.content  # its process_time included
    other = served.post("/api/v1/process", body | {"data": demand(node_id="another")})
    assert other.content != first.content
    unnamed = [served.post("/api/v1/process", body | {"id": ""}).json()["process_time"] for _ in range(2)]
    assert unnamed[0] != unnamed[1]


def test_an_id_that_comes_while_the_first_runs_is_the_same_work(served: Served) -> None:
    before = served.get("/statistics/predictions").json()["total_predictions"]
    body = {"id": "twice", "service": DEMAND[0], "method": DEMAND[1], "data": demand(node_id="twice")}
    found: list[bytes] = []
    asking = [
        threading.Thread(target=lambda: found.append(served.post("/api/v1/process", body).content))
        for _ in range(4)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert len(set(found)) == 1
    assert served.get("/statistics/predictions").json()["total_predictions"] == before + 1


def test_a_refusal_is_not_kept(served: Served) -> None:
    body = {"id": "later", "service": DEMAND[0], "method": DEMAND[1], "data": demand(historical_data=None)}
    first, second = (served.post("/api/v1/process", body).json() for _ in range(2))
    assert not first["success"]
    assert first["process_time"] != second["process_time"]


def test_null_is_empty_and_what_is_unknown_is_ignored(layer: IntegrationLayer) -> None:
    history = [None, *points(wave(60)), {"timestamp": None, "value": None}]
    found = layer.ask("n", *DEMAND, demand(historical_data=history, context=None, anything={"else": [1]}))
    assert len(found["predictions"]) == 12


def test_unset_times_are_no_times(layer: IntegrationLayer) -> None:
    unset = [{"timestamp": "0001-01-01T00:00:00Z", "value": value} for value in wave(60)]
    found = layer.ask("u", *DEMAND, demand(historical_data=unset, horizon_minutes=30))
    assert len(found["predictions"]) == 30  # a minute apart, and it says so
    assert "taken to be a minute apart" in found["model_info"]["training_data"]


def test_any_zone_and_nine_decimals_are_one_moment(layer: IntegrationLayer) -> None:
    values = wave(60)
    utc = [at.replace("123+00:00", "123Z") for at in times(60, end=datetime(2026, 1, 2, tzinfo=UTC))]
    moved = [at.replace("123Z", "123+00:00") for at in utc]
    answers = [
        layer.ask(
            name,
            *DEMAND,
            demand(historical_data=[{"timestamp": t, "value": v} for t, v in zip(ts, values, strict=True)]),
        )
        for name, ts in (("z1", utc), ("z2", moved))
    ]
    assert answers[0]["predictions"] == answers[1]["predictions"]


def test_cpu_history_for_memory_is_told_as_the_forecast_of_cpu(served: Served) -> None:
    history = points(wave(60), {"resource_type": "cpu"})
    body = {"id": "", "service": DEMAND[0], "method": DEMAND[1]}
    cpu, memory = (
        served.post(
            "/api/v1/process", body | {"data": demand(resource_type=kind, historical_data=history)}
        ).json()["data"]
        for kind in ("cpu", "memory")
    )
    assert memory["predictions"] == cpu["predictions"]
    assert memory["resource_type"] == "cpu"
    assert any("not of memory" in note for note in memory["notes"])
    assert "of cpu that were sent" in memory["model_info"]["training_data"]


def test_a_seasonal_history_is_foretold_better_than_by_its_last_value(layer: IntegrationLayer) -> None:
    for period in (24, 60):
        whole = wave(6 * period + 12, period=period, seed=period)
        known, later = whole[:-12], whole[-12:]
        found = layer.ask(f"s{period}", *DEMAND, demand(historical_data=points(known)))
        error = sum(abs(a - b) for a, b in zip(found["predictions"], later, strict=True)) / 12
        naive = sum(abs(known[-1] - b) for b in later) / 12
        assert error < 0.5 * naive
        assert error < 3


def test_the_unit_of_the_answer_is_that_of_the_question(layer: IntegrationLayer) -> None:
    values = wave(100)
    percent = layer.ask("p", *DEMAND, demand(historical_data=points(values)))
    shares = layer.ask("f", *DEMAND, demand(historical_data=points([value / 100 for value in values])))
    assert [100 * value for value in shares["predictions"]] == pytest.approx(percent["predictions"], rel=1e-6)


def test_anomalies_are_found_where_they_are(layer: IntegrationLayer) -> None:
    values = wave(100)
    values[70] = 190.0
    history = points(values)
    found = layer.ask(
        "an",
        "anomaly_detection",
        "detect",
        {"resource_id": "n", "metric_type": "cpu", "data_points": history},
    )
    assert [one["timestamp"][:19] for one in found["anomalies"]] == [history[70]["timestamp"][:19]]
    assert found["anomalies"][0]["affected_metrics"] == ["cpu"]
    assert found["overall_score"] == found["anomalies"][0]["score"] > 0.4
    assert found["baseline"]["cpu"] == pytest.approx(50, abs=5)


def test_a_baseline_alone_is_an_answer_and_nothing_at_all_is_a_refusal(layer: IntegrationLayer) -> None:
    asked = {"resource_id": "n", "metric_type": "cpu", "data_points": None}
    found = layer.ask("b1", "anomaly_detection", "detect", asked | {"context": {"baseline": {"cpu": 40.0}}})
    assert (found["anomalies"], found["baseline"], found["overall_score"]) == ([], {"cpu": 40.0}, 0)
    present = {"baseline": {"cpu": 40.0, "cpu_std": 2.0}, "metrics": {"cpu": 90.0}}
    found = layer.ask("b2", "anomaly_detection", "detect", asked | {"context": present})
    assert [one["anomaly_type"] for one in found["anomalies"]] == ["spike"]
    with pytest.raises(RefusedError, match="cannot be answered"):
        layer.ask("b3", "anomaly_detection", "detect", asked | {"context": None})


def test_points_of_the_future_are_told_and_left_out(layer: IntegrationLayer) -> None:
    past = points(wave(72), {"metric": "cpu_usage"})
    future = [{"timestamp": "2999-01-01T00:00:00Z", "value": 1e6, "metadata": {"type": "cpu_usage"}}] * 3
    asked = {"workload_id": "w", "metric_types": ["cpu_usage"], "time_range": None}
    pair = ("workload_pattern_recognition", "analyze_patterns")
    alone = layer.ask("f1", *pair, asked | {"data_points": past})
    both = layer.ask("f2", *pair, asked | {"data_points": past + future})
    assert alone["patterns"] == both["patterns"]
    told = both["_envelope"]["data"]["notes"]
    assert any("3 of the points lie in the future" in note for note in told)
    with pytest.raises(RefusedError, match="in the future"):
        layer.ask("f3", *pair, asked | {"data_points": future})


def test_points_outside_of_the_time_range_are_told_and_left_out(layer: IntegrationLayer) -> None:
    pair = ("workload_pattern_recognition", "analyze_patterns")
    whole = points(wave(72), {"metric": "cpu"})
    span = {"start": whole[10]["timestamp"], "end": whole[59]["timestamp"]}
    found = layer.ask(
        "tr", *pair, {"workload_id": "w", "metric_types": None, "time_range": span, "data_points": whole}
    )
    notes = found["_envelope"]["data"]["notes"]
    assert any("10 of the points lie before the time range" in note for note in notes)
    assert any("12 of the points lie after the time range" in note for note in notes)
    assert found["patterns"][0]["start_time"][:19] == whole[10]["timestamp"][:19]
    assert found["patterns"][0]["end_time"][:19] == whole[59]["timestamp"][:19]


def test_scaling_takes_what_the_scheduler_sends_as_well(layer: IntegrationLayer) -> None:
    asked = {"vm_id": "v", "current_resources": {"cpu_usage": 0.95}, "historical_data": rows(60)}
    found = layer.ask("sc", "scaling", "optimize", asked)
    actions = {one["resource"]: one["action"] for one in found["scaling_actions"]}
    assert actions["cpu"] == "scale_up"
    assert actions["io"] == "scale_down"


def test_a_season_is_told_with_its_length_and_strength(layer: IntegrationLayer) -> None:
    pair = ("workload_pattern_recognition", "analyze_patterns")
    found = layer.ask(
        "se", *pair, {"workload_id": "w", "metric_types": ["cpu"], "data_points": points(wave(240))}
    )
    season = found["seasonality"]
    assert (season["has_seasonality"], season["period"]) == (True, 24 * 300 * 10**9)
    assert season["strength"] > 0.9
    assert found["classification"] == "periodic"
    assert len(season["peak_times"]) == len(season["low_times"]) == 3
    flat = layer.ask(
        "fl", *pair, {"workload_id": "w", "metric_types": ["cpu"], "data_points": points(wave(240, height=0))}
    )
    assert flat["seasonality"]["has_seasonality"] is False
    assert flat["seasonality"]["period"] == 0
    assert flat["classification"] == "steady"


@pytest.mark.parametrize(
    ("given", "action"),
    [
        ({"current_load": 95, "historical_usage": wave(100, level=90, height=5)}, "scale_up"),
        ({"current_load": 10, "historical_usage": wave(100, level=10, height=2)}, "scale_down"),
        ({"current_load": 60, "historical_usage": wave(100, level=60, height=5)}, "maintain"),
        (
            {"current_load": 60, "historical_usage": wave(100, level=60, height=5), "predicted_demand": 99},
            "scale_up",
        ),
    ],
)
def test_capacity_follows_the_demand(given: dict[str, Any], action: str, layer: IntegrationLayer) -> None:
    pair = ("predictive_scaling", "predict_scaling")
    found = layer.ask(f"{action}{len(given)}", *pair, {"current_capacity": 100, **given})
    assert [one["action"] for one in found["scaling_actions"]] == [action]
    factor = found["scaling_actions"][0]["target_capacity"]
    assert {"scale_up": factor > 1, "scale_down": factor < 1, "maintain": factor == 1}[action]


def test_usage_by_resource_is_advised_by_resource(layer: IntegrationLayer) -> None:
    pair = ("predictive_scaling", "predict_scaling")
    asked = {
        "current_capacity": {"cpu": 1.0, "memory": 1.0},
        "current_load": {"cpu": 0.9, "memory": 0.1, "colour": "red"},
        "historical_usage": {"cpu": [v / 100 for v in wave(60, level=85, height=3)], "memory": [0.1] * 60},
    }
    found = layer.ask("r", *pair, asked)
    assert {one["resource"]: one["action"] for one in found["scaling_actions"]} == {
        "cpu": "scale_up",
        "memory": "scale_down",
    }


def test_without_history_the_load_is_carried_forward_with_no_confidence(layer: IntegrationLayer) -> None:
    found = layer.ask(
        "c", "predictive_scaling", "predict_scaling", {"current_capacity": 1.0, "current_load": 0.9}
    )
    assert (found["confidence"], found["scaling_actions"][0]["action"]) == (0, "scale_up")
    with pytest.raises(RefusedError, match="cannot be answered"):
        layer.ask("d", "predictive_scaling", "predict_scaling", {"current_capacity": 1.0})
