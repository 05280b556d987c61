"""What a catalogue has to do for keys, and for the log of who changed what."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from ai_engine.domain.audit import AuditEntry, AuditEvent, AuditHead, AuditSeal

if TYPE_CHECKING:  # what keys are made of takes long to import, and few ask for one
    from ai_engine.domain.keys import ApiKey


class Keys(Protocol):
    """Queries about keys, all from one moment."""

    def get(self, key_id: str) -> ApiKey | None:
        """Return a key; None where there is none."""

    def all(self) -> list[ApiKey]:
        """Return every key that was ever made, the oldest first."""

    def exist(self) -> bool:
        """Tell whether any key was ever made."""


class KeyStore(Keys, Protocol):
    """Queries and changes, which become visible with the transaction."""

    def add(self, key: ApiKey) -> None:
        """Store a key, whose id nobody has."""

    def revoke(self, key_id: str, at: datetime) -> None:
        """Let a key end at a moment, unless it is to end before."""

    def note_use(self, key_id: str, at: datetime) -> None:
        """Note that a key was used."""


class AuditTrail(Protocol):
    """Queries about who changed what, all from one moment."""

    def head(self) -> AuditHead:
        """Return the newest entry's number and digest; of an empty log, what its first entry will follow."""

    def page(
        self,
        limit: int | None = None,
        before: int | None = None,
        model: str | None = None,
        action: str | None = None,
    ) -> list[AuditEntry]:
        """Return entries, the newest first, with a lower number than `before`."""

    def following(self, seq: int, limit: int) -> list[AuditEntry]:
        """Return entries behind a number, the oldest first."""

    def seals(self) -> list[AuditSeal]:
        """Return the signed heads, the oldest first."""

    def newest_seal(self) -> AuditSeal | None:
        """Return the head that was signed last; None where none was."""


class AuditLog(AuditTrail, Protocol):
    """Queries, and entries that become visible with the transaction that they tell of."""

    def append(self, event: AuditEvent) -> AuditEntry:
        """Write down what the one in whose name the transaction is does."""

    def add_seal(self, seal: AuditSeal) -> None:
        """Keep a signed head."""
