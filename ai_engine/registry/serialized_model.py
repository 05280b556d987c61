"""From an object to durable bytes, ready for the transaction that makes them visible."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from ai_engine.artifacts.protocol import ArtifactStore, ArtifactWriter
from ai_engine.domain.digests import digest_of
from ai_engine.domain.entities import Artifact, Place
from ai_engine.domain.errors import OutcomeUnknownError
from ai_engine.domain.locks import let_go
from ai_engine.formats import serializer


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
def prepared(
    what: str,
    model: object,
    store: ArtifactStore,
    before_storing: Callable[[], None],
    discard: Callable[[], None],
) -> Iterator[Prepared]:
    """Turn an object into bytes. Nobody sweeps them before the context is left.

    Parameters
    ----------
    before_storing : callable
        Called once it is known that the bytes are many; may raise, and then none is stored.
    discard : callable
        Called when bytes were stored that nobody needs, as the context is left by an error.

    Raises
    ------
    SerializationError
        If the object cannot be pickled.
    StorageError
        If the store refuses.
    """
    writers: list[ArtifactWriter] = []
    try:
        with ExitStack() as stack:

            def spill() -> ArtifactWriter:
                before_storing()
                writers.append(stack.enter_context(store.create()))
                return writers[0]

            dumped = serializer.dump(what, model, spill)
            if dumped.data is not None:
                place, digest, size = Place.ROW, digest_of(dumped.data), len(dumped.data)
            else:
                place, (digest, size) = Place.STORE, writers[0].finish()
            stored_in = store.store_id if place is Place.STORE else None
            artifact = Artifact(place, digest, dumped.format, size, dumped.python, dumped.packages, stored_in)
            yield Prepared(artifact, dumped.data, lambda: [writer.finish() for writer in writers])
    except OutcomeUnknownError:
        raise  # the version may be there, and needs them
    except BaseException as error:
        let_go(error.__traceback__)
        if any(writer.digest for writer in writers):
            discard()
        raise
