from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.engine import Trained, fit
from ai_engine.training.progress import Progress
from ai_engine.training.request import TrainingRequest
from ai_engine.training.table import iso_utc

from .tables import START, Row, bitbrains, walk, waves, without_time

KIND = "resource_prediction"


def train(rows: list[Row], quiet: Progress, **given: Any) -> Trained:
    return fit(TrainingRequest(KIND, **given), rows, quiet)


@pytest.fixture(scope="module")
def trained(quiet: Progress) -> Trained:
    return train(waves(600), quiet, target_columns=("cpu", "mem"), hyperparameters={"refit": False})


def assert_half_of_the_last_value(made: Trained) -> None:
    """And no worse than what is simple."""
    metrics = made.performance_metrics.to_mapping()["by_target"]["cpu"]
    assert metrics["mae"] < 0.5 * made.metadata["candidates"]["cpu"]["last_value"]
    assert metrics["skill"] >= 0


def test_two_hundred_rows_of_one_vm_train_and_beat_the_last_value(quiet: Progress) -> None:
    made = train(waves(200), quiet)
    assert_half_of_the_last_value(made)
    assert made.metadata["baseline"] == {"cpu": "seasonal_naive", "mem": "seasonal_naive"}
    assert made.performance_metrics.to_mapping()["training_samples"] == 160
    assert made.performance_metrics.to_mapping()["validation_samples"] == 40
    assert len(made.estimator.predict(waves(200))) == 12


def test_two_hundred_rows_without_timestamps_train_too(quiet: Progress) -> None:
    made = train(without_time(waves(200)), quiet)
    assert_half_of_the_last_value(made)
    assert made.metadata["split"]["method"] == "given order"
    assert {row["timestamp"] for row in made.estimator.predict(without_time(waves(30)))} == {None}


def test_on_a_random_walk_no_skill_is_claimed_and_little_is_lost(quiet: Progress) -> None:
    made = train(walk(1500), quiet)
    assert -0.05 < made.performance_metrics.to_mapping()["skill"] < 0.1
    assert 0.75 < made.performance_metrics.to_mapping()["confidence_score"] <= 1


@pytest.mark.parametrize("target", ["cpu", "mem"])
def test_the_numbers_are_those_of_the_kept_estimator_on_the_held_out_rows(
    trained: Trained, target: str
) -> None:
    """Recomputed with nothing but `predict` and numpy, from contexts that end right before each window."""
    rows = waves(600)
    values = np.array([row[target] for row in rows])
    cut, horizon = 480, 12
    assert trained.metadata["baseline"][target] == "seasonal_naive"
    assert trained.metadata["split"]["held_out_from"] == iso_utc(START + 300 * cut)
    observed, centre, lower, upper, naive = [], [], [], [], []
    for origin in range(cut - 1, len(rows) - horizon):
        steps = trained.estimator.predict(rows[: origin + 1])
        observed.append(values[origin + 1 : origin + 1 + horizon])
        season = trained.metadata["season_steps"][target]
        naive.append(values[origin + 1 - season : origin + 1 - season + horizon])
        centre.append([step[target] for step in steps])
        lower.append([step[f"{target}_lower"] for step in steps])
        upper.append([step[f"{target}_upper"] for step in steps])
    y, p, low, high, last = (np.array(given) for given in (observed, centre, lower, upper, naive))
    error = np.abs(y - p)
    training = values[:cut]
    expected = {
        "mae": error.mean(),
        "mse": (error**2).mean(),
        "r2": 1 - (error**2).mean() / y.var(),
        "accuracy_score": (error <= 0.1 * (training.max() - training.min())).mean(),
        "confidence_score": ((low <= y) & (y <= high)).mean(),
        "baseline_mae": np.abs(y - last).mean(),
        "skill": 1 - error.mean() / np.abs(y - last).mean(),
    }
    assert trained.performance_metrics.to_mapping()["by_target"][target] == pytest.approx(expected, rel=1e-6)


def test_the_held_out_rows_change_nothing_in_the_estimator(trained: Trained, quiet: Progress) -> None:
    rows = waves(600)
    for row in rows[480:]:
        row |= {"cpu": 77.0 + row["timestamp"] % 7, "mem": 5.0}
    other = train(rows, quiet, target_columns=("cpu", "mem"), hyperparameters={"refit": False})
    context = waves(300, seed=5)
    assert other.estimator.predict(context) == trained.estimator.predict(context)
    errors = [made.performance_metrics.by_target["cpu"].mae for made in (other, trained)]
    assert errors[0] != errors[1]


def test_a_column_that_moves_only_in_held_out_rows_is_not_learned_from(quiet: Progress) -> None:
    still = [row | {"fan": 1.0} for row in waves(200)]
    moved = [row | {"fan": 1.0 + (i >= 160)} for i, row in enumerate(waves(200))]
    models = [train(rows, quiet, target_columns=("cpu",)).estimator for rows in (still, moved)]
    assert models[0].columns == models[1].columns == ("cpu", "mem")


def test_a_gap_at_the_cut_is_not_filled_from_the_held_out_rows(quiet: Progress) -> None:
    algorithm = {"algorithm": "boosted_trees", "refit": False}
    predicted = []
    for later in (0.0, 500.0):
        rows = [row for i, row in enumerate(waves(203)) if not 159 <= i < 162]
        for row in rows[159:]:
            row["cpu"] += later
        # 200 rows; the slots between the last one to learn from and the first one held out are empty.
        made = train(rows, quiet, target_columns=("cpu",), hyperparameters=algorithm, validation_split=0.205)
        predicted.append(made.estimator.predict(waves(50)))
    assert predicted[0] == predicted[1]


def test_within_one_day_the_time_of_day_is_not_learned(quiet: Progress) -> None:
    wave = [{"timestamp": START + 300 * i, "cpu": float(np.sin(i / 3))} for i in range(200)]
    asked = {"algorithm": "boosted_trees", "horizon": 1}
    with_time = train(wave, quiet, hyperparameters=asked).performance_metrics.to_mapping()
    alone = train(without_time(wave), quiet, hyperparameters=asked).performance_metrics.to_mapping()
    assert with_time["mae"] < 1.5 * alone["mae"]


def test_two_vms_of_different_intervals_are_forecast_at_one_that_occurs(quiet: Progress) -> None:
    fast = [row | {"timestamp": START + 60 * i} for i, row in enumerate(waves(150, vm="a"))]
    made = train([*fast, *waves(150, vm="b")], quiet, target_columns=("cpu",))
    assert made.metadata["interval_seconds"] in (60, 300)


def test_intervals_of_short_drifting_series_hold_what_they_promise(quiet: Progress) -> None:
    shares = [
        train(walk(200, seed=seed), quiet).performance_metrics.to_mapping()["confidence_score"]
        for seed in range(10)
    ]
    assert 0.85 < np.mean(shares) < 0.97


def test_forecasts_are_flat_objects_a_vm_and_step(trained: Trained) -> None:
    first, *_, last = answer = trained.estimator.predict(waves(50))
    assert len(answer) == 12
    assert list(first) == [
        *("vm_id", "step", "timestamp"),
        *("cpu", "cpu_lower", "cpu_upper"),
        *("mem", "mem_lower", "mem_upper"),
    ]
    assert (first["vm_id"], first["step"], last["step"]) == (None, 1, 12)
    assert first["timestamp"] == "2023-11-15T02:23:20Z"
    assert all(row["cpu_lower"] <= row["cpu"] <= row["cpu_upper"] for row in answer)


def test_any_context_of_at_least_one_row_will_do(trained: Trained) -> None:
    for length in (1, 2, 40):
        answer = trained.estimator.predict(waves(length))
        assert all(np.isfinite(row["cpu"]) for row in answer)
    assert trained.estimator.predict(waves(1), horizon=3)[-1]["step"] == 3


def test_a_stored_estimator_predicts_the_same(trained: Trained) -> None:
    loaded = pickle.loads(pickle.dumps(trained.estimator))
    assert loaded.predict(waves(80)) == trained.estimator.predict(waves(80))


def test_each_vm_is_forecast_from_its_own_rows(quiet: Progress) -> None:
    rows = [*waves(300, vm="a"), *waves(300, vm="b", seed=1)]
    made = train(rows, quiet, hyperparameters={"horizon": 6}, target_columns=("cpu",))
    together = made.estimator.predict([*waves(60, vm="b", seed=1), *waves(60, vm="a")])
    assert [(row["vm_id"], row["step"]) for row in together] == [
        (vm, step) for vm in "ba" for step in range(1, 7)
    ]
    alone = made.estimator.predict(waves(60, vm="a"))
    assert [row["cpu"] for row in together[6:]] == pytest.approx([row["cpu"] for row in alone])
    assert made.estimator.predict(waves(60, vm="new"))[0]["vm_id"] == "new"


@pytest.mark.parametrize(
    ("rows", "horizon", "field"),
    [
        (waves(20), 13, "horizon"),
        (waves(20), 0, "horizon"),
        (waves(20), True, "horizon"),
        ([], None, "data"),
        ([{"timestamp": 0, "cpu": 1.0}], None, "data.mem"),
        ([{"cpu": "high", "mem": 1.0}], None, "data[0].cpu"),
        ([{"cpu": None, "mem": 1.0}], None, "data.cpu"),
        ([3], None, "data[0]"),
    ],
)
def test_what_cannot_be_forecast_from_is_refused_by_name(
    trained: Trained, rows: list[Any], horizon: int | None, field: str
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        trained.estimator.predict(rows, horizon)
    assert refusal.value.field == field


def test_columns_that_training_did_not_know_are_ignored(trained: Trained) -> None:
    rows = waves(50)
    extended = [row | {"host": "a", "gpu": [1]} for row in rows]
    assert trained.estimator.predict(extended) == trained.estimator.predict(rows)


def dirty(rows: list[Row]) -> list[Row]:
    """Duplicates, a lost row, a long gap, holes, numeric text, a name, and all of it out of order."""
    made = [row | {"host": "web-1"} for i, row in enumerate(rows) if i != 70 and not 150 <= i < 160]
    made[20] = made[20] | {"cpu": None}
    made[21] = made[21] | {"mem": str(made[21]["mem"])}
    made[40], made[41] = made[41], made[40]
    return [*made, dict(made[5])]


def test_dirty_rows_are_handled_and_accounted_for(quiet: Progress) -> None:
    made = train(dirty(waves(400)), quiet)
    assert made.metadata["cleaning"] == {
        "numeric_text_cells": 1,
        "rows_out_of_order_sorted": 2,
        "duplicate_timestamps_dropped": 1,
        "missing_values": {"cpu": 1},
        "columns_ignored": [],  # `host` is taken for the machine
    }
    assert_half_of_the_last_value(made)


@pytest.mark.parametrize(
    ("rows", "given", "field"),
    [
        (waves(10), {}, "training_data"),
        (waves(1), {}, "training_data"),
        (waves(200), {"hyperparameters": {"horizon": 100}}, "training_data"),
        ([{"timestamp": 300 * i, "cpu": 5.0} for i in range(300)], {}, "training_data"),
        ([{"timestamp": 300 * i, "cpu": None} for i in range(300)], {}, "training_data"),
        ([{"timestamp": 300 * i, "host": "a"} for i in range(300)], {}, "training_data"),
        ([{} for _ in range(300)], {}, "training_data"),
        (waves(200), {"target_columns": ("gpu",)}, "target_columns[0]"),
        ([row | {"flat": 1} for row in waves(200)], {"target_columns": ("cpu", "flat")}, "target_columns[1]"),
        ([row | {"host": "a"} for row in waves(200)], {"target_columns": ("host",)}, "target_columns[0]"),
        ([row | {"none": None} for row in waves(200)], {"target_columns": ("none",)}, "target_columns[0]"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_by_name(
    quiet: Progress, rows: list[Row], given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        train(rows, quiet, **given)
    assert refusal.value.field == field


@pytest.mark.parametrize("algorithm", ["last_value", "seasonal_naive", "median", "ridge", "boosted_trees"])
def test_an_algorithm_can_be_asked_for(quiet: Progress, algorithm: str) -> None:
    made = train(
        waves(240), quiet, target_columns=("cpu",), hyperparameters={"algorithm": algorithm, "horizon": 4}
    )
    assert list(made.metadata["candidates"]["cpu"]) == [algorithm]
    assert len(made.algorithms) == 1
    # The baseline is the best simple answer, whatever was asked for.
    assert made.metadata["baseline"]["cpu"] == "seasonal_naive"
    if algorithm == "seasonal_naive":
        assert made.performance_metrics.to_mapping()["skill"] == 0
    if algorithm in ("last_value", "median"):
        assert made.performance_metrics.to_mapping()["skill"] < 0


def test_the_kept_object_is_fitted_on_all_rows_and_the_numbers_are_those_of_before(quiet: Progress) -> None:
    settings = {"algorithm": "ridge", "horizon": 2}
    one, two = (
        train(waves(240), quiet, target_columns=("cpu",), hyperparameters=settings | {"refit": refit})
        for refit in (True, False)
    )
    assert one.performance_metrics.by_target == two.performance_metrics.by_target
    assert (one.metadata["refit"], two.metadata["refit"]) == (True, False)
    assert one.estimator.predict(waves(60)) != two.estimator.predict(waves(60))


def test_a_target_that_stands_still_before_the_cut_gives_no_warning_and_no_nan(quiet: Progress) -> None:
    rows = [{"timestamp": 60 * i, "cpu": 0.0 if i < 250 else float(i % 3)} for i in range(300)]
    metrics = train(rows, quiet).performance_metrics.to_mapping()
    assert metrics["accuracy_score"] is None
    assert metrics["mae"] >= 0


def test_progress_only_goes_forward_and_names_its_stages() -> None:
    told: list[tuple[float, str]] = []
    fit(TrainingRequest(KIND), waves(200), lambda fraction, message: told.append((fraction, message)))
    assert [fraction for fraction, _ in told] == sorted(fraction for fraction, _ in told)
    assert all(0 <= fraction <= 1 for fraction, _ in told)
    assert any("ridge" in message for _, message in told)


@pytest.mark.parametrize("vm", [1, 237, 269])
def test_on_real_vms_the_last_value_is_beaten_and_the_intervals_hold(
    data: Path, quiet: Progress, vm: int
) -> None:
    made = train(bitbrains(data, vm, 4000), quiet, target_columns=("mem",))
    assert made.performance_metrics.to_mapping()["skill"] > 0.1
    assert 0.8 <= made.performance_metrics.to_mapping()["confidence_score"] <= 0.98


def test_dirty_real_vms_train(data: Path, quiet: Progress) -> None:
    import pyarrow.parquet as pq

    path = data / "bitbrains" / "bitbrains_rnd_quirky_5vms.parquet"
    table = pq.read_table(path, filters=[("vm_id", "=", 20)]).slice(4_000, 4_000)
    rows = [
        {"timestamp": row["timestamp_s"], "cpu": row["cpu_usage_pct"], "mem": row["mem_usage_kb"]}
        for row in table.to_pylist()
    ]
    made = train(rows, quiet, target_columns=("cpu",))
    repeated = len(rows) - len({row["timestamp"] for row in rows})
    assert made.metadata["cleaning"].get("duplicate_timestamps_dropped", 0) == repeated > 0


@pytest.mark.parametrize("names", [("step", "mem"), ("cpu", "cpu_lower"), ("a", "a_upper")])
def test_a_target_that_is_another_column_of_the_answer_is_refused(
    quiet: Progress, names: tuple[str, str]
) -> None:
    first, second = names
    rows = [{"timestamp": row["timestamp"], first: row["cpu"], second: -row["cpu"]} for row in waves(240)]
    for targets in (names, None):
        with pytest.raises(InvalidInputError, match="another column of the forecast"):
            train(rows, quiet, target_columns=targets)
