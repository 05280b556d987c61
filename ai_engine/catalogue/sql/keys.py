"""Keys over whatever runs statements; see catalogue.access."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ai_engine.domain import clock
from ai_engine.domain.keys import ApiKey
from ai_engine.domain.rights import Rights, Scope

if TYPE_CHECKING:
    from ai_engine.catalogue.sql.rows import SqlRow
    from ai_engine.catalogue.sql.snapshot import Execute

_COLUMNS = (
    "key_id, name, digest, scopes, models, created_at, created_by, expires_at, revoked_at, last_used_at"
)


class SqlKeys:
    """See catalogue.access.KeyStore."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def get(self, key_id: str) -> ApiKey | None:
        """See catalogue.access.Keys."""
        rows = self._execute(f"SELECT {_COLUMNS} FROM engine_keys WHERE key_id = :key_id", {"key_id": key_id})
        return _key(rows[0]) if rows else None

    def all(self) -> list[ApiKey]:
        """See catalogue.access.Keys."""
        statement = f"SELECT {_COLUMNS} FROM engine_keys ORDER BY created_at, key_id"
        return [_key(row) for row in self._execute(statement)]

    def exist(self) -> bool:
        """See catalogue.access.Keys."""
        return bool(self._execute("SELECT 1 FROM engine_keys LIMIT 1"))

    def add(self, key: ApiKey) -> None:
        """See catalogue.access.KeyStore."""
        self._execute(
            f"INSERT INTO engine_keys ({_COLUMNS}) VALUES (:key_id, :name, :digest, :scopes, :models, "
            ":created_at, :created_by, :expires_at, :revoked_at, :last_used_at)",
            {
                "key_id": key.key_id,
                "name": key.name,
                "digest": key.digest,
                "scopes": json.dumps(sorted(key.rights.scopes)),
                "models": json.dumps(key.rights.models),
                "created_at": clock.to_text(key.created_at),
                "created_by": key.created_by,
                "expires_at": _text(key.expires_at),
                "revoked_at": _text(key.revoked_at),
                "last_used_at": _text(key.last_used_at),
            },
        )

    def revoke(self, key_id: str, at: datetime) -> None:
        """See catalogue.access.KeyStore."""
        self._execute(
            "UPDATE engine_keys SET revoked_at = :at "
            "WHERE key_id = :key_id AND (revoked_at IS NULL OR revoked_at > :at)",
            {"key_id": key_id, "at": clock.to_text(at)},
        )

    def note_use(self, key_id: str, at: datetime) -> None:
        """See catalogue.access.KeyStore."""
        self._execute(
            "UPDATE engine_keys SET last_used_at = :at "
            "WHERE key_id = :key_id AND (last_used_at IS NULL OR last_used_at < :at)",
            {"key_id": key_id, "at": clock.to_text(at)},
        )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else clock.to_text(moment)


def _key(row: SqlRow) -> ApiKey:
    key_id, name, digest, scopes, models, created_at, created_by, expires_at, revoked_at, last_used_at = row
    return ApiKey(
        key_id=key_id,
        name=name,
        digest=bytes(digest),
        rights=Rights(frozenset(map(Scope, json.loads(scopes))), tuple(json.loads(models))),
        created_at=_moment(created_at),
        created_by=created_by,
        expires_at=None if expires_at is None else _moment(expires_at),
        revoked_at=None if revoked_at is None else _moment(revoked_at),
        last_used_at=clock.from_text(last_used_at),
    )


def _moment(text: Any) -> datetime:  # whatever the column holds
    """Return a moment; one that nobody can read has long been, so that nothing is valid for ever by it."""
    return clock.from_text(text) or datetime.min.replace(tzinfo=clock.now().tzinfo)
