"""`manager.train` and `manager.predict`: data of any shape in, numbers that are true out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ai_engine import InvalidInputError, VersionNotFoundError
from ai_engine.models import ModelManager
from ai_engine.testing import in_memory
from ai_engine.training.metrics import TargetMetrics, TrainingMetrics

QUICK = {"horizon": 3, "algorithm": "last_value"}


@pytest.fixture
def engine() -> Iterator[ModelManager]:
    with in_memory() as manager:
        yield manager


def telemetry(
    machines: int = 2, count: int = 120, time: str = "time", group: str = "instance"
) -> pd.DataFrame:
    rows = [
        {
            time: 1_700_000_000_000 + 300_000 * number,
            group: f"h{machine}",
            "cpu": 20 * machine + 10 * math.sin(number / 7) + number % 3,
            "mem": 30 + number % 11,
            "cores": 4,
        }
        for number in range(count)
        for machine in range(machines)
    ]
    return pd.DataFrame(rows)


def test_the_exporters_own_names_are_read_rightly(engine: ModelManager) -> None:
    """And the same rows under the names of the contract give the same numbers."""
    frame = telemetry()
    done = engine.train(frame, model_type="resource_prediction", hyperparameters=QUICK)
    assert (done.name, done.version, done.active) == ("resource_predictor", "1.0.0", True)
    reading = done.reading
    assert (reading["time_column"], reading["group_column"]) == ("time", "instance")
    assert (reading["time_unit"], reading["interval_seconds"], reading["groups"]) == ("ms", 300.0, 2)
    assert reading["rows_used"] == 240
    assert {one["column"]: one["why"] for one in reading["ignored"]} == {"cores": "it does not vary"}
    ours = (
        frame.assign(timestamp=frame["time"] / 1000)
        .rename(columns={"instance": "vm_id"})
        .drop(columns="time")
    )
    same = engine.train(ours, model_type="resource_prediction", name="same", hyperparameters=QUICK)
    for key in ("skill", "by_target", "validation_samples"):
        assert same.performance_metrics[key] == done.performance_metrics[key]
    predicted = engine.predict("resource_predictor", frame.tail(40), horizon=2)
    assert list(predicted["vm_id"]) == ["h0", "h0", "h1", "h1"]
    told = engine.predict("resource_predictor", frame.tail(40).to_dict("records"), horizon=2)
    assert predicted.to_dict("records") == told


def test_several_machines_without_a_name_are_refused_and_nothing_is_saved(engine: ModelManager) -> None:
    frame = telemetry(group="label")
    with pytest.raises(InvalidInputError, match="several machines"):
        engine.train(frame, model_type="resource_prediction", hyperparameters=QUICK)
    assert engine.get_model_info()["total"] == 0
    done = engine.train(frame, model_type="resource_prediction", group_column="label", hyperparameters=QUICK)
    assert done.reading["groups"] == 2


def test_a_file_is_trained_on_as_a_frame_is(engine: ModelManager, tmp_path: Path) -> None:
    frame = telemetry()
    frame.to_csv(tmp_path / "telemetry.csv", index=False)
    frame.to_parquet(tmp_path / "telemetry.parquet")
    skills = [
        engine.train(data, model_type="resource_prediction", hyperparameters=QUICK).performance_metrics[
            "skill"
        ]
        for data in (frame, tmp_path / "telemetry.csv", str(tmp_path / "telemetry.parquet"))
    ]
    assert len(set(skills)) == 1
    assert engine.model_versions["resource_predictor"] == ["1.0.0", "1.0.1", "1.0.2"]


def test_of_several_targets_nothing_with_a_unit_is_told_as_one(engine: ModelManager) -> None:
    done = engine.train(telemetry(), model_type="resource_prediction", hyperparameters=QUICK)
    metrics = done.performance_metrics
    assert metrics["by_target"].keys() == {"cpu", "mem"}
    assert (metrics["mae"], metrics["mse"], metrics["baseline_mae"]) == (None, None, None)
    skills = [found["skill"] for found in metrics["by_target"].values() if found["skill"] is not None]
    assert metrics["skill"] == (pytest.approx(sum(skills) / len(skills)) if skills else None)
    one = engine.train(
        telemetry(), model_type="resource_prediction", target_columns=["cpu"], hyperparameters=QUICK
    )
    assert one.performance_metrics["mae"] == one.performance_metrics["by_target"]["cpu"]["mae"]


def test_the_mean_over_targets_leaves_out_what_is_not_known() -> None:
    by_target = {"a": TargetMetrics(mae=1.0, skill=0.5, r2=None), "b": TargetMetrics(mae=2.0, skill=None)}
    metrics = TrainingMetrics(by_target, 1.0, None, 1, 1, 1)
    assert metrics.overall == TargetMetrics(skill=0.5)
    assert TrainingMetrics({"a": by_target["a"]}, 1.0, None, 1, 1, 1).overall == by_target["a"]


def regression(slope: float, noise: int) -> list[dict[str, Any]]:
    return [{"x": number, "y": slope * number + (number * 7919) % (noise + 1)} for number in range(100)]


def test_a_version_worse_than_its_baseline_does_not_replace_one_that_is_better(engine: ModelManager) -> None:
    def train(rows: list[dict[str, Any]], **more: Any) -> Any:
        return engine.train(
            rows,
            model_type="regression",
            name="line",
            target_columns=["y"],
            hyperparameters={"algorithm": "boosted_trees"},
            **more,
        )

    # What is learned turns round on the rows that are measured on.
    noisy = [
        {"timestamp": 60 * n, "x": x, "y": x * (1 if n < 80 else -1)}
        for n in range(100)
        for x in ((n * 7919 % 1000) / 100 - 5,)
    ]
    first = train(noisy)
    assert first.performance_metrics["skill"] < 0
    assert first.active
    assert "a simple rule predicts better" in first.activation_reason
    good = train(regression(3.0, 2))
    assert (good.active, good.activation_reason) == (True, None)
    worse = train(noisy)
    assert not worse.active
    assert 'activate="always"' in worse.activation_reason
    assert engine.active_models["line"] == good.version
    forced = train(noisy, activate="always")
    assert (forced.active, forced.activation_reason) == (True, None)
    assert train(regression(3.0, 2), activate=False).active is False


def test_an_active_version_that_may_know_the_rows_is_said_to(engine: ModelManager) -> None:
    """It was fitted once more on all of its rows, and is measured on some of them."""
    for refit in (True, False):
        quick = QUICK | {"refit": refit}
        engine.train(telemetry(), model_type="resource_prediction", hyperparameters=quick, activate="always")
        compared = engine.train(
            telemetry(), model_type="resource_prediction", hyperparameters=quick, activate="if_better"
        )
        assert ("fitted once more" in str(compared.activation_reason)) == refit


@pytest.mark.parametrize(
    "more",
    [
        {"model_type": "no such kind"},
        {"activate": "sometimes"},
        {"time_column": 7},
        {"time_column": "then"},
        {"group_column": "whom"},
        {"target_columns": ["nothing"]},
        {"validation_split": 1.5},
        {"data": 7},
        {"data": []},
        {"data": "/no/such/file.csv"},
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(engine: ModelManager, more: dict[str, Any]) -> None:
    given: dict[str, Any] = {"model_type": "resource_prediction", "data": telemetry()} | more
    with pytest.raises(InvalidInputError):
        engine.train(given.pop("data"), **given)
    assert engine.get_model_info()["total"] == 0


def test_a_report_tells_what_is_known_and_null_where_nothing_is(engine: ModelManager) -> None:
    done = engine.train(telemetry(), model_type="resource_prediction", hyperparameters=QUICK)
    report = done.report
    assert report["data"]["group_column"] == "instance"
    assert report["data"]["period"]["from"].startswith("2023-11-14")
    assert report["split"]["method"] == "time"
    assert report["metrics"]["skill"] == done.performance_metrics["skill"]
    assert report["by_target"].keys() == {"cpu", "mem"}
    assert report["importance"] is None
    assert report["by_horizon"].keys() == report["calibration"]["intervals"].keys() == {"cpu", "mem"}
    assert report["by_group"]["cpu"]["groups"] == telemetry()["instance"].nunique()
    # What a list reads of every version stays small.
    (entry,) = engine.get_model_info()["models"]
    assert not {"by_horizon", "by_group", "forecast", "worst"} & entry["metadata"].keys()


def test_any_model_predicts_and_an_unknown_one_is_told(engine: ModelManager) -> None:
    from sklearn.linear_model import LinearRegression

    engine.save_model("line", LinearRegression().fit([[1.0], [2.0]], [2.0, 4.0]))
    (row,) = engine.predict("line", [{"x": 3.0}])
    assert row["value"] == pytest.approx(6.0)
    assert engine.predict("line", pd.DataFrame({"x": [3.0]}))["value"][0] == pytest.approx(6.0)
    with pytest.raises(VersionNotFoundError):
        engine.predict("line", [{"x": 1}], version="9")


def test_columns_may_have_names_of_ones_own_and_a_prediction_takes_either(engine: ModelManager) -> None:
    frame = telemetry()
    plain = engine.train(frame, model_type="resource_prediction", hyperparameters=QUICK)
    theirs = frame.rename(columns={"cpu": "node_load1", "mem": "used pct"})
    done = engine.train(
        theirs,
        model_type="resource_prediction",
        name="renamed",
        target_columns=["load_1m"],
        rename={"used pct": "mem"},
        preset="node_exporter",
        hyperparameters=QUICK,
    )
    assert done.reading["renamed"] == {"node_load1": "load_1m", "used pct": "mem"}
    assert done.reading["targets"] == ["load_1m"]
    by_target = plain.performance_metrics["by_target"]
    assert done.performance_metrics["mae"] == by_target["cpu"]["mae"]
    under_theirs = engine.predict("renamed", theirs.tail(40), horizon=2)
    ours = theirs.rename(columns={"node_load1": "load_1m", "used pct": "mem"})
    pd.testing.assert_frame_equal(engine.predict("renamed", ours.tail(40), horizon=2), under_theirs)
    assert list(under_theirs["load_1m"]) == list(
        engine.predict("resource_predictor", frame.tail(40), horizon=2)["cpu"]
    )


@pytest.mark.parametrize(
    ("more", "field", "says"),
    [
        ({"rename": {"gpu": "cpu"}}, "rename", "there is no column 'gpu'"),
        ({"rename": {"mem": "cpu"}}, "rename", "two columns would be called 'cpu'"),
        ({"rename": {"mem": ""}}, "rename", "an object of names"),
        ({"rename": ["mem"]}, "rename", "an object of names"),
        ({"preset": "prometheus"}, "preset", "node_exporter"),
    ],
)
def test_names_that_cannot_be_given_are_refused(
    engine: ModelManager, more: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(InvalidInputError, match=says) as refused:
        engine.train(telemetry(), model_type="resource_prediction", hyperparameters=QUICK, **more)
    assert refused.value.field == field


def test_how_far_it_is_is_told_and_what_is_raised_there_ends_it(engine: ModelManager) -> None:
    told: list[tuple[float, str]] = []
    engine.train(
        telemetry(),
        model_type="resource_prediction",
        hyperparameters=QUICK,
        progress=lambda fraction, message: told.append((fraction, message)),
    )
    assert [fraction for fraction, _ in told] == sorted(fraction for fraction, _ in told)
    assert told[-1] == (1.0, "done")

    def stop(fraction: float, message: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.train(
            telemetry(), model_type="resource_prediction", name="ended", hyperparameters=QUICK, progress=stop
        )
    assert "ended" not in engine.models
