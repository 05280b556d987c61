"""A database of schema 1, whose versions did not carry what they are searched by, goes on."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from ai_engine.models import ModelManager, ModelPerformance
from tests.upgrade.original import Original

SEARCHED = (
    "model_type created_at metric_count accuracy_count accuracy_total last_metric_update mae mse r2 "
    "accuracy_score confidence_score training_time prediction_time training_samples feature_count"
).split()


def set_back(directory: Path) -> list[tuple[object, ...]]:
    """Take from a database what schema 2 brought; return what the versions carried."""
    with sqlite3.connect(directory / "model_registry.db") as database:
        carried = database.execute(
            f"SELECT seq, {', '.join(SEARCHED)} FROM engine_versions ORDER BY seq"
        ).fetchall()
        for index in ("type", "created", "mae", "r2", "accuracy"):
            database.execute(f"DROP INDEX engine_versions_{index}")
        for column in SEARCHED:
            database.execute(f"ALTER TABLE engine_versions DROP COLUMN {column}")
        database.execute("DROP INDEX engine_metrics_model")
        database.execute(
            "CREATE INDEX engine_metrics_summary "
            "ON performance_metrics (model_id, recorded_at, accuracy_score)"
        )
        database.execute("UPDATE engine_meta SET value = '1' WHERE key = 'schema'")
    database.close()
    return carried


def schema_of(directory: Path) -> tuple[int, set[tuple[str, str]]]:
    """Return the number of the schema, and every table and index with its columns."""
    with sqlite3.connect(directory / "model_registry.db") as database:
        ((number,),) = database.execute("SELECT value FROM engine_meta WHERE key = 'schema'")
        parts = {
            (name, str(database.execute(f"PRAGMA {kind}_xinfo({name})").fetchall()))
            for kind, name in database.execute("SELECT type, name FROM sqlite_master")
        }
    database.close()
    return int(number), parts


def test_it_opens_and_is_searched(tmp_path: Path) -> None:
    with ModelManager(tmp_path / "models") as manager:
        for number in range(6):
            manager.save_model("cpu", number, model_type="ridge" if number % 2 else None)
            for accuracy in (0.5, None, 0.75)[: number % 4]:
                at = datetime(2026, 1, 1, number, tzinfo=UTC)
                manager.update_performance(
                    "cpu",
                    f"1.0.{number}",
                    ModelPerformance(number / 10, None, None, 1.5, None, accuracy, None, at, number),
                )
        before = manager.get_model_info(sort="-mae")
    carried = set_back(tmp_path / "models")
    with ModelManager(tmp_path / "models") as manager:
        assert manager.get_model_info(sort="-mae") == before
        assert manager.get_model_info(where="model_type = 'ridge' and mae < 0.4")["total"] == 2
        assert manager.save_model("cpu", "next")
        assert manager.active_models["cpu"] == "1.0.6"
    with ModelManager(tmp_path / "fresh"):
        pass
    assert schema_of(tmp_path / "models") == schema_of(tmp_path / "fresh")
    assert set_back(tmp_path / "models")[:-1] == carried


def test_moments_of_other_programs_sort_among_ours(tmp_path: Path) -> None:
    original = Original(tmp_path / "models")
    for patch, at in enumerate(("2025-01-03T00:00:00+02:00", "2025-01-02 23:00:00", "some day")):
        original.save("cpu", f"1.0.{patch}", 1, at=at)
    original.close()
    with ModelManager(original.directory) as manager:
        manager.save_model("cpu", 2)
        found = manager.get_model_info(sort="created_at")["models"]
        assert [entry["version"] for entry in found] == ["1.0.0", "1.0.1", "1.0.3", "1.0.2"]
        found = manager.get_model_info(where="created_at < '2025-01-02T22:30:00Z'")["models"]
        assert [entry["version"] for entry in found] == ["1.0.0"]
