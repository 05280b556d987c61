"""From any earlier schema to the present one; each step and the record of it commit together.

Schema 0 is a database without our tables: an empty one, or one that the original software wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from ai_engine.catalogue.sql import Execute
from ai_engine.catalogue.tables import ENGINE_TABLES, SCHEMA, SEED_TABLES
from ai_engine.domain import clock, versions
from ai_engine.domain.records import Place


def migrate(execute: Execute, schema: int) -> None:
    """Bring a database of `schema` to the present one, inside the caller's transaction."""
    for step in _STEPS[schema:]:
        step(execute)
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
    rows = execute("SELECT model_id, name, version, is_active FROM model_registry ORDER BY created_at, rowid")
    highest: dict[str, str] = {}
    for seq, (model_id, name, version, is_active) in enumerate(rows, start=1):
        # Of two rows that claim one version the newer counts; doctor reports the other.
        execute("DELETE FROM engine_versions WHERE name = :name AND version = :version", _pair(name, version))
        execute(
            "INSERT INTO engine_versions (seq, model_id, name, version, rank, place, format) "
            "VALUES (:seq, :model_id, :name, :version, :rank, :place, 'pickle')",
            {
                "seq": seq,
                "model_id": model_id,
                "rank": versions.sort_key(version, seq),
                "place": Place.PATH.value,
                **_pair(name, version),
            },
        )
        numbers = versions.parse(version)
        if numbers is not None and numbers >= (versions.parse(highest.get(name, "")) or (-1,)):
            highest[name] = version
        if is_active:
            execute(
                "INSERT INTO engine_activations (name, model_id, version, activated_at, actor, reason) "
                "VALUES (:name, :model_id, :version, :at, 'ai-engine', 'active when it was adopted')",
                {"model_id": model_id, "at": clock.to_text(clock.now()), **_pair(name, version)},
            )
    for name, version in highest.items():
        execute("INSERT INTO engine_models (name, highest) VALUES (:name, :version)", _pair(name, version))


def _settle_active_versions(execute: Execute) -> None:
    """Of several active versions of a model, or none, the newest counts."""
    execute("UPDATE model_registry SET is_active = 0 WHERE is_active IS NULL")
    newest: dict[str, tuple[bool, str]] = {}
    rows = execute("SELECT model_id, name, is_active FROM model_registry ORDER BY created_at, rowid")
    for model_id, name, is_active in rows:
        if bool(is_active) >= newest.get(name, (False, ""))[0]:
            newest[name] = (bool(is_active), model_id)
    execute("UPDATE model_registry SET is_active = 0 WHERE is_active <> 0")
    for _, model_id in newest.values():
        execute("UPDATE model_registry SET is_active = 1 WHERE model_id = :model_id", {"model_id": model_id})


def _pair(name: str, version: str) -> dict[str, str]:
    return {"name": name, "version": version}


# The step at index n leads from schema n to n + 1.
_STEPS: tuple[Callable[[Execute], None], ...] = (_adopt_seed,)
