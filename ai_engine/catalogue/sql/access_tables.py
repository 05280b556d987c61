"""The tables of keys, and of who changed what."""

from __future__ import annotations

ACCESS_TABLES = (
    # One row a key that was ever made. `digest` is SHA-256 of the key; `scopes` and `models` are JSON arrays.
    """
    CREATE TABLE engine_keys (
        key_id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        digest BLOB NOT NULL,
        scopes TEXT NOT NULL,
        models TEXT NOT NULL,
        created_at TIMESTAMP NOT NULL,
        created_by TEXT NOT NULL,
        expires_at TIMESTAMP,
        revoked_at TIMESTAMP,
        last_used_at TIMESTAMP
    ) WITHOUT ROWID
    """,
    # One row a change, or an attempt at one; see domain.audit. `detail` is JSON.
    """
    CREATE TABLE engine_audit (
        seq INTEGER PRIMARY KEY,
        at TIMESTAMP NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        model TEXT,
        version TEXT,
        outcome TEXT NOT NULL,
        detail TEXT NOT NULL,
        digest TEXT NOT NULL
    )
    """,
    # The newest entry, signed every so often.
    """
    CREATE TABLE engine_audit_seals (
        id INTEGER PRIMARY KEY,
        seq INTEGER NOT NULL,
        digest TEXT NOT NULL,
        signed_at TIMESTAMP NOT NULL,
        public_key BLOB NOT NULL,
        signature BLOB NOT NULL
    )
    """,
    "CREATE INDEX engine_audit_seals_seq ON engine_audit_seals (seq)",
)
