"""The audit log: who changed what, each entry chained to the one before.

An entry's digest is that of the entry and of its predecessor's digest, so that none can be altered, removed
or put between two without altering every later one. Those at the end can be cut off; what tells is the
number and the digest of the newest entry, signed and written down elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from ai_engine.domain import clock

DONE: Final = "done"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """What somebody did, or tried to do.

    Attributes
    ----------
    action : str
        Such as ``activate``.
    model, version : str or None
        What it was done to.
    outcome : str
        ``done``, or the code of the error that it ended with.
    detail : mapping
        What else is to be known (JSON values).
    """

    action: str
    model: str | None = None
    version: str | None = None
    outcome: str = DONE
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An event in its place in the chain.

    Attributes
    ----------
    seq : int
        Its number; the first one is 1, and none is left out.
    at : datetime
        In UTC.
    actor : str
        Who, and from where.
    digest : str
        SHA-256 of the entry and of its predecessor's digest, hexadecimal.
    """

    seq: int
    at: datetime
    actor: str
    event: AuditEvent
    digest: str


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The newest entry of the chain at some moment: its number and its digest."""

    seq: int
    digest: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.digest}"


@dataclass(frozen=True, slots=True)
class AuditSeal:
    """A head with a signature of it.

    Attributes
    ----------
    signed_at : datetime
        In UTC.
    public_key, signature : bytes
        Ed25519.
    """

    head: AuditHead
    signed_at: datetime
    public_key: bytes
    signature: bytes

    def message(self) -> bytes:
        """Return what is signed."""
        return seal_message(self.head, self.signed_at)


def seal_message(head: AuditHead, signed_at: datetime) -> bytes:
    """Return what the signature of a head is made of."""
    return f"novacron-ai-engine audit {head} {clock.to_text(signed_at)}".encode()


# What the first entry is chained to.
BEGINNING: Final = AuditHead(0, "")


def chained(before: AuditHead, at: datetime, actor: str, event: AuditEvent) -> AuditEntry:
    """Return the entry that follows.

    >>> from datetime import UTC
    >>> entry = chained(BEGINNING, datetime(2026, 1, 2, tzinfo=UTC), "ops", AuditEvent("activate", "cpu"))
    >>> entry.seq, entry.digest[:8]
    (1, '4b365d7f')
    """
    seq = before.seq + 1
    told = [
        *(before.digest, seq, clock.to_text(at), actor),
        *(event.action, event.model, event.version, event.outcome, detail_text(event.detail)),
    ]
    digest = sha256(json.dumps(told, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()
    return AuditEntry(seq, at, actor, event, digest)


def detail_text(detail: Mapping[str, Any]) -> str:
    """Return a detail (JSON values) as it is stored and hashed."""
    return json.dumps(dict(detail), ensure_ascii=True, separators=(",", ":"), sort_keys=True)


def broken_at(before: AuditHead, entries: Iterable[AuditEntry]) -> tuple[AuditHead, AuditEntry | None]:
    """Follow a chain from a head on; return the last head that holds, and the first entry that does not."""
    for entry in entries:
        if chained(before, entry.at, entry.actor, entry.event) != entry:
            return before, entry
        before = AuditHead(entry.seq, entry.digest)
    return before, None
