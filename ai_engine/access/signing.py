"""The key that signs: 32 secret bytes in a file outside of what they protect, for their owner only.

A file may hold several, a line each: the first one signs, all of them are known. Heads of the audit log are
signed with Ed25519 (RFC 8032), which anybody can check who has the public half. Versions are signed with
HMAC-SHA256 (RFC 2104) under a key derived from the same secret: who checks those is who signs, and it takes
three microseconds to sign and four to check, where Ed25519 takes 42 and 109.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from ai_engine.domain.errors import SigningKeyError
from ai_engine.files.durable_io import make_directory, storage_errors, sync_directory, write_all

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SIZE: Final = 32
_LARGEST_FILE: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A secret, and what is derived from it."""

    secret: bytes

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of a message, 64 bytes."""
        return self._key().sign(message)

    @property
    def public(self) -> bytes:
        """By which anybody can check an Ed25519 signature, 32 bytes."""
        return self._key().public_key().public_bytes_raw()

    def _key(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # 30 ms

        return Ed25519PrivateKey.from_private_bytes(self.secret)


class VersionSigner:
    """Signs versions; see `registry.signatures.Signer`.

    Parameters
    ----------
    keys : sequence of SigningKey
        At least one; the first one signs.
    """

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        self._derived = [
            hmac.new(key.secret, b"novacron-ai-engine versions", sha256).digest() for key in keys
        ]

    def sign(self, message: bytes) -> str:
        """Return the signature of a message, 64 hexadecimal digits."""
        return hmac.new(self._derived[0], message, sha256).hexdigest()

    def signed(self, message: bytes, signature: str) -> bool:
        """Tell whether one of the keys made a signature."""
        return any(
            hmac.compare_digest(hmac.new(key, message, sha256).hexdigest().encode(), signature.encode())
            for key in self._derived
        )


def is_signature(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether the owner of a key signed a message."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def signing_keys(path: str, make: bool = False) -> list[SigningKey]:
    """Return the keys in a file, the one that signs first; none where there is no file.

    Parameters
    ----------
    make : bool
        Make the file, with a new key, where there is none.

    Raises
    ------
    SigningKeyError
        If others may read or write the file, or it holds no keys.
    StorageError
        If it cannot be read, or made.
    """
    with storage_errors(path):
        try:
            return _read(path)
        except FileNotFoundError:
            if not make:
                return []
        make_directory(os.path.dirname(path), 0o700)
        # Under another name until it is whole; who is later than another process takes that one's.
        draft = f"{path}.{secrets.token_hex(8)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            write_all(descriptor, secrets.token_bytes(_SIZE).hex().encode() + b"\n")
            os.fsync(descriptor)
            with suppress(FileExistsError):
                os.link(draft, path)
        finally:
            os.close(descriptor)
            os.unlink(draft)
        sync_directory(os.path.dirname(path))
        return _read(path)


def _read(path: str) -> list[SigningKey]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
            raise SigningKeyError(path, "can be read or written by others; `chmod 600` it, or make a new one")
        text = os.read(descriptor, _LARGEST_FILE)
    finally:
        os.close(descriptor)
    try:
        keys = [bytes.fromhex(line) for line in text.decode("ascii").split()]
    except ValueError:
        keys = []
    if not keys or any(len(key) != _SIZE for key in keys):
        raise SigningKeyError(path, f"holds no key: {_SIZE} bytes in hexadecimal are one, a line each")
    return [SigningKey(key) for key in keys]
