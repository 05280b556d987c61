"""The Snapshot over the tables, whatever runs its statements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from typing import TYPE_CHECKING, Any, Protocol

from ai_engine.catalogue.protocol import Debris
from ai_engine.catalogue.sql import listing, statements
from ai_engine.catalogue.sql.audit import SqlAuditTrail
from ai_engine.catalogue.sql.dialect import SQLITE, Dialect
from ai_engine.catalogue.sql.jobs import SqlJobs
from ai_engine.catalogue.sql.rows import (
    SqlRow,
    entries_of,
    file_of,
    parsed,
    performance_of,
    run_of,
    version_of,
)
from ai_engine.catalogue.sql.schedules import SqlSchedules
from ai_engine.domain import clock
from ai_engine.domain.answers import ModelInfo, VersionInfo
from ai_engine.domain.collector import Uncollected
from ai_engine.domain.entities import (
    Activation,
    Digest,
    ModelVersion,
    NewVersion,
    Seal,
)
from ai_engine.domain.history import RunRecord
from ai_engine.domain.performance import ModelPerformance
from ai_engine.domain.retention import Candidate, Policy
from ai_engine.domain.search import EVERYTHING, Position, Search

if TYPE_CHECKING:
    from ai_engine.catalogue.sql.keys import SqlKeys

Kept = Callable[[Callable[[], list[SqlRow]]], list[SqlRow]]
# Up to so many entries the collector is as good as never called; it takes a third of a list of 10,000.
_SHORT = 1000


class Execute(Protocol):
    """Run one statement with named parameters and return all its rows."""

    def __call__(self, statement: str, parameters: Mapping[str, Any] = ..., /) -> list[SqlRow]:
        """Return the rows; an empty list where the statement yields none."""


@dataclass(slots=True)
class ModelRow:
    """The row of a model, with the newest move of its active pointer."""

    highest: str | None = None
    versions: int = 0
    active: int | None = None
    move: int | None = None
    below: int | None = None
    moved_at: str | None = None
    active_version: str | None = None


class SqlSnapshot:
    """Queries over whatever runs statements; see protocol.Snapshot.

    Parameters
    ----------
    execute : Execute
        Runs them.
    model_dir : str
        The model directory as it is called here; rows name files within it.
    kept : callable or None
        Returns the rows of the full list from memory, or from what reads them; None where what is read may
        never be committed.
    dialect : Dialect
        How the database spells what is not the same in all.
    """

    def __init__(
        self, execute: Execute, model_dir: str, kept: Kept | None = None, dialect: Dialect = SQLITE
    ) -> None:
        self._execute, self._model_dir, self._kept, self._dialect = execute, model_dir, kept, dialect

    @property
    def jobs(self) -> SqlJobs:
        return SqlJobs(self._execute, self._dialect)

    @property
    def keys(self) -> SqlKeys:
        from ai_engine.catalogue.sql.keys import SqlKeys  # slow to import, and rarely asked for

        return SqlKeys(self._execute)

    @property
    def audit(self) -> SqlAuditTrail:
        return SqlAuditTrail(self._execute)

    @property
    def schedules(self) -> SqlSchedules:
        return SqlSchedules(self._execute, self._dialect)

    def find(self, name: str, version: str | None = None) -> ModelVersion | None:
        if version is None:
            rows = self._execute(statements.FIND_ACTIVE, {"name": name})
        else:
            rows = self._execute(statements.FIND, {"name": name, "version": version})
        return version_of(rows[0], self._model_dir) if rows else None

    def find_id(self, model_id: str) -> ModelVersion | None:
        rows = self._execute(statements.FIND_ID, {"model_id": model_id})
        return version_of(rows[0], self._model_dir) if rows else None

    def highest(self, name: str) -> str | None:
        rows = self._execute("SELECT highest FROM engine_models WHERE name = :name", {"name": name})
        return rows[0][0] if rows else None

    def versions(self, name: str) -> list[ModelVersion]:
        return [
            version_of(row, self._model_dir) for row in self._execute(statements.VERSIONS, {"name": name})
        ]

    def names(self) -> list[str]:
        rows = self._execute("SELECT name FROM engine_models WHERE versions > 0 ORDER BY name")
        return [name for (name,) in rows]

    def actives(self) -> dict[str, str]:
        rows = self._execute("SELECT name, version FROM model_registry WHERE is_active = 1 ORDER BY name")
        return {str(name): str(version) for name, version in rows}

    def everything(self) -> list[ModelVersion]:
        return [version_of(row, self._model_dir) for row in self._execute(statements.EVERYTHING)]

    def describe(self, search: Search, limit: int | None, after: Position | None) -> list[VersionInfo]:
        def read() -> list[SqlRow]:
            return self._execute(*listing.page(self._dialect, search, limit, after))

        if limit is not None and limit <= _SHORT:
            return entries_of(read(), self._model_dir)
        uncollected = Uncollected()
        try:
            everything = limit is None and after is None and search == EVERYTHING
            rows = self._kept(read) if everything and self._kept else read()
            return entries_of(rows, self._model_dir)
        finally:
            uncollected.release()

    def models(self, search: Search, limit: int | None, after: Position | None) -> list[ModelInfo]:
        rows = self._execute(*listing.page(self._dialect, search, limit, after, statements.DESCRIBE_MODELS))
        entries = entries_of((row[:-1] for row in rows), self._model_dir)
        return [ModelInfo(**entry, versions=row[-1]) for entry, row in zip(entries, rows, strict=True)]

    def count_models(self, search: Search = EVERYTHING) -> int:
        return int(self._execute(*listing.count_models(self._dialect, search))[0][0])

    def count(self, search: Search = EVERYTHING) -> int:
        if search.condition is None:
            rows = self._execute("SELECT COALESCE(SUM(versions), 0) FROM engine_models")
        elif search.name is not None:
            rows = self._execute(
                "SELECT versions FROM engine_models WHERE name = :name", {"name": search.name}
            )
        else:
            rows = self._execute(*listing.count(self._dialect, search))
        return int(rows[0][0]) if rows else 0

    def performances(self, model_id: str) -> list[ModelPerformance]:
        return [
            performance_of(row)
            for row in self._execute(statements.METRIC + "ORDER BY m.id", {"model_id": model_id})
        ]

    def latest_performance(self, model_id: str) -> ModelPerformance | None:
        rows = self._execute(statements.METRIC + "ORDER BY m.id DESC LIMIT 1", {"model_id": model_id})
        return performance_of(rows[0]) if rows else None

    def runs(self, name: str, version: str | None = None) -> list[RunRecord]:
        made = self._execute(statements.RUNS, {"name": name, "version": version})
        if version is not None:
            return [run_of(row[1:]) for row in made]
        # What made nothing has its place behind the newest run that there was when it ended.
        failed = self._execute(statements.ATTEMPTS, {"name": name})
        return [run_of(row[1:]) for row in merge(failed, made, key=lambda row: row[0], reverse=True)]

    def report(self, model_id: str) -> Mapping[str, Any] | None:
        rows = self._execute(statements.REPORT, {"model_id": model_id})
        return parsed(rows[0][0], dict) if rows else None

    def blob(self, digest: Digest) -> bytes | None:
        rows = self._execute(
            "SELECT b.bytes FROM engine_versions e JOIN engine_blobs b ON b.id = e.blob "
            "WHERE e.digest = :digest LIMIT 1",
            {"digest": digest},
        )
        return bytes(rows[0][0]) if rows else None

    def seal(self, digest: Digest) -> Seal | None:
        rows = self._execute(
            "SELECT identity, code FROM engine_seals WHERE digest = :digest", {"digest": digest}
        )
        return Seal(*rows[0]) if rows else None

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
        measured = self._execute(statements.METRIC + "ORDER BY m.id LIMIT 1", {"model_id": version.model_id})
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
                version_of(row[:-3], self._model_dir),
                clock.from_text(row[-3]),
                row[-2] == 1,
                row[-1],
                previous=row[3] == previous[row[1]],
            )
            for row in rows
        ]

    def _model(self, name: str) -> ModelRow:
        rows = self._execute(statements.MODEL, {"name": name})
        return ModelRow(*rows[0]) if rows else ModelRow()

    def _previous(self, model: ModelRow) -> tuple[int | None, str | None, int | None]:
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
        return version_of(rows[0], self._model_dir) if rows else None

    def uses(self, digest: Digest) -> list[ModelVersion]:
        return [
            version_of(row, self._model_dir) for row in self._execute(statements.USES, {"digest": digest})
        ]

    def debris(self, limit: int) -> list[Debris]:
        at_most = " LIMIT :limit" if limit >= 0 else ""
        given = {"limit": limit} if limit >= 0 else {}
        rows = self._execute(f"SELECT path, digest FROM engine_debris{at_most}", given)
        return [
            Debris(path if digest or path.startswith("/") else f"{self._model_dir}/{path}", digest)
            for path, digest in rows
        ]

    def is_debris(self, path: str) -> bool:
        rows = self._execute("SELECT 1 FROM engine_debris WHERE path = :path", {"path": self._file(path)})
        return bool(rows)

    def _file(self, path: str) -> str:
        """Return how a row names a file."""
        return file_of(path, self._model_dir) or path

    def is_incomplete(self) -> bool:
        return bool(self._execute("SELECT 1 FROM engine_meta WHERE key = 'incomplete'"))

    def loss_accepted_at(self) -> datetime | None:
        rows = self._execute("SELECT value FROM engine_meta WHERE key = 'loss_accepted_at'")
        return clock.from_text(rows[0][0]) if rows else None

    def replayed(self, operation: str) -> bool:
        statement = "SELECT 1 FROM engine_replayed WHERE operation = :operation"
        return bool(self._execute(statement, {"operation": operation}))
