"""The raw limit: what the same work cannot do without, written straight onto the file system and SQLite.

A durable save pickles, writes, syncs the file, renames it, syncs the directory, and commits one row to a
SQLite log with synchronous=FULL: three syncs. A durable metric is one INSERT, committed. Nothing is checked,
named, numbered or remembered.
"""

from __future__ import annotations

import os
import pickle
import sqlite3
from pathlib import Path

_TABLES = """
    CREATE TABLE IF NOT EXISTS versions (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, path TEXT NOT NULL,
        is_active INTEGER NOT NULL, created_at TEXT NOT NULL, metadata TEXT NOT NULL,
        UNIQUE (name, version)
    );
    CREATE TABLE IF NOT EXISTS metrics (
        id INTEGER PRIMARY KEY, version_id INTEGER NOT NULL, mae REAL, mse REAL, r2 REAL, recorded_at TEXT
    );
"""


class RawStore:
    """Files and one table."""

    def __init__(self, directory: Path, existing: int = 0, patience: float = 60) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.database = sqlite3.connect(directory / "raw.db", isolation_level=None, timeout=patience)
        self.database.execute("PRAGMA journal_mode = WAL").fetchall()
        self.database.execute("PRAGMA synchronous = FULL")
        self.database.executescript(_TABLES)
        self._saved = 0
        if existing:
            self.database.execute(
                """
                WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :existing)
                INSERT INTO versions (name, version, path, is_active, created_at, metadata)
                SELECT 'model-' || (i % 10), '1.0.' || i, 'model-' || i || '.pkl', 0, '2026-01-01', '{}'
                FROM n
                """,
                {"existing": existing},
            )
            self.database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def save(self, name: str, model: object) -> None:
        self._saved += 1
        number = f"{os.getpid()}.{self._saved}"
        path = f"{self.directory}/{name}@{number}.pkl"
        with open(f"{path}.part", "wb") as file:
            pickle.dump(model, file, protocol=5)
            file.flush()
            os.fsync(file.fileno())
        os.rename(f"{path}.part", path)
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(descriptor)
        os.close(descriptor)
        self.database.execute(
            "INSERT INTO versions (name, version, path, is_active, created_at, metadata) "
            "VALUES (?, ?, ?, 1, '2026-01-01', '{}')",
            (name, number, path),
        )

    def record(self) -> None:
        self.database.execute(
            "INSERT INTO metrics (version_id, mae, mse, r2, recorded_at) "
            "VALUES (1, 0.1, 0.2, 0.9, '2026-01-01')"
        )

    def close(self) -> None:
        self.database.close()
