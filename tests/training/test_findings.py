"""What a report tells in detail: measured on held-out rows alone, and it agrees with the headline."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from ai_engine.training.arrays import FloatArray
from ai_engine.training.calibration import intervals_told, reliability
from ai_engine.training.encoding import EncodingV1
from ai_engine.training.engine import Trained, fit
from ai_engine.training.findings import rounded
from ai_engine.training.grid import Clock
from ai_engine.training.groups import MOST_NAMED, GroupErrors, by_group_told
from ai_engine.training.held_out_forecasts import HeldOutForecasts, findings_of
from ai_engine.training.histories import History
from ai_engine.training.importance import MOST_ROWS, REPEATS, permutation_importance
from ai_engine.training.progress import Progress
from ai_engine.training.request import TrainingRequest
from tests.training.tables import START, Row, waves

LARGEST = 100_000  # bytes of a report as JSON


def trained(kind: str, rows: list[Row], quiet: Progress, **given: Any) -> tuple[Trained, dict[str, Any]]:
    settings = {"name": "x", "target_columns": None, "hyperparameters": {}} | given
    made = fit(TrainingRequest(kind=kind, **settings), rows, quiet)
    assert made.run.report is not None
    assert len(json.dumps(made.run.report, allow_nan=False)) < LARGEST
    return made, dict(made.run.report)


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def fleet() -> list[Row]:
    """Two machines, one of them hard to foretell."""
    return waves(400, vm="calm") + waves(400, vm="wild", noise=9.0, seed=1)


def nine_days() -> list[Row]:
    """Two machines, each long enough for one forecaster of both."""
    return [
        row
        for vm, noise in (("calm", 1.0), ("wild", 6.0))
        for row in waves(9 * 288, period=288, vm=vm, noise=noise)
    ]


@pytest.fixture(scope="module", params=["by target", "fleet"])
def forecasts(request: pytest.FixtureRequest, quiet: Progress) -> tuple[Trained, dict[str, Any], list[Row]]:
    rows = fleet() if request.param == "by target" else nine_days()
    made, report = trained(
        "resource_prediction",
        rows,
        quiet,
        target_columns=("cpu",),
        hyperparameters={"horizon": 30, "refit": False},
    )
    assert ("SeasonalFormulas" in made.algorithms) is (request.param == "fleet")
    return made, report, rows


def test_steps_and_machines_of_a_forecast_come_to_its_headline(
    forecasts: tuple[Trained, dict[str, Any], list[Row]],
) -> None:
    made, report, _ = forecasts
    overall = made.performance_metrics.by_target["cpu"]
    steps = report["by_horizon"]["cpu"]
    assert [one["from_step"] for one in steps] == [1, *(one["to_step"] + 1 for one in steps[:-1])]
    assert steps[-1]["to_step"] == 30
    weight = [one["forecasts"] for one in steps]
    for measure, whole in (
        ("mae", overall.mae),
        ("baseline_mae", overall.baseline_mae),
        ("coverage", overall.confidence_score),
    ):
        assert np.average([one[measure] for one in steps], weights=weight) == pytest.approx(whole, rel=1e-4)
    interval = report["calibration"]["intervals"]["cpu"]
    assert interval["observed"] == pytest.approx(overall.confidence_score, rel=1e-4)
    assert interval["values"] == sum(weight)
    assert interval["interval_score"] >= interval["mean_width"]
    assert report["importance"] is None
    groups = report["by_group"]["cpu"]
    assert (groups["groups"], groups["unnamed"]) == (2, 0)
    assert {one["group"] for one in groups["named"]} == {"calm", "wild"}
    assert report["worst"]["cpu"][0]["group"] == "wild"


def test_a_mase_is_the_error_over_the_mean_change_between_training_rows(
    forecasts: tuple[Trained, dict[str, Any], list[Row]],
) -> None:
    made, report, rows = forecasts
    cut = moment(made.metadata["split"]["held_out_from"])
    for one in report["by_group"]["cpu"]["named"]:
        own = [row for row in rows if row["vm_id"] == one["group"]]
        past = np.array([row["cpu"] for row in own if row["timestamp"] < cut])
        assert one["rows"] == len(own) - len(past)
        assert one["mase"] == pytest.approx(one["mae"] / np.abs(np.diff(past)).mean(), rel=1e-4)


def test_a_window_that_is_shown_is_what_the_model_says_of_the_rows_before_it(
    forecasts: tuple[Trained, dict[str, Any], list[Row]],
) -> None:
    made, report, rows = forecasts
    windows = report["forecast"]["cpu"]
    assert [one["shown"].partition(" window of ")[::2] for one in windows] == [
        ("usual", "the median machine"),
        ("worst", "the median machine"),
        ("usual", "the worst machine"),
        ("worst", "the worst machine"),
    ]
    assert [one["group"] for one in windows] == ["calm", "calm", "wild", "wild"]
    for one in windows:
        own = [row for row in rows if row["vm_id"] == one["group"]]
        origin = round((moment(one["origin"]) - START) / 300)
        assert origin >= 0.8 * len(own) - 1
        assert one["past"][-1] == pytest.approx(own[origin]["cpu"], rel=1e-4)
        assert one["observed"] == pytest.approx(
            [own[origin + step]["cpu"] for step in one["steps"]], rel=1e-4
        )
        if "SeasonalFormulas" not in made.algorithms:  # the fleet's weights go on with each window
            told = made.estimator.predict(own[: origin + 1], 30)
            assert one["centre"] == pytest.approx([told[s - 1]["cpu"] for s in one["steps"]], rel=1e-4)
            assert one["upper"] == pytest.approx([told[s - 1]["cpu_upper"] for s in one["steps"]], rel=1e-4)


def test_a_forecast_of_rows_without_machines_and_times_names_none(quiet: Progress) -> None:
    rows = [{"cpu": row["cpu"]} for row in waves(300)]
    _, report = trained("resource_prediction", rows, quiet, target_columns=("cpu",))
    assert report["by_group"] is report["worst"] is None
    assert [one["origin"] for one in report["forecast"]["cpu"]] == [None, None]
    assert report["by_horizon"]["cpu"][0]["forecasts"] > 0


def table(n: int = 300, *, machines: int = 1) -> list[Row]:
    """A number that hangs on `main` and on a kind, and not on `noise`; the last rows are of a kind alone."""
    draw = np.random.default_rng(3)
    rows: list[Row] = []
    for number in range(n):
        main, kind = float(draw.normal()), "abc"[number % 3]
        y = 5 * main + {"a": 0.0, "b": 3.0, "c": 6.0}[kind] + 0.1 * float(draw.normal())
        rows.append({"main": main, "noise": float(draw.normal()), "kind": kind, "y": y})
        if machines > 1:
            rows[-1]["host"] = f"h{number % machines}"
    return rows


def test_regression_tells_importance_and_the_rows_that_it_missed_most(quiet: Progress) -> None:
    rows = table()
    made, report = trained("regression", rows, quiet, target_columns=("y",))
    columns = {one["column"]: one["increase"] for one in report["importance"]["y"]["columns"]}
    assert list(columns)[:2] == ["main", "kind"]
    assert columns["main"] > columns["kind"] > 10 * abs(columns["noise"])
    worst = report["worst"]["y"]
    errors = [abs(one["observed"] - one["predicted"]) for one in worst]
    assert errors == sorted(errors, reverse=True)
    for one in worst:
        assert one["observed"] == pytest.approx(rows[one["row"]]["y"], rel=1e-4)
    assert report["by_group"] is report["by_horizon"] is report["forecast"] is None
    interval = report["calibration"]["intervals"]["y"]
    assert interval["observed"] == pytest.approx(made.performance.confidence_score, rel=1e-4)
    assert interval["mean_width"] > 0


@pytest.mark.parametrize(
    ("kind", "target"),
    [("regression", "y"), ("classification", "class"), ("migration_prediction", "duration_s")],
)
def test_what_is_kept_has_seen_all_rows_and_its_numbers_are_those_of_before(
    kind: str, target: str, quiet: Progress
) -> None:
    """The last rows are in time those held out, and only they have a kind of their own."""
    rows: list[Row] = []
    for number, row in enumerate(table(300)):
        late = number >= 260
        y = row["main"] + (100 if late else 0)
        rows.append(
            {
                "timestamp": START + 60 * number,
                "main": row["main"],
                "kind": "late" if late else row["kind"],
                target: ("high" if y > 0 else "low") if kind == "classification" else abs(y),
            }
        )
    once, again = (
        fit(
            TrainingRequest(kind=kind, name="x", target_columns=(target,), hyperparameters={"refit": refit}),
            rows,
            quiet,
        )
        for refit in (False, True)
    )
    assert (once.metadata["refit"], again.metadata["refit"]) == (False, True)
    assert once.run.report == again.run.report
    told, told_again = (made.performance_metrics.overall.mae for made in (once, again))
    assert told == told_again
    # Of the rows that were held out, what was fitted again knows more; its number is still the measured one.
    assert once.measure(again.estimator) < told  # type: ignore[operator]  # both are numbers
    assert again.measure(again.estimator) == told
    if kind != "migration_prediction":  # its columns of X are those of the training rows
        kinds = [made.estimator.encoding.categories["kind"] for made in (once, again)]
        assert [("late" in seen) for seen in kinds] == [False, True]


def test_classes_are_told_by_how_sure_the_answers_were(quiet: Progress) -> None:
    draw = np.random.default_rng(5)
    rows = [
        {"x": float(x), "host": f"h{number % 4}", "class": bool(draw.random() < 1 / (1 + np.exp(-2 * x)))}
        for number, x in enumerate(draw.normal(size=800))
    ]
    made, report = trained("classification", rows, quiet, target_columns=("class",), group_column="host")
    told = report["calibration"]["reliability"]["class"]
    assert sum(one["count"] for one in told["bins"]) == 160
    right = sum(one["count"] * one["observed"] for one in told["bins"] if one["count"])
    assert right / 160 == pytest.approx(made.performance.accuracy_score, rel=1e-4)
    assert report["calibration"]["intervals"] is None
    for one in report["worst"]["class"]:
        assert one["observed"] is rows[one["row"]]["class"]
        assert one["predicted"] is not one["observed"]
    groups = report["by_group"]["class"]["named"]
    assert {one["group"] for one in groups} == {"h0", "h1", "h2", "h3"}
    assert np.average([one["mae"] for one in groups], weights=[one["rows"] for one in groups]) == (
        pytest.approx(made.performance.mae, rel=1e-4)
    )
    assert {one["mase"] for one in groups} == {one["coverage"] for one in groups} == {None}


def test_labelled_anomalies_name_the_rows_that_were_judged_wrong(quiet: Progress) -> None:
    draw = np.random.default_rng(7)
    rows = [{"a": float(a), "bad": bool(abs(a) + draw.normal() / 4 > 2)} for a in draw.normal(size=600)]
    made, report = trained("anomaly_detection", rows, quiet, target_columns=("bad",))
    worst = report["worst"]["bad"]
    assert len(worst) == round(made.performance.mae * 120)  # type: ignore[operator]  # a number with labels
    for one in worst:
        assert one["observed"] is rows[one["row"]]["bad"]
        assert one["predicted"] is (one["score"] > 1)
        assert one["observed"] is not one["predicted"]


def test_anomalies_without_labels_have_no_detailed_report(quiet: Progress) -> None:
    made = fit(TrainingRequest(kind="anomaly_detection", name="x", hyperparameters={}), waves(200), quiet)
    assert made.run.report is None


# -- the measures by themselves ------------------------------------------------------------------------------


@pytest.mark.parametrize("n_groups", [1, MOST_NAMED, MOST_NAMED + 1, 500])
def test_of_many_groups_the_worst_and_the_best_are_named_and_all_are_counted(n_groups: int) -> None:
    draw = np.random.default_rng(n_groups)
    codes = np.repeat(np.arange(n_groups), 3)
    error = draw.random(len(codes))
    each = GroupErrors(
        names=tuple(range(n_groups)),
        codes=codes,
        error=error,
        baseline_error=np.full(len(codes), 0.5),
        inside=None,
        rows=np.full(n_groups, 3),
    ).each()
    told = by_group_told(each, in_time=False)
    assert len(told["named"]) == min(n_groups, MOST_NAMED)
    assert len(told["named"]) + told["unnamed"] == told["groups"] == n_groups
    by_group = error.reshape(-1, 3).mean(axis=1)
    assert told["worse_than_baseline"] == int((by_group > 0.5).sum())
    assert told["named"][0]["group"] == int(by_group.argmax())
    assert told["named"][-1]["group"] == int(by_group.argmin())


def test_a_baseline_without_error_and_a_series_that_stands_still_divide_by_nothing() -> None:
    (one,) = GroupErrors(
        names=("x",),
        codes=np.zeros(2, dtype=np.intp),
        error=np.ones(2),
        baseline_error=np.zeros(2),
        inside=np.array([1.0, 0.0]),
        rows=np.array([2]),
        naive=np.array([0.0]),
    ).each()
    assert (one["skill"], one["mase"], one["coverage"]) == (None, None, 0.5)
    same = np.ones(3)
    assert intervals_told(same, same, same, same)["scaled_interval_score"] is None


def test_a_change_over_a_gap_is_none_of_one_step() -> None:
    """Of six training slots the fourth was not sampled: the changes are 1, 2, 1, and 50 is none."""
    history = History(
        "vm",
        Clock(0.0, 1.0, timed=True),
        np.array([0.0, 1.0, 3.0, 50.0, 4.0, 5.0, 9.0, 9.0]),
        np.array([True, True, True, False, True, True, True, True]),
    )
    at = np.array([0, 0])
    found = HeldOutForecasts(
        (history,),
        series=at,
        origins=np.array([5, 5]),
        steps=np.array([1, 2]),
        observed=np.array([9.0, 9.0]),
        centre=np.array([7.0, 7.0]),
        lower=np.array([6.0, 6.0]),
        upper=np.array([8.0, 9.0]),
        baseline=np.array([5.0, 5.0]),
    )
    told = findings_of({"cpu": found}, cut=6.0)
    assert told.by_group is not None
    (one,) = told.by_group["cpu"]["named"]
    assert one["mase"] == pytest.approx(2 / (4 / 3), rel=1e-4)
    assert (one["mae"], one["skill"], one["coverage"], one["rows"]) == (2.0, 0.5, 0.5, 2)
    assert told.forecast is not None
    (window,) = told.forecast["cpu"]
    assert window["past"] == [1.0, 3.0, None, 4.0, 5.0]


def test_importance_is_the_mean_growth_over_the_shuffles() -> None:
    growths = iter([1.0, *(1.0 + growth for growth in (1, 2, 3, 4, 10))])
    encoding = EncodingV1({"a": 0.0}, {})
    told = permutation_importance(lambda _x, _rows: next(growths), np.zeros((4, 1)), encoding, "error", 0)
    assert told["columns"] == [
        {"column": "a", "increase": 4.0, "spread": rounded(float(np.std([1, 2, 3, 4, 10])))}
    ]


@pytest.mark.parametrize("probability", [0.0, 0.0999, 0.1, 0.5, 0.9999, 1.0])
def test_each_probability_has_its_bin(probability: float) -> None:
    bins = reliability(np.array([probability]), np.array([True]))["bins"]
    (one,) = [one for one in bins if one["count"]]
    assert one["from"] <= probability <= one["to"]
    assert len(bins) == 10


@pytest.mark.parametrize("n_rows", [3, MOST_ROWS, MOST_ROWS + 1, 3 * MOST_ROWS])
@pytest.mark.parametrize("n_columns", [1, 40, 200])
def test_importance_looks_at_no_more_rows_than_it_may(n_rows: int, n_columns: int) -> None:
    asked: list[int] = []
    x = np.arange(n_rows * n_columns, dtype=np.float64).reshape(n_rows, n_columns)

    def error(some: FloatArray, rows: Any) -> float:
        asked.append(len(some))
        return float(np.abs(some[:, 0] - x[rows, 0]).mean())

    encoding = EncodingV1({f"c{number}": 0.0 for number in range(n_columns)}, {})
    told = permutation_importance(error, x, encoding, "error", seed=0)
    assert len(asked) == 1 + REPEATS * n_columns
    assert sum(asked) <= 210_000
    assert told["columns"][0]["column"] == "c0"
    assert told["columns"][0]["increase"] > 0
    assert {one["increase"] for one in told["columns"][1:]} <= {0.0}
    assert len(told["columns"]) + told["unnamed"] == n_columns
