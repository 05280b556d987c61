from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.engine import Trained, fit
from ai_engine.training.estimators.beliefs import (
    CANDIDATES,
    N_BINS,
    combined,
    count_scores,
    score_quantile,
    shares,
)
from ai_engine.training.estimators.fleet import FleetForecasterV1
from ai_engine.training.fleet_selection import LEAST_DAYS
from ai_engine.training.formulas import NAMES, Formulas
from ai_engine.training.grid import Clock
from ai_engine.training.histories import History, filled_from_the_past
from ai_engine.training.progress import Progress
from ai_engine.training.request import TrainingRequest

from .tables import START, Row, bitbrains

HOUR = 3_600
MIDNIGHT = START - START % 86_400


def hourly(n: int, *, vm: str = "a", seed: int = 0, level: float = 30.0, noise: float = 1.0) -> list[Row]:
    """Hours with a daily season that is higher on weekdays."""
    draw = np.random.default_rng(seed)
    hours = np.arange(n)
    busy = np.where((hours // 24) % 7 < 5, 10.0, 3.0)
    cpu = level + busy * np.sin(2 * np.pi * hours / 24) + noise * draw.normal(size=n)
    return [
        {"timestamp": MIDNIGHT + HOUR * i, "vm_id": vm, "cpu": float(value)} for i, value in enumerate(cpu)
    ]


def fleet_rows(n: int = 480) -> list[Row]:
    return [*hourly(n), *hourly(n, vm="b", seed=1, level=60.0, noise=4.0)]


def train(rows: list[Row], quiet: Progress, **hyperparameters: Any) -> Trained:
    asked = {"horizon": 6} | hyperparameters
    request = TrainingRequest("resource_prediction", target_columns=("cpu",), hyperparameters=asked)
    return fit(request, rows, quiet)


@pytest.fixture(scope="module")
def trained(quiet: Progress) -> Trained:
    return train(fleet_rows(), quiet, refit=False)


def test_one_model_serves_the_fleet_and_beats_what_is_simple(trained: Trained) -> None:
    assert isinstance(trained.estimator, FleetForecasterV1)
    metrics = trained.performance_metrics.to_mapping()
    assert metrics["skill"] > 0.1
    assert 0.8 < metrics["confidence_score"] < 0.99
    errors = trained.metadata["candidates"]["cpu"]
    simple = ("last_value", "day_ago", "week_ago", "median_of_a_day")
    assert trained.metadata["baseline"]["cpu"] == min(simple, key=errors.__getitem__)
    assert set(errors) == {*CANDIDATES, "weighted"}
    assert trained.measure(trained.estimator) == pytest.approx(metrics["mae"])


def test_the_numbers_are_those_of_predict_on_the_held_out_rows(trained: Trained) -> None:
    rows = fleet_rows()
    by_vm = {vm: [row for row in rows if row["vm_id"] == vm] for vm in "ab"}
    errors, inside = [], []
    for own in by_vm.values():
        for origin in range(383, 480 - 6):
            told = trained.estimator.predict(own[: origin + 1], 6)
            for row, seen in zip(told, own[origin + 1 :], strict=False):
                errors.append(abs(row["cpu"] - seen["cpu"]))
                inside.append(row["cpu_lower"] <= seen["cpu"] <= row["cpu_upper"])
    metrics = trained.performance_metrics.to_mapping()
    assert metrics["mae"] == pytest.approx(np.mean(errors), rel=1e-6)
    assert metrics["confidence_score"] == pytest.approx(np.mean(inside), abs=0.005)


def test_the_held_out_rows_change_nothing_without_a_refit(trained: Trained, quiet: Progress) -> None:
    rows = fleet_rows()
    for row in rows:
        if row["timestamp"] >= MIDNIGHT + 384 * HOUR:
            row["cpu"] += 500.0
    other = train(rows, quiet, refit=False)
    assert other.estimator.predict(hourly(200)) == trained.estimator.predict(hourly(200))


def test_a_refit_changes_the_object_and_not_the_numbers(trained: Trained, quiet: Progress) -> None:
    again = train(fleet_rows(), quiet)
    assert again.performance_metrics.by_target == trained.performance_metrics.by_target
    assert (again.metadata["refit"], trained.metadata["refit"]) == (True, False)
    assert again.estimator.predict(hourly(480)) != trained.estimator.predict(hourly(480))


@settings(max_examples=25, deadline=None)
@given(
    length=st.integers(1, 480),
    vm=st.sampled_from(["a", "new"]),
    lost=st.sets(st.integers(0, 479), max_size=300),
    level=st.sampled_from([0.0, 30.0, 1e9, -5.0]),
    flat=st.booleans(),
)
def test_any_context_is_answered(
    trained: Trained, length: int, vm: str, lost: set[int], level: float, flat: bool
) -> None:
    rows = hourly(length, vm=vm, level=level)
    if flat:
        rows = [row | {"cpu": level} for row in rows]
    rows = [row for i, row in enumerate(rows) if i not in lost] or rows[-1:]
    answer = trained.estimator.predict(rows, 6)
    assert [row["step"] for row in answer] == [1, 2, 3, 4, 5, 6]
    for row in answer:
        assert row["vm_id"] == vm
        assert all(np.isfinite(row[f"cpu{end}"]) for end in ("", "_lower", "_upper"))
        assert row["cpu_lower"] <= row["cpu"] <= row["cpu_upper"]
    assert answer == trained.estimator.predict(rows[::-1], 6)
    if flat and level >= 0:
        assert answer[0]["cpu"] == pytest.approx(level, abs=1e-6 + 0.01 * level)


def test_rows_without_times_and_many_vms_at_once_are_answered_as_each_alone(trained: Trained) -> None:
    bare = [{"cpu": row["cpu"]} for row in hourly(40)]
    assert {row["timestamp"] for row in trained.estimator.predict(bare, 3)} == {None}
    together = trained.estimator.predict([*hourly(100, vm="b"), *hourly(300)], 4)
    alone = [*trained.estimator.predict(hourly(100, vm="b"), 4), *trained.estimator.predict(hourly(300), 4)]
    assert together == alone


def test_a_stored_forecaster_predicts_the_same(trained: Trained) -> None:
    loaded = pickle.loads(pickle.dumps(trained.estimator))
    assert loaded.predict(hourly(300)) == trained.estimator.predict(hourly(300))


@pytest.mark.parametrize(
    ("rows", "horizon", "field"),
    [
        (hourly(5), 7, "horizon"),
        (hourly(5), 0, "horizon"),
        (hourly(5), True, "horizon"),
        ([], None, "data"),
        ([{"timestamp": 0, "mem": 1.0}], None, "data.cpu"),
        ([{"timestamp": 0, "cpu": "high"}], None, "data[0].cpu"),
        ([{"timestamp": 0, "cpu": None}], None, "data.cpu"),
    ],
)
def test_what_cannot_be_forecast_from_is_refused_by_name(
    trained: Trained, rows: list[Row], horizon: int | None, field: str
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        trained.estimator.predict(rows, horizon)
    assert refusal.value.field == field


@pytest.mark.parametrize("more", [-1, 1])
def test_with_too_few_days_there_is_one_model_a_target(quiet: Progress, more: int) -> None:
    """Six days before the cut, four horizons beside them, and a fifth held out."""
    n = round((24 * LEAST_DAYS + 4 * 6 + 1 + 2 * more) / 0.8)
    made = train(hourly(n), quiet)
    assert isinstance(made.estimator, FleetForecasterV1) == (more > 0)
    if more < 0:
        with pytest.raises(InvalidInputError, match="6 days"):
            train(hourly(n), quiet, algorithm="fleet")


def test_constant_series_and_long_gaps_among_others_break_nothing(quiet: Progress) -> None:
    still = [row | {"cpu": 5.0} for row in hourly(480, vm="still")]
    gaps = [
        row
        for i, row in enumerate(hourly(480, vm="gaps"))
        if not 100 <= i < 130 and not 200 <= i < 205 and i % 50
    ]
    made = train([*still, *gaps, *hourly(480)], quiet)
    assert made.performance_metrics.to_mapping()["skill"] >= 0
    for row in made.estimator.predict(still, 6):
        assert row["cpu"] == pytest.approx(5.0, abs=0.1)
        assert row["cpu_upper"] - row["cpu_lower"] < 1.0


def test_filling_looks_only_back() -> None:
    """A short gap keeps the last value, the fourth lost slot takes the day before."""
    values = np.arange(20.0)
    values[11:16] = np.nan
    assert filled_from_the_past(values, 8)[10:17].tolist() == [10, 10, 10, 10, 6, 7, 16]


@settings(max_examples=40, deadline=None)
@given(length=st.integers(1, 300), step=st.integers(1, 168), seed=st.integers(0, 99))
def test_formulas_know_nothing_of_what_comes(length: int, step: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    values = draw.normal(size=length + 50)
    clock = Clock(0.0, 3600.0, timed=True)
    origins, steps = np.array([length - 1]), np.array([[step]])
    views = []
    for later in (values[length:], values[length:] + 100, values[:0]):
        given_values = np.concatenate([values[:length], later])
        history = History("a", clock, given_values, np.ones(len(given_values), dtype=bool))
        views.append(Formulas(history, 24).at(origins, steps))
    for view in views[1:]:
        np.testing.assert_allclose(view.levels, views[0].levels, atol=1e-9)
        np.testing.assert_allclose(view.scale, views[0].scale, atol=1e-9)
        np.testing.assert_allclose(view.state, views[0].state, atol=1e-6)
    assert view.levels.shape == (1, 1, len(NAMES))


def test_the_one_with_less_error_counts_more_and_few_windows_count_little() -> None:
    fleet = np.ones((1, 2))
    few = shares(np.array([[0.5, 1.0]]), np.ones((1, 2)), fleet)
    many = shares(np.array([[50.0, 100.0]]), np.full((1, 2), 100.0), fleet)
    assert 0.5 < few[0, 0] < many[0, 0] < 1
    assert few.sum() == pytest.approx(1)


def test_a_weighted_median_leaves_out_what_is_not_known() -> None:
    assert combined(np.array([1.0, np.nan, np.nan]), np.array([0.0, 0.5, 0.5])) == 1.0
    assert combined(np.array([1.0, 9.0, 2.0]), np.array([0.2, 0.35, 0.45])) == 2.0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 99), scale=st.sampled_from([0.1, 1.0, 50.0]))
def test_counted_scores_have_nearly_their_quantile(seed: int, scale: float) -> None:
    scores = scale * np.abs(np.random.default_rng(seed).normal(size=(1, 4000)))
    counts = count_scores(scores, np.zeros(4000, dtype=np.intp), 1)[0]
    assert counts.shape == (1, N_BINS)
    assert score_quantile(counts, 0.9)[0] == pytest.approx(np.quantile(scores, 0.9), rel=0.08)


def test_on_a_real_vm_the_fleet_forecaster_holds_its_intervals(data: Path, quiet: Progress) -> None:
    made = train([row | {"cpu": row["mem"]} for row in bitbrains(data, 237, 4000)], quiet, horizon=12)
    metrics = made.performance_metrics.to_mapping()
    assert metrics["skill"] > 0.1
    assert 0.8 <= metrics["confidence_score"] <= 0.98
