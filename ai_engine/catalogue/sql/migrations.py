"""From any earlier schema to the present one; each step and the record of it commit together.

Schema 0 is a database without our tables: an empty one, or one that the original software wrote.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from ai_engine.catalogue.sql import statements
from ai_engine.catalogue.sql.access_tables import ACCESS_TABLES
from ai_engine.catalogue.sql.dialect import SQLITE
from ai_engine.catalogue.sql.job_tables import ATTEMPT_TABLES, JOB_TABLES
from ai_engine.catalogue.sql.rows import SqlRow
from ai_engine.catalogue.sql.schedule_tables import SCHEDULE_TABLES
from ai_engine.catalogue.sql.snapshot import Execute
from ai_engine.catalogue.sql.tables import ENGINE_TABLES, SCHEMA, SEED_TABLES
from ai_engine.domain import clock, versions
from ai_engine.domain.entities import Place
from ai_engine.domain.job_ids import id_of
from ai_engine.domain.performance import COUNTS, REALS


def migrate(execute: Execute, schema: int, model_dir: str) -> None:
    """Bring a database of `schema` to the present one, inside the caller's transaction.

    Parameters
    ----------
    model_dir : str
        The directory as the rows call it, which name files in it.
    """
    if schema == SCHEMA:
        return
    if schema == 0:
        _adopt_seed(execute)
    if schema == 1:
        _add_what_is_searched(execute)
    if schema in (1, 2):
        _name_files_within(execute, model_dir)
    if schema in (1, 2, 3):
        _add_reports(execute)
    if schema == 1:
        _note_what_is_searched(execute)
    if schema in (1, 2, 3):
        for statement in JOB_TABLES:
            execute(statement)
    if schema in (1, 2, 3, 4):
        execute("ALTER TABLE engine_versions ADD COLUMN signature TEXT")
        for statement in (*ACCESS_TABLES, *ATTEMPT_TABLES, *SCHEDULE_TABLES):
            execute(statement)
    if schema == 4:
        _keep_attempts(execute)
    execute(
        "INSERT INTO engine_meta (key, value) VALUES ('schema', :schema) "
        "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        {"schema": str(SCHEMA)},
    )


def _adopt_seed(execute: Execute) -> None:
    """Add our tables to the original's, and to ours what its rows tell."""
    for statement in SEED_TABLES:
        execute(statement)
    _settle_active_versions(execute)
    for statement in ENGINE_TABLES:
        execute(statement)
    execute("INSERT INTO engine_meta (key, value) VALUES ('catalogue_id', :id)", {"id": uuid4().hex})
    rows = _served(execute)
    models: dict[str, dict[str, Any]] = {}
    now = clock.to_text(clock.now())
    for model_id, name, version, is_active in rows:
        model = models.setdefault(name, {"name": name, "highest": None, "active": None, "move": None})
        identity = {"model_id": model_id, "name": name, "version": version}
        # Of two rows that claim one version the newer counts; doctor reports the other.
        execute(
            "DELETE FROM engine_versions WHERE name = :name AND version = :version",
            {"name": name, "version": version},
        )
        ((seq,),) = execute(
            "INSERT INTO engine_versions (model_id, name, version, place, format) "
            "VALUES (:model_id, :name, :version, :place, 'pickle') RETURNING seq",
            {**identity, "place": Place.PATH.value},
        )
        numbers = versions.parse(version)
        if numbers is not None and numbers >= (versions.parse(model["highest"] or "") or (-1,)):
            model["highest"] = version
        if is_active:
            model["active"] = seq
            ((model["move"],),) = execute(
                "INSERT INTO engine_moves (name, model_id, version, moved_at, actor, reason) "
                "VALUES (:name, :model_id, :version, :at, 'ai-engine', 'active when it was adopted') "
                "RETURNING seq",
                {**identity, "at": now},
            )
    _note_what_is_searched(execute)
    for model in models.values():
        execute(
            "INSERT INTO engine_models (name, highest, versions, active, move) "
            "SELECT :name, :highest, COUNT(*), :active, :move FROM engine_versions WHERE name = :name",
            model,
        )


def _served(execute: Execute) -> list[SqlRow]:
    """Return the id, name, version and flag of every row that can be asked for, oldest first."""
    rows = execute(
        "SELECT model_id, name, version, is_active FROM model_registry WHERE typeof(model_id) = 'text' "
        "AND typeof(name) = 'text' AND typeof(version) = 'text' ORDER BY created_at, rowid"
    )
    return [row for row in rows if _NO_TEXT not in "".join(row[:3])]


def _settle_active_versions(execute: Execute) -> None:
    """Of several active versions of a model, or none, the newest counts."""
    execute("UPDATE model_registry SET is_active = 0 WHERE is_active IS NULL")
    rows = _served(execute)
    newest: dict[str, tuple[bool, str]] = {}
    for model_id, name, _, is_active in rows:
        if bool(is_active) >= newest.get(name, (False, ""))[0]:
            newest[name] = (bool(is_active), model_id)
    execute("UPDATE model_registry SET is_active = 0 WHERE is_active <> 0")
    for _, model_id in newest.values():
        execute("UPDATE model_registry SET is_active = 1 WHERE model_id = :model_id", {"model_id": model_id})


def _note_what_is_searched(execute: Execute) -> None:
    """Give every version what it is searched by: its type, when it was made, and what was measured of it."""
    execute(
        "UPDATE engine_versions SET (model_type, created_at) = (SELECT r.model_type, r.created_at "
        "FROM model_registry r WHERE r.model_id = engine_versions.model_id)"
    )
    # Other programs wrote moments in other ways, and those do not sort.
    for seq, created_at in execute(
        "SELECT seq, created_at FROM engine_versions WHERE created_at NOT GLOB :ours", {"ours": _OUR_MOMENT}
    ):
        moment = clock.from_text(created_at)
        execute(
            "UPDATE engine_versions SET created_at = :at WHERE seq = :seq",
            {"seq": seq, "at": clock.to_text(moment) if moment else None},
        )
    for statement in statements.measured_again(SQLITE):
        execute(statement)


def _add_what_is_searched(execute: Execute) -> None:
    """Lead from schema 1 to 2, whose versions carry what they are searched by."""
    for column in (
        "model_type TEXT",
        "created_at TIMESTAMP",
        "metric_count INTEGER NOT NULL DEFAULT 0",
        "accuracy_count INTEGER NOT NULL DEFAULT 0",
        "accuracy_total REAL NOT NULL DEFAULT 0",
        "last_metric_update TIMESTAMP",
        *(f"{real} REAL" for real in REALS),
        *(f"{count} INTEGER" for count in COUNTS),
    ):
        execute(f"ALTER TABLE engine_versions ADD COLUMN {column}")
    execute("DROP INDEX engine_metrics_summary")
    for statement in ENGINE_TABLES:
        if statement.startswith(("CREATE INDEX engine_versions", "CREATE INDEX engine_metrics")):
            execute(statement.replace("CREATE INDEX", "CREATE INDEX IF NOT EXISTS"))


def _name_files_within(execute: Execute, model_dir: str) -> None:
    """Lead from schema 2 to 3: rows name files within the directory, a measurement holds any number.

    Seals hold the digest of what loading executes, so each large file is read once more.
    """
    for column in ("metrics TEXT", "file TEXT", "store TEXT", "saved_by TEXT"):
        execute(f"ALTER TABLE engine_versions ADD COLUMN {column}")
    execute("DROP TABLE engine_seals")
    for statement in ENGINE_TABLES:
        if "CREATE TABLE engine_seals" in statement or "CREATE TABLE engine_metrics" in statement:
            execute(statement)
    execute(
        "UPDATE engine_versions SET file = (SELECT substr(r.model_path, length(:dir) + 2) "
        "FROM model_registry r WHERE r.model_id = engine_versions.model_id "
        "AND substr(r.model_path, 1, length(:dir) + 1) = :dir || '/') WHERE place <> 'path'",
        {"dir": model_dir},
    )
    execute("UPDATE engine_versions SET store = 'local' WHERE place = 'store'")
    execute(
        "UPDATE OR REPLACE engine_debris SET path = substr(path, length(:dir) + 2) "
        "WHERE substr(path, 1, length(:dir) + 1) = :dir || '/'",
        {"dir": model_dir},
    )


def _add_reports(execute: Execute) -> None:
    """Lead from schema 3 to 4: a training may have a report."""
    for statement in ENGINE_TABLES:
        if "CREATE TABLE engine_reports" in statement:
            execute(statement)


def _keep_attempts(execute: Execute) -> None:
    """Lead from schema 4 to 5, where attempts outlive their job and belong to the history of its model."""
    rows = execute(
        "SELECT j.seq, j.token, j.model_name, j.model_id, j.spec, a.attempt, a.worker, a.host, a.started_at, "
        "a.ended_at, a.outcome, a.error, a.cpu_seconds, a.peak_memory FROM engine_job_attempts a "
        "JOIN engine_jobs j ON j.seq = a.job ORDER BY a.started_at, a.job, a.attempt"
    )
    for seq, token, name, model_id, spec, number, worker, host, started, ended, outcome, *rest in rows:
        error, cpu, peak = rest
        execute(
            """
            INSERT INTO engine_attempts (model_name, job, attempt, worker, host, hyperparameters, started_at,
                                         ended_at, outcome, error, cpu_seconds, peak_memory, run, behind)
            VALUES (:name, :job, :attempt, :worker, :host, :hyperparameters, :started, :ended, :outcome,
                    :error, :cpu, :peak,
                    CASE WHEN :outcome = 'completed' THEN
                        (SELECT MIN(id) FROM training_history WHERE model_id = :model_id) END,
                    CASE WHEN :outcome <> 'completed' THEN
                        (SELECT COALESCE(MAX(id), 0) FROM training_history
                         WHERE training_completed <= :ended) END)
            """,
            {
                "name": name,
                "job": id_of(seq, token),
                "attempt": number,
                "worker": worker,
                "host": host,
                "hyperparameters": json.dumps(json.loads(spec).get("hyperparameters") or {}),
                "started": started,
                "ended": ended,
                "outcome": outcome,
                "error": error,
                "cpu": cpu,
                "peak": peak,
                "model_id": model_id,
            },
        )
    execute("DROP TABLE engine_job_attempts")


# What is read in the place of bytes that are no text.
_NO_TEXT = "\N{REPLACEMENT CHARACTER}"
_OUR_MOMENT = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] [0-9][0-9]:[0-9][0-9]:[0-9][0-9].??????"
