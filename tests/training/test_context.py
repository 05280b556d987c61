from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.engine import Trained, fit
from ai_engine.training.estimators.context import ContextV1, TailV1
from ai_engine.training.estimators.detectors import MahalanobisV1
from ai_engine.training.estimators.series import HOLD_ROWS, STRONGER, SeriesV1, raised_once
from ai_engine.training.estimators.trailing import (
    trailing_deviation,
    trailing_mean,
    trailing_median,
    trailing_quantile,
)
from ai_engine.training.progress import Progress
from ai_engine.training.request import TrainingRequest

from .tables import START, Row

KEYS = {"is_anomaly", "score", "severity", "contributing_metrics"}


def servers(n: int, *, seed: int = 0, columns: int = 4, shift: float = 0.0, start: int = 0) -> list[Row]:
    """Metrics that wander a little around a level, every minute."""
    draw = np.random.default_rng(seed)
    noise = draw.normal(size=(n, columns))
    values = 50 + shift + np.cumsum(0.02 * draw.normal(size=(n, columns)), axis=0) + noise
    return [
        {"timestamp": START + 60 * (start + i), **{f"m{c}": float(value) for c, value in enumerate(row)}}
        for i, row in enumerate(values)
    ]


def train(rows: list[Row], quiet: Progress, **given: Any) -> Trained:
    return fit(TrainingRequest("anomaly_detection", **given), rows, quiet)


def flagged(made: Trained, rows: list[Row]) -> list[bool]:
    return [row["is_anomaly"] for row in made.estimator.predict(rows)]


def only(rows: list[Row], *columns: str) -> list[Row]:
    return [{name: row[name] for name in columns} for row in rows]


@given(n=st.integers(1, 60), window=st.integers(1, 70), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_what_trails_is_what_a_loop_would_say_and_never_looks_ahead(n: int, window: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=n)
    parts = [values[max(i - window + 1, 0) : i + 1] for i in range(n)]
    assert trailing_mean(values, window) == pytest.approx([part.mean() for part in parts])
    assert trailing_deviation(values, window) == pytest.approx([part.std() for part in parts], abs=1e-6)
    medians = trailing_median(values[:, None], window)[:, 0]
    for i in range(window - 1, n):
        ranked = np.sort(parts[i])
        assert medians[i] in (ranked[(window - 1) // 2], ranked[window // 2])
    before = trailing_median(values[: n // 2 + 1, None], window)[:, 0]
    assert before == pytest.approx(medians[: n // 2 + 1])
    quantiles = trailing_quantile(values, window, 0.75, 0.0)
    assert trailing_quantile(values[: n // 2 + 1], window, 0.75, 0.0) == pytest.approx(
        quantiles[: n // 2 + 1]
    )


def test_rarity_is_the_logarithm_of_the_share_above_and_grows_beyond_it() -> None:
    scores = np.random.default_rng(0).exponential(size=50_000)
    tail = TailV1.of(scores)
    # Of exponential scores the share above s is exp(-s).
    assert tail.rarity(np.array([1.0, 3.0, 8.0])) == pytest.approx([1.0, 3.0, 8.0], rel=0.1)
    assert TailV1.of(np.ones(10)).rarity(np.array([1.0, 2.0]))[1] > 100


@pytest.mark.parametrize("columns", [1, 4])
def test_alarms_survive_a_shift_of_level(quiet: Progress, columns: int) -> None:
    made = train(servers(4000, columns=columns), quiet)
    after = flagged(made, servers(8000, seed=1, columns=columns, shift=30.0, start=4000))
    assert any(after[:40])
    assert np.mean(after) < 0.35
    assert np.mean(after[3000:]) < 0.02


@pytest.mark.parametrize("algorithm", ["mahalanobis", "combined", "robust_deviation", "isolation_forest"])
def test_they_do_with_every_algorithm(quiet: Progress, algorithm: str) -> None:
    made = train(servers(3000), quiet, hyperparameters={"algorithm": algorithm})
    after = flagged(made, servers(5000, seed=1, shift=30.0, start=3000))
    assert any(after[:40])
    assert np.mean(after[3000:]) < 0.02


@pytest.mark.parametrize("columns", [1, 4])
@pytest.mark.parametrize("contamination", [0.01, 0.05, 0.2])
def test_contamination_is_the_share_of_training_rows_flagged(
    quiet: Progress, columns: int, contamination: float
) -> None:
    rows = servers(4000, columns=columns)
    made = train(rows, quiet, hyperparameters={"contamination": contamination})
    assert np.mean(flagged(made, rows)) == pytest.approx(contamination, rel=0.3, abs=0.005)


def test_a_row_is_judged_by_those_before_it_wherever_the_batch_begins(quiet: Progress) -> None:
    made = train(servers(1500), quiet)
    rows = servers(600, seed=2, start=1500)
    together = [row["score"] for row in made.estimator.predict(rows)]
    assert [row["score"] for row in made.estimator.predict(rows[:200])] == pytest.approx(together[:200])
    assert [row["score"] for row in made.estimator.predict(rows[::-1])][::-1] == pytest.approx(together)


@pytest.mark.parametrize("columns", [1, 4])
def test_one_row_is_judged_after_what_is_remembered(quiet: Progress, columns: int) -> None:
    made = pickle.loads(pickle.dumps(train(servers(1500, columns=columns), quiet).estimator))
    (usual,) = made.predict(servers(1, columns=columns, start=1500))
    odd = {"timestamp": START + 60 * 1500} | {f"m{c}": 500.0 for c in range(columns)}
    (found,) = made.predict([odd])
    assert usual.keys() == found.keys() == KEYS
    assert (usual["is_anomaly"], usual["severity"]) == (False, "normal")
    assert found["is_anomaly"]
    assert found["severity"] in ("low", "medium", "high", "critical")
    assert found["score"] > 1 > usual["score"]


def test_rows_of_which_no_past_is_known_are_judged_by_themselves(quiet: Progress) -> None:
    rows = [row | {"vm_id": "a"} for row in servers(1500)]
    made = train(rows, quiet)
    strange = [{**row, "vm_id": "new"} for row in servers(2, start=9000)]
    strange[1] |= {f"m{c}": 500.0 for c in range(4)}
    without_time = [{name: cell for name, cell in row.items() if name != "timestamp"} for row in strange]
    for given_rows in (strange, without_time):
        assert flagged(made, given_rows) == [False, True]


def test_shares_sum_to_one_and_name_the_column_that_broke_out(quiet: Progress) -> None:
    made = train(servers(2000, columns=9), quiet)
    rows = servers(60, seed=3, columns=9, start=2000)
    for row in rows[20:]:
        row["m7"] += 40
    found = made.estimator.predict(rows)
    for row in found:
        named = row["contributing_metrics"]
        assert 1 <= len(named) <= 5
        assert sum(one["share"] for one in named) == pytest.approx(1)
        assert [one["share"] for one in named] == sorted((one["share"] for one in named), reverse=True)
    assert found[-1]["is_anomaly"]
    assert found[-1]["contributing_metrics"][0]["column"] == "m7"


@pytest.mark.parametrize("n", [20, 49, 50, 51, 70, 300])
@pytest.mark.parametrize("columns", [1, 3])
def test_tables_of_any_length_train_and_answer_each_row(quiet: Progress, n: int, columns: int) -> None:
    rows = servers(n, columns=columns)
    made = train(rows, quiet)
    for part in (rows, rows[:1], servers(3, columns=columns, start=n + 7)):
        answer = made.estimator.predict(part)
        assert len(answer) == len(part)
        assert all(math.isfinite(row["score"]) for row in answer)


@given(
    seed=st.integers(0, 99),
    gap=st.integers(1, 2000),
    constant=st.booleans(),
    missing=st.floats(0, 0.9),
    vms=st.integers(1, 3),
)
@settings(max_examples=20, deadline=None)
def test_gaps_constant_columns_missing_values_and_several_vms_are_no_trouble(
    seed: int, gap: int, constant: bool, missing: float, vms: int
) -> None:
    draw = np.random.default_rng(seed)
    rows: list[Row] = []
    for vm in range(vms):
        for row in [*servers(80, seed=seed + vm), *servers(60, seed=seed, start=80 + gap)]:
            rows.append(row | {"vm_id": vm, "m0": 7.0 if constant else row["m0"]})
            if draw.random() < missing:
                rows[-1]["m1"] = None
    made = train(rows, lambda fraction, message: None)
    answer = made.estimator.predict(rows)
    assert len(answer) == len(rows)
    assert all(math.isfinite(row["score"]) for row in answer)


def test_a_missing_cell_after_a_shift_is_no_alarm(quiet: Progress) -> None:
    """What is filled in is the last known value, not the median of a time that has gone."""
    made = train(servers(2000), quiet)
    rows = servers(5000, seed=1, shift=30.0, start=2000)
    holes = [row | ({"m2": None} if i % 50 == 0 and i > 3000 else {}) for i, row in enumerate(rows)]
    assert np.mean(flagged(made, holes)[3000:]) < 0.02


def test_rows_that_follow_one_another_without_times_are_judged_in_their_order(quiet: Progress) -> None:
    names = [f"m{c}" for c in range(4)]
    draw = np.random.default_rng(0)
    walk = np.cumsum(draw.normal(size=(1500, 4)), axis=0)
    follow = [dict(zip(names, row, strict=True)) for row in walk.tolist()]
    assert train(follow, quiet).metadata["context"] == "order"
    assert train(only(servers(1500), *names), quiet).metadata["context"] is None
    assert train(servers(1500), quiet).metadata["context"] == "time"


def test_the_object_is_fitted_again_on_all_rows_unless_told_not_to(quiet: Progress) -> None:
    rows = servers(1500)
    again, once = (train(rows, quiet, hyperparameters={"refit": on}) for on in (True, False))
    assert (again.metadata["refit"], once.metadata["refit"]) == (True, False)
    assert again.performance_metrics.extra == once.performance_metrics.extra
    assert again.estimator.threshold != once.estimator.threshold
    # What came last is remembered either way.
    assert once.estimator.pasts[None].times[-1] == rows[-1]["timestamp"]
    with pytest.raises(InvalidInputError) as refusal:
        train(rows, quiet, hyperparameters={"refit": "perhaps"})
    assert refusal.value.field == "hyperparameters.refit"


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([5.9, 6.0], [False, False]),
        ([6.01, 9.0], [True, False]),
        ([7.0, 7.0 * STRONGER], [True, False]),
        ([7.0, 7.01 * STRONGER], [True, True]),
        ([7.0, *[0.0] * (HOLD_ROWS - 2), 7.0, 7.0], [True, *[False] * (HOLD_ROWS - 1), True]),
    ],
)
def test_an_alarm_is_raised_once(scores: list[float], expected: list[bool]) -> None:
    assert raised_once(np.array(scores), 6.0).tolist() == expected


def test_a_season_is_no_anomaly_and_its_absence_is(quiet: Progress) -> None:
    """Values within all that was seen, at a time of day at which they never were."""
    draw = np.random.default_rng(0)
    clock = np.arange(288 * 9)
    load = 50 + 30 * np.sign(np.sin(2 * np.pi * clock / 288)) + draw.normal(size=len(clock))
    rows = [{"timestamp": START + 300 * i, "cpu": float(value)} for i, value in enumerate(load)]
    made = train(rows[: 288 * 8], quiet)
    assert not any(flagged(made, rows[288 * 8 :]))
    night = [dict(row) for row in rows[288 * 8 :]]
    for row in night[60:80]:
        row["cpu"] = 20.0
    assert any(flagged(made, night)[60:80])


def test_states_made_of_constants_judge_without_dividing_by_nothing() -> None:
    rows = np.full((200, 2), 3.0)
    context = ContextV1.fitted(MahalanobisV1(), MahalanobisV1(), [rows], 0.01)
    assert not context.judge(rows, None).flags.any()
    assert context.judge(rows + 1, None).flags.any()
    series = SeriesV1.fitted([rows[:, :1]], 60.0, None)
    assert not series.judge(rows[:, :1], None).flags.any()
