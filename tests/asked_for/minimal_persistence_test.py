"""The core without the engine: what other programs find in the tables and files, with sqlite3 and pickle."""

from __future__ import annotations

import json
import pickle
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from ai_engine.models import ModelManager

from .examples import GIVEN, NAME, measured

COLUMNS: Final = {
    "model_registry": [
        *("model_id", "name", "version", "model_type", "algorithms", "created_at", "updated_at"),
        *("is_active", "model_path", "metadata"),
    ],
    "performance_metrics": [
        *("id", "model_id", "mae", "mse", "r2", "accuracy_score", "confidence_score"),
        *("training_time", "prediction_time", "training_samples", "feature_count", "recorded_at"),
    ],
    "training_history": [
        *("id", "model_id", "training_started", "training_completed", "dataset_size"),
        *("hyperparameters", "validation_score"),
    ],
}


def rows(database: Path, table: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY rowid")]


@pytest.mark.parametrize("table", COLUMNS)
def test_the_tables_have_the_columns_that_were_asked_for(tmp_path: Path, table: str) -> None:
    for _ in (1, 2):
        ModelManager(tmp_path).close()
        with closing(sqlite3.connect(tmp_path / "model_registry.db")) as connection:
            told = connection.execute(f"PRAGMA table_info({table})").fetchall()
        assert [name for _, name, *_ in told] == COLUMNS[table]


def test_every_column_holds_what_was_given(tmp_path: Path) -> None:
    started, completed = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 1, 2, 3, 6, tzinfo=UTC)
    for session in (1, 2):
        with ModelManager(tmp_path) as manager:
            model_id = manager.save_model(NAME, {"session": session}, **GIVEN)
            manager.update_performance(
                NAME,
                model_id.version,
                measured(training_samples=40000, feature_count=15, last_updated=completed),
            )
            manager.save_training_history(
                NAME,
                model_id.version,
                {
                    "started": started,
                    "completed": completed,
                    "dataset_size": 50000,
                    "hyperparameters": {"max_depth": 6},
                    "validation_score": 0.91,
                },
            )
        found = rows(tmp_path / "model_registry.db", "model_registry")
        assert len(found) == session
        row = found[-1]
        assert (row["model_id"], row["name"], row["version"]) == (model_id, NAME, f"1.0.{session - 1}")
        assert row["model_type"] == GIVEN["model_type"]
        assert json.loads(row["algorithms"]) == GIVEN["algorithms"]
        assert json.loads(row["metadata"]) == GIVEN["metadata"]
        assert [one["is_active"] for one in found] == [0, 1][-session:]
        for moment in ("created_at", "updated_at"):
            assert datetime.strptime(row[moment], "%Y-%m-%d %H:%M:%S.%f").year >= 2026
        # The file that the row names is a plain pickle below the directory.
        path = Path(row["model_path"])
        assert path.is_absolute()
        assert path.is_relative_to(tmp_path)
        assert path.suffix == ".pkl"
        assert pickle.loads(path.read_bytes()) == {"session": session}

        metric = rows(tmp_path / "model_registry.db", "performance_metrics")[-1]
        numbers = vars_of(measured(training_samples=40000, feature_count=15))
        assert {name: metric[name] for name in numbers} == numbers
        assert (metric["id"], metric["model_id"]) == (session, model_id)
        assert metric["recorded_at"] == "2026-01-02 03:06:00.000000"

        training = rows(tmp_path / "model_registry.db", "training_history")[-1]
        assert (training["id"], training["model_id"], training["dataset_size"]) == (session, model_id, 50000)
        assert training["training_started"] == "2026-01-02 03:04:05.000000"
        assert training["training_completed"] == "2026-01-02 03:06:00.000000"
        assert json.loads(training["hyperparameters"]) == {"max_depth": 6}
        assert training["validation_score"] == 0.91


def vars_of(performance: object) -> dict[str, Any]:
    names = [name for name in COLUMNS["performance_metrics"] if name not in ("id", "model_id", "recorded_at")]
    return {name: getattr(performance, name) for name in names}
