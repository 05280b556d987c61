from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from ai_engine.training.engine import Trained, fit
from ai_engine.training.estimators.workload import WorkloadForecasterV1
from ai_engine.training.progress import Progress
from ai_engine.training.request import TrainingRequest
from ai_engine.training.workload_pattern import STRONG, pattern_of, season_strength

from .tables import Row, waves
from .test_fleet import hourly

KIND = "workload_prediction"


@pytest.fixture(scope="module")
def trained(quiet: Progress) -> Trained:
    rows: list[Row] = [*hourly(480), *hourly(480, vm="b", seed=1, level=60.0)]
    return fit(TrainingRequest(KIND, hyperparameters={"horizon": 24}), rows, quiet)


def test_each_step_has_a_level_by_the_vms_own_history(trained: Trained) -> None:
    assert isinstance(trained.estimator, WorkloadForecasterV1)
    for vm, level in (("a", 30.0), ("b", 60.0)):
        answer = trained.estimator.predict(hourly(470, vm=vm, level=level), 24)
        assert list(answer[0]) == ["vm_id", "step", "timestamp", "cpu", "cpu_lower", "cpu_upper", "level"]
        assert len({row["level"] for row in answer}) >= 2
        ordered = sorted(answer, key=lambda row: float(row["cpu"]))
        assert ordered[-1]["level"] in ("normal", "high")
        assert ordered[0]["level"] in ("idle", "low")


def test_a_vm_that_is_not_known_is_told_of_by_its_rows(trained: Trained) -> None:
    answer = trained.estimator.predict(hourly(300, vm="new", level=500.0), 24)
    assert {row["level"] for row in answer} != {"high"}
    assert trained.estimator.predict(hourly(1, vm="new"), 1)[0]["level"] in ("idle", "low", "normal", "high")


def test_patterns_are_measured_and_told(trained: Trained) -> None:
    told = json.loads(json.dumps(trained.metadata["patterns"]))
    assert set(told) == {"a", "b"}
    assert told["a"]["pattern"] == "periodic"
    assert told["a"]["daily"] > STRONG


def test_it_is_stored_and_measured_like_other_forecasters(trained: Trained) -> None:
    loaded = pickle.loads(pickle.dumps(trained.estimator))
    assert loaded.predict(hourly(100), 24) == trained.estimator.predict(hourly(100), 24)
    assert trained.measure(loaded) is not None
    assert trained.measure(object()) is None


def test_two_hundred_rows_of_one_vm_train(quiet: Progress) -> None:
    made = fit(TrainingRequest(KIND, target_columns=("cpu",)), waves(200), quiet)
    assert len(made.estimator.predict(waves(50))) == 12
    assert made.metadata["patterns"]["None"]["daily"] is None


def test_each_pattern_has_its_name() -> None:
    draw = np.random.default_rng(0)
    hours = np.arange(24 * 30)
    noise = draw.normal(size=len(hours))
    assert pattern_of(50 + 5 * np.sin(hours * 2 * np.pi / 24) + noise, 24, 1.0)["pattern"] == "periodic"
    assert pattern_of(50 + 0.1 * hours + noise, 24, 1.0)["pattern"] == "trending"
    assert pattern_of(50 + 30 * (draw.random(len(hours)) > 0.97) + noise, 24, 1.0)["pattern"] == "bursty"
    assert pattern_of(np.abs(noise) / 10, 24, 1.0)["pattern"] == "idle"


def test_noise_has_no_season_and_one_cycle_tells_of_none() -> None:
    noise = np.random.default_rng(0).normal(size=24 * 14)
    assert season_strength(noise, 24) == pytest.approx(0, abs=0.1)
    assert season_strength(noise[:48], 24) is not None
    assert season_strength(noise[:47], 24) is None
