"""The tables of the queue of trainings."""

from __future__ import annotations

JOB_TABLES = (
    # One row a job, in the order in which they were asked for. `token` is the part of its id that cannot be
    # guessed. `attempt` counts the claims: by it a worker that has lost a job is told from the one that has
    # it. `spec`, `result` and `error` are JSON.
    """
    CREATE TABLE engine_jobs (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        token TEXT NOT NULL,
        status TEXT NOT NULL,
        model_name TEXT NOT NULL,
        model_type TEXT NOT NULL,
        spec TEXT NOT NULL,
        rows_digest TEXT,
        rows_format TEXT NOT NULL,
        rows_size INTEGER NOT NULL,
        dedupe_key TEXT,
        fingerprint TEXT NOT NULL,
        request_id TEXT,
        attempt INTEGER NOT NULL DEFAULT 0,
        deaths INTEGER NOT NULL DEFAULT 0,
        cancelling INTEGER NOT NULL DEFAULT 0,
        submitted_by TEXT NOT NULL,
        submitted_at TIMESTAMP NOT NULL,
        started_at TIMESTAMP,
        completed_at TIMESTAMP,
        model_id TEXT,
        result TEXT,
        error TEXT
    )
    """,
    # The oldest that waits, lists, counts: by this one alone.
    "CREATE INDEX engine_jobs_status ON engine_jobs (status, seq)",
    "CREATE UNIQUE INDEX engine_jobs_key ON engine_jobs (dedupe_key) WHERE dedupe_key IS NOT NULL",
    "CREATE INDEX engine_jobs_rows ON engine_jobs (rows_digest) WHERE rows_digest IS NOT NULL",
    # One row a job that runs: what every heartbeat writes over, and nothing else. No index, so that it grows
    # nowhere.
    """
    CREATE TABLE engine_job_leases (
        job INTEGER PRIMARY KEY,
        attempt INTEGER NOT NULL,
        seconds REAL NOT NULL,
        beat_at TIMESTAMP NOT NULL,
        lapses_at TIMESTAMP NOT NULL,
        stage TEXT,
        fraction REAL
    )
    """,
    # What happened to a job, in order: the stages of its training, and how it ended.
    """
    CREATE TABLE engine_job_events (
        job INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        kind TEXT NOT NULL,
        at TIMESTAMP NOT NULL,
        stage TEXT,
        fraction REAL,
        PRIMARY KEY (job, seq)
    ) WITHOUT ROWID
    """,
)
# Every claim of a job, and what became of it: for the length of the job, then in the history of its model;
# and every training that was no job. `job` is the id of one, `hyperparameters` JSON. `run` is the row of
# training_history that it made, `behind` the newest one there was when it ended: the place of one that made
# none.
ATTEMPT_TABLES = (
    """
    CREATE TABLE engine_attempts (
        seq INTEGER PRIMARY KEY,
        model_name TEXT NOT NULL,
        job TEXT,
        attempt INTEGER NOT NULL,
        worker TEXT NOT NULL,
        host TEXT NOT NULL,
        hyperparameters TEXT,
        started_at TIMESTAMP NOT NULL,
        ended_at TIMESTAMP,
        outcome TEXT,
        error TEXT,
        cpu_seconds REAL,
        peak_memory INTEGER,
        run INTEGER,
        behind INTEGER
    )
    """,
    "CREATE UNIQUE INDEX engine_attempts_job ON engine_attempts (job, attempt)",
    "CREATE INDEX engine_attempts_model ON engine_attempts (model_name, seq)",
    "CREATE INDEX engine_attempts_run ON engine_attempts (run) WHERE run IS NOT NULL",
)
