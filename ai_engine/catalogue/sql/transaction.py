"""The Transaction over the tables, whatever runs its statements."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from ai_engine.catalogue.sql import listing, statements
from ai_engine.catalogue.sql.audit import SqlAuditLog
from ai_engine.catalogue.sql.dialect import SQLITE, Dialect
from ai_engine.catalogue.sql.job_queue import SqlJobQueue
from ai_engine.catalogue.sql.rows import (
    artifact_columns,
    file_of,
    performance_columns,
    run_columns,
)
from ai_engine.catalogue.sql.schedules import SqlScheduleBook
from ai_engine.catalogue.sql.snapshot import Execute, ModelRow, SqlSnapshot
from ai_engine.domain import clock, versions
from ai_engine.domain.entities import (
    Artifact,
    Digest,
    ModelId,
    ModelVersion,
    NewVersion,
    Place,
    Run,
    Seal,
)
from ai_engine.domain.errors import ModelNotFoundError, NoPreviousVersionError, VersionExistsError
from ai_engine.domain.jobs import Attempt
from ai_engine.domain.json_values import to_json
from ai_engine.domain.performance import ModelPerformance
from ai_engine.domain.search import Field


class SqlTransaction(SqlSnapshot):
    """Writes over whatever runs statements; see protocol.Transaction."""

    def __init__(self, execute: Execute, model_dir: str, actor: str, dialect: Dialect = SQLITE) -> None:
        super().__init__(execute, model_dir, dialect=dialect)
        self._actor = actor
        self.added: ModelId | None = None  # what tells, after a failed commit, whether it held
        self._next = ("", "", ModelRow())  # the last number that was asked for
        self._unused: Digest | None = None  # bytes of which this transaction knows that no version has them

    @property
    def jobs(self) -> SqlJobQueue:
        return SqlJobQueue(self._execute, self._dialect, self._actor, self._discard)

    @property
    def audit(self) -> SqlAuditLog:
        return SqlAuditLog(self._execute, self._actor)

    @property
    def schedules(self) -> SqlScheduleBook:
        return SqlScheduleBook(self._execute, self._dialect, self._actor)

    def _discard(self, digest: Digest) -> None:
        """Have bytes removed, unless a version or a job has them."""
        if self.user(digest) is None and not self.jobs.needs(digest):
            self._add_debris(digest, digest)

    def user(self, digest: Digest) -> ModelVersion | None:
        found = super().user(digest)
        self._unused = digest if found is None else None
        return found

    def next_number(self, name: str) -> str:
        model = self._model(name)
        number = versions.next_patch(model.highest)
        self._next = name, number, model
        return number

    def add(self, new: NewVersion, data: bytes | None, model_path: str) -> ModelVersion:
        version = new.version
        assert version is not None  # see protocol.Transaction.add
        name, number, model = self._next
        if (name, number) != (new.name, version):  # else nobody has it, and the model was just read
            if self.find(new.name, version):
                raise VersionExistsError(new.name, version)
            model = self._model(new.name)
        at = clock.to_text(new.created_at)
        if new.activate:
            self._deactivate(new.name, at)
        identity = {"model_id": new.model_id, "name": new.name, "version": version}
        self._execute(
            statements.ADD_REGISTRY,
            {
                **identity,
                "model_type": new.model_type,
                "algorithms": json.dumps(new.algorithms) if new.algorithms else "[]",
                "at": at,
                "is_active": int(new.activate),
                "model_path": model_path,
                "metadata": json.dumps(new.metadata) if new.metadata else "{}",
            },
        )
        blob = None if data is None else self._blob(new.artifact.digest, data)
        columns = {
            **identity,
            **artifact_columns(new.artifact),
            "blob": blob,
            "model_type": new.model_type,
            "at": at,
            "file": file_of(model_path, self._model_dir),
            "saved_by": self._actor,
        }
        ((seq,),) = self._execute(statements.ADD_VERSION, columns)
        numbers = versions.parse(version)
        if numbers is not None and numbers > (versions.parse(model.highest or "") or (-1,)):
            model.highest = version
        model.versions += 1
        added = ModelVersion(new.model_id, new.name, version, seq, new.activate, model_path, new.artifact)
        if new.activate:
            self._move(model, added, model.move, "saved", at)
        self._set_model(new.name, model)
        if new.performance is not None:
            self.record(new.model_id, [new.performance])
        if new.run is not None:
            self.record_run(new.model_id, new.run)
        self.added = new.model_id
        return added

    def _blob(self, digest: Digest | None, data: bytes) -> int:
        """Return the blob of these bytes, the known one where there is one."""
        if digest is None or digest != self._unused:
            known = self._execute(
                "SELECT blob FROM engine_versions WHERE digest = :digest AND blob IS NOT NULL LIMIT 1",
                {"digest": digest},
            )
            if known:
                return int(known[0][0])
        self._unused = None
        ((blob,),) = self._execute(
            "INSERT INTO engine_blobs (bytes) VALUES (:bytes) RETURNING id", {"bytes": data}
        )
        return int(blob)

    def _set_model(self, name: str, model: ModelRow) -> None:
        self._next = ("", "", model)
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

    def activate(self, version: ModelVersion, reason: str, at: datetime) -> str | None:
        model = self._model(version.name)
        previous = model.active_version
        if model.active != version.seq:
            self._point(model, version, model.move, reason, at)
        return previous

    def roll_back(self, name: str, at: datetime) -> tuple[str, str]:
        model = self._model(name)
        _, number, below = self._previous(model)
        version = self.find(name, number) if number is not None else None
        previous = model.active_version
        if version is None or previous is None:
            raise NoPreviousVersionError(name)
        self._point(model, version, below, f"rollback from {previous}", at)
        return version.version, previous

    def _point(
        self, model: ModelRow, version: ModelVersion, below: int | None, reason: str, at: datetime
    ) -> None:
        """Make a version that has its row the active one."""
        moment = clock.to_text(at)
        self._deactivate(version.name, moment)
        self._execute(
            "UPDATE model_registry SET is_active = 1, updated_at = :at WHERE model_id = :model_id",
            {"model_id": version.model_id, "at": moment},
        )
        self._move(model, version, below, reason, moment)
        self._set_model(version.name, model)

    def _deactivate(self, name: str, at: str) -> None:
        self._execute(
            "UPDATE model_registry SET is_active = 0, updated_at = :at WHERE name = :name AND is_active = 1",
            {"name": name, "at": at},
        )

    def _move(self, model: ModelRow, version: ModelVersion, below: int | None, reason: str, at: str) -> None:
        """Write a move of the pointer down, in the model too."""
        ((model.move,),) = self._execute(
            statements.ADD_MOVE,
            {
                "name": version.name,
                "model_id": version.model_id,
                "version": version.version,
                # A clock that was set back must not put this move before the one it follows.
                "at": max(at, model.moved_at or at),
                "actor": self._actor,
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
        # Infinite ones have no mean.
        known = (row["accuracy_score"] for row in rows if row["accuracy_score"] is not None)
        accuracies = [accuracy for accuracy in known if math.isfinite(accuracy)]
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
            if row["metrics"] is None:
                self._execute(statements.ADD_METRIC, row)
            else:
                ((metric,),) = self._execute(statements.ADD_METRIC + "RETURNING id", row)
                self._execute(
                    "INSERT INTO engine_metrics (metric, numbers) VALUES (:metric, :metrics)",
                    {"metric": metric, "metrics": row["metrics"]},
                )

    def index(self, field: Field) -> None:
        for statement in listing.index(self._dialect, field):
            self._execute(statement)

    def measure_again(self) -> None:
        for statement in statements.measured_again(self._dialect):
            self._execute(statement)

    def record_run(self, model_id: str, run: Run) -> None:
        rows = self._execute(statements.ADD_RUN, {"model_id": model_id, **run_columns(run)})
        if not rows:
            raise ModelNotFoundError(model_id)
        if run.report is not None:
            self._execute(
                "INSERT INTO engine_reports (run, report) VALUES (:run, :report)",
                {"run": rows[0][0], "report": to_json("report", run.report)},
            )

    def record_attempt(
        self,
        name: str,
        attempt: Attempt,
        hyperparameters: Mapping[str, Any],
        model_id: str | None = None,
    ) -> None:
        self._execute(
            statements.ADD_ATTEMPT,
            {
                "name": name,
                "attempt": attempt.attempt,
                "worker": attempt.worker,
                "host": attempt.host,
                "hyperparameters": to_json("hyperparameters", hyperparameters),
                "started": clock.to_text(attempt.started_at),
                "ended": attempt.ended_at and clock.to_text(attempt.ended_at),
                "outcome": attempt.outcome and attempt.outcome.value,
                "error": attempt.error,
                "cpu": attempt.usage.cpu_seconds,
                "peak": attempt.usage.peak_memory,
                "model_id": model_id,
            },
        )

    def withdraw(self, version: ModelVersion, files: Iterable[str], at: datetime) -> None:
        model = self._model(version.name)
        if model.active == version.seq:
            try:
                self.roll_back(version.name, at)
            except NoPreviousVersionError:
                self._deactivate(version.name, clock.to_text(at))
                model.active = None
                self._set_model(version.name, model)
        self.drop(version, files)

    def drop(self, version: ModelVersion, files: Iterable[str]) -> None:
        of = {"model_id": version.model_id}
        rows = self._execute("SELECT blob FROM engine_versions WHERE seq = :seq", {"seq": version.seq})
        self._execute(
            "DELETE FROM engine_metrics WHERE metric IN "
            "(SELECT id FROM performance_metrics WHERE model_id = :model_id)",
            of,
        )
        self._execute(
            "DELETE FROM engine_reports WHERE run IN "
            "(SELECT id FROM training_history WHERE model_id = :model_id)",
            of,
        )
        self._execute(
            "UPDATE engine_attempts SET run = NULL WHERE run IN "
            "(SELECT id FROM training_history WHERE model_id = :model_id)",
            of,
        )
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
            {"path": path if digest else self._file(path), "digest": digest},
        )

    def pin(self, version: ModelVersion, pinned: bool) -> None:
        self._execute(
            "UPDATE engine_versions SET pinned = :pinned WHERE seq = :seq",
            {"pinned": int(pinned), "seq": version.seq},
        )

    def forget_debris(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._execute("DELETE FROM engine_debris WHERE path = :path", {"path": self._file(path)})

    def set_artifact(self, model_id: str, artifact: Artifact) -> None:
        self._execute(
            """
            UPDATE engine_versions SET place = :place, digest = :digest, format = :format, size = :size,
                                       python = :python, packages = :packages, store = :store,
                                       signature = :signature
            WHERE model_id = :model_id
            """,
            {"model_id": model_id, **artifact_columns(artifact)},
        )

    def set_seal(self, digest: Digest, seal: Seal, at: datetime) -> None:
        self._execute(
            """
            INSERT INTO engine_seals (digest, identity, code, checked_at)
            VALUES (:digest, :identity, :code, :at)
            ON CONFLICT (digest) DO UPDATE SET identity = excluded.identity, code = excluded.code,
                                               checked_at = excluded.checked_at
            """,
            {"digest": digest, "identity": seal.identity, "code": seal.code, "at": clock.to_text(at)},
        )

    def relocate(self, version: ModelVersion, model_path: str) -> None:
        self._execute(
            "UPDATE model_registry SET model_path = :path WHERE model_id = :model_id",
            {"path": model_path, "model_id": version.model_id},
        )
        self._execute(
            "UPDATE engine_versions SET file = :file WHERE seq = :seq",
            {"file": file_of(model_path, self._model_dir), "seq": version.seq},
        )

    def set_incomplete(self, incomplete: bool) -> None:
        if incomplete:
            self._execute(
                "INSERT INTO engine_meta (key, value) VALUES ('incomplete', '1') ON CONFLICT DO NOTHING"
            )
        else:
            self._execute("DELETE FROM engine_meta WHERE key = 'incomplete'")

    def accept_loss(self, at: datetime) -> None:
        self._execute(
            "INSERT INTO engine_meta (key, value) VALUES ('loss_accepted_at', :at) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            {"at": clock.to_text(at)},
        )

    def mark_replayed(self, operation: str, at: datetime) -> None:
        self._execute(
            "INSERT INTO engine_replayed (operation, replayed_at) VALUES (:operation, :at)",
            {"operation": operation, "at": clock.to_text(at)},
        )
