"""Every answer is what the OpenAPI document says, at every depth."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.api.serving import Served, serving, telemetry, train_body
from tests.snapshots import openapi

DOCUMENT: Final = openapi()
# What callers store is theirs; the document cannot say what is in it.
FREE: Final = {
    "Version.metadata",
    "VersionWithHistory.metadata",
    "ModelInfo.algorithms[]",
    "Version.algorithms[]",
    "VersionWithHistory.algorithms[]",
    "Run.hyperparameters",
    "ScheduledTraining.hyperparameters",
    "AuditEntryReply.detail",
}
TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def faults(schema: Mapping[str, Any], value: Any, where: str) -> Iterator[str]:
    """Yield how a value (JSON values) differs from its schema; a key that is not documented does."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield from faults(DOCUMENT["components"]["schemas"][name], value, name)
    elif "anyOf" in schema:
        found = [list(faults(one, value, where)) for one in schema["anyOf"]]
        if all(found):  # what came nearest says most
            yield from max(found, key=lambda one: "." in one[0] and one[0].startswith(where))
    elif "enum" in schema or "const" in schema:
        if value not in schema.get("enum", [schema.get("const")]):
            yield f"{where}: {value!r} is none of {schema}"
    elif "type" not in schema:
        if where not in FREE:
            yield f"{where}: anything would do"
    elif not _is(value, schema["type"]):
        yield f"{where}: {value!r} is no {schema['type']}"
    elif isinstance(value, list):
        for item in value:
            yield from faults(schema["items"], item, f"{where}[]")
    elif isinstance(value, dict):
        yield from _object_faults(schema, value, where)


def _object_faults(schema: Mapping[str, Any], value: Mapping[str, Any], where: str) -> Iterator[str]:
    known, rest = schema.get("properties", {}), schema.get("additionalProperties", False)
    for key in schema.get("required", []):
        if key not in value:
            yield f"{where}.{key}: is missing"
    for key, item in value.items():
        if key in known:
            yield from faults(known[key], item, f"{where}.{key}")
        elif rest is False:
            yield f"{where}.{key}: is not documented"
        elif rest is True:
            if where not in FREE:
                yield f"{where}.{key}: anything would do"
        else:
            yield from faults(rest, item, f"{where}.*")


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, TYPES[kind])


def answered(method: str, template: str, answer: httpx.Response) -> Any:
    """Return the body of an answer that is what the document says of its endpoint."""
    documented = DOCUMENT["paths"][template][method.lower()]["responses"]
    content = documented[str(answer.status_code)].get("content", {})
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if not content:
        assert answer.content == b""
        return None
    assert kind in content
    if kind.startswith("text/"):
        return answer.text
    body = answer.json()
    assert list(faults(content[kind]["schema"], body, template)) == []
    return body


def table() -> list[dict[str, Any]]:
    chosen = random.Random(7)
    return [
        {
            "load": chosen.random(),
            "zone": chosen.choice("abc"),
            "ms": chosen.random(),
            "ok": chosen.random() < 0.5,
        }
        for _ in range(220)
    ]


TRAININGS: Final[tuple[dict[str, Any], ...]] = (
    train_body(target_columns=["cpu", "mem"]),
    train_body(activate="if_better"),
    {"model_type": "anomaly_detection", "training_data": telemetry()},
    {"model_type": "regression", "name": "ms", "training_data": table(), "target_columns": ["ms"]},
    {"model_type": "classification", "name": "ok", "training_data": table(), "target_columns": ["ok"]},
)
MODELS: Final = ("resource_predictor", "anomaly_detector", "ms", "ok")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "sources").mkdir()
    with serving(tmp_path / "models", sources=str(tmp_path / "sources")) as served:
        yield served


def test_every_answer_is_what_the_document_says(server: Served) -> None:
    asked: set[tuple[str, str]] = set()

    def ask(method: str, template: str, more: str = "", body: Any = None, **parts: str) -> Any:
        asked.add((method.lower(), template))
        path = template.format(**parts) + more
        return answered(method, template, server.client.request(method, path, json=body))

    trained = [ask("POST", "/train", body=body) for body in TRAININGS]
    assert "activation_reason" in trained[1]
    ask("POST", "/train/model", body={"model_type": "regression"})
    ask("POST", "/train", "?wait=false", body=train_body())
    for more in ("", "?limit=1&status=completed", "?status=lost"):
        ask("GET", "/train/jobs", more)
    for job in ask("GET", "/train/jobs")["jobs"]:
        for method in ("GET", "DELETE"):
            ask(method, "/train/jobs/{job_id}", job_id=job["job_id"])
    ask("GET", "/train/jobs/{job_id}", job_id="nobody")
    ask("GET", "/train/jobs/{job_id}/events", job_id="nobody")
    ask("DELETE", "/train/jobs/{job_id}", job_id="nobody")
    server.registry.save("others", {"a": 1}, metadata={"nested": {"any": [1, None]}}, algorithms=["Ridge"])
    for name in MODELS:
        rows = telemetry(30) if name.startswith(("res", "ano")) else table()[:3]
        ask("POST", "/models/{model_name}/predict", body={"data": rows}, model_name=name)
        ask("GET", "/models/performance/{model_name}", model_name=name)
        ask("GET", "/models/{model_name}/versions", model_name=name)
        report = "/models/{model_name}/versions/{version}/report"
        assert ask("GET", report, model_name=name, version="1.0.0")["data"]
        ask("GET", report, model_name=name, version="9")
    ask("POST", "/models/{model_name}/predict", body={"data": [{"x": 1}]}, model_name="others")
    ask("GET", "/models/performance/{model_name}", model_name="others")
    ask("GET", "/models/performance/{model_name}", model_name="nobody")
    versions = "?versions=1.0.0,1.0.1"
    ask("GET", "/models/{model_name}/compare", versions, model_name="resource_predictor")
    for more in ("", "?limit=2", "?filter=is_active", "?limit=0"):
        ask("GET", "/models/info", more)
        ask("GET", "/models", more)
    ask("POST", "/models/{model_name}/activate", body={"version": "1.0.1"}, model_name="resource_predictor")
    ask("POST", "/models/{model_name}/activate", body={"x": "1.0.1"}, model_name="resource_predictor")
    ask("POST", "/models/{model_name}/rollback", model_name="resource_predictor")
    ask("POST", "/models/{model_name}/rollback", model_name="others")
    for version in ("1.0.1", "1.0.0"):
        parts = {"model_name": "resource_predictor", "version": version}
        ask("DELETE", "/models/{model_name}/versions/{version}", **parts)
    for more in ("?dry_run=true", "", "?keep_versions=0"):
        ask("POST", "/models/cleanup", more)
    server.registry.save("others", 2)
    assert ask("POST", "/models/cleanup", "?keep_versions=1")["removed"]
    _ask_for_schedules(ask, server)
    for more in ("?limit=2", "?action=train", "?limit=0", "?page_token=x"):
        ask("GET", "/audit", more)
    for path in ("/health", "/health/live", "/health/ready", "/metrics"):
        ask("GET", path)
    server.service.workers.stop()
    ask("GET", "/health/ready")
    assert asked == {
        (method, path)
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
        if operation["tags"] != ["control plane"]  # in tests/control_plane
    }


def _ask_for_schedules(ask: Callable[..., Any], server: Served) -> None:
    """Set a schedule, and ask for all that is told of it; as long as there is one, health tells of it."""
    schedule, run = "/models/{model_name}/schedule", "/models/{model_name}/schedule/run"
    source = Path(str(server.service.settings.sources)) / "cpu.json"
    source.write_text(json.dumps(table()))
    for name in ("one", "two"):
        body = {"source": "cpu.json", "every": "6h", "model_type": "regression", "target_columns": ["ms"]}
        ask("PUT", schedule, body=body, model_name=name)
    ask("PUT", schedule, body={"source": "../cpu.json", "every": 5.0}, model_name="one")
    ask("PUT", schedule, body={"source": "cpu.json"}, model_name="one")
    ask("GET", schedule, model_name="one")
    ask("GET", schedule, model_name="nobody")
    for more in ("", "?limit=1", "?limit=0"):
        ask("GET", "/schedules", more)
    for name in ("one", "nobody"):
        ask("POST", run, model_name=name)
        ask("DELETE", schedule, model_name="two")
    ask("GET", "/models/{model_name}/training_history", model_name="ms")
    ask("GET", "/models/{model_name}/training_history", "?limit=0", model_name="ms")
    ask("GET", "/models/{model_name}/training_history", model_name="nobody")


@pytest.mark.parametrize(
    ("schema", "value", "fault"),
    [
        (
            {"type": "object", "properties": {"a": {"type": "string"}}},
            {"a": "x", "b": 1},
            "here.b: is not doc",
        ),
        ({"type": "object", "required": ["a"]}, {}, "here.a: is missing"),
        ({"type": "array", "items": {"type": "integer"}}, [1, True], "here[]: True is no integer"),
        ({"type": "object", "additionalProperties": True}, {"a": 1}, "here.a: anything would do"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, {"a": None}, "here.*: None"),
        ({"anyOf": [{"type": "null"}, {"type": "object"}]}, {"a": 1}, "here.a: is not documented"),
        ({"$ref": "#/components/schemas/InfoReply"}, {}, "InfoReply.models: is missing"),
        ({}, 1, "here: anything would do"),
        ({"const": "x"}, "y", "here: 'y'"),
    ],
)
def test_the_comparison_looks_inside(schema: dict[str, Any], value: Any, fault: str) -> None:
    found = list(faults(schema, value, "here"))
    assert found
    assert found[0].startswith(fault)
