from __future__ import annotations

import json
from typing import Any

import pytest

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.hyperparameters import AUTO
from ai_engine.training.kinds import BUILT_IN, known
from ai_engine.training.request import TrainingRequest

ROWS = [{"cpu": 1.0}, {"cpu": 2.0}]


def request(**given: Any) -> TrainingRequest:
    body = {"model_type": "resource_prediction", "training_data": ROWS} | given
    made, rows = TrainingRequest.from_body(body)
    assert rows is body["training_data"]
    return made


def test_defaults_are_filled_in() -> None:
    made = request()
    assert made.name == "resource_predictor"
    assert made.validation_split == 0.2
    assert made.activate is True
    expected = {"horizon": 12, "season_steps": None, "algorithm": "auto", "refit": True, "seed": 0}
    assert made.hyperparameters == expected


def test_a_request_survives_json() -> None:
    made = request(
        target_columns=["cpu"], hyperparameters={"horizon": 3}, activate="if_better", name="web cpu"
    )
    assert TrainingRequest.from_mapping(json.loads(json.dumps(made.to_mapping()))) == made


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({"model_type": "clustering"}, "model_type", "classification"),
        ({"model_type": None}, "model_type", "regression"),
        ({"model_type": ["regression"]}, "model_type", "regression"),
        ({"training_data": []}, "training_data", "list of rows"),
        ({"training_data": None}, "training_data", "list of rows"),
        ({"training_data": {"cpu": [1, 2]}}, "training_data", "list of rows"),
        ({"training_data": "rows"}, "training_data", "list of rows"),
        ({"epochs": 3}, "epochs", "hyperparameters"),
        ({"name": "../etc"}, "name", "letters"),
        ({"name": "info"}, "name", "reserved"),
        ({"name": 7}, "name", "string"),
        ({"target_columns": "cpu"}, "target_columns", "list"),
        ({"target_columns": []}, "target_columns", "list"),
        ({"target_columns": [1]}, "target_columns[0]", "column name"),
        ({"target_columns": ["cpu", "timestamp"]}, "target_columns[1]", "no target"),
        ({"target_columns": ["cpu", "cpu"]}, "target_columns", "twice"),
        ({"validation_split": 0}, "validation_split", "above 0"),
        ({"validation_split": 1}, "validation_split", "below 1"),
        ({"validation_split": True}, "validation_split", "0.2"),
        ({"validation_split": "0.2"}, "validation_split", "0.2"),
        ({"validation_split": float("nan")}, "validation_split", "above 0"),
        ({"activate": "yes"}, "activate", "if_better"),
        ({"activate": 1}, "activate", "if_better"),
        ({"hyperparameters": [1]}, "hyperparameters", "object"),
        ({"hyperparameters": {"epochs": 3}}, "hyperparameters.epochs", "horizon, season_steps"),
        ({"hyperparameters": {"horizon": 0}}, "hyperparameters.horizon", "1 to 1000"),
        ({"hyperparameters": {"horizon": 1001}}, "hyperparameters.horizon", "1 to 1000"),
        ({"hyperparameters": {"season_steps": 1}}, "hyperparameters.season_steps", "2 to 2016"),
        ({"hyperparameters": {"season_steps": 2017}}, "hyperparameters.season_steps", "2 to 2016"),
        ({"hyperparameters": {"horizon": 1.5}}, "hyperparameters.horizon", "whole number"),
        ({"hyperparameters": {"horizon": True}}, "hyperparameters.horizon", "whole number"),
        ({"hyperparameters": {"horizon": None}}, "hyperparameters.horizon", "whole number"),
        ({"hyperparameters": {"algorithm": "magic"}}, "hyperparameters.algorithm", "ridge"),
        ({"hyperparameters": {"seed": -1}}, "hyperparameters.seed", "0 to"),
        ({"model_type": "regression"}, "name", "default name"),
        ({"model_type": "regression", "name": "m"}, "target_columns", "needs one"),
        (
            {"model_type": "classification", "name": "m", "target_columns": ["a", "b"]},
            "target_columns",
            "one target",
        ),
        (
            {"model_type": "anomaly_detection", "hyperparameters": {"contamination": 0.5}},
            "hyperparameters.contamination",
            "below 0.5",
        ),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_right(
    given: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        request(**given)
    assert refusal.value.field == field
    assert says in str(refusal.value)


@pytest.mark.parametrize("missing", ["model_type", "training_data"])
def test_a_missing_field_is_named(missing: str) -> None:
    body = {"model_type": "resource_prediction", "training_data": ROWS}
    del body[missing]
    with pytest.raises(InvalidInputError) as refusal:
        TrainingRequest.from_body(body)
    assert refusal.value.field == missing


@pytest.mark.parametrize("kind", known())
def test_every_kind_chooses_for_itself_unless_told(kind: str) -> None:
    assert BUILT_IN[kind].settings["algorithm"].default == AUTO
