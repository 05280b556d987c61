"""From an object to durable bytes, ready for the transaction that makes them visible."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from ai_engine.artifacts.protocol import ArtifactStore, ArtifactWriter, Staged
from ai_engine.domain.digests import digest_of
from ai_engine.domain.records import Artifact, Place
from ai_engine.formats import choice

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The bytes of an object: in hand where they are few, else durable in the store.

    Attributes
    ----------
    renew : callable
        Stores the bytes once more, should they have been swept since.
    """

    artifact: Artifact
    data: bytes | None
    renew: Callable[[], object]


@contextmanager
def prepared(what: str, model: object, store: ArtifactStore) -> Iterator[Prepared]:
    """Turn an object into bytes. Nobody sweeps them before the context is left.

    Raises
    ------
    SerializationError
        If the object cannot be pickled.
    StorageError
        If the store refuses.
    """
    with ExitStack() as stack:
        writers: list[ArtifactWriter] = []

        def spill() -> ArtifactWriter:
            writers.append(stack.enter_context(store.create()))
            return writers[0]

        dumped = choice.dump(what, model, spill)
        if dumped.data is not None:
            place, digest, size = Place.ROW, digest_of(dumped.data), len(dumped.data)
        else:
            place, (digest, size) = Place.STORE, writers[0].finish()
        artifact = Artifact(place, digest, dumped.format, size, dumped.python, dumped.packages)
        yield Prepared(artifact, dumped.data, lambda: [writer.finish() for writer in writers])


def publish(staged: Staged, path: str, source: str | None, record: bytes) -> None:
    """Put the file of a version in its place; the version is saved whether or not that works."""
    try:
        staged.publish(path, source, record)
    except OSError as error:
        log.error("%s cannot be written and will be when it is next loaded: %s", path, error)
