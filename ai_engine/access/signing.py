"""The key that signs: 32 secret bytes in a file outside of what they protect, for their owner only."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ai_engine.domain.errors import UnsafeDirectoryError
from ai_engine.files.durable_io import make_directory, storage_errors, sync_directory, write_all

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SIZE: Final = 32


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key (RFC 8032)."""

    secret: bytes

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message, 64 bytes."""
        return self._key().sign(message)

    @property
    def public(self) -> bytes:
        """By which anybody can check a signature, 32 bytes."""
        return self._key().public_key().public_bytes_raw()

    def _key(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # 30 ms

        return Ed25519PrivateKey.from_private_bytes(self.secret)


def is_signature(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether the owner of a key signed a message."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def signing_key(path: str, make: bool = False) -> SigningKey | None:
    """Return the key in a file; None where there is none.

    Parameters
    ----------
    make : bool
        Make it where there is none.

    Raises
    ------
    UnsafeDirectoryError
        If others may read or write the file, or it holds no key.
    StorageError
        If it cannot be read, or made.
    """
    with storage_errors(path):
        try:
            return _read(path)
        except FileNotFoundError:
            if not make:
                return None
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


def _read(path: str) -> SigningKey:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
            raise UnsafeDirectoryError(
                path, "can be read or written by others; `chmod 600` it, or make a new one"
            )
        text = os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
    try:
        secret = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        secret = b""
    if len(secret) != _SIZE:
        raise UnsafeDirectoryError(path, f"holds no key: {_SIZE} bytes in hexadecimal are one")
    return SigningKey(secret)
