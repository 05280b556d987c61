"""A database of the original software opens, lists, loads and continues."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ai_engine import ArtifactCorruptedError, ModelLoadError
from ai_engine.models import ModelManager
from tests.managers import another_process
from tests.upgrade.original import DDL, Original

SEED_TABLES = ("model_registry", "performance_metrics", "training_history")


@pytest.fixture
def original(tmp_path: Path) -> Original:
    return Original(tmp_path / "models")


def opened(original: Original) -> ModelManager:
    original.close()
    return ModelManager(original.directory)


def columns(connection: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    return connection.execute(f"PRAGMA table_info({table})").fetchall()


def test_it_opens_lists_loads_and_continues(original: Original) -> None:
    original.save("cpu", "1.0.0", {"x": 1}, active=0)
    original.save("cpu", "1.0.9", {"x": 2}, at="2025-01-03 00:00:00")
    original.measure("cpu_1_0_9", 0.5)
    with opened(original) as manager:
        listed = manager.get_model_info("cpu")["models"]
        assert [entry["version"] for entry in listed] == ["1.0.9", "1.0.0"]
        assert (listed[0]["metric_count"], listed[0]["avg_accuracy"]) == (1, 0.5)
        assert manager.get_model("cpu") == {"x": 2}
        assert manager.get_model("cpu", "1.0.0") == {"x": 1}
        assert manager.metric_history("cpu")[0].mae == 0.5
        started = manager.get_training_history("cpu")[0]["started"]
        assert started is not None
        assert started.isoformat() == "2025-01-02T03:04:05.123456+00:00"
        manager.save_model("cpu", {"x": 3})
        assert manager.active_models["cpu"] == "1.0.10"
        assert manager.rollback("cpu")["version"] == "1.0.9"
    with ModelManager(original.directory) as again:
        assert again.get_model("cpu") == {"x": 2}
        assert again.get_model_info()["total"] == 3


def test_the_seed_tables_keep_exactly_their_columns(original: Original, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "reference.db") as reference:
        reference.executescript(DDL)
        expected = {table: columns(reference, table) for table in SEED_TABLES}
    with opened(original), ModelManager(tmp_path / "fresh"):
        pass
    for directory in (original.directory, tmp_path / "fresh"):
        with sqlite3.connect(directory / "model_registry.db") as connection:
            assert {table: columns(connection, table) for table in SEED_TABLES} == expected
            assert len(connection.execute("PRAGMA foreign_key_list(training_history)").fetchall()) == 1


def test_a_migrated_database_has_the_schema_of_a_fresh_one(original: Original, tmp_path: Path) -> None:
    original.connection.execute("DROP INDEX idx_model_name")
    original.connection.execute("DROP INDEX idx_model_version")
    original.connection.execute("DROP INDEX idx_performance_model")
    schemas = []
    with opened(original), ModelManager(tmp_path / "fresh"):
        pass
    for directory in (original.directory, tmp_path / "fresh"):
        with sqlite3.connect(directory / "model_registry.db") as connection:
            rows = connection.execute(
                "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
            ).fetchall()
            schemas.append([(kind, name, " ".join((sql or "").split())) for kind, name, sql in rows])
    assert schemas[0] == schemas[1]


@pytest.mark.parametrize(
    ("first", "second", "active"), [(1, 1, "2"), (0, 0, "2"), (1, 0, "1"), (None, 7, "2")]
)
def test_of_several_active_versions_or_none_the_newest_counts(
    original: Original, first: int | None, second: int | None, active: str
) -> None:
    original.save("cpu", "1", 1, active=first, at="2025-01-01 00:00:00")
    original.save("cpu", "2", 2, active=second, at="2025-01-02 00:00:00")
    with opened(original) as manager:
        assert manager.active_models["cpu"] == active
        assert manager.get_model("cpu") == int(active)


@pytest.mark.parametrize(
    "name", ["team/cpu", "名前", "a@b", "info", " x ", "'; DROP TABLE model_registry; --"]
)
def test_rows_are_served_and_deleted_whatever_their_name(original: Original, name: str) -> None:
    original.save(name, "v/1", "old", active=0, path=original.directory / "old.pkl")
    original.save(name, "v/2", "new", path=original.directory / "new.pkl")
    with opened(original) as manager:
        assert manager.get_model(name) == "new"
        assert manager.get_model(name, "v/1") == "old"
        manager.delete_version(name, "v/1")
        assert manager.model_versions[name] == ["v/2"]
        assert manager.get_model_info(name)["total"] == 1


def test_a_class_that_is_gone_raises_and_the_rest_is_served(original: Original) -> None:
    original.save("gone", "1.0.0", None, data=b"cno_such_module\nModel\n.")
    original.save("cpu", "1.0.0", 5)
    with opened(original) as manager:
        with pytest.raises(ModelLoadError, match="no_such_module"):
            manager.get_model("gone")
        assert manager.get_model("cpu") == 5


def test_the_digest_is_recorded_at_first_use_with_a_warning(
    original: Original, caplog: pytest.LogCaptureFixture
) -> None:
    path = original.save("cpu", "1.0.0", 5)
    with opened(original) as manager:
        assert manager.get_model_info()["models"][0]["digest"] is None
        first = manager.get_model("cpu")
        assert "without a digest" in caplog.text
        assert str(manager.get_model_info()["models"][0]["digest"]).startswith("sha256:")
        assert manager.get_model("cpu") is first
    path.write_bytes(b"cos\nsystem\n.")
    with another_process(original.directory) as (again, _), pytest.raises(ArtifactCorruptedError):
        again.get_model("cpu")


def test_files_of_the_original_are_never_removed(original: Original, tmp_path: Path) -> None:
    paths = [original.save("cpu", f"1.0.{n}", n, active=n == 3) for n in range(4)]
    elsewhere = original.save("far", "1.0.0", "far", active=0, path=tmp_path / "elsewhere.pkl")
    original.save("far", "1.0.1", "near")
    with opened(original) as manager:
        assert manager.get_model("far", "1.0.0") == "far"
        assert len(manager.cleanup_old_models(1)["removed"]) == 4
        assert manager.get_model_info()["total"] == 2
    assert all(path.exists() for path in [*paths, elsewhere])


def test_orphaned_rows_are_kept(original: Original) -> None:
    original.save("cpu", "1.0.0", 5)
    original.measure("never_saved_1_0_0", 0.25)
    with opened(original) as manager:
        manager.save_model("cpu", 6)
    with sqlite3.connect(original.directory / "model_registry.db") as connection:
        query = "SELECT mae FROM performance_metrics WHERE model_id = 'never_saved_1_0_0'"
        assert connection.execute(query).fetchall() == [(0.25,)]


def test_columns_that_hold_no_json_are_shown_as_they_are(original: Original) -> None:
    original.save("cpu", "1.0.0", 5, metadata="{broken")
    with opened(original) as manager:
        assert manager.get_model_info()["models"][0]["metadata"] == {"unparsed": "{broken"}
