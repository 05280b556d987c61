"""Models to save, and registries that hold many versions already.

A million saves would take a quarter of an hour, so a filled registry is one real save a name, cloned by SQL
over the tables of ai_engine/catalogue/sql/tables.py: each clone has a row in model_registry, engine_versions,
engine_blobs (bytes and a digest of its own), performance_metrics and engine_moves, as a save would have
written them, and optionally its two files. What the engine says of its consistency is asserted afterwards.
"""

from __future__ import annotations

import copy
import os
import sqlite3
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ai_engine.catalogue.sql.dialect import SQLITE
from ai_engine.catalogue.sql.statements import measured_again
from ai_engine.domain.digests import digest_of
from ai_engine.domain.names import file_name
from ai_engine.models import ModelManager, ModelPerformance

if TYPE_CHECKING:
    from sklearn.linear_model import LinearRegression

NAMES = tuple(f"model-{number}" for number in range(10))
# Ten versions, however many the others have: what a question about one model is asked of.
PROBE, PROBE_VERSIONS = "probe", 10
# A file cannot have more names than this on ext4, less some to spare.
_MOST_NAMES = 50_000

# Of the first version of a name, `:count` clones, numbered i.
_CLONES = tuple(
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) " + statement
    for statement in (
        """
        INSERT INTO model_registry
        SELECT id_of(r.name, i), r.name, '1.0.' || i, r.model_type, r.algorithms, r.created_at, r.updated_at,
               0, path_of(r.name, i), r.metadata
        FROM n, model_registry r WHERE r.model_id = :first
        """,
        """
        INSERT INTO engine_blobs (id, bytes)
        SELECT :blobs + i, randomblob(length(b.bytes))
        FROM n, engine_blobs b JOIN engine_versions e ON e.blob = b.id WHERE e.seq = :seq
        """,
        """
        INSERT INTO engine_versions
            (model_id, name, version, place, blob, digest, format, size, python, packages, model_type,
             created_at)
        SELECT id_of(e.name, i), e.name, '1.0.' || i, e.place, b.id, digest_of(b.bytes), e.format, e.size,
               e.python, e.packages, e.model_type, e.created_at
        FROM n JOIN engine_blobs b ON b.id = :blobs + i, engine_versions e WHERE e.seq = :seq
        """,
        """
        INSERT INTO performance_metrics
            (model_id, mae, mse, r2, accuracy_score, confidence_score, training_time, prediction_time,
             training_samples, feature_count, recorded_at)
        SELECT id_of(:name, i), i % 997 / 997.0, mse, r2, accuracy_score, confidence_score, training_time,
               prediction_time, training_samples, feature_count, recorded_at
        FROM n, performance_metrics m WHERE m.model_id = :first
        """,
        """
        INSERT INTO engine_moves
            (seq, name, model_id, version, moved_at, actor, reason, before, below)
        SELECT :moves + i, v.name, id_of(v.name, i), '1.0.' || i, v.moved_at, v.actor, v.reason,
               iif(i = 1, v.seq, :moves + i - 1), iif(i = 1, v.seq, :moves + i - 1)
        FROM n, engine_moves v WHERE v.name = :name AND v.version = '1.0.0'
        """,
    )
)


def measurement(value: float = 0.9) -> ModelPerformance:
    return ModelPerformance(0.1, 0.02, value, 1.5, 0.001, value, value, datetime.now(UTC), 1000, 8)


def details() -> dict[str, Any]:
    return {"source": "benchmark", "rows": 1000, "features": ["cpu", "memory", "disk", "network"]}


@cache
def _fitted() -> LinearRegression:
    from sklearn.linear_model import LinearRegression  # half a second that whoever needs arrays is spared

    random = np.random.default_rng(0)
    return LinearRegression().fit(random.normal(size=(100, 8)), random.normal(size=100))


def small_model(seed: int) -> LinearRegression:
    """Return a fitted LinearRegression whose bytes are like no other's."""
    model = copy.copy(_fitted())
    model.intercept_ = float(seed)
    return model


def large_model(megabytes: int) -> dict[str, Any]:
    """Return eight arrays of random float64, which no compression helps."""
    random = np.random.default_rng(1)
    return {f"layer-{n}": random.random(megabytes * 1_000_000 // 64) for n in range(8)}


def fill(directory: Path, count: int, files: bool = False) -> None:
    """Make a registry of `count` versions over ten names, besides the ten versions of PROBE."""
    with ModelManager(directory) as manager:
        for number in range(PROBE_VERSIONS):
            manager.save_model(PROBE, small_model(number), metadata=details())
            manager.update_performance(PROBE, f"1.0.{number}", measurement())
        for position, name in enumerate(NAMES[:count]):
            manager.save_model(name, small_model(-1 - position), model_type="linear", metadata=details())
            manager.update_performance(name, "1.0.0", measurement())
    clones = max(count // len(NAMES) - 1, 0)
    if clones:
        _clone(directory, clones)
        if files:
            _files(directory, clones)
    with ModelManager(directory) as manager, manager.registry._stores.catalogue.read() as snapshot:
        assert snapshot.count() == count + PROBE_VERSIONS
        assert snapshot.inconsistencies() == []


def _clone(directory: Path, clones: int) -> None:
    database = sqlite3.connect(directory / "model_registry.db", isolation_level=None)
    database.create_function("path_of", 2, lambda name, i: f"{directory}/{file_name(name, f'1.0.{i}')}")
    database.create_function("digest_of", 1, digest_of)
    database.create_function("id_of", 2, lambda name, i: f"{name}#{i:016x}")
    database.execute("PRAGMA synchronous = OFF")
    database.execute("PRAGMA cache_size = -400000")
    database.execute("BEGIN IMMEDIATE")
    for name in NAMES:
        ((first, seq),) = database.execute(
            "SELECT model_id, seq FROM engine_versions WHERE name = ?", (name,)
        ).fetchall()
        of = {"count": clones, "name": name, "first": first, "seq": seq}
        ((blobs,),) = database.execute("SELECT MAX(id) FROM engine_blobs").fetchall()
        ((moves,),) = database.execute("SELECT MAX(seq) FROM engine_moves").fetchall()
        for statement in _CLONES:
            database.execute(statement, of | {"blobs": blobs, "moves": moves})
        last = f"1.0.{clones}"
        database.execute(
            "UPDATE model_registry SET is_active = 0 WHERE name = :name AND version = '1.0.0'", {"name": name}
        )
        database.execute(
            "UPDATE model_registry SET is_active = 1 WHERE name = :name AND version = :last",
            {"name": name, "last": last},
        )
        database.execute(
            "UPDATE engine_models SET highest = :last, versions = :clones + 1, move = :moves + :clones, "
            "active = (SELECT seq FROM engine_versions WHERE name = :name AND version = :last) "
            "WHERE name = :name",
            {"name": name, "last": last, "clones": clones, "moves": moves},
        )
    for statement in measured_again(SQLITE):
        database.execute(statement)
    database.execute("COMMIT")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    database.close()


def _files(directory: Path, clones: int) -> None:
    """Give every clone its file, a new name of few, and its record, as only their number and size matter."""
    link_many(directory, [file_name(name, f"1.0.{i}") for name in NAMES for i in range(1, clones + 1)])
    with (directory / ".engine" / "records" / "versions.log").open("ab") as log:
        for name in NAMES:
            for i in range(1, clones + 1):
                log.write(b"%s.json\t%s\n" % (file_name(name, f"1.0.{i}").encode(), b"-" * 600))


def link_many(directory: Path, names: list[str]) -> None:
    """Make files of these names in a directory."""
    for start in range(0, len(names), _MOST_NAMES):
        first, *others = names[start : start + _MOST_NAMES]
        source = directory / first
        source.write_bytes(bytes(600))
        for name in others:
            os.link(source, directory / name)
