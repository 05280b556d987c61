"""What do lists, pages of them, searches, and the active version of one name cost?

The raw limits, over the same database: all rows of `model_registry` as tuples, unsorted, all columns or the
five that tell least; a hundred rows of one name by an index; the one active row of a name by an index. A
search counts what it finds over all pages.
"""

from __future__ import annotations

import json
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

from ai_engine.domain.filters import parse_search
from ai_engine.domain.search import Position
from ai_engine.models import ModelManager
from benchmarks.filled import NAMES, PROBE_VERSIONS, fill
from benchmarks.measure import Answer, Options, alternating, medians

PAGE = 100
# The last two count what they find, or read every version: they grow, and it is told by how much.
SEARCHES = (
    ("best", "the 100 of the least mean error", None, "mae"),
    ("newest", "the 100 that were saved last", None, "-created_at"),
    ("bound", "a page of `name ~ 'model-3*' and mae < 0.1`", "name ~ 'model-3*' and mae < 0.1", "mae"),
    ("metadata", "a page of `metadata.source = 'x'`, without an index", "metadata.source = 'x'", None),
)
_ALL = (
    "SELECT model_id, name, version, model_type, algorithms, created_at, updated_at, is_active, model_path, "
    "metadata FROM model_registry"
)
_FIVE = "SELECT model_id, name, version, model_type, is_active FROM model_registry"
_SHAPED = """
    SELECT r.*, COUNT(m.model_id), AVG(m.accuracy_score), MAX(m.recorded_at)
    FROM model_registry r LEFT JOIN performance_metrics m ON m.model_id = r.model_id GROUP BY r.model_id
"""
_PAGE = """
    SELECT r.* FROM engine_versions e JOIN model_registry r ON r.model_id = e.model_id
    WHERE e.name = ? ORDER BY e.seq DESC LIMIT ?
"""
_ACTIVE = "SELECT version FROM model_registry WHERE name = ? AND is_active = 1"


def ask(answer: Answer, options: Options) -> None:
    for count in options.sizes((1000, 10_000), (1000, 10_000, 100_000), (1_000_000,)):
        with options.scratch() as scratch:
            fill(scratch, count)
            _listed(answer, options, count, scratch)


def _listed(answer: Answer, options: Options, count: int, directory: Path) -> None:
    database = sqlite3.connect(directory / "model_registry.db")
    with ModelManager(directory) as manager:
        registry, name = manager.registry, NAMES[3]
        if count == 10_000:
            total = count + PROBE_VERSIONS
            assert len(manager.get_model_info()["models"]) == total == len(database.execute(_ALL).fetchall())
            mine, raw = alternating(
                manager.get_model_info, lambda: database.execute(_ALL).fetchall(), options.times(10), 2
            )
            answer.add("all", f"all {count:,}, with metrics and metadata", "s", medians(mine), medians(raw))
            mine, raw = alternating(
                manager.get_model_info, lambda: database.execute(_FIVE).fetchall(), options.times(10), 2
            )
            answer.add("five", "the same, against five of its columns", "s", medians(mine), medians(raw))
            other = sqlite3.connect(directory / "model_registry.db", isolation_level=None)
            other.execute("PRAGMA synchronous = OFF")
            mine, raw = alternating(
                lambda: _changed(other, manager),
                lambda: database.execute(_ALL).fetchall(),
                options.times(10),
                2,
            )
            other.close()
            answer.add("changed", "all, after somebody has committed", "s", medians(mine), medians(raw))
            mine, raw = alternating(manager.get_model_info, lambda: _shaped(database), options.times(10), 2)
            answer.add(
                "shaped", "the same, against its rows joined and parsed", "s", medians(mine), medians(raw)
            )

        mine, raw = alternating(
            lambda: registry.describe(None, PAGE),
            lambda: database.execute(_PAGE, (NAMES[0], PAGE)).fetchall(),
            options.times(10),
            20,
        )
        answer.add(
            f"page_{count}", f"a page of {PAGE}, of {count:,}", "s", medians(mine), medians(raw), count
        )

        entries, _, _ = registry.describe(None, count // 2)
        deep = Position(entries[-1]["name"], entries[-1]["seq"])
        mine, raw = alternating(
            lambda: registry.describe(None, PAGE, deep),
            lambda: database.execute(_PAGE, (name, PAGE)).fetchall(),
            options.times(10),
            4,
        )
        answer.add(
            f"deep_{count}", f"a page in the middle, of {count:,}", "s", medians(mine), medians(raw), count
        )

        mine, raw = alternating(
            lambda: registry.describe(name, PAGE),
            lambda: database.execute(_PAGE, (name, PAGE)).fetchall(),
            options.times(10),
            20,
        )
        answer.add(
            f"one_{count}", f"a page of one name, of {count:,}", "s", medians(mine), medians(raw), count
        )

        for key, what, where, sort in SEARCHES:
            search = parse_search(where, sort)
            mine, raw = alternating(
                partial(registry.describe, None, PAGE, None, search),
                lambda: database.execute(_PAGE, (name, PAGE)).fetchall(),
                options.times(10),
                2,
            )
            answer.add(f"{key}_{count}", f"{what}, of {count:,}", "s", medians(mine), medians(raw), count)

        for key, what, call in (
            ("view", "`active_models[name]`", lambda: manager.active_models[name]),
            ("find", "`registry.find(name)`", lambda: registry.find(name)),
        ):
            mine, raw = alternating(
                call, lambda: database.execute(_ACTIVE, (name,)).fetchall(), options.times(10), 100
            )
            answer.add(f"{key}_{count}", f"{what}, of {count:,}", "s", medians(mine), medians(raw), count)
    database.close()


def _changed(other: sqlite3.Connection, manager: ModelManager) -> dict[str, Any]:
    """Return the list after a commit, which takes a thousandth of it."""
    other.execute("INSERT OR REPLACE INTO engine_meta (key, value) VALUES ('changed', 'x')")
    return dict(manager.get_model_info())


def _shaped(database: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return what the list has to hold, by the shortest way: JSON values."""
    cursor = database.execute(_SHAPED)
    columns = [column[0] for column in cursor.description]
    rows = [dict(zip(columns, row, strict=True)) for row in cursor]
    for row in rows:
        row["algorithms"] = json.loads(row["algorithms"])
        row["metadata"] = json.loads(row["metadata"])
    return rows
