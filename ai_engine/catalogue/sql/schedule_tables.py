"""The table of the schedules by which models are trained again."""

from __future__ import annotations

SCHEDULE_TABLES = (
    # One row a model that is trained again. `spec`, `asked` and `trained` are JSON: what to train, and the
    # files as they were when its last job was asked for, and when its last version was trained. `revision`
    # grows with every change but for how a job ends: whoever saw a schedule that was due names it, and only
    # the first one does what it was due for. Until `held_until` somebody is reading its source.
    """
    CREATE TABLE engine_schedules (
        name TEXT PRIMARY KEY,
        spec TEXT NOT NULL,
        source TEXT NOT NULL,
        files TEXT NOT NULL,
        below TEXT,
        every REAL,
        min_rows INTEGER,
        revision INTEGER NOT NULL,
        set_by TEXT NOT NULL,
        set_at TIMESTAMP NOT NULL,
        due_at TIMESTAMP,
        held_until TIMESTAMP,
        job TEXT,
        asked TEXT,
        trained TEXT,
        outcome TEXT,
        outcome_at TIMESTAMP,
        outcome_job TEXT,
        version TEXT,
        active INTEGER,
        reason TEXT,
        failures INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID
    """,
    "CREATE INDEX engine_schedules_due ON engine_schedules (due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX engine_schedules_job ON engine_schedules (job) WHERE job IS NOT NULL",
)
