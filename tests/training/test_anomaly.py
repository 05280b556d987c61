from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.engine import Trained, fit
from ai_engine.training.evaluation import measure_flags, point_adjusted
from ai_engine.training.progress import Progress
from ai_engine.training.request import TrainingRequest

from .tables import Row, smd, spikes

KIND = "anomaly_detection"
LABELLED_ONLY = ("mae", "mse", "accuracy_score", "baseline_mae", "skill", "precision", "recall", "f1")


def train(rows: list[Row], quiet: Progress, **given: Any) -> Trained:
    return fit(TrainingRequest(KIND, **given), rows, quiet)


def unlabelled(rows: list[Row]) -> list[Row]:
    return [{name: cell for name, cell in row.items() if name != "label"} for row in rows]


def test_labelled_spikes_are_found_and_the_numbers_are_those_of_the_kept_estimator(quiet: Progress) -> None:
    rows = spikes(1000)
    made = train(rows, quiet, target_columns=("label",))
    held_out = rows[800:]
    flags = np.array(
        [row["is_anomaly"] for row in pickle.loads(pickle.dumps(made.estimator)).predict(held_out)]
    )
    labels = np.array([row["label"] == 1 for row in held_out])
    hits = (flags & labels).sum()
    metrics = made.performance_metrics.to_mapping()
    assert metrics["precision"] == pytest.approx(hits / flags.sum())
    assert metrics["recall"] == pytest.approx(hits / labels.sum())
    assert metrics["f1"] == pytest.approx(2 * hits / (flags.sum() + labels.sum()))
    assert metrics["accuracy_score"] == pytest.approx((flags == labels).mean())
    assert metrics["baseline_mae"] == pytest.approx(labels.mean())
    assert metrics["f1"] > 0.9


def test_without_labels_only_what_can_be_known_is_told(quiet: Progress) -> None:
    made = train(unlabelled(spikes(1000)), quiet)
    metrics = made.performance_metrics.to_mapping()
    assert all(metrics[name] is None for name in (*LABELLED_ONLY, "r2", "confidence_score"))
    assert 0 <= metrics["flagged_share"] < 0.1
    usual, odd = made.estimator.predict([{"cpu": 0.0, "mem": 0.0}, {"cpu": 9.0, "mem": -9.0}])
    assert usual["score"] < odd["score"]
    assert (usual["is_anomaly"], odd["is_anomaly"]) == (False, True)


def test_contamination_is_the_share_of_usual_rows_above_the_threshold(quiet: Progress) -> None:
    rows = unlabelled(spikes(4000, every=8000))
    made = train(rows, quiet, hyperparameters={"contamination": 0.05})
    flagged = np.mean([row["is_anomaly"] for row in made.estimator.predict(rows[:3200])])
    assert flagged == pytest.approx(0.05, abs=0.02)


def test_labels_that_come_only_late_are_shuffled_so_that_both_parts_have_them(quiet: Progress) -> None:
    rows = sorted(spikes(500), key=lambda row: -int(row["label"]))
    made = train(rows, quiet, target_columns=("label",))
    assert made.metadata["split"]["method"] == "shuffled within classes"
    assert made.performance_metrics.to_mapping()["recall"] is not None


def test_rows_with_timestamps_are_split_in_time(quiet: Progress) -> None:
    rows = [row | {"timestamp": 60 * i} for i, row in enumerate(spikes(500))]
    made = train(rows[::-1], quiet, target_columns=("label",))
    assert made.metadata["split"]["method"] == "time"
    labels = np.array([row["label"] for row in rows[400:]])
    assert made.performance_metrics.to_mapping()["baseline_mae"] == pytest.approx(labels.mean())


def test_labels_that_end_before_the_first_rows_to_check_are_no_reason_to_fail(quiet: Progress) -> None:
    rows = [row | {"timestamp": 60 * i, "label": int(i < 12)} for i, row in enumerate(spikes(200))]
    made = train(rows, quiet, target_columns=("label",))
    assert made.metadata["candidates"]["average_precision"] == {}
    assert made.performance_metrics.to_mapping()["recall"] is None


@pytest.mark.parametrize(
    "algorithm", ["combined", "robust_deviation", "mahalanobis", "isolation_forest", "boosted_trees"]
)
def test_an_algorithm_can_be_asked_for(quiet: Progress, algorithm: str) -> None:
    made = train(spikes(600), quiet, target_columns=("label",), hyperparameters={"algorithm": algorithm})
    assert made.metadata["chosen"] == algorithm
    assert made.performance_metrics.to_mapping()["f1"] > 0.4


@pytest.mark.parametrize(
    ("rows", "given", "field"),
    [
        (unlabelled(spikes(10)), {}, "training_data"),
        ([{"cpu": 1.0} for _ in range(100)], {}, "training_data"),
        ([{"host": "a"} for _ in range(100)], {}, "training_data"),
        (spikes(100), {"target_columns": ("bad",)}, "target_columns[0]"),
        ([row | {"label": "x"} for row in spikes(100)], {"target_columns": ("label",)}, "target_columns[0]"),
        ([row | {"label": None} for row in spikes(100)], {"target_columns": ("label",)}, "target_columns[0]"),
        (
            [row | {"label": i} for i, row in enumerate(spikes(100))],
            {"target_columns": ("label",)},
            "training_data[2].label",
        ),
        (
            unlabelled(spikes(100)),
            {"hyperparameters": {"algorithm": "boosted_trees"}},
            "hyperparameters.algorithm",
        ),
    ],
)
def test_what_cannot_be_learned_from_is_refused_by_name(
    quiet: Progress, rows: list[Row], given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        train(rows, quiet, **given)
    assert refusal.value.field == field


def test_a_missing_column_at_prediction_is_refused_by_name(quiet: Progress) -> None:
    made = train(unlabelled(spikes(200)), quiet)
    with pytest.raises(InvalidInputError) as refusal:
        made.estimator.predict([{"cpu": 1.0}])
    assert refusal.value.field == "data.mem"
    assert len(made.estimator.predict([{"cpu": 1.0, "mem": None}])) == 1


@pytest.mark.parametrize("machine", ["1-4", "2-1"])
def test_on_real_servers_flags_are_better_than_noise_without_adjustment(
    data: Path, quiet: Progress, machine: str
) -> None:
    """Trained without labels on one half, judged by the labels of the other, row by row."""
    known = [row | {"timestamp": 180 * i} for i, row in enumerate(smd(data, machine, "train", every=3))]
    made = train(known, quiet)
    rows = smd(data, machine, "test", every=3)
    rows = [row | {"timestamp": 180 * (len(known) + i)} for i, row in enumerate(rows)]
    labels = np.array([row["label"] == 1 for row in rows])
    flags = np.array([row["is_anomaly"] for row in made.estimator.predict(rows)])
    noise = np.random.default_rng(0).random(len(rows)) < flags.mean()
    found, by_noise = measure_flags(labels, flags).f1, measure_flags(labels, noise).f1
    assert found is not None
    assert by_noise is not None
    assert found > 2 * by_noise
    assert found > 0.15
    adjusted = measure_flags(labels, point_adjusted(labels, flags)).f1
    assert adjusted is not None
    assert adjusted >= found
