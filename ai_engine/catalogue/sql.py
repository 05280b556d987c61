"""The Transaction over the tables: every statement of the package, and rows to records and back.

Statements name their parameters, so that an adapter can spell them as its driver wants.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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
from ai_engine.domain.retention import Candidate, Policy

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
_FIND_ACTIVE = _VERSION + "WHERE e.seq = (SELECT active FROM engine_models WHERE name = :name)"
_VERSIONS = _VERSION + "WHERE e.name = :name ORDER BY e.seq"
_EVERYTHING = _VERSION + "ORDER BY e.name, e.seq"
_USES = _VERSION + "WHERE e.digest = :digest ORDER BY e.seq"

_CANDIDATES = """
    SELECT e.model_id, e.name, e.version, e.seq, r.is_active, r.model_path,
           e.place, e.digest, e.format, e.size, e.python, e.packages, r.created_at, e.pinned,
           (SELECT m.{metric} FROM performance_metrics m WHERE m.model_id = e.model_id
            ORDER BY m.id DESC LIMIT 1)
    FROM engine_versions e JOIN model_registry r ON r.model_id = e.model_id
    WHERE :name IS NULL OR e.name = :name
    ORDER BY e.name, e.seq
"""

# What must not be, and what may have been before us; each yields a subject and what is wrong with it.
_INCONSISTENCIES = (
    (
        "orphan",
        "SELECT 'performance_metrics', COUNT(*) || ' rows of ' || model_id || ', which is no version' "
        "FROM performance_metrics WHERE model_id NOT IN (SELECT model_id FROM model_registry) "
        "GROUP BY model_id",
    ),
    (
        "orphan",
        "SELECT 'training_history', COUNT(*) || ' rows of ' || model_id || ', which is no version' "
        "FROM training_history WHERE model_id NOT IN (SELECT model_id FROM model_registry) GROUP BY model_id",
    ),
    (
        "orphan",
        "SELECT name || '@' || version, 'the row ' || model_id || ' is not served: another row bears its "
        "number, or another program wrote it' "
        "FROM model_registry WHERE model_id NOT IN (SELECT model_id FROM engine_versions)",
    ),
    (
        "row",
        "SELECT name || '@' || version, 'has lost its row in model_registry' "
        "FROM engine_versions WHERE model_id NOT IN (SELECT model_id FROM model_registry)",
    ),
    (
        "pointer",
        "SELECT m.name, 'the active version of engine_models is not that of model_registry' "
        "FROM engine_models m LEFT JOIN engine_versions e ON e.seq = m.active "
        "LEFT JOIN model_registry r ON r.name = m.name AND r.is_active = 1 "
        "WHERE COALESCE(e.model_id, '') <> COALESCE(r.model_id, '')",
    ),
    (
        "count",
        "SELECT m.name, 'engine_models counts ' || m.versions || ' versions and there are ' || COUNT(e.seq) "
        "FROM engine_models m LEFT JOIN engine_versions e ON e.name = m.name "
        "GROUP BY m.name, m.versions HAVING m.versions <> COUNT(e.seq)",
    ),
    (
        "blob",
        "SELECT 'engine_blobs', COUNT(*) || ' blobs that no version has' FROM engine_blobs "
        "WHERE id NOT IN (SELECT blob FROM engine_versions WHERE blob IS NOT NULL) HAVING COUNT(*) > 0",
    ),
)

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
    VALUES (:model_id, :recorded_at, {", ".join(":" + number for number in NUMBERS)})
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

_MODEL = """
    SELECT m.highest, m.versions, m.active, m.move, v.below, v.moved_at, v.version
    FROM engine_models m LEFT JOIN engine_moves v ON v.seq = m.move
    WHERE m.name = :name
"""
_SET_MODEL = """
    INSERT INTO engine_models (name, highest, versions, active, move)
    VALUES (:name, :highest, :versions, :active, :move)
    ON CONFLICT (name) DO UPDATE SET highest = excluded.highest, versions = excluded.versions,
                                     active = excluded.active, move = excluded.move
"""
_ADD_REGISTRY = """
    INSERT INTO model_registry
        (model_id, name, version, model_type, algorithms, created_at, updated_at, is_active, model_path,
         metadata)
    VALUES (:model_id, :name, :version, :model_type, :algorithms, :at, :at, :is_active, :model_path,
            :metadata)
"""
_ADD_VERSION = """
    INSERT INTO engine_versions
        (model_id, name, version, place, blob, digest, format, size, python, packages)
    VALUES (:model_id, :name, :version, :place, :blob, :digest, :format, :size, :python, :packages)
    RETURNING seq
"""
_ADD_MOVE = """
    INSERT INTO engine_moves (name, model_id, version, moved_at, actor, reason, before, below)
    VALUES (:name, :model_id, :version, :at, :actor, :reason, :before, :below)
    RETURNING seq
"""
_MOVE = """
    SELECT v.below, e.seq, v.version
    FROM engine_moves v LEFT JOIN engine_versions e ON e.name = v.name AND e.version = v.version
                                                   AND e.model_id = v.model_id
    WHERE v.seq = :seq
"""
_MOVES = """
    WITH RECURSIVE history (seq, before, version, moved_at, actor, reason) AS (
        SELECT v.seq, v.before, v.version, v.moved_at, v.actor, v.reason
        FROM engine_models m JOIN engine_moves v ON v.seq = m.move WHERE m.name = :name
        UNION ALL
        SELECT v.seq, v.before, v.version, v.moved_at, v.actor, v.reason
        FROM history h JOIN engine_moves v ON v.seq = h.before
    )
    SELECT version, moved_at, actor, reason FROM history ORDER BY seq
"""


@dataclass(slots=True)
class _Model:
    """The row of a model, with the newest move of its active pointer."""

    highest: str | None = None
    versions: int = 0
    active: int | None = None
    move: int | None = None
    below: int | None = None
    moved_at: str | None = None
    active_version: str | None = None


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
        rows = self._execute("SELECT name FROM engine_models WHERE versions > 0 ORDER BY name")
        return [name for (name,) in rows]

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
            rows = self._execute("SELECT COALESCE(SUM(versions), 0) FROM engine_models")
        else:
            rows = self._execute("SELECT versions FROM engine_models WHERE name = :name", {"name": name})
        return int(rows[0][0]) if rows else 0

    def performances(self, model_id: str) -> list[ModelPerformance]:
        return [_performance(row) for row in self._execute(_METRIC + "ORDER BY id", {"model_id": model_id})]

    def latest_performance(self, model_id: str) -> ModelPerformance | None:
        rows = self._execute(_METRIC + "ORDER BY id DESC LIMIT 1", {"model_id": model_id})
        return _performance(rows[0]) if rows else None

    def runs(self, name: str, version: str | None = None) -> list[dict[str, Any]]:
        return [_run(row) for row in self._execute(_RUNS, {"name": name, "version": version})]

    def blob(self, digest: Digest) -> bytes | None:
        rows = self._execute(
            "SELECT b.bytes FROM engine_versions e JOIN engine_blobs b ON b.id = e.blob "
            "WHERE e.digest = :digest LIMIT 1",
            {"digest": digest},
        )
        return bytes(rows[0][0]) if rows else None

    def seal(self, digest: Digest) -> Identity | None:
        rows = self._execute(
            "SELECT device, inode, size, mtime_ns, ctime_ns FROM engine_seals WHERE digest = :digest",
            {"digest": digest},
        )
        return Identity(*rows[0]) if rows else None

    def activations(self, name: str) -> list[Activation]:
        return [
            Activation(name, version, clock.from_text(at), actor, reason)
            for version, at, actor, reason in self._execute(_MOVES, {"name": name})
        ]

    def whole(self, version: ModelVersion) -> NewVersion:
        ((model_type, algorithms, metadata, created_at, is_active),) = self._execute(
            "SELECT model_type, algorithms, metadata, created_at, is_active FROM model_registry "
            "WHERE model_id = :model_id",
            {"model_id": version.model_id},
        )
        measured = self._execute(_METRIC + "ORDER BY id LIMIT 1", {"model_id": version.model_id})
        return NewVersion(
            model_id=version.model_id,
            name=version.name,
            version=version.version,
            model_type=model_type,
            algorithms=tuple(_parsed(algorithms, list)),
            metadata=_parsed(metadata, dict),
            activate=is_active == 1,
            artifact=version.artifact,
            created_at=clock.from_text(created_at) or clock.now(),
            performance=_performance(measured[0]) if measured else None,
        )

    def candidates(self, policy: Policy) -> list[Candidate]:
        parameters = {"name": policy.name}
        rows = self._execute(_CANDIDATES.format(metric=policy.metric), parameters)
        previous = {name: self._previous(self._model(name))[0] for name in {row[1] for row in rows}}
        return [
            Candidate(
                _version(row[:-3]),
                clock.from_text(row[-3]),
                row[-2] == 1,
                row[-1],
                previous=row[3] == previous[row[1]],
            )
            for row in rows
        ]

    def _model(self, name: str) -> _Model:
        rows = self._execute(_MODEL, {"name": name})
        return _Model(*rows[0]) if rows else _Model()

    def _previous(self, model: _Model) -> tuple[int | None, str | None, int | None]:
        """Return the seq and number of the version that a rollback leads to, and what lies below it."""
        below = model.below
        while model.active_version is not None and below is not None:
            ((deeper, seq, number),) = self._execute(_MOVE, {"seq": below})
            if seq not in (None, model.active):
                return seq, number, deeper
            below = deeper
        return None, None, None

    def inconsistencies(self) -> list[tuple[str, str, str]]:
        return [(kind, *row) for kind, statement in _INCONSISTENCIES for row in self._execute(statement)]

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

    def add(
        self, new: NewVersion, data: bytes | None, path_of: Callable[[str], str], actor: str
    ) -> ModelVersion:
        model = self._model(new.name)
        version = versions.next_patch(model.highest) if new.version is None else new.version
        if new.version is not None and self.find(new.name, version):
            raise VersionExistsError(new.name, version)
        at = clock.to_text(new.created_at)
        model_path = path_of(version)
        if new.activate:
            self._deactivate(new.name, at)
        identity = {"model_id": new.model_id, "name": new.name, "version": version}
        self._execute(
            _ADD_REGISTRY,
            {
                **identity,
                "model_type": new.model_type,
                "algorithms": json.dumps(new.algorithms),
                "at": at,
                "is_active": int(new.activate),
                "model_path": model_path,
                "metadata": json.dumps(new.metadata),
            },
        )
        blob = None if data is None else self._blob(new.artifact.digest, data)
        columns = {**identity, **_artifact_columns(new.artifact), "blob": blob}
        ((seq,),) = self._execute(_ADD_VERSION, columns)
        numbers = versions.parse(version)
        if numbers is not None and numbers > (versions.parse(model.highest or "") or (-1,)):
            model.highest = version
        model.versions += 1
        added = ModelVersion(new.model_id, new.name, version, seq, new.activate, model_path, new.artifact)
        if new.activate:
            self._move(model, added, model.move, actor, "saved", at)
        self._set_model(new.name, model)
        if new.performance is not None:
            self.record(new.model_id, [new.performance])
        if new.run is not None:
            self.record_run(new.model_id, new.run)
        self.added = new.model_id
        return added

    def _blob(self, digest: Digest | None, data: bytes) -> int:
        """Return the blob of these bytes, the known one where there is one."""
        known = self._execute(
            "SELECT blob FROM engine_versions WHERE digest = :digest AND blob IS NOT NULL LIMIT 1",
            {"digest": digest},
        )
        if known:
            return int(known[0][0])
        ((blob,),) = self._execute(
            "INSERT INTO engine_blobs (bytes) VALUES (:bytes) RETURNING id", {"bytes": data}
        )
        return int(blob)

    def _set_model(self, name: str, model: _Model) -> None:
        self._execute(
            _SET_MODEL,
            {
                "name": name,
                "highest": model.highest,
                "versions": model.versions,
                "active": model.active,
                "move": model.move,
            },
        )

    def activate(self, version: ModelVersion, actor: str, reason: str, at: datetime) -> str | None:
        model = self._model(version.name)
        previous = model.active_version
        if model.active != version.seq:
            self._point(model, version, model.move, actor, reason, at)
        return previous

    def roll_back(self, name: str, actor: str, at: datetime) -> tuple[str, str]:
        model = self._model(name)
        _, number, below = self._previous(model)
        version = self.find(name, number) if number is not None else None
        previous = model.active_version
        if version is None or previous is None:
            raise NoPreviousVersionError(name)
        self._point(model, version, below, actor, f"rollback from {previous}", at)
        return version.version, previous

    def _point(
        self, model: _Model, version: ModelVersion, below: int | None, actor: str, reason: str, at: datetime
    ) -> None:
        """Make a version that has its row the active one."""
        moment = clock.to_text(at)
        self._deactivate(version.name, moment)
        self._execute(
            "UPDATE model_registry SET is_active = 1, updated_at = :at WHERE model_id = :model_id",
            {"model_id": version.model_id, "at": moment},
        )
        self._move(model, version, below, actor, reason, moment)
        self._set_model(version.name, model)

    def _deactivate(self, name: str, at: str) -> None:
        self._execute(
            "UPDATE model_registry SET is_active = 0, updated_at = :at WHERE name = :name AND is_active = 1",
            {"name": name, "at": at},
        )

    def _move(
        self, model: _Model, version: ModelVersion, below: int | None, actor: str, reason: str, at: str
    ) -> None:
        """Write a move of the pointer down, in the model too."""
        ((model.move,),) = self._execute(
            _ADD_MOVE,
            {
                "name": version.name,
                "model_id": version.model_id,
                "version": version.version,
                # A clock that was set back must not put this move before the one it follows.
                "at": max(at, model.moved_at or at),
                "actor": actor,
                "reason": reason,
                "before": model.move,
                "below": below,
            },
        )
        model.active = version.seq

    def record(self, model_id: str, performances: Iterable[ModelPerformance]) -> None:
        if not self._execute(
            "SELECT 1 FROM model_registry WHERE model_id = :model_id", {"model_id": model_id}
        ):
            raise ModelNotFoundError(model_id)
        for performance in performances:
            self._execute(_ADD_METRIC, {"model_id": model_id, **performance_columns(performance)})

    def record_run(self, model_id: str, run: Run) -> None:
        if not self._execute(_ADD_RUN, {"model_id": model_id, **run_columns(run)}):
            raise ModelNotFoundError(model_id)

    def drop(self, version: ModelVersion, files: Iterable[str]) -> None:
        of = {"model_id": version.model_id}
        rows = self._execute("SELECT blob FROM engine_versions WHERE seq = :seq", {"seq": version.seq})
        for table in ("performance_metrics", "training_history", "model_registry"):
            self._execute(f"DELETE FROM {table} WHERE model_id = :model_id", of)
        self._execute("DELETE FROM engine_versions WHERE seq = :seq", {"seq": version.seq})
        self._execute(
            "UPDATE engine_models SET versions = versions - 1 WHERE name = :name", {"name": version.name}
        )
        for path in files:
            self._add_debris(path, None)
        digest = version.artifact.digest
        if digest is None or self.uses(digest):
            return
        self._execute("DELETE FROM engine_blobs WHERE id = :id", {"id": rows[0][0]})
        self._execute("DELETE FROM engine_seals WHERE digest = :digest", {"digest": digest})
        if version.artifact.place is Place.STORE:
            self._add_debris(digest, digest)

    def _add_debris(self, path: str, digest: Digest | None) -> None:
        self._execute(
            "INSERT INTO engine_debris (path, digest) VALUES (:path, :digest) ON CONFLICT DO NOTHING",
            {"path": path, "digest": digest},
        )

    def pin(self, version: ModelVersion, pinned: bool) -> None:
        self._execute(
            "UPDATE engine_versions SET pinned = :pinned WHERE seq = :seq",
            {"pinned": int(pinned), "seq": version.seq},
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

    def relocate(self, version: ModelVersion, model_path: str) -> None:
        self._execute(
            "UPDATE model_registry SET model_path = :path WHERE model_id = :model_id",
            {"path": model_path, "model_id": version.model_id},
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
