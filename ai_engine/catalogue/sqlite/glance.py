"""Look up names and versions in a database file without opening a registry: for shell completion.

Nothing is made, migrated, recovered or waited for. What a killed process left in the log may be missing.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from urllib.parse import quote

_NAMES = """
    SELECT name FROM engine_models WHERE versions > 0 AND name >= :start AND substr(name, 1, :length) = :start
    ORDER BY name LIMIT :limit
"""
_VERSIONS = """
    SELECT version FROM engine_versions WHERE name = :name AND substr(version, 1, :length) = :start
    ORDER BY seq DESC LIMIT :limit
"""


def names(path: str, start: str, limit: int) -> list[str]:
    """Return models whose names begin so, by name. Raises sqlite3.Error where the file cannot be read."""
    return _ask(path, _NAMES, start=start, length=len(start), limit=limit)


def versions(path: str, name: str, start: str, limit: int) -> list[str]:
    """Return versions of a model that begin so, newest first. Raises sqlite3.Error as `names` does."""
    return _ask(path, _VERSIONS, name=name, start=start, length=len(start), limit=limit)


def _ask(path: str, statement: str, **parameters: str | int) -> list[str]:
    # Without the log's index beside it nobody is writing, and SQLite would have to make one.
    how = "mode=ro" if os.path.exists(f"{path}-shm") else "mode=ro&immutable=1"
    with closing(sqlite3.connect(f"file:{quote(path)}?{how}", uri=True, timeout=0)) as connection:
        return [str(row[0]) for row in connection.execute(statement, parameters)]
