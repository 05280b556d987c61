"""What a store of artifacts has to do, wherever the bytes are.

An artifact is immutable and known by the digest of its bytes. `ArtifactWriter.finish` returns when the bytes
survive a power cut; equal bytes are stored once. Nothing is ever half there under its digest. A store never
deletes what it did not make.

Every method may be called from many threads and processes at once. No room raises StorageFullError, any other
refusal StorageError; in both cases nothing of the attempt is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ai_engine.domain.entities import Digest, Identity


class Stored(NamedTuple):
    """Bytes that are durable: what they are called and how many they are."""

    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class OpenArtifact:
    """An artifact's bytes, held for as long as anything refers to `view`.

    Attributes
    ----------
    view : memoryview
        All the bytes. Writing to it changes neither the store nor what others see.
    identity : Identity or None
        The same at two openings only if the bytes are. None where the store cannot tell that; the digest
        then has to be checked at every opening.
    """

    view: memoryview
    identity: Identity | None


class ArtifactWriter(Protocol):
    """Bytes on their way into a store. Until it is left as a context, `sweep` leaves them alone."""

    @property
    def digest(self) -> Digest | None:
        """What `finish` stored, or was about to store when it failed; None before that."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Append bytes, as they are now; return how many."""

    def finish(self) -> Stored:
        """Make the bytes durable and return their digest; once more, should they have been removed since."""


class ArtifactStore(Protocol):
    """Bytes by digest."""

    @property
    def store_id(self) -> str:
        """What versions call the store that has their bytes; a directory that is moved keeps it."""

    @property
    def location(self) -> str:
        """Where it is, for messages."""

    def create(self) -> AbstractContextManager[ArtifactWriter]:
        """Take in an artifact; leaving the context before `finish` leaves nothing.

        Leaving it by an error after that leaves a leftover: the bytes may be there, and nobody names them.
        """

    def open(self, digest: Digest) -> OpenArtifact | None:
        """Return the bytes as they are stored, unchecked; None where there are none."""

    def path(self, digest: Digest) -> str | None:
        """Return the file of an artifact, where it has one that other names can be given to."""

    def has(self, digest: Digest) -> bool:
        """Tell whether there are bytes under the digest, of whatever quality."""

    def delete(self, digest: Digest) -> int:
        """Remove an artifact; return the bytes that the disk got back, 0 where there was none."""

    def sync(self) -> None:
        """Make what was deleted stay deleted after a power cut."""

    def list(self) -> Iterator[Digest]:
        """Yield the digest of every artifact."""

    def in_flight(self) -> set[Digest]:
        """Return what live writers have stored and may be about to commit."""

    def leftovers(self) -> Iterator[AbstractContextManager[Digest | None]]:
        """Yield what killed writers left behind.

        Entering one yields the digest that the writer may have stored without anybody knowing, None where it
        did not get so far; leaving it without an error removes the leftover.
        """
