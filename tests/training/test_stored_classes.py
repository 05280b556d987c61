"""What `ai_engine.training.estimators` promises of stored objects: their classes and attributes stay.

``python -m tests.training.test_stored_classes`` adds what is new to the list. What is listed is never changed
by hand: an attribute more or less is a class with the next number.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import pickle
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from ai_engine.training.engine import fit
from ai_engine.training.estimators.change_models import LastValueV1, MeanOfV1, SeasonalNaiveV1
from ai_engine.training.estimators.detectors import (
    BoostedTreesV1,
    CombinedV1,
    IsolationForestV1,
    MahalanobisV1,
    RobustDeviationV1,
)
from ai_engine.training.kinds import BUILT_IN, known
from ai_engine.training.request import TrainingRequest

from .tables import Row, spikes, waves

LIST: Final = Path(__file__).with_name("stored_classes.json")
ASSETS: Final = Path(__file__).parents[1] / "upgrade" / "assets" / "estimators"


def trainings() -> Iterator[tuple[TrainingRequest, list[Row]]]:
    """Yield what to train, and on what: every kind with every algorithm that it can be told to use."""
    tables: dict[str, dict[str, Any]] = {
        "resource_prediction": {"rows": waves(130), "target_columns": ("cpu",)},
        "workload_prediction": {"rows": waves(130), "target_columns": ("cpu",)},
        "anomaly_detection": {"rows": spikes(120, every=4), "target_columns": ("label",)},
        "migration_prediction": {
            "rows": [
                {"flavor": "ab"[i % 2], "duration_s": 5.0 + i % 7, "downtime_s": 1.0, "failed": i % 9 == 0}
                for i in range(300)
            ],
        },
        "regression": {"rows": waves(300), "target_columns": ("cpu",), "name": "r"},
        "classification": {"rows": spikes(300, every=2), "target_columns": ("label",), "name": "c"},
    }
    days = [row | {"timestamp": 12 * row["timestamp"]} for row in waves(240)]
    for kind in known():
        words: tuple[str, ...] = getattr(BUILT_IN[kind].settings["algorithm"], "words")  # noqa: B009
        # Of workloads one is enough: the forecasters are the same.
        for algorithm in words[1 : 3 if kind == "workload_prediction" else None]:
            more: dict[str, Any] = {"horizon": 2} if "horizon" in BUILT_IN[kind].settings else {}
            if algorithm == "seasonal_naive":
                more["season_steps"] = 24
            table = dict(tables[kind]) | ({"rows": days} if algorithm == "fleet" else {})
            rows = table.pop("rows")
            yield TrainingRequest(kind, **table, hyperparameters={"algorithm": algorithm, **more}), rows
    metrics = [{name: row[name] for name in ("timestamp", "cpu")} for row in waves(130)]
    yield TrainingRequest("anomaly_detection"), metrics
    yield TrainingRequest("anomaly_detection"), waves(130)


def attributes(one: object) -> dict[str, Any]:
    """Return what is stored of an object, by name."""
    if dataclasses.is_dataclass(one):
        return {field.name: getattr(one, field.name) for field in dataclasses.fields(one)}
    return dict(vars(one))


def ours(value: object) -> Iterator[object]:
    """Yield every object of a class of the engine in a value, itself included."""
    if type(value).__module__.startswith("ai_engine"):
        yield value
        for inner in attributes(value).values():
            yield from ours(inner)
    elif isinstance(value, dict):
        yield from ours(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from ours(inner)


@cache
def stored() -> dict[str, list[str]]:
    """Return the attributes of every class that trainings store now."""
    found: dict[str, list[str]] = {}
    estimators = [
        fit(request, rows, lambda fraction, message: None).estimator for request, rows in trainings()
    ]
    # Which only `auto` chooses, and not for every table.
    estimators.append(MeanOfV1((LastValueV1(), SeasonalNaiveV1(2))))
    for estimator in estimators:
        for one in ours(pickle.loads(pickle.dumps(estimator))):
            name = f"{type(one).__module__}:{type(one).__qualname__}"
            told = sorted(attributes(one))
            assert found.setdefault(name, told) == told, f"{name} is stored with other attributes each time"
    return found


def listed() -> dict[str, list[str]]:
    told: dict[str, list[str]] = json.loads(LIST.read_text())
    return told


def test_what_is_stored_is_listed_with_the_attributes_that_it_has() -> None:
    known = listed()
    for name, told in stored().items():
        assert name in known, f"{name} is stored and not listed: python -m {__name__}"
        assert told == known[name], (
            f"{name} has other attributes than it was released with: make it a new class"
        )


@pytest.mark.parametrize("name", listed())
def test_what_was_ever_listed_can_be_imported(name: str) -> None:
    module, _, qualified = name.partition(":")
    found = getattr(importlib.import_module(module), qualified)
    assert isinstance(found, type)
    if dataclasses.is_dataclass(found):  # also those that no training stores any more
        assert sorted(field.name for field in dataclasses.fields(found)) == listed()[name]


def test_every_detector_and_model_is_among_them() -> None:
    names = {name.partition(":")[2] for name in listed()}
    for one in (RobustDeviationV1, MahalanobisV1, IsolationForestV1, CombinedV1, BoostedTreesV1):
        assert one.__name__ in names
    assert {"ForecasterV1", "AnomalyDetectorV1", "RegressorV1", "ClassifierV1", "MeanOfV1"} <= names


@pytest.mark.parametrize("path", sorted(ASSETS.glob("*.pkl")), ids=lambda path: path.stem)
def test_what_earlier_code_stored_loads_and_predicts_the_same(path: Path) -> None:
    told = json.loads((ASSETS / "expected.json").read_text())[path.stem]
    estimator = pickle.loads(path.read_bytes())
    predicted = estimator.predict(told["rows"])
    assert [row.keys() for row in predicted] == [row.keys() for row in told["predictions"]]
    for row, expected in zip(predicted, told["predictions"], strict=True):
        for key, value in expected.items():
            assert row[key] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value), key


def test_there_are_such_objects() -> None:
    assert len(list(ASSETS.glob("*.pkl"))) >= 5


if __name__ == "__main__":
    LIST.write_text(json.dumps(stored() | listed(), indent=1, sort_keys=True) + "\n")
