"""Whatever is asked, by whoever: an answer that decodes or a refusal, never a failure and never a NaN."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai_engine.control_plane.doors import PAIRS
from tests.api.serving import Served
from tests.api.test_schema import faults
from tests.control_plane.clients import ENVELOPE, PATHS, decode
from tests.control_plane.samples import path_bodies, points, rows, service_data, wave
from tests.snapshots import openapi

BODIES, DATA = path_bodies(), service_data()
ODD: list[Any] = [
    *(
        None,
        [],
        [None],
        {},
        "",
        "NaN",
        "1e999",
        -1,
        0,
        1e30,
        1e308,
        -1e-300,
        2**70,
        True,
        "0001-01-01T00:00:00Z",
    ),
    *(
        "9999-12-31T23:59:59.999999999+14:00",
        "2999-01-01T00:00:00Z",
        "../../etc",
        "<b>\u0000\u202e",
        "x" * 5000,
    ),
    *([[[]]], [{"timestamp": None}], {"a": {"b": [None]}}, [1, "2", None, {}], {"": 1}),
]
HARD = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def replaced(value: Any, places: list[int], odd: list[Any]) -> Any:
    """Return a question in which what stands at some places is something odd."""
    count = 0

    def walk(one: Any) -> Any:
        nonlocal count
        count += 1
        if count in places:
            return odd[places.index(count) % len(odd)]
        if isinstance(one, dict):
            return {key: walk(item) for key, item in one.items()}
        if isinstance(one, list):
            return [walk(item) for item in one]
        return one

    return walk(value)


PLACES = st.lists(st.integers(2, 40), min_size=1, max_size=4, unique=True)


@pytest.mark.parametrize("path", PATHS)
@given(places=PLACES, odd=st.lists(st.sampled_from(ODD), min_size=1, max_size=4))
@HARD
def test_a_path_takes_anything(path: str, places: list[int], odd: list[Any], served: Served) -> None:
    body = replaced(BODIES[path], places, odd)
    answer = served.client.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code in (200, 409, 422), answer.text
    told = json.loads(answer.text, parse_constant=pytest.fail)
    if answer.status_code == 200:
        decode(PATHS[path], told)
    else:
        assert told["detail"]


@pytest.mark.parametrize("pair", DATA, ids="/".join)
@given(places=PLACES, odd=st.lists(st.sampled_from(ODD), min_size=1, max_size=4))
@HARD
def test_a_service_takes_anything(
    pair: tuple[str, str], places: list[int], odd: list[Any], served: Served
) -> None:
    body = {"id": "", "service": pair[0], "method": pair[1], "data": replaced(DATA[pair], places, odd)}
    answer = served.client.post(
        "/api/v1/process", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 200, answer.text
    told = decode(ENVELOPE, json.loads(answer.text, parse_constant=pytest.fail))
    assert told["success"] or told["error"]


@given(name=st.text(max_size=40), other=st.text(max_size=40))
@HARD
def test_hostile_names_are_only_names(name: str, other: str, served: Served) -> None:
    data = {"node_id": name, "resource_type": other, "historical_data": points(wave(30))}
    body = {"id": name, "service": "resource_prediction", "method": "predict_demand", "data": data}
    text = json.dumps(body)
    headers = {"Content-Type": "application/json"}
    answer = served.client.post("/api/v1/process", content=text, headers=headers)
    assert answer.status_code == 200
    assert decode(ENVELOPE, answer.json())["success"]


@pytest.mark.parametrize("value", ["\ud800", {"a": "\ud800"}])
def test_broken_text_is_refused_by_status(value: Any, served: Served) -> None:
    text = json.dumps({"id": value, "service": "health", "method": "check", "data": {}})
    headers = {"Content-Type": "application/json"}
    assert served.client.post("/api/v1/process", content=text, headers=headers).status_code == 422


def test_a_very_long_history_is_answered(served: Served) -> None:
    one = rows(1)[0] | {"timestamp": None}
    history = [
        one | {"timestamp": 1_700_000_000 + 60 * i, "cpu_usage": 0.5 + i % 24 / 100} for i in range(100_000)
    ]
    answer = served.post("/predict/resources", {"resource_id": "long", "history": history}).json()
    assert decode(PATHS["/predict/resources"], answer)["prediction"] == pytest.approx(
        0.5 + (100_059 % 24) / 100, abs=0.01
    )


def test_answers_are_what_the_document_says(served: Served) -> None:
    document = openapi()
    for path, body in BODIES.items():
        schema = document["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        found = list(faults(schema, served.post(path, body).json(), path))
        assert [one for one in found if "parameters" not in one] == []
    for path in ("/metrics/system", "/statistics/predictions"):
        schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert list(faults(schema, served.get(path).json(), path)) == []
    assert "/api/v1/process" in document["paths"]
    assert len({id(door) for door in PAIRS.values()}) == 10
