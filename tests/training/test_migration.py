from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from ai_engine.domain.errors import InvalidInputError
from ai_engine.testing.recipe_contract import Body, RecipeContract
from ai_engine.training.encoding import EncodingV1
from ai_engine.training.engine import Trained, fit
from ai_engine.training.progress import Progress
from ai_engine.training.recipes.simple_answers import best_simple_answer
from ai_engine.training.request import TrainingRequest
from ai_engine.training.table import read_table

from .tables import Row

SIZES = {"small": 20.0, "medium": 60.0, "large": 200.0}


def migrations(n: int, *, seed: int = 0) -> list[Row]:
    """Durations that the flavour decides, skewed; large ones fail at times."""
    draw = np.random.default_rng(seed)
    rows: list[Row] = []
    for _ in range(n):
        flavor = str(draw.choice(list(SIZES)))
        seconds = SIZES[flavor] * float(np.exp(0.1 * draw.normal() + (draw.random() < 0.05)))
        failed = bool(flavor == "large" and draw.random() < 0.4)
        rows.append({"flavor": flavor, "busy": float(draw.random()), "duration_s": seconds})
        rows[-1] |= {"downtime_s": 0.01 * seconds, "failed": failed}
        if failed:
            rows[-1]["duration_s"] = None
    return rows


def train(rows: list[Row], quiet: Progress, **given: Any) -> Trained:
    return fit(TrainingRequest("migration_prediction", **given), rows, quiet)


def without(rows: list[Row], *columns: str) -> list[Row]:
    return [{name: cell for name, cell in row.items() if name not in columns} for row in rows]


class TestMigrationRecipe(RecipeContract):
    @pytest.fixture
    def body(self) -> Body:
        return {"model_type": "migration_prediction", "training_data": migrations(200)}


def test_durations_downtimes_and_failures_are_foretold(quiet: Progress) -> None:
    made = train(migrations(900), quiet)
    estimator = pickle.loads(pickle.dumps(made.estimator))
    small, large = estimator.predict([{"flavor": "small", "busy": 0.5}, {"flavor": "large", "busy": 0.5}])
    assert small["duration_s"] == pytest.approx(20, rel=0.15)
    assert large["duration_s"] == pytest.approx(200, rel=0.15)
    assert small["downtime_s"] == pytest.approx(0.2, rel=0.3)
    assert small["failure_probability"] < 0.1 < 0.25 < large["failure_probability"] < 0.55
    # The spread grows with the duration, and the interval with it.
    widths = [row["duration_s_upper"] - row["duration_s_lower"] for row in (small, large)]
    assert widths[1] > 3 * widths[0] > 0
    assert made.performance_metrics.to_mapping()["confidence_score"] == pytest.approx(0.9, abs=0.07)


def test_only_outcomes_that_were_given_are_foretold(quiet: Progress) -> None:
    rows = [row for row in migrations(200) if row["duration_s"] is not None]
    made = train(without(rows, "failed", "downtime_s"), quiet)
    (told,) = made.estimator.predict([{"flavor": "small", "busy": 0.1}])
    assert set(told) == {"duration_s", "duration_s_lower", "duration_s_upper"}
    assert made.metadata["outcomes"] == []


@pytest.mark.parametrize("word", ["failed", " Failure", "TIMEOUT"])
def test_an_outcome_may_be_text(quiet: Progress, word: str) -> None:
    rows = [
        without([row], "failed")[0] | {"outcome": word if row["failed"] else "completed"}
        for row in migrations(600)
    ]
    small, large = train(rows, quiet).estimator.predict(
        [{"flavor": size, "busy": 0.5} for size in ("small", "large")]
    )
    assert small["failure_probability"] < large["failure_probability"]


def test_the_baseline_is_the_median_by_category_where_that_is_better(quiet: Progress) -> None:
    rows = without([row for row in migrations(300) if row["duration_s"] is not None], "failed", "downtime_s")
    made = train(rows, quiet)
    assert made.metadata["baseline"] == {"duration_s": "median by flavor"}
    assert made.performance_metrics.to_mapping()["baseline_mae"] < 20


@pytest.mark.parametrize(("scale", "skewed"), [(0.1, False), (2.0, True)])
def test_regression_takes_absolute_errors_for_what_is_skewed(
    quiet: Progress, scale: float, skewed: bool
) -> None:
    draw = np.random.default_rng(0)
    rows = [
        {"x": float(x), "y": float(np.sin(6 * x) + np.exp(scale * noise) if skewed else x + scale * noise)}
        for x, noise in zip(draw.random(400), draw.normal(size=400), strict=True)
    ]
    made = fit(TrainingRequest("regression", name="r", target_columns=("y",)), rows, quiet)
    assert (made.metadata["chosen"]["y"] == "boosted_trees_absolute") == skewed
    assert made.metadata["baseline"] == {"y": "median" if skewed else made.metadata["baseline"]["y"]}


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.0, 0.0, 0.0, 100.0] * 10, "median"), ([0.0, 10.0] * 20, "median by kind")],
)
def test_the_best_simple_answer_is_named(values: list[float], expected: str) -> None:
    rows = [{"kind": "ab"[i % 2] if expected != "median" else "a", "y": y} for i, y in enumerate(values)]
    table = read_table(rows)
    encoding = EncodingV1.of(table, np.arange(len(rows)), "y")
    parts = np.arange(20), np.arange(20, 40)
    name, answer = best_simple_answer(
        encoding.matrix(table), table.numbers["y"], encoding, [parts, parts[::-1]]
    )
    assert name == expected
    assert answer.predict(encoding.matrix(table)).tolist()[:2] == ([0, 0] if name == "median" else [0, 10])


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        (without(migrations(100), "duration_s"), "target_columns[0]"),
        ([{"duration_s": float(i)} for i in range(100)], "training_data"),
        (migrations(10), "training_data"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_by_name(quiet: Progress, rows: list[Row], field: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        train(rows, quiet)
    assert refusal.value.field == field
