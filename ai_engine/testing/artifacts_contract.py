"""What every ArtifactStore must do; see artifacts.protocol for the prose."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

import pytest

from ai_engine.artifacts.protocol import ArtifactStore
from ai_engine.domain.digests import matches, named
from ai_engine.domain.entities import Digest, Identity

OpenStore = Callable[[], ArtifactStore]
UNKNOWN = named("0" * 64)


def put(store: ArtifactStore, data: bytes) -> Digest:
    """Store bytes and return their digest."""
    with store.create() as writer:
        writer.write(data)
        return writer.finish().digest


def content(store: ArtifactStore, digest: Digest) -> bytes | None:
    """Return what is stored under a digest."""
    opened = store.open(digest)
    return None if opened is None else bytes(opened.view)


def identity(store: ArtifactStore, digest: Digest) -> Identity | None:
    """Return what tells stored bytes from others."""
    opened = store.open(digest)
    assert opened is not None
    return opened.identity


class ArtifactStoreContract:
    """Give it a fixture `open_store`: a callable that opens the same empty store, each time anew."""

    @pytest.mark.parametrize("size", [0, 1, 65_536, 9_000_000])
    def test_what_is_stored_is_found_under_its_digest(self, open_store: OpenStore, size: int) -> None:
        """By another opening of the store, too."""
        data = bytes(range(256)) * (size // 256) + bytes(size % 256)
        with open_store().create() as writer:
            for start in range(0, size, 1_000_000):
                assert writer.write(data[start : start + 1_000_000]) == len(data[start : start + 1_000_000])
            stored = writer.finish()
        assert stored == (named(hashlib.sha256(data).hexdigest()), size)
        assert content(open_store(), stored.digest) == data

    def test_what_was_never_finished_leaves_nothing(self, open_store: OpenStore) -> None:
        """Whether the writer gave up or failed."""
        store = open_store()
        with store.create() as writer:
            writer.write(b"half")
        with pytest.raises(ZeroDivisionError), store.create() as writer:
            writer.write(b"half")
            raise ZeroDivisionError
        assert list(store.list()) == []

    def test_equal_bytes_are_one_artifact(self, open_store: OpenStore) -> None:
        """However often they are stored."""
        store = open_store()
        digests = {put(store, b"same") for _ in range(3)}
        assert list(store.list()) == list(digests)

    def test_what_is_not_there_is_none(self, open_store: OpenStore) -> None:
        """And deleting it frees nothing."""
        store = open_store()
        assert store.open(UNKNOWN) is None
        assert not store.has(UNKNOWN)
        assert store.delete(UNKNOWN) == 0
        assert list(store.list()) == []

    def test_what_is_deleted_is_gone_and_can_come_back(self, open_store: OpenStore) -> None:
        """Its neighbours stay."""
        store = open_store()
        digest, other = put(store, b"x" * 100_000), put(store, b"other")
        assert store.delete(digest) > 0
        store.sync()
        assert not store.has(digest)
        assert content(store, other) == b"other"
        assert put(store, b"x" * 100_000) == digest
        assert store.has(digest)

    def test_finishing_again_brings_back_what_was_swept(self, open_store: OpenStore) -> None:
        """As long as the writer is held."""
        store = open_store()
        with store.create() as writer:
            writer.write(b"swept")
            digest = writer.finish().digest
            store.delete(digest)
            assert writer.finish().digest == digest
        assert content(store, digest) == b"swept"

    def test_what_a_live_writer_stored_is_in_flight(self, open_store: OpenStore) -> None:
        """And is no leftover, to another opening of the store either."""
        store = open_store()
        with store.create() as writer:
            writer.write(b"about to be committed")
            digest = writer.finish().digest
            assert digest in open_store().in_flight()
            assert list(open_store().leftovers()) == []
        assert digest not in store.in_flight()

    def test_a_view_outlives_the_artifact_and_can_be_written(self, open_store: OpenStore) -> None:
        """Writing to it changes what nobody else sees."""
        store = open_store()
        digest = put(store, b"immutable" * 1000)
        opened = store.open(digest)
        assert opened is not None
        if not opened.view.readonly:
            opened.view[0] = 0
        assert content(store, digest) == b"immutable" * 1000
        store.delete(digest)
        assert bytes(opened.view[1:9]) == b"mmutable"

    def test_an_identity_changes_with_the_bytes(self, open_store: OpenStore) -> None:
        """And only with them."""
        store = open_store()
        digest = put(store, b"x")
        first = identity(store, digest)
        assert first == identity(store, digest)
        store.delete(digest)
        put(store, b"x")
        assert first is None or identity(store, digest) != first

    def test_threads_store_at_once(self, open_store: OpenStore) -> None:
        """The same bytes and others."""
        store = open_store()
        threads = [threading.Thread(target=put, args=(store, bytes([n % 4]) * 50_000)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        digests = list(store.list())
        assert len(digests) == 4
        for digest in digests:
            opened = store.open(digest)
            assert opened is not None
            assert matches(opened.view, digest)
