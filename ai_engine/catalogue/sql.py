"""The Transaction over the tables: every statement of the package, and rows to records and back.

Statements name their parameters, so that an adapter can spell them as its driver wants.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from ai_engine.catalogue.protocol import Debris
from ai_engine.domain import clock, versions
from ai_engine.domain.errors import ModelNotFoundError, NoPreviousVersionError, VersionExistsError
from ai_engine.domain.performance import COUNTS, NUMBERS, REALS, ModelPerformance, counted, measured
from ai_engine.domain.plain import to_json
from ai_engine.domain.records import (
    Activation,
    Artifact,
    Digest,
    Identity,
    ModelId,
    ModelVersion,
    NewVersion,
    Place,
    Run,
)

Row = Sequence[Any]


class Execute(Protocol):
    """Run one statement with named parameters and return all its rows."""

    def __call__(self, statement: str, parameters: Mapping[str, Any] = ..., /) -> list[Row]:
        """Return the rows; an empty list where the statement yields none."""


_VERSION = """
    SELECT e.model_id, e.name, e.version, e.seq, r.is_active, r.model_path,
           e.place, e.digest, e.format, e.size, e.python, e.packages
    FROM engine_versions e JOIN model_registry r ON r.model_id = e.model_id
"""
_FIND = _VERSION + "WHERE e.name = :name AND e.version = :version"
_FIND_ACTIVE = _VERSION + "WHERE r.name = :name AND r.is_active = 1"
_VERSIONS = _VERSION + "WHERE e.name = :name ORDER BY e.seq"
_EVERYTHING = _VERSION + "ORDER BY e.name, e.seq"
_USES = _VERSION + "WHERE e.digest = :digest ORDER BY e.seq"

# The page is cut first, from the index alone; only its rows are joined with their metrics.
_DESCRIBE = """
    WITH page AS (
        SELECT seq, model_id, name, digest, format, size, python, packages, pinned
        FROM engine_versions {where} ORDER BY name, seq DESC LIMIT :limit
    )
    SELECT p.seq, r.model_id, r.name, r.version, r.model_type, r.algorithms, r.created_at, r.updated_at,
           r.is_active, r.model_path, r.metadata, p.digest, p.format, p.size, p.python, p.packages, p.pinned,
           COUNT(m.model_id), AVG(m.accuracy_score), MAX(m.recorded_at)
    FROM page p
    JOIN model_registry r ON r.model_id = p.model_id
    LEFT JOIN performance_metrics m ON m.model_id = p.model_id
    GROUP BY p.name, p.seq ORDER BY p.name, p.seq DESC
"""
_DESCRIBED = (
    "seq model_id name version model_type algorithms created_at updated_at is_active model_path metadata "
    "digest format size python packages pinned metric_count avg_accuracy last_metric_update"
).split()

_METRIC = f"SELECT {', '.join(NUMBERS)}, recorded_at FROM performance_metrics WHERE model_id = :model_id "
_ADD_METRIC = f"""
    INSERT INTO performance_metrics (model_id, recorded_at, {", ".join(NUMBERS)})
    SELECT model_id, :recorded_at, {", ".join(":" + number for number in NUMBERS)}
    FROM model_registry WHERE model_id = :model_id
    RETURNING id
"""
_ADD_RUN = """
    INSERT INTO training_history
        (model_id, training_started, training_completed, dataset_size, hyperparameters, validation_score)
    SELECT model_id, :started, :completed, :dataset_size, :hyperparameters, :validation_score
    FROM model_registry WHERE model_id = :model_id
    RETURNING id
"""

_RUNS = """
    SELECT e.name, e.version, t.training_started, t.training_completed, t.dataset_size, t.hyperparameters,
           t.validation_score
    FROM engine_versions e JOIN training_history t ON t.model_id = e.model_id
    WHERE e.name = :name AND (:version IS NULL OR e.version = :version) ORDER BY t.id DESC
"""

_ADD_REGISTRY = """
    INSERT INTO model_registry
        (model_id, name, version, model_type, algorithms, created_at, updated_at, is_active, model_path,
         metadata)
    VALUES (:model_id, :name, :version, :model_type, :algorithms, :at, :at, 0, :model_path, :metadata)
"""
_ADD_VERSION = """
    INSERT INTO engine_versions
        (seq, model_id, name, version, rank, place, digest, format, size, python, packages)
    VALUES (:seq, :model_id, :name, :version, :rank, :place, :digest, :format, :size, :python, :packages)
"""
_RAISE_HIGHEST = """
    INSERT INTO engine_models (name, highest) VALUES (:name, :highest)
    ON CONFLICT (name) DO UPDATE SET highest = excluded.highest
"""
_ADD_ACTIVATION = """
    INSERT INTO engine_activations (name, model_id, version, activated_at, actor, reason, below)
    VALUES (:name, :model_id, :version, :at, :actor, :reason, :below)
"""
_TOP = """
    SELECT seq, model_id, version, activated_at, below FROM engine_activations
    WHERE name = :name ORDER BY seq DESC LIMIT 1
"""
_STEP = """
    SELECT a.seq, a.model_id, a.version, a.below, e.model_id IS NOT NULL
    FROM engine_activations a LEFT JOIN engine_versions e ON e.model_id = a.model_id
    WHERE a.seq = :seq
"""


class SqlSnapshot:
    """Reads over whatever runs statements; see protocol.Snapshot."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def find(self, name: str, version: str | None = None) -> ModelVersion | None:
        if version is None:
            rows = self._execute(_FIND_ACTIVE, {"name": name})
        else:
            rows = self._execute(_FIND, {"name": name, "version": version})
        return _version(rows[0]) if rows else None

    def highest(self, name: str) -> str | None:
        rows = self._execute("SELECT highest FROM engine_models WHERE name = :name", {"name": name})
        return rows[0][0] if rows else None

    def versions(self, name: str) -> list[ModelVersion]:
        return [_version(row) for row in self._execute(_VERSIONS, {"name": name})]

    def names(self) -> list[str]:
        return [name for (name,) in self._execute("SELECT DISTINCT name FROM engine_versions ORDER BY name")]

    def actives(self) -> dict[str, str]:
        rows = self._execute("SELECT name, version FROM model_registry WHERE is_active = 1 ORDER BY name")
        return {str(name): str(version) for name, version in rows}

    def everything(self) -> list[ModelVersion]:
        return [_version(row) for row in self._execute(_EVERYTHING)]

    def describe(
        self, name: str | None, limit: int | None, after: tuple[str, int] | None
    ) -> list[dict[str, Any]]:
        conditions = []
        parameters: dict[str, Any] = {"limit": -1 if limit is None else limit}
        if name is not None:
            conditions.append("name = :name")
            parameters["name"] = name
        if after is not None:
            conditions.append("(name > :after_name OR (name = :after_name AND seq < :after_seq))")
            parameters["after_name"], parameters["after_seq"] = after
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        return [_described(row) for row in self._execute(_DESCRIBE.format(where=where), parameters)]

    def count(self, name: str | None = None) -> int:
        if name is None:
            rows = self._execute("SELECT COUNT(*) FROM engine_versions")
        else:
            rows = self._execute("SELECT COUNT(*) FROM engine_versions WHERE name = :name", {"name": name})
        return int(rows[0][0])

    def performances(self, model_id: str) -> list[ModelPerformance]:
        return [_performance(row) for row in self._execute(_METRIC + "ORDER BY id", {"model_id": model_id})]

    def latest_performance(self, model_id: str) -> ModelPerformance | None:
        rows = self._execute(_METRIC + "ORDER BY id DESC LIMIT 1", {"model_id": model_id})
        return _performance(rows[0]) if rows else None

    def runs(self, name: str, version: str | None = None) -> list[dict[str, Any]]:
        return [_run(row) for row in self._execute(_RUNS, {"name": name, "version": version})]

    def blob(self, digest: Digest) -> bytes | None:
        rows = self._execute("SELECT bytes FROM engine_blobs WHERE digest = :digest", {"digest": digest})
        return bytes(rows[0][0]) if rows else None

    def seal(self, digest: Digest) -> Identity | None:
        rows = self._execute(
            "SELECT device, inode, size, mtime_ns, ctime_ns FROM engine_seals WHERE digest = :digest",
            {"digest": digest},
        )
        return Identity(*rows[0]) if rows else None

    def activations(self, name: str) -> list[Activation]:
        rows = self._execute(
            "SELECT name, version, activated_at, actor, reason FROM engine_activations "
            "WHERE name = :name ORDER BY seq",
            {"name": name},
        )
        return [
            Activation(of, version, clock.from_text(at), actor, reason)
            for of, version, at, actor, reason in rows
        ]

    def uses(self, digest: Digest) -> list[ModelVersion]:
        return [_version(row) for row in self._execute(_USES, {"digest": digest})]

    def debris(self, limit: int) -> list[Debris]:
        rows = self._execute("SELECT path, digest FROM engine_debris LIMIT :limit", {"limit": limit})
        return [Debris(*row) for row in rows]

    def is_debris(self, path: str) -> bool:
        return bool(self._execute("SELECT 1 FROM engine_debris WHERE path = :path", {"path": path}))

    def replayed(self, operation: str) -> bool:
        statement = "SELECT 1 FROM engine_replayed WHERE operation = :operation"
        return bool(self._execute(statement, {"operation": operation}))


class SqlTransaction(SqlSnapshot):
    """Writes over whatever runs statements; see protocol.Transaction."""

    def __init__(self, execute: Execute) -> None:
        super().__init__(execute)
        self.added: ModelId | None = None  # what tells, after a failed commit, whether it held

    def add(self, new: NewVersion, path_of: Callable[[str], str]) -> ModelVersion:
        highest = self.highest(new.name)
        version = versions.next_patch(highest) if new.version is None else new.version
        if self._execute(
            "SELECT 1 FROM engine_versions WHERE name = :name AND version = :version",
            {"name": new.name, "version": version},
        ):
            raise VersionExistsError(new.name, version)
        ((seq,),) = self._execute("SELECT COALESCE(MAX(seq), 0) + 1 FROM engine_versions")
        at = clock.to_text(new.created_at)
        model_path = path_of(version)
        self._execute(
            _ADD_REGISTRY,
            {
                "model_id": new.model_id,
                "name": new.name,
                "version": version,
                "model_type": new.model_type,
                "algorithms": to_json("algorithms", list(new.algorithms)),
                "at": at,
                "model_path": model_path,
                "metadata": to_json("metadata", new.metadata),
            },
        )
        self._execute(
            _ADD_VERSION,
            {
                "seq": seq,
                "model_id": new.model_id,
                "name": new.name,
                "version": version,
                "rank": versions.sort_key(version, seq),
                **_artifact_columns(new.artifact),
            },
        )
        numbers = versions.parse(version)
        if numbers is not None and numbers > (versions.parse(highest or "") or (-1,)):
            self._execute(_RAISE_HIGHEST, {"name": new.name, "highest": version})
        if new.performance is not None:
            self.record(new.model_id, [new.performance])
        if new.run is not None:
            self.record_run(new.model_id, new.run)
        self.added = new.model_id
        return ModelVersion(new.model_id, new.name, version, seq, False, model_path, new.artifact)

    def put_blob(self, digest: Digest, data: bytes) -> None:
        self._execute(
            "INSERT INTO engine_blobs (digest, bytes) VALUES (:digest, :bytes) ON CONFLICT DO NOTHING",
            {"digest": digest, "bytes": data},
        )

    def activate(self, version: ModelVersion, actor: str, reason: str, at: datetime) -> str | None:
        top = self._execute(_TOP, {"name": version.name})
        previous = self._active(version.name)
        if previous and previous[0] == version.model_id:
            return previous[1]
        self._point(
            version.name, version.model_id, version.version, top[0][0] if top else None, actor, reason, at
        )
        return previous[1] if previous else None

    def roll_back(self, name: str, actor: str, at: datetime) -> tuple[str, str]:
        active = self._active(name)
        top = self._execute(_TOP, {"name": name})
        below = top[0][4] if top else None
        while active and below is not None:
            ((_, model_id, version, deeper, exists),) = self._execute(_STEP, {"seq": below})
            if exists and model_id != active[0]:
                self._point(name, model_id, version, deeper, actor, f"rollback from {active[1]}", at)
                return version, active[1]
            below = deeper
        raise NoPreviousVersionError(name)

    def _active(self, name: str) -> tuple[str, str] | None:
        rows = self._execute(
            "SELECT model_id, version FROM model_registry WHERE name = :name AND is_active = 1",
            {"name": name},
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def _point(
        self, name: str, model_id: str, version: str, below: int | None, actor: str, reason: str, at: datetime
    ) -> None:
        moment = clock.to_text(at)
        top = self._execute(_TOP, {"name": name})
        if top and top[0][3]:
            # A clock that was set back must not put this move before the one it follows.
            moment = max(moment, top[0][3])
        self._execute(
            "UPDATE model_registry SET is_active = 0, updated_at = :at WHERE name = :name AND is_active = 1",
            {"name": name, "at": moment},
        )
        self._execute(
            "UPDATE model_registry SET is_active = 1, updated_at = :at WHERE model_id = :model_id",
            {"model_id": model_id, "at": moment},
        )
        self._execute(
            _ADD_ACTIVATION,
            {
                "name": name,
                "model_id": model_id,
                "version": version,
                "at": moment,
                "actor": actor,
                "reason": reason,
                "below": below,
            },
        )

    def record(self, model_id: str, performances: Iterable[ModelPerformance]) -> None:
        for performance in performances:
            if not self._execute(_ADD_METRIC, {"model_id": model_id, **performance_columns(performance)}):
                raise ModelNotFoundError(model_id)

    def record_run(self, model_id: str, run: Run) -> None:
        if not self._execute(_ADD_RUN, {"model_id": model_id, **run_columns(run)}):
            raise ModelNotFoundError(model_id)

    def drop(self, version: ModelVersion, files: Iterable[str]) -> None:
        of = {"model_id": version.model_id}
        for table in ("performance_metrics", "training_history", "engine_versions", "model_registry"):
            self._execute(f"DELETE FROM {table} WHERE model_id = :model_id", of)
        for path in files:
            self._add_debris(path, None)
        digest = version.artifact.digest
        if digest is None or self.uses(digest):
            return
        self._execute("DELETE FROM engine_blobs WHERE digest = :digest", {"digest": digest})
        self._execute("DELETE FROM engine_seals WHERE digest = :digest", {"digest": digest})
        if version.artifact.place is Place.STORE:
            self._add_debris(digest, digest)

    def _add_debris(self, path: str, digest: Digest | None) -> None:
        self._execute(
            "INSERT INTO engine_debris (path, digest) VALUES (:path, :digest) ON CONFLICT DO NOTHING",
            {"path": path, "digest": digest},
        )

    def forget_debris(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._execute("DELETE FROM engine_debris WHERE path = :path", {"path": path})

    def set_artifact(self, model_id: str, artifact: Artifact) -> None:
        self._execute(
            """
            UPDATE engine_versions SET place = :place, digest = :digest, format = :format, size = :size,
                                       python = :python, packages = :packages
            WHERE model_id = :model_id
            """,
            {"model_id": model_id, **_artifact_columns(artifact)},
        )

    def set_seal(self, digest: Digest, identity: Identity, at: datetime) -> None:
        self._execute(
            """
            INSERT INTO engine_seals (digest, device, inode, size, mtime_ns, ctime_ns, checked_at)
            VALUES (:digest, :device, :inode, :size, :mtime_ns, :ctime_ns, :at)
            ON CONFLICT (digest) DO UPDATE SET device = excluded.device, inode = excluded.inode,
                size = excluded.size, mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns,
                checked_at = excluded.checked_at
            """,
            {"digest": digest, "at": clock.to_text(at), **identity._asdict()},
        )

    def mark_replayed(self, operation: str, at: datetime) -> None:
        self._execute(
            "INSERT INTO engine_replayed (operation, replayed_at) VALUES (:operation, :at)",
            {"operation": operation, "at": clock.to_text(at)},
        )


def performance_columns(performance: ModelPerformance) -> dict[str, Any]:
    """Return the columns of a measurement; raise InvalidInputError where a number is none."""
    at = performance.last_updated
    return {
        "recorded_at": clock.to_text(at if isinstance(at, datetime) else clock.now()),
        **{real: measured(real, getattr(performance, real)) for real in REALS},
        **{count: counted(count, getattr(performance, count)) for count in COUNTS},
    }


def run_columns(run: Run) -> dict[str, Any]:
    """Return the columns of a training record; raise InvalidInputError where a value does not fit."""
    return {
        "started": clock.to_text(run.started) if run.started else None,
        "completed": clock.to_text(run.completed) if run.completed else None,
        "dataset_size": counted("dataset_size", run.dataset_size),
        "hyperparameters": to_json("hyperparameters", run.hyperparameters),
        "validation_score": measured("validation_score", run.validation_score),
    }


def _artifact_columns(artifact: Artifact) -> dict[str, Any]:
    return {
        "place": artifact.place.value,
        "digest": artifact.digest,
        "format": artifact.format,
        "size": artifact.size,
        "python": artifact.python,
        "packages": json.dumps(dict(artifact.packages)),
    }


def _version(row: Row) -> ModelVersion:
    model_id, name, version, seq, is_active, model_path, place, digest, format_, size, python, packages = row
    artifact = Artifact(Place(place), digest, format_, size, python, json.loads(packages) if packages else {})
    return ModelVersion(model_id, name, version, seq, is_active == 1, model_path or "", artifact)


def _described(row: Row) -> dict[str, Any]:
    entry = dict(zip(_DESCRIBED, row, strict=True))
    entry["is_active"] = entry["is_active"] == 1
    entry["pinned"] = entry["pinned"] == 1
    entry["algorithms"] = _parsed(entry["algorithms"], list)
    entry["metadata"] = _parsed(entry["metadata"], dict)
    entry["packages"] = _parsed(entry["packages"], dict)
    return entry


def _parsed(text: str | None, kind: type[list[Any]] | type[dict[str, Any]]) -> Any:
    """Parse a JSON column; what another program wrote there otherwise is kept as it stands, not lost."""
    if not text:
        return kind()
    try:
        value = json.loads(text)
    except (TypeError, ValueError):
        value = text
    if isinstance(value, kind):
        return value
    return [value] if kind is list else {"unparsed": value}


def _performance(row: Row) -> ModelPerformance:
    values = dict(zip(NUMBERS, row, strict=False))
    return ModelPerformance(**values, last_updated=clock.from_text(row[-1]))


def _run(row: Row) -> dict[str, Any]:
    name, version, started, completed, dataset_size, hyperparameters, score = row
    return {
        "name": name,
        "version": version,
        "started": clock.from_text(started),
        "completed": clock.from_text(completed),
        "dataset_size": dataset_size,
        "hyperparameters": _parsed(hyperparameters, dict),
        "validation_score": score,
    }
