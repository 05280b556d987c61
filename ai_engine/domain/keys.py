"""API keys: what is stored of one, and what it looks like.

``nae_<id>_<secret>``: a prefix by which scanners of source code know it, a public id, then 256 random bits
and a checksum by which a mistyped key is told from a wrong one. Digits and small letters only, so that a
double click takes it whole. The digest of the whole is stored and not the key. A slow hash protects what
people choose; what cannot be guessed it only makes slow.
"""

from __future__ import annotations

import hmac
import re
from base64 import b32encode
from binascii import crc32
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from secrets import token_bytes
from typing import Final

from ai_engine.domain.rights import Rights

_PREFIX: Final = "nae"
_KEY: Final = re.compile(rf"{_PREFIX}_([a-z2-7]{{10}})_([a-z2-7]{{52}})([a-z2-7]{{7}})", re.ASCII)
_ID: Final = re.compile(r"[a-z2-7]{10}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is stored: whose it is, what it allows and for how long, and the digest of it.

    Attributes
    ----------
    key_id : str
        The public part.
    name : str
        Whose it is; written down with every change.
    digest : bytes
        SHA-256 of the key.
    created_by : str
        Who made it.
    expires_at, revoked_at, last_used_at : datetime or None
        In UTC. The last use is known to the minute.
    """

    key_id: str
    name: str
    digest: bytes
    rights: Rights
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def ended(self, now: datetime) -> str | None:
        """Return how it came to an end, ``revoked`` or ``expired``; None while it is valid."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return None

    def is_of(self, text: str) -> bool:
        """Tell whether this is the key, in a time that does not depend on where they differ."""
        return hmac.compare_digest(self.digest, digest_of(text))


def new_key() -> tuple[str, str]:
    """Return the id of a new key, and the key.

    >>> key_id, text = new_key()
    >>> id_in(text) == key_id, len(text)
    (True, 74)
    """
    key_id = _letters(token_bytes(7))[:10]
    secret = _letters(token_bytes(32))
    return key_id, f"{_PREFIX}_{key_id}_{secret}{_checksum(key_id, secret)}"


def id_in(text: str) -> str | None:
    """Return the id of what looks like a whole key; None where it does not, as when a letter is missing."""
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    key_id, secret, checksum = match.groups()
    return key_id if hmac.compare_digest(checksum, _checksum(key_id, secret)) else None


def is_key_id(text: str) -> bool:
    """Tell whether this has the form of an id."""
    return _ID.fullmatch(text) is not None


def digest_of(text: str) -> bytes:
    """Return what is stored of a key."""
    return sha256(text.encode()).digest()


def _checksum(key_id: str, secret: str) -> str:
    return _letters(crc32(f"{key_id}{secret}".encode()).to_bytes(4))


def _letters(data: bytes) -> str:
    return b32encode(data).decode().rstrip("=").lower()
