"""The Transaction over the tables, whatever runs its statements."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from ai_engine.catalogue import listing, statements
from ai_engine.catalogue.protocol import Debris
from ai_engine.catalogue.rows import (
    Row,
    artifact_columns,
    entry_of,
    parsed,
    performance_columns,
    performance_of,
    run_columns,
    run_of,
    version_of,
)
from ai_engine.domain import clock, versions
from ai_engine.domain.errors import ModelNotFoundError, NoPreviousVersionError, VersionExistsError
from ai_engine.domain.performance import ModelPerformance
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
from ai_engine.domain.search import EVERYTHING, Field, Position, Search


class Execute(Protocol):
    """Run one statement with named parameters and return all its rows."""

    def __call__(self, statement: str, parameters: Mapping[str, Any] = ..., /) -> list[Row]:
        """Return the rows; an empty list where the statement yields none."""


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
            rows = self._execute(statements.FIND_ACTIVE, {"name": name})
        else:
            rows = self._execute(statements.FIND, {"name": name, "version": version})
        return version_of(rows[0]) if rows else None

    def highest(self, name: str) -> str | None:
        rows = self._execute("SELECT highest FROM engine_models WHERE name = :name", {"name": name})
        return rows[0][0] if rows else None

    def versions(self, name: str) -> list[ModelVersion]:
        return [version_of(row) for row in self._execute(statements.VERSIONS, {"name": name})]

    def names(self) -> list[str]:
        rows = self._execute("SELECT name FROM engine_models WHERE versions > 0 ORDER BY name")
        return [name for (name,) in rows]

    def actives(self) -> dict[str, str]:
        rows = self._execute("SELECT name, version FROM model_registry WHERE is_active = 1 ORDER BY name")
        return {str(name): str(version) for name, version in rows}

    def everything(self) -> list[ModelVersion]:
        return [version_of(row) for row in self._execute(statements.EVERYTHING)]

    def describe(self, search: Search, limit: int | None, after: Position | None) -> list[dict[str, Any]]:
        return [entry_of(row) for row in self._execute(*listing.page(search, limit, after))]

    def count(self, search: Search = EVERYTHING) -> int:
        if search.condition is None:
            rows = self._execute("SELECT COALESCE(SUM(versions), 0) FROM engine_models")
        elif search.name is not None:
            rows = self._execute(
                "SELECT versions FROM engine_models WHERE name = :name", {"name": search.name}
            )
        else:
            rows = self._execute(*listing.count(search))
        return int(rows[0][0]) if rows else 0

    def performances(self, model_id: str) -> list[ModelPerformance]:
        return [
            performance_of(row)
            for row in self._execute(statements.METRIC + "ORDER BY id", {"model_id": model_id})
        ]

    def latest_performance(self, model_id: str) -> ModelPerformance | None:
        rows = self._execute(statements.METRIC + "ORDER BY id DESC LIMIT 1", {"model_id": model_id})
        return performance_of(rows[0]) if rows else None

    def runs(self, name: str, version: str | None = None) -> list[dict[str, Any]]:
        return [run_of(row) for row in self._execute(statements.RUNS, {"name": name, "version": version})]

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
            for version, at, actor, reason in self._execute(statements.MOVES, {"name": name})
        ]

    def whole(self, version: ModelVersion) -> NewVersion:
        ((model_type, algorithms, metadata, created_at, is_active),) = self._execute(
            "SELECT model_type, algorithms, metadata, created_at, is_active FROM model_registry "
            "WHERE model_id = :model_id",
            {"model_id": version.model_id},
        )
        measured = self._execute(statements.METRIC + "ORDER BY id LIMIT 1", {"model_id": version.model_id})
        return NewVersion(
            model_id=version.model_id,
            name=version.name,
            version=version.version,
            model_type=model_type,
            algorithms=tuple(parsed(algorithms, list)),
            metadata=parsed(metadata, dict),
            activate=is_active == 1,
            artifact=version.artifact,
            created_at=clock.from_text(created_at) or clock.now(),
            performance=performance_of(measured[0]) if measured else None,
        )

    def candidates(self, policy: Policy) -> list[Candidate]:
        parameters = {"name": policy.name}
        rows = self._execute(statements.CANDIDATES.format(metric=policy.metric), parameters)
        previous = {name: self._previous(self._model(name))[0] for name in {row[1] for row in rows}}
        return [
            Candidate(
                version_of(row[:-3]),
                clock.from_text(row[-3]),
                row[-2] == 1,
                row[-1],
                previous=row[3] == previous[row[1]],
            )
            for row in rows
        ]

    def _model(self, name: str) -> _Model:
        rows = self._execute(statements.MODEL, {"name": name})
        return _Model(*rows[0]) if rows else _Model()

    def _previous(self, model: _Model) -> tuple[int | None, str | None, int | None]:
        """Return the seq and number of the version that a rollback leads to, and what lies below it."""
        below = model.below
        while model.active_version is not None and below is not None:
            ((deeper, seq, number),) = self._execute(statements.MOVE, {"seq": below})
            if seq not in (None, model.active):
                return seq, number, deeper
            below = deeper
        return None, None, None

    def inconsistencies(self) -> list[tuple[str, str, str]]:
        return [
            (kind, *row) for kind, statement in statements.INCONSISTENCIES for row in self._execute(statement)
        ]

    def user(self, digest: Digest) -> ModelVersion | None:
        rows = self._execute(statements.USES + " LIMIT 1", {"digest": digest})
        return version_of(rows[0]) if rows else None

    def uses(self, digest: Digest) -> list[ModelVersion]:
        return [version_of(row) for row in self._execute(statements.USES, {"digest": digest})]

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
            statements.ADD_REGISTRY,
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
        columns = {
            **identity,
            **artifact_columns(new.artifact),
            "blob": blob,
            "model_type": new.model_type,
            "at": at,
        }
        ((seq,),) = self._execute(statements.ADD_VERSION, columns)
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
            statements.SET_MODEL,
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
            statements.ADD_MOVE,
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
        rows = [{"model_id": model_id, **performance_columns(performance)} for performance in performances]
        if not rows:
            return
        accuracies = [row["accuracy_score"] for row in rows if row["accuracy_score"] is not None]
        measured = {
            **rows[-1],
            "count": len(rows),
            "accuracy_count": len(accuracies),
            "accuracy_total": sum(accuracies),
            "last": max(row["recorded_at"] for row in rows),
        }
        if not self._execute(statements.MEASURED, measured):
            raise ModelNotFoundError(model_id)
        for row in rows:
            self._execute(statements.ADD_METRIC, row)

    def index(self, field: Field) -> None:
        for statement in listing.index(field):
            self._execute(statement)

    def measure_again(self) -> None:
        for statement in statements.MEASURED_AGAIN:
            self._execute(statement)

    def record_run(self, model_id: str, run: Run) -> None:
        if not self._execute(statements.ADD_RUN, {"model_id": model_id, **run_columns(run)}):
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
        if digest is None or self.user(digest):
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
            {"model_id": model_id, **artifact_columns(artifact)},
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
