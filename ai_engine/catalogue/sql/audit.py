"""The log of who changed what, over whatever runs statements; see catalogue.access."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ai_engine.domain import clock
from ai_engine.domain.audit import (
    BEGINNING,
    AuditEntry,
    AuditEvent,
    AuditHead,
    AuditSeal,
    chained,
    detail_text,
)

if TYPE_CHECKING:
    from ai_engine.catalogue.sql.rows import SqlRow
    from ai_engine.catalogue.sql.snapshot import Execute

_COLUMNS = "seq, at, actor, action, model, version, outcome, detail, digest"
_SEALS = "SELECT seq, digest, signed_at, public_key, signature FROM engine_audit_seals"


class SqlAuditTrail:
    """See catalogue.access.AuditTrail."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def head(self) -> AuditHead:
        """See catalogue.access.AuditTrail."""
        rows = self._execute("SELECT seq, digest FROM engine_audit ORDER BY seq DESC LIMIT 1")
        return AuditHead(*rows[0]) if rows else BEGINNING

    def page(
        self,
        limit: int | None = None,
        before: int | None = None,
        model: str | None = None,
        action: str | None = None,
    ) -> list[AuditEntry]:
        """See catalogue.access.AuditTrail."""
        wanted = {"before": before, "model": model, "action": action}
        given = {name: value for name, value in wanted.items() if value is not None}
        spelled = {"before": "seq < :before", "model": "model = :model", "action": "action = :action"}
        where = " AND ".join(spelled[name] for name in given)
        statement = (
            f"SELECT {_COLUMNS} FROM engine_audit{' WHERE ' + where if where else ''} ORDER BY seq DESC"
        )
        if limit is not None:
            statement, given = f"{statement} LIMIT :limit", {**given, "limit": limit}
        return [_entry(row) for row in self._execute(statement, given)]

    def following(self, seq: int, limit: int) -> list[AuditEntry]:
        """See catalogue.access.AuditTrail."""
        statement = f"SELECT {_COLUMNS} FROM engine_audit WHERE seq > :seq ORDER BY seq LIMIT :limit"
        return [_entry(row) for row in self._execute(statement, {"seq": seq, "limit": limit})]

    def seals(self) -> list[AuditSeal]:
        """See catalogue.access.AuditTrail."""
        return [_seal(row) for row in self._execute(f"{_SEALS} ORDER BY seq, id")]

    def newest_seal(self) -> AuditSeal | None:
        """See catalogue.access.AuditTrail."""
        rows = self._execute(f"{_SEALS} ORDER BY seq DESC, id DESC LIMIT 1")
        return _seal(rows[0]) if rows else None


class SqlAuditLog(SqlAuditTrail):
    """See catalogue.access.AuditLog.

    Parameters
    ----------
    actor : str
        In whose name the transaction is.
    """

    def __init__(self, execute: Execute, actor: str) -> None:
        super().__init__(execute)
        self._actor = actor

    def append(self, event: AuditEvent) -> AuditEntry:
        """See catalogue.access.AuditLog."""
        entry = chained(self.head(), clock.now(), self._actor, event)
        self._execute(
            f"INSERT INTO engine_audit ({_COLUMNS}) VALUES (:seq, :at, :actor, :action, :model, :version, "
            ":outcome, :detail, :digest)",
            {
                "seq": entry.seq,
                "at": clock.to_text(entry.at),
                "actor": entry.actor,
                "action": event.action,
                "model": event.model,
                "version": event.version,
                "outcome": event.outcome,
                "detail": detail_text(event.detail),
                "digest": entry.digest,
            },
        )
        return entry

    def add_seal(self, seal: AuditSeal) -> None:
        """See catalogue.access.AuditLog."""
        self._execute(
            "INSERT INTO engine_audit_seals (seq, digest, signed_at, public_key, signature) "
            "VALUES (:seq, :digest, :at, :key, :signature)",
            {
                "seq": seal.head.seq,
                "digest": seal.head.digest,
                "at": clock.to_text(seal.signed_at),
                "key": seal.public_key,
                "signature": seal.signature,
            },
        )


def _seal(row: SqlRow) -> AuditSeal:
    seq, digest, at, key, signature = row
    return AuditSeal(AuditHead(seq, digest), clock.from_text(at) or clock.now(), bytes(key), bytes(signature))


def _entry(row: SqlRow) -> AuditEntry:
    seq, at, actor, action, model, version, outcome, detail, digest = row
    return AuditEntry(
        seq=seq,
        at=clock.from_text(at) or clock.now(),  # an altered moment breaks the chain, whatever it is read as
        actor=actor,
        event=AuditEvent(action, model, version, outcome, _detail(detail)),
        digest=digest,
    )


def _detail(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except (TypeError, ValueError):  # altered, which the digest tells
        return {"unreadable": str(text)}
    return found if isinstance(found, dict) else {"unreadable": str(text)}
