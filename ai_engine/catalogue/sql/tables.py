"""The tables. The first three are the original software's, to the letter: other programs read them.

All that the engine needs besides lives in tables of its own, whose names begin with ``engine_``.
"""

from __future__ import annotations

from ai_engine.catalogue.sql.access_tables import ACCESS_TABLES
from ai_engine.catalogue.sql.job_tables import ATTEMPT_TABLES, JOB_TABLES
from ai_engine.catalogue.sql.schedule_tables import SCHEDULE_TABLES

SCHEMA = 5

SEED_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS model_registry (
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
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS performance_metrics (
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
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS training_history (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        model_id TEXT NOT NULL,
        training_started TIMESTAMP,
        training_completed TIMESTAMP,
        dataset_size INTEGER,
        hyperparameters TEXT,  -- JSON object
        validation_score REAL,
        FOREIGN KEY (model_id) REFERENCES model_registry (model_id)
    )
    """,
)

ENGINE_TABLES = (
    # One row a fact about the catalogue itself: its id, its schema.
    "CREATE TABLE engine_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # One row a model. `highest` is the highest number that any version of it bore, deleted ones included,
    # `versions` how many there are; `active` the seq of the active one; `move` the newest in engine_moves.
    """
    CREATE TABLE engine_models (
        name TEXT PRIMARY KEY,
        highest TEXT,
        versions INTEGER NOT NULL,
        active INTEGER,
        move INTEGER
    ) WITHOUT ROWID
    """,
    # What the engine knows of a version besides the original's columns, and whatever else versions are
    # searched by. `seq` is the order of creation, `place` a domain.entities.Place, `blob` the bytes in
    # engine_blobs where that is their place. From `metric_count` on: the version's rows in
    # performance_metrics, counted and summed, and the numbers of the last one; `metrics` is JSON.
    # `file` is the version's path within the model directory, where it is there; `store` the artifact store
    # that has the bytes, where one does.
    """
    CREATE TABLE engine_versions (
        seq INTEGER PRIMARY KEY,
        model_id TEXT NOT NULL,
        name TEXT NOT NULL,
        version TEXT NOT NULL,
        place TEXT NOT NULL,
        blob INTEGER,
        digest TEXT,
        format TEXT NOT NULL,
        size INTEGER,
        python TEXT,
        packages TEXT,
        pinned INTEGER NOT NULL DEFAULT 0,
        model_type TEXT,
        created_at TIMESTAMP,
        metric_count INTEGER NOT NULL DEFAULT 0,
        accuracy_count INTEGER NOT NULL DEFAULT 0,
        accuracy_total REAL NOT NULL DEFAULT 0,
        last_metric_update TIMESTAMP,
        mae REAL,
        mse REAL,
        r2 REAL,
        accuracy_score REAL,
        confidence_score REAL,
        training_time REAL,
        prediction_time REAL,
        training_samples INTEGER,
        feature_count INTEGER,
        metrics TEXT,
        file TEXT,
        store TEXT,
        saved_by TEXT,
        signature TEXT,
        UNIQUE (name, version)
    )
    """,
    "CREATE INDEX engine_versions_digest ON engine_versions (digest)",
    # Lists and searches: by name, by type, by age, and by what was measured last.
    "CREATE INDEX engine_versions_order ON engine_versions (name, seq DESC)",
    "CREATE INDEX engine_versions_type ON engine_versions (model_type, name, seq DESC) "
    "WHERE model_type IS NOT NULL",
    "CREATE INDEX engine_versions_created ON engine_versions (created_at)",
    "CREATE INDEX engine_versions_mae ON engine_versions (mae) WHERE mae IS NOT NULL",
    "CREATE INDEX engine_versions_r2 ON engine_versions (r2) WHERE r2 IS NOT NULL",
    "CREATE INDEX engine_versions_accuracy ON engine_versions (accuracy_score) "
    "WHERE accuracy_score IS NOT NULL",
    # Numbers of a measurement for which the original's table has no column: a JSON object by name.
    "CREATE TABLE engine_metrics (metric INTEGER PRIMARY KEY, numbers TEXT NOT NULL)",
    # What a training measured in detail, by its row in training_history: a JSON object. Beside the row, so
    # that lists, which read every training record, read none of it.
    "CREATE TABLE engine_reports (run INTEGER PRIMARY KEY, report TEXT NOT NULL)",
    # Small artifacts: the bytes are in the commit that makes the version visible. Versions with equal bytes
    # have one blob, found by the digest of any of them.
    "CREATE TABLE engine_blobs (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)",
    # Every move of an active pointer, never rewritten. `before` is the move of the same model that it
    # follows; `below` the one that a rollback returns to: by it the moves form a stack, and a rollback pops
    # without forgetting.
    """
    CREATE TABLE engine_moves (
        seq INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        model_id TEXT NOT NULL,
        version TEXT NOT NULL,
        moved_at TIMESTAMP NOT NULL,
        actor TEXT NOT NULL,
        reason TEXT NOT NULL,
        before INTEGER,
        below INTEGER
    )
    """,
    # Files of ours whose version is gone, by their path within the model directory; `sweep` removes the file,
    # then the row.
    "CREATE TABLE engine_debris (path TEXT PRIMARY KEY, digest TEXT) WITHOUT ROWID",
    # Operations of the outage journal that were applied, so that none is applied twice.
    "CREATE TABLE engine_replayed (operation TEXT PRIMARY KEY, replayed_at TIMESTAMP NOT NULL) WITHOUT ROWID",
    # A file whose digest was checked, as it was then; while it is unchanged it need not be read again, but
    # for the part that loading executes, whose digest is `code`.
    """
    CREATE TABLE engine_seals (
        digest TEXT PRIMARY KEY,
        identity TEXT NOT NULL,
        code TEXT NOT NULL,
        checked_at TIMESTAMP NOT NULL
    ) WITHOUT ROWID
    """,
    # The schema holds the invariant: at most one active version a model.
    "CREATE UNIQUE INDEX engine_one_active ON model_registry (name) WHERE is_active = 1",
    "CREATE INDEX engine_metrics_model ON performance_metrics (model_id)",
    "CREATE INDEX engine_training_model ON training_history (model_id)",
    *JOB_TABLES,
    *ACCESS_TABLES,
    *ATTEMPT_TABLES,
    *SCHEDULE_TABLES,
)
