"""What Prometheus scrapes: every family by its conventions, and no more series than is said."""

from __future__ import annotations

import math
import re
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ai_engine.api.instruments import MOST_MODELS, Instruments
from ai_engine.api.model_metrics import label_of
from ai_engine.domain.performance import ModelPerformance
from ai_engine.version import __version__
from tests.api.serving import Served, serving

RESERVED: Final = ("job", "instance", "__name__")
# Base units, and what is a number of its own.
UNITS: Final = ("seconds", "bytes", "total", "info", "ratio")
FOREIGN: Final = re.compile(r"_(ms|milliseconds?|minutes?|hours?|days?|kb|mb|kib|mib|percent|count|sum)$")


class Slope:
    """A model of somebody's own."""

    def predict(self, rows: Sequence[Sequence[float]]) -> list[float]:
        return [2 * row[0] for row in rows]


def families(server: Served) -> dict[str, Any]:
    """Return every family of a scrape by its name, as the parser of the client library reads them."""
    answer = server.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.text.endswith("\n")
    found: dict[str, Any] = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.name not in found, f"{family.name} stands there twice"
        found[family.name] = family
    return found


def values(families: dict[str, Any], name: str, label: str = "model") -> dict[str, float]:
    return {sample.labels[label]: sample.value for sample in families[name].samples}


def fill(server: Served) -> None:
    for number in range(3):
        server.registry.save("cpu", Slope() if number else {"number": number})
    server.registry.record(
        "cpu",
        "1.0.2",
        ModelPerformance(
            mae=0.5,
            mse=None,
            r2=None,
            training_time=None,
            prediction_time=None,
            accuracy_score=None,
            confidence_score=None,
            last_updated=None,
        ),
    )
    server.registry.save("mem", 1, metadata={"performance_metrics": {"mae": 2.0, "skill": 0.25}})
    server.registry.save("odd", 1, metadata={"performance_metrics": {"mae": "much", "skill": 10**400}})


def test_every_family_keeps_the_conventions(server: Served) -> None:
    fill(server)
    server.post("/models/mem/predict", {"data": [{"x": 1}]})
    server.get("/nothing")
    found = families(server)
    assert len(found) > 25
    seen = set()
    for name, family in found.items():
        assert re.fullmatch(r"(ai_engine|process|python)(_[a-z][a-z0-9]*)+", name), name
        assert family.type in ("counter", "gauge", "histogram"), f"{name} is {family.type}"
        assert family.documentation.endswith(".") or name.startswith("process_"), name
        assert not FOREIGN.search(name), f"{name}: seconds and bytes, and no unit that is made of them"
        assert not re.search(r"_(total|seconds_total)$", name) or family.type == "counter"
        if family.type == "gauge" and name.endswith("_info"):
            assert {sample.value for sample in family.samples} <= {1.0}
        if family.type == "histogram":
            assert name.endswith(("_seconds", "_bytes")), f"{name} has no unit"
            check_histogram(family)
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in seen, f"{key} stands there twice"
            seen.add(key)
            assert family.type != "counter" or sample.name == f"{name}_total"
            assert not set(sample.labels) & set(RESERVED)
            for label in sample.labels:
                assert re.fullmatch(r"[a-z_]+", label), f"{name}: {label}"
            assert not math.isnan(sample.value), key


def check_histogram(family: Any) -> None:
    buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    counts: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in family.samples:
        labels = tuple(sorted((key, value) for key, value in sample.labels.items() if key != "le"))
        if sample.name.endswith("_bucket"):
            buckets.setdefault(labels, []).append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_count"):
            counts[labels] = sample.value
    assert buckets.keys() == counts.keys()
    for labels, found in buckets.items():
        assert found == sorted(found), labels
        assert [count for _, count in found] == sorted(count for _, count in found)
        assert found[-1] == (math.inf, counts[labels])


def test_the_process_and_the_build_are_told(server: Served) -> None:
    found = families(server)
    for name in ("cpu_seconds", "resident_memory_bytes", "open_fds", "start_time_seconds"):
        assert found[f"process_{name}"].samples[0].value > 0
    (build,) = found["ai_engine_build_info"].samples
    assert build.labels["version"] == __version__


def test_each_model_has_its_series(server: Served) -> None:
    before = time.time()
    fill(server)
    found = families(server)
    assert values(found, "ai_engine_model_versions") == {"cpu": 3, "mem": 1, "odd": 1}
    active = {s.labels["model"]: s.labels["version"] for s in found["ai_engine_model_active_info"].samples}
    assert active == {"cpu": "1.0.2", "mem": "1.0.0", "odd": "1.0.0"}
    since = values(found, "ai_engine_model_active_since_timestamp_seconds")
    assert all(before - 1 <= one <= time.time() + 1 for one in since.values())
    assert values(found, "ai_engine_model_mae") == {"cpu": 0.5, "mem": 2.0}
    assert values(found, "ai_engine_model_skill") == {"mem": 0.25}
    assert found["ai_engine_models_omitted"].samples[0].value == 0
    server.registry.activate("cpu", "1.0.0")
    later = families(server)
    assert values(later, "ai_engine_model_active_since_timestamp_seconds")["cpu"] > since["cpu"]
    assert "cpu" not in values(later, "ai_engine_model_mae")


def test_predictions_are_counted_and_timed(server: Served) -> None:
    fill(server)
    body = {"data": [{"x": 1}, {"x": 2}]}
    assert server.post("/models/cpu/predict", body).status_code == 200
    assert server.post("/models/cpu/predict", body).status_code == 200
    assert server.post("/models/nope/predict", body).status_code == 404
    assert server.post("/models/mem/predict", body).status_code >= 400  # an int predicts nothing
    found = families(server)
    assert values(found, "ai_engine_model_predictions") == {"cpu": 2}
    assert values(found, "ai_engine_model_predicted_rows") == {"cpu": 4}
    counts = [s for s in found["ai_engine_model_prediction_seconds"].samples if s.name.endswith("_count")]
    assert [(sample.labels["model"], sample.value) for sample in counts] == [("cpu", 2)]


@pytest.mark.parametrize("most", [0, 1, 2, 3, 4])
def test_no_more_models_than_are_asked_for(tmp_path: Path, most: int) -> None:
    with serving(tmp_path, metrics_models=most) as server:
        fill(server)
        server.post("/models/cpu/predict", {"data": [{"x": 1}]})
        found = families(server)
    assert list(values(found, "ai_engine_model_versions")) == ["cpu", "mem", "odd"][:most]
    assert len(found["ai_engine_model_active_info"].samples) == min(most, 3)
    assert list(values(found, "ai_engine_model_predictions")) == ["cpu"][:most]
    assert found["ai_engine_models_omitted"].samples[0].value == max(0, 3 - most)


HOSTILE: Final = (
    'a"} 1\nai_engine_versions 999',
    "back\\slash\\",
    "line\nfeed",
    "carriage\rreturn",
    "{}=,#",
    "\u2028",
    "n" * 5000,
    "n" * 5001,
    "ü" * 300,
)


def test_hostile_names_are_escaped(server: Served) -> None:
    """Of the original software, which took any: written past the engine, as it did."""
    server.registry.save("cpu", 1)
    before = values(families(server), "ai_engine_model_versions")
    for number, name in enumerate(HOSTILE):
        server.registry.save(f"m{number}", number)
        with sqlite3.connect(Path(server.service.database)) as database:
            for table in ("model_registry", "engine_versions", "engine_models"):
                database.execute(f"UPDATE {table} SET name = ? WHERE name = ?", (name, f"m{number}"))
        database.close()
    found = families(server)
    told = values(found, "ai_engine_model_versions")
    assert found["ai_engine_versions"].samples[0].value == len(HOSTILE) + 1
    assert set(told) == {label_of(name) for name in HOSTILE} | set(before)
    assert max(map(len, told)) <= 200
    # Two of them are one label.
    assert found["ai_engine_models_omitted"].samples[0].value == 1


def test_a_label_can_be_written_whatever_it_was() -> None:
    assert label_of("\ud800").encode() == b"\\ud800"
    assert label_of("n" * 200) == "n" * 200
    assert len(label_of("n" * 201)) == 200


def test_the_memory_of_names_is_bounded() -> None:
    instruments = Instruments()
    for number in range(MOST_MODELS + 10):
        instruments.predicted(f"m{number}", 1, 0.1)
        instruments.predicted("m0", 1, 0.1)
    assert len(instruments.predictions) == MOST_MODELS
    assert instruments.predictions["m0"].rows == MOST_MODELS + 11
    assert "m1" not in instruments.predictions


def test_a_scrape_does_not_grow_with_the_versions(server: Served) -> None:
    def series() -> int:
        return sum(len(family.samples) for family in families(server).values() if "http" not in family.name)

    server.registry.save("cpu", 0)
    few = series()
    for number in range(1, 40):
        server.registry.save("cpu", number)
    assert series() == few
