from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from ai_engine.domain.answers import VersionInfo
from ai_engine.domain.entities import ModelVersion, Run, SavedVersion
from ai_engine.domain.errors import (
    CatalogueUnavailableError,
    InvalidInputError,
    ModelLoadError,
    OutcomeUnknownError,
)
from ai_engine.domain.jobs import Attempt, JobClaim, JobCompletion, Outcome, Usage
from ai_engine.domain.performance import ModelPerformance
from ai_engine.training.engine import TrainingEngine, fit
from ai_engine.training.prediction import predict
from ai_engine.training.progress import Progress
from ai_engine.training.request import TrainingRequest
from ai_engine.training.results import TrainingResult

from .tables import Row, spikes, walk, waves

ALWAYS = {
    *("mae", "mse", "r2", "accuracy_score", "confidence_score", "training_time", "prediction_time"),
    *("training_samples", "validation_samples", "feature_count", "baseline_mae", "skill", "by_target"),
}


class Saves:
    """Keeps what is saved in a list; a registry as the engine sees one."""

    def __init__(self) -> None:
        self.saves: list[dict[str, Any]] = []
        self.attempts: list[tuple[str, Attempt, str | None]] = []
        self.active: object = None

    def load(self, name: str, version: str | None = None) -> object:
        if isinstance(self.active, Exception):
            raise self.active
        return self.active

    def find(self, name: str, version: str | None = None) -> ModelVersion | None:
        return None

    def record_attempt(
        self, name: str, attempt: Attempt, hyperparameters: Mapping[str, Any], model_id: str | None = None
    ) -> None:
        assert hyperparameters
        self.attempts.append((name, attempt, model_id))

    def describe(self, *given: object, **more: object) -> tuple[list[VersionInfo], int, bool]:
        return [], 0, True

    def save(
        self,
        name: str,
        model: object,
        *,
        model_type: str,
        algorithms: Iterable[str],
        metadata: Mapping[str, Any],
        activate: bool,
        performance: ModelPerformance,
        run: Run,
        job: JobCompletion | None = None,
    ) -> SavedVersion:
        self.saves.append({"name": name, "metadata": metadata, "performance": performance, "run": run})
        if activate:
            self.active = model
        version = f"1.0.{len(self.saves) - 1}"
        return SavedVersion(f"{name}_{version}", name, version, activate)


def request(rows: list[Row], **given: Any) -> tuple[TrainingRequest, list[Row]]:
    return TrainingRequest("resource_prediction", target_columns=("cpu",), **given), rows


def numbers(value: Any) -> Iterable[float]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, float):
        yield value


@pytest.mark.parametrize(
    "given",
    [
        {"model_type": "resource_prediction", "training_data": waves(200)},
        {
            "model_type": "anomaly_detection",
            "training_data": [{"cpu": i % 7, "mem": i % 5} for i in range(100)],
        },
        {"model_type": "anomaly_detection", "training_data": spikes(300), "target_columns": ["label"]},
        {"model_type": "regression", "training_data": waves(100), "target_columns": ["cpu"], "name": "r"},
        {
            "model_type": "classification",
            "training_data": spikes(100, every=2),
            "target_columns": ["label"],
            "name": "c",
        },
    ],
)
def test_every_kind_answers_all_measures_finite_or_none_as_json(
    given: dict[str, Any], quiet: Progress
) -> None:
    kept = Saves()
    result = TrainingEngine(kept).train(*TrainingRequest.from_body(given), quiet)
    answer = result.to_mapping()
    assert TrainingResult.from_mapping(json.loads(json.dumps(answer))) == result
    assert answer["performance_metrics"].keys() >= ALWAYS
    assert all(math.isfinite(number) for number in numbers(answer))
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    json.dumps(kept.saves[0]["metadata"], allow_nan=False)
    assert answer["training_status"] == "completed"
    assert answer["timestamp"].endswith("Z")
    assert answer["active"] is True
    performance, run = kept.saves[0]["performance"], kept.saves[0]["run"]
    for name in (
        "mae",
        "mse",
        "r2",
        "accuracy_score",
        "confidence_score",
        "training_samples",
        "feature_count",
    ):
        assert getattr(performance, name) == answer["performance_metrics"][name]
    assert run.dataset_size == len(given["training_data"])
    assert run.started <= run.completed


class FirstUnknown(Saves):
    """One whose first commit fails, and nobody can know whether it holds."""

    failed = False

    def save(self, name: str, model: object, **given: Any) -> SavedVersion:
        if not self.failed:
            self.failed = True
            raise OutcomeUnknownError("cpu#1", OSError("I/O error"))
        return super().save(name, model, **given)


def test_only_the_version_of_a_job_is_saved_once_more(
    quiet: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ai_engine.training.engine._PAUSE", 0.0)
    asked = request(waves(100), hyperparameters={"algorithm": "last_value"})
    with pytest.raises(OutcomeUnknownError):
        TrainingEngine(FirstUnknown()).train(*asked, quiet)
    kept = FirstUnknown()
    result = TrainingEngine(kept).train(*asked, quiet, JobClaim("job", 1))  # its id makes it the same save
    assert (result.version, len(kept.saves)) == ("1.0.0", 1)


def test_nothing_is_saved_when_the_rows_are_refused(quiet: Progress) -> None:
    kept = Saves()
    with pytest.raises(InvalidInputError):
        TrainingEngine(kept).train(*request(waves(5)), quiet)
    assert kept.saves == []


def test_a_better_version_is_activated_and_a_worse_one_is_not(quiet: Progress) -> None:
    kept = Saves()
    engine = TrainingEngine(kept)
    naive = {"horizon": 12, "algorithm": "last_value"}
    first = engine.train(*request(waves(400), hyperparameters=naive, activate="if_better"), quiet)
    assert first.active
    assert "no active version" in str(first.activation_reason)
    better = engine.train(*request(waves(400), activate="if_better"), quiet)
    assert better.active
    assert f"{first.performance_metrics.overall.mae:.6g}" in str(better.activation_reason)
    worse = engine.train(*request(waves(400), hyperparameters=naive, activate="if_better"), quiet)
    assert not worse.active
    assert "Not activated" in str(worse.activation_reason)
    again = engine.train(*request(waves(400), activate="if_better"), quiet)
    assert not again.active, "equally good is not better"


@pytest.mark.parametrize(
    "active",
    [
        LinearRegression(),
        ModelLoadError("m@1.0.0", ImportError("no module"), {}),
        {"weights": [1]},
    ],
)
def test_an_active_version_that_cannot_be_measured_gives_way(active: object, quiet: Progress) -> None:
    kept = Saves()
    kept.active = active
    answer = TrainingEngine(kept).train(*request(waves(200), activate="if_better"), quiet)
    assert answer.active
    assert "cannot be measured" in str(answer.activation_reason)


def test_an_active_forecaster_of_other_columns_gives_way(quiet: Progress) -> None:
    kept = Saves()
    engine = TrainingEngine(kept)
    engine.train(*request(waves(200)), quiet)
    answer = engine.train(*request(walk(200), activate="if_better"), quiet)
    assert answer.active
    assert "cannot be measured" in str(answer.activation_reason)


def test_the_same_request_gives_the_same_model(quiet: Progress) -> None:
    one, two = (fit(*request(waves(200)), quiet) for _ in range(2))
    assert one.estimator.predict(waves(30)) == two.estimator.predict(waves(30))
    assert one.performance_metrics.by_target == two.performance_metrics.by_target


def test_foreign_models_predict_from_rows() -> None:
    line = LinearRegression().fit([[1.0, 2.0], [2.0, 3.0], [3.0, 5.0]], [1.0, 2.0, 3.0])
    assert [row.keys() for row in predict(line, [{"a": 1, "b": 2}])] == [{"value"}]
    classes = LogisticRegression().fit([[0.0], [1.0], [0.1], [0.9]], ["idle", "busy", "idle", "busy"])
    (row,) = predict(classes, [{"load": 0.95, "host": "a"}])
    assert row["value"] == "busy"
    assert row["probabilities"].keys() == {"idle", "busy"}


def test_foreign_models_with_named_features_take_them_by_name() -> None:
    line = LinearRegression().fit([[1.0, 10.0], [2.0, 20.0], [4.0, 10.0]], [1.0, 2.0, 4.0])
    line.feature_names_in_ = ["a", "b"]

    class Named:
        feature_names_in_ = ["a", "b"]  # noqa: RUF012
        n_features_in_ = 2

        def predict(self, x: Any) -> Any:
            return x[:, 0]

    assert predict(Named(), [{"b": 5, "a": 1, "c": 9}]) == [{"value": 1.0}]
    with pytest.raises(InvalidInputError) as refusal:
        predict(Named(), [{"b": 5}])
    assert refusal.value.field == "data.a"


@pytest.mark.parametrize(
    ("model", "rows", "horizon", "field"),
    [
        ({"weights": 1}, [{"a": 1}], None, "model"),
        (LinearRegression().fit([[1.0, 2.0], [2.0, 1.0]], [1.0, 2.0]), [{"a": 1}], None, "data"),
        (LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0]), [{"a": None}], None, "data"),
        (LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0]), [{"a": 1}], 3, "horizon"),
        (LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0]), [], None, "data"),
        (LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0]), [3], None, "data[0]"),
        (LinearRegression(), [{"a": 1}], None, "data"),
    ],
)
def test_what_a_foreign_model_cannot_do_is_said(
    model: object, rows: list[Any], horizon: int | None, field: str
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        predict(model, rows, horizon)
    assert refusal.value.field == field


@pytest.mark.parametrize("alone", [True, False])
def test_a_training_that_is_no_job_is_in_the_history_whatever_came_of_it(
    quiet: Progress, alone: bool
) -> None:
    kept = Saves()
    engine = TrainingEngine(kept, alone=alone)
    result = engine.train(*request(waves(200)), quiet)
    with pytest.raises(InvalidInputError) as refused:
        engine.train(*request(waves(5)), quiet)
    (name, made, model_id), (_, failed, none) = kept.attempts
    assert (name, model_id, none) == (result.name, result.model_id, None)
    assert (made.outcome, made.error) == (Outcome.COMPLETED, None)
    assert (failed.outcome, failed.error) == (Outcome.FAILED, str(refused.value))
    assert made.ended_at is not None
    assert made.started_at <= made.ended_at <= failed.started_at
    # What a process takes that does other things besides is not what the training took.
    assert (made.usage == Usage()) is not alone
    assert not alone or (made.usage.cpu_seconds or 0) > 0
    engine.train(*request(waves(200)), quiet, JobClaim("job", 1))  # its worker keeps account of it
    assert len(kept.attempts) == 2


def test_an_account_that_cannot_be_kept_spoils_no_training(quiet: Progress) -> None:
    class Full(Saves):
        def record_attempt(self, *given: Any, **more: Any) -> None:
            raise CatalogueUnavailableError("here", "it is locked")

    assert TrainingEngine(Full()).train(*request(waves(200)), quiet).version
    with pytest.raises(InvalidInputError):
        TrainingEngine(Full()).train(*request(waves(5)), quiet)
