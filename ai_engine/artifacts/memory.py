"""An artifact store without files: for tests, and as the plainest example of what a store has to do."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from ai_engine.artifacts.protocol import OpenArtifact, Stored
from ai_engine.domain.digests import digest_of
from ai_engine.domain.entities import Digest


class MemoryStore:
    """Keeps artifacts for as long as the object lives; threads may share it, processes cannot.

    See `ai_engine.artifacts.protocol.ArtifactStore` for what is promised.
    """

    store_id = location = "memory"

    def __init__(self) -> None:
        self._bytes: dict[Digest, bytes] = {}
        self._writing: Counter[Digest] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def create(self) -> Iterator[MemoryWriter]:
        """See ArtifactStore."""
        writer = MemoryWriter(self)
        try:
            yield writer
        finally:
            if writer.digest is not None:
                with self._lock:
                    self._writing[writer.digest] -= 1

    def put(self, writer: MemoryWriter, data: bytes) -> Stored:
        """Store the bytes of a writer, which is in flight from now on."""
        digest = digest_of(data)
        with self._lock:
            if writer.digest is None:
                self._writing[digest] += 1
            writer.digest = digest
            self._bytes[digest] = data
        return Stored(digest, len(data))

    def open(self, digest: Digest) -> OpenArtifact | None:
        """See ArtifactStore."""
        data = self._bytes.get(digest)
        # A copy, as nobody else may see what is written to it.
        return None if data is None else OpenArtifact(memoryview(bytearray(data)), None)

    def path(self, digest: Digest) -> str | None:  # noqa: ARG002  # there are no files
        """See ArtifactStore."""
        return None

    def has(self, digest: Digest) -> bool:
        """See ArtifactStore."""
        return digest in self._bytes

    def delete(self, digest: Digest) -> int:
        """See ArtifactStore."""
        with self._lock:
            return len(self._bytes.pop(digest, b""))

    def sync(self) -> None:
        """See ArtifactStore."""

    def list(self) -> Iterator[Digest]:
        """See ArtifactStore."""
        yield from tuple(self._bytes)

    def in_flight(self) -> set[Digest]:
        """See ArtifactStore."""
        return {digest for digest, count in self._writing.items() if count > 0}

    def leftovers(self) -> Iterator[Leftover]:
        """See ArtifactStore: a writer that was killed has taken the store with it."""
        yield from ()


class MemoryWriter:
    """See `ai_engine.artifacts.protocol.ArtifactWriter`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._data = bytearray()
        self.digest: Digest | None = None

    def write(self, data: bytes | memoryview, /) -> int:
        """See ArtifactWriter."""
        self._data += data
        return memoryview(data).nbytes

    def finish(self) -> Stored:
        """See ArtifactWriter."""
        return self._store.put(self, bytes(self._data))


class Leftover:
    """None is ever yielded."""

    def __enter__(self) -> Digest | None:
        return None

    def __exit__(self, *_: object) -> None:
        """Do nothing."""
