from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.engine import Trained, fit
from ai_engine.training.progress import Progress
from ai_engine.training.request import TrainingRequest
from ai_engine.training.split import split_shuffled, split_within_classes

from .tables import Row

SIZE = ["small", "medium", "large"]


def table_of(bunch: Any, target: str, label: Any = float) -> list[Row]:
    names = [str(name) for name in bunch.feature_names]
    return [
        dict(zip(names, map(float, cells), strict=True)) | {target: label(value)}
        for cells, value in zip(bunch.data, bunch.target, strict=True)
    ]


def migrations(n: int, *, seed: int = 0) -> list[Row]:
    """A duration that a category and a number decide, with holes in both."""
    draw = np.random.default_rng(seed)
    rows: list[Row] = []
    for i in range(n):
        size, load = int(draw.integers(3)), float(draw.uniform(0, 10))
        rows.append({"flavor": SIZE[size], "load": load, "seconds": 10 * size + load + draw.normal(0, 0.5)})
        if i % 17 == 3:
            rows[-1]["load"] = None
        if i % 19 == 4:
            del rows[-1]["flavor"]
    return rows


# What was measured is what is kept: else it has seen the rows on which the tests measure it again.
AS_MEASURED = {"refit": False}


def train(kind: str, rows: list[Row], quiet: Progress, **given: Any) -> Trained:
    return fit(TrainingRequest(kind, name="m", **given), rows, quiet)


@pytest.fixture(scope="module")
def diabetes(quiet: Progress) -> Trained:
    rows = table_of(load_diabetes(), "progression")
    return train("regression", rows, quiet, target_columns=("progression",), hyperparameters=AS_MEASURED)


@pytest.fixture(scope="module")
def cancer(quiet: Progress) -> Trained:
    rows = table_of(load_breast_cancer(), "benign", bool)
    return train("classification", rows, quiet, target_columns=("benign",), hyperparameters=AS_MEASURED)


def test_diabetes_beats_the_mean_with_honest_intervals(diabetes: Trained) -> None:
    metrics = diabetes.performance_metrics.to_mapping()
    assert metrics["skill"] > 0.15
    assert metrics["r2"] > 0.25
    assert 0.8 <= metrics["confidence_score"] <= 0.98
    assert (metrics["training_samples"], metrics["validation_samples"], metrics["feature_count"]) == (
        354,
        88,
        10,
    )


def test_regression_numbers_are_those_of_the_kept_estimator_on_the_held_out_rows(diabetes: Trained) -> None:
    rows = table_of(load_diabetes(), "progression")
    split = split_shuffled(len(rows), 0.2, seed=0)
    held_out = [rows[i] for i in split.held_out]
    y = np.array([row["progression"] for row in held_out])
    known = np.array([rows[i]["progression"] for i in split.training])
    answer = pickle.loads(pickle.dumps(diabetes.estimator)).predict(held_out)
    value, lower, upper = (np.array([row[key] for row in answer]) for key in ("value", "lower", "upper"))
    error = np.abs(y - value)
    name = diabetes.metadata["baseline"]["progression"]
    columns = name.removeprefix("median by ")
    assert columns == "sex" or name in ("mean", "median")
    told = {"mean": known.mean(), "median": np.median(known)}
    if name in told:
        simple = np.full(len(y), told[name])
    else:
        sexes = np.array([rows[i]["sex"] for i in split.training])
        simple = np.array([np.median(known[sexes == row["sex"]]) for row in held_out])
    baseline = np.abs(y - simple).mean()
    assert diabetes.performance_metrics.to_mapping()["by_target"]["progression"] == pytest.approx(
        {
            "mae": error.mean(),
            "mse": (error**2).mean(),
            "r2": 1 - (error**2).sum() / ((y - y.mean()) ** 2).sum(),
            "accuracy_score": (error <= 0.1 * np.ptp(known)).mean(),
            "confidence_score": ((lower <= y) & (y <= upper)).mean(),
            "baseline_mae": baseline,
            "skill": 1 - error.mean() / baseline,
        }
    )


def test_breast_cancer_is_told_apart_and_measured_on_rows_unseen(cancer: Trained) -> None:
    rows = table_of(load_breast_cancer(), "benign", bool)
    codes = np.array([int(row["benign"]) for row in rows])
    split = split_within_classes(codes, 0.2, seed=0)
    answer = cancer.estimator.predict([rows[i] for i in split.held_out])
    right = np.mean(
        [row["value"] is rows[i]["benign"] for row, i in zip(answer, split.held_out, strict=True)]
    )
    majority = np.mean(codes[split.held_out] == 0)
    metrics = cancer.performance_metrics.to_mapping()
    assert metrics["accuracy_score"] == pytest.approx(right)
    assert metrics["mae"] == pytest.approx(1 - right)
    assert metrics["baseline_mae"] == pytest.approx(majority)
    assert metrics["accuracy_score"] > 0.92
    assert metrics["r2"] is None
    assert metrics["confidence_score"] is None


@pytest.mark.parametrize(
    ("labels", "keys"),
    [
        (("idle", "busy"), {"idle", "busy"}),
        ((0, 1), {"0", "1"}),
        ((False, True), {"false", "true"}),
        (("1", "2"), {"1", "2"}),
    ],
)
def test_labels_keep_their_json_type(quiet: Progress, labels: tuple[Any, Any], keys: set[str]) -> None:
    rows: list[Row] = [{"cpu": float(i), "state": labels[int(i >= 30)]} for i in range(60)]
    made = train("classification", rows, quiet, target_columns=("state",))
    low, high = made.estimator.predict([{"cpu": 0.0}, {"cpu": 59.0}])
    assert (low["value"], high["value"]) == labels
    assert type(low["value"]) is type(labels[0])
    assert low["probabilities"].keys() == keys
    assert sum(low["probabilities"].values()) == pytest.approx(1)
    assert json.loads(json.dumps(high)) == high


def test_categories_and_holes_are_learned_from_and_new_ones_do_not_hurt(quiet: Progress) -> None:
    made = train("regression", migrations(400), quiet, target_columns=("seconds",))
    assert made.performance_metrics.to_mapping()["skill"] > 0.6
    assert made.metadata["categories"] == {"flavor": sorted(SIZE)}
    assert made.metadata["cleaning"]["missing_values"]["load"] > 0
    answer = made.estimator.predict(
        [
            {"flavor": "large", "load": 5},
            {"flavor": "small", "load": 5, "extra": "x"},
            {"flavor": "gigantic", "load": None},
        ]
    )
    assert answer[0]["value"] > answer[1]["value"] + 10
    assert all(row["lower"] < row["value"] < row["upper"] for row in answer)


def test_rows_with_timestamps_are_split_in_time(quiet: Progress) -> None:
    """The held-out rows are the latest, wherever they stand in the table."""
    draw = np.random.default_rng(0)
    order = draw.permutation(300)
    rows: list[Row] = [
        {"timestamp": int(i), "load": float(i % 10), "seconds": 3.0 * (i % 10) + (1000 if i >= 240 else 0)}
        for i in order
    ]
    metrics = train("regression", rows, quiet, target_columns=("seconds",)).performance_metrics.to_mapping()
    # What happens from the cut on was unknown before it.
    assert metrics["mae"] == pytest.approx(1000, rel=0.05)
    assert metrics["validation_samples"] == 60


def test_predictions_follow_the_order_of_the_rows(diabetes: Trained) -> None:
    rows = table_of(load_diabetes(), "progression")[:20]
    forward = [row["value"] for row in diabetes.estimator.predict(rows)]
    backward = [row["value"] for row in diabetes.estimator.predict(rows[::-1])]
    assert forward == pytest.approx(backward[::-1])


@pytest.mark.parametrize("kind", ["regression", "classification"])
@pytest.mark.parametrize(
    ("rows", "field"),
    [
        ([{"x": i, "y": 1} for i in range(50)], ("target_columns[0]", "training_data")),
        ([{"x": i, "z": 1} for i in range(50)], ("target_columns[0]",)),
        ([{"x": i, "y": None} for i in range(50)], ("target_columns[0]", "training_data")),
        ([{"x": i, "y": i % 2} for i in range(10)], ("training_data",)),
        ([{"y": i % 2} for i in range(50)], ("training_data",)),
        ([{"x": i, "y": [i % 2]} for i in range(50)], ("training_data[0].y",)),
    ],
)
def test_what_cannot_be_learned_from_is_refused_by_name(
    quiet: Progress, kind: str, rows: list[Row], field: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        train(kind, rows, quiet, target_columns=("y",))
    assert refusal.value.field in field


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        ([{"x": i, "y": i * 1.5} for i in range(100)], "target_columns[0]"),
        ([{"x": i, "y": "a" if i % 2 else 1} for i in range(100)], "training_data[1].y"),
        ([{"timestamp": i, "x": i, "y": int(i >= 90)} for i in range(100)], "validation_split"),
    ],
)
def test_classes_that_are_none_are_refused_by_name(quiet: Progress, rows: list[Row], field: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        train("classification", rows, quiet, target_columns=("y",))
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("rows", "horizon", "field"),
    [
        ([{"age": 1.0}], None, "data.sex"),
        ([], None, "data"),
        ([{"age": "old"}], None, "data[0].age"),
        ([7], None, "data[0]"),
        ([{"age": 1.0}], 3, "horizon"),
    ],
)
def test_rows_that_do_not_fit_the_model_are_refused_by_name(
    diabetes: Trained, rows: list[Any], horizon: int | None, field: str
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        diabetes.estimator.predict(rows, horizon)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        ("regression", "ridge"),
        ("regression", "random_forest"),
        ("regression", "boosted_trees"),
        ("classification", "logistic_regression"),
        ("classification", "random_forest"),
        ("classification", "boosted_trees"),
    ],
)
def test_an_algorithm_can_be_asked_for(quiet: Progress, kind: str, algorithm: str) -> None:
    draw = np.random.default_rng(0)
    rows: list[Row] = [{"x": float(x), "y": int(x > 0)} for x in draw.normal(size=80)]
    made = train(kind, rows, quiet, target_columns=("y",), hyperparameters={"algorithm": algorithm})
    assert list(made.metadata["candidates"]["y"]) == [algorithm]
    assert made.performance_metrics.to_mapping()["skill"] > 0.2
