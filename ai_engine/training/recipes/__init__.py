"""Which recipe trains which kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ai_engine.training.recipes import anomaly, classification, forecast, regression
from ai_engine.training.recipes.protocol import Fitted, Recipe

__all__ = ["RECIPES", "Fitted", "Recipe"]

RECIPES: Final[Mapping[str, Recipe]] = {
    "resource_prediction": forecast.train,
    "anomaly_detection": anomaly.train,
    "regression": regression.train,
    "classification": classification.train,
}
