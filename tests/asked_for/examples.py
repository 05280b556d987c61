"""The values of the seed's usage examples."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from ai_engine.models import ModelPerformance

NAME: Final = "resource_predictor"
GIVEN: Final[dict[str, Any]] = {
    "model_type": "ensemble",
    "algorithms": ["XGBoost", "Random Forest"],
    "metadata": {"features": 15, "samples": 50000},
}


def measured(**more: Any) -> ModelPerformance:
    """Return the measurement of the example."""
    numbers: dict[str, Any] = {
        "mae": 0.15,
        "mse": 0.02,
        "r2": 0.85,
        "accuracy_score": 0.92,
        "confidence_score": 0.88,
        "training_time": 120.5,
        "prediction_time": 0.05,
        "last_updated": datetime.now(),
    }
    return ModelPerformance(**numbers | more)
