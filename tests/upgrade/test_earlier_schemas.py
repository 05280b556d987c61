"""Directories that earlier versions of this software wrote, by their own code, go on.

Each asset is a model directory as it was left, and in it, as `told.json`, what the code of its time said of
it: which version was active, which there were, and how the pointer had moved.
"""

from __future__ import annotations

import json
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ai_engine.catalogue.sql.tables import SCHEMA
from ai_engine.models import ModelManager
from tests.faults.driver import diagnose
from tests.upgrade.original import Original

ASSETS = Path(__file__).parent / "assets"


def extracted(schema: int, directory: Path) -> tuple[Path, Any]:
    """Return the directory of an asset, and what was told of it (JSON values)."""
    with tarfile.open(ASSETS / f"schema-{schema}.tar.xz") as tar:
        tar.extractall(directory, filter="data")
    models = directory / "models"
    return models, json.loads((models / "told.json").read_text())


def schema_of(directory: Path) -> tuple[int, set[tuple[str, str]]]:
    """Return the number of the schema, and every table and index with its columns."""
    with sqlite3.connect(directory / "model_registry.db") as database:
        ((number,),) = database.execute("SELECT value FROM engine_meta WHERE key = 'schema'")
        parts = {
            (name, str([row[1:] for row in database.execute(f"PRAGMA {kind}_xinfo({name})")]))
            for kind, name in database.execute("SELECT type, name FROM sqlite_master")
        }
    database.close()
    return int(number), parts


def test_there_is_an_asset_of_every_earlier_schema() -> None:
    assert sorted(path.name for path in ASSETS.glob("schema-*")) == [
        f"schema-{schema}.tar.xz" for schema in range(1, SCHEMA)
    ]


@pytest.mark.parametrize("schema", range(1, SCHEMA))
def test_it_opens_and_goes_on(schema: int, tmp_path: Path) -> None:
    directory, told = extracted(schema, tmp_path)
    with ModelManager(directory) as manager:
        assert dict(manager.active_models) == told["actives"]
        assert dict(manager.model_versions) == told["versions"]
        moves = manager.registry.activations("cpu")
        assert [[move.version, str(move.activated_at), move.reason] for move in moves] == told["moves"]
        assert [manager.get_model("cpu", f"1.0.{n}") for n in (1, 2, 3)] == [{"n": n} for n in (1, 2, 3)]
        assert manager.get_model("Large model") == bytes(300_000) + b"1"
        assert manager.get_model("Large model", "1.0.0") == bytes(300_000)
        assert [p.accuracy_score for p in manager.metric_history("cpu", "1.0.3")] == [0.5, None, 0.75]
        (entry,) = manager.get_model_info(where="mae = 0.3 and metadata.team = 'ops'")["models"]
        assert (entry["avg_accuracy"], entry["metric_count"]) == (0.625, 3)
        runs = manager.get_training_history("cpu")
        assert [run["hyperparameters"] for run in runs if run["version"]] == [{"alpha": 1}]
        if schema == 4:  # which had jobs, whose attempts outlive them from then on
            assert [[job.job_id, job.status, job.attempt] for job in manager.registry.queue.page()] == told[
                "jobs"
            ]
            died, failed = runs[:2]
            assert (died["outcome"], died["error"], died["cpu_seconds"]) == (
                "died",
                "its process was killed by SIGKILL",
                2.5,
            )
            assert (failed["outcome"], failed["host"], failed["peak_memory_bytes"]) == (
                "failed",
                "host-a",
                1000,
            )
            claimed = manager.registry.queue.claim("worker", "host", 600.0)
            assert claimed is not None
            assert (claimed.attempt, claimed.stage) == (2, None)
        assert manager.schedules() == []
        assert manager.get_model_info(where="pinned")["total"] == 1
        manager.save_model("cpu", "next")  # 1.0.0 was deleted and is not given again
        assert manager.active_models["cpu"] == "1.0.4"
        assert manager.rollback("cpu")["version"] == told["actives"]["cpu"]
    with ModelManager(tmp_path / "fresh"):
        pass
    found, fresh = schema_of(directory), schema_of(tmp_path / "fresh")
    assert found[0] == fresh[0] == SCHEMA
    # A column that was added stands last; nothing else differs.
    assert {(name, "".join(sorted(columns))) for name, columns in found[1]} == {
        (name, "".join(sorted(columns))) for name, columns in fresh[1]
    }
    assert diagnose(directory) == []


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
