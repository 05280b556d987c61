"""Writes a database and files as the original software does, from the DDL of its own document."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
from pathlib import Path

DDL = """
CREATE TABLE model_registry (
    model_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    model_type TEXT,
    algorithms TEXT,  -- JSON array
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    is_active INTEGER DEFAULT 0,
    model_path TEXT,
    metadata TEXT  -- JSON object
);
CREATE TABLE performance_metrics (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    model_id TEXT NOT NULL,
    mae REAL,
    mse REAL,
    r2 REAL,
    accuracy_score REAL,
    confidence_score REAL,
    training_time REAL,
    prediction_time REAL,
    training_samples INTEGER,
    feature_count INTEGER,
    recorded_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    FOREIGN KEY (model_id) REFERENCES model_registry (model_id)
);
CREATE TABLE training_history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    model_id TEXT NOT NULL,
    training_started TIMESTAMP,
    training_completed TIMESTAMP,
    dataset_size INTEGER,
    hyperparameters TEXT,  -- JSON object
    validation_score REAL,
    FOREIGN KEY (model_id) REFERENCES model_registry (model_id)
);
CREATE INDEX idx_model_name ON model_registry (name);
CREATE INDEX idx_model_version ON model_registry (version);
CREATE INDEX idx_performance_model ON performance_metrics (model_id);
"""


class Original:
    """A model directory of the original software."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(directory / "model_registry.db", isolation_level=None)
        self.connection.executescript(DDL)

    def save(
        self,
        name: str,
        version: str,
        model: object,
        *,
        active: int | None = 1,
        at: str = "2025-01-02 03:04:05",
        data: bytes | None = None,
        path: Path | None = None,
        metadata: str | None = None,
    ) -> Path:
        """Write a version as `save_model` of the original does."""
        model_id = f"{name}_{version}".replace(".", "_")
        path = path or self.directory / f"{model_id}.pkl".replace("/", "_")
        path.write_bytes(pickle.dumps(model, protocol=4) if data is None else data)
        self.connection.execute(
            "INSERT INTO model_registry (model_id, name, version, model_type, algorithms, created_at, "
            "updated_at, is_active, model_path, metadata) VALUES (?, ?, ?, 'unknown', '[]', ?, ?, ?, ?, ?)",
            (model_id, name, version, at, at, active, os.fspath(path), metadata or json.dumps({})),
        )
        return path

    def measure(self, model_id: str, mae: float) -> None:
        """Append a measurement, of a version that need not exist."""
        self.connection.execute(
            "INSERT INTO performance_metrics (model_id, mae, accuracy_score) VALUES (?, ?, 0.5)",
            (model_id, mae),
        )
        self.connection.execute(
            "INSERT INTO training_history (model_id, training_started, hyperparameters) VALUES (?, ?, '{}')",
            (model_id, "2025-01-02T03:04:05.123456"),
        )

    def close(self) -> None:
        self.connection.close()
