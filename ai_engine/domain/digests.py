"""Digests: what bytes are called, and how it is told that they are still the same."""

from __future__ import annotations

import re
from hashlib import sha256

from ai_engine.domain.entities import Digest

ALGORITHM = "sha256"
_DIGEST = re.compile(rf"{ALGORITHM}:[0-9a-f]{{64}}", re.ASCII)


def digest_of(*parts: bytes | memoryview) -> Digest:
    """Return the digest of bytes that follow each other, as ``algorithm:hex``.

    >>> digest_of(b"")[:23]
    'sha256:e3b0c44298fc1c14'
    """
    hasher = sha256()
    for part in parts:
        hasher.update(part)
    return named(hasher.hexdigest())


def named(hexadecimal: str) -> Digest:
    """Return the digest whose hexadecimal part is known.

    >>> named("e3b0")
    'sha256:e3b0'
    """
    return Digest(f"{ALGORITHM}:{hexadecimal}")


def is_digest(text: str) -> bool:
    """Tell whether a text is a digest, and not, as a store would see it, a path.

    >>> is_digest("sha256:../../notes")
    False
    """
    return _DIGEST.fullmatch(text) is not None


def matches(data: bytes | memoryview, digest: Digest) -> bool:
    """Tell whether bytes have a digest; those of an algorithm that is not known here have not."""
    return digest_of(data) == digest
