"""Every recipe of the engine does what a recipe must."""

from __future__ import annotations

from typing import Any

import pytest

from ai_engine.testing.recipe_contract import Body, RecipeContract
from ai_engine.training.kinds import known
from tests.training.tables import spikes, waves

BODIES: dict[str, dict[str, Any]] = {
    "resource_prediction": {
        "training_data": waves(120),
        "target_columns": ["cpu"],
        # What is fitted again has other errors on the rows that it was measured on.
        "hyperparameters": {"algorithm": "ridge", "horizon": 3, "refit": False},
    },
    "workload_prediction": {
        "training_data": waves(120),
        "target_columns": ["cpu"],
        "hyperparameters": {"algorithm": "ridge", "horizon": 3, "refit": False},
    },
    "anomaly_detection": {"training_data": spikes(200, every=5), "target_columns": ["label"]},
    "migration_prediction": {
        "training_data": [
            {
                "flavor": "ab"[i % 2],
                "load": i % 5,
                "duration_s": 20.0 + 30 * (i % 2) + i % 7,
                "failed": i % 9 == 0,
            }
            for i in range(120)
        ],
        "hyperparameters": {"algorithm": "simple"},
    },
    "regression": {
        "training_data": waves(100),
        "target_columns": ["cpu"],
        "name": "r",
        "hyperparameters": {"algorithm": "ridge"},
    },
    "classification": {
        "training_data": spikes(100, every=2),
        "target_columns": ["label"],
        "name": "c",
        "hyperparameters": {"algorithm": "logistic_regression"},
    },
}


class TestRecipes(RecipeContract):
    @pytest.fixture(params=sorted(BODIES))
    def body(self, request: pytest.FixtureRequest) -> Body:
        kind: str = request.param
        return {"model_type": kind, **BODIES[kind]}


class TestDetectorsWithoutLabels(RecipeContract):
    @pytest.fixture
    def body(self) -> Body:
        return {"model_type": "anomaly_detection", "training_data": waves(100)}


def test_every_kind_is_among_them() -> None:
    assert set(known()) == BODIES.keys()
