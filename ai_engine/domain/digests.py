"""Digests: what bytes are called, and how it is told that they are still the same."""

from __future__ import annotations

from hashlib import sha256

from ai_engine.domain.records import Digest

ALGORITHM = "sha256"


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


def matches(data: bytes | memoryview, digest: Digest) -> bool:
    """Tell whether bytes have a digest; those of an algorithm that is not known here have not."""
    return digest_of(data) == digest
