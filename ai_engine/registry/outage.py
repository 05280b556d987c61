"""What happens while the catalogue cannot be written: operations wait in a journal and are replayed once.

The bytes of a model go to the artifact store as always; the row waits as a small synced file that names their
digest. Whoever opens the catalogue next applies the operations in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from ai_engine.catalogue.protocol import Transaction
from ai_engine.domain.entities import ModelVersion, NewVersion, Place, Run, SavedVersion
from ai_engine.domain.performance import ModelPerformance
from ai_engine.registry import documents, outage_operations, version_records
from ai_engine.registry.catalogue_state import CatalogueState
from ai_engine.registry.outage_operations import SaveOperation
from ai_engine.registry.outage_queue import OutageQueue
from ai_engine.registry.outage_replay import Replay
from ai_engine.registry.promised_numbers import PromisedNumbers
from ai_engine.registry.publication import Publication
from ai_engine.registry.serialized_model import Prepared
from ai_engine.registry.stores import Stores


class SavedBeforeError(Exception):
    """A version was saved under the id that the caller gave."""

    def __init__(self, known: ModelVersion) -> None:
        self.saved = SavedVersion(known.model_id, known.name, known.version, known.is_active)
        super().__init__(known.model_id)


class Outage:
    """Changes that are made without the catalogue, and those that follow them into it.

    Parameters
    ----------
    stores : Stores
        Where everything is.

    Attributes
    ----------
    state : CatalogueState
        Whether the catalogue can be used.
    queue : OutageQueue
        What waits for it.
    numbers : PromisedNumbers
        The numbers of what waits.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._journal = stores.journal
        self.state = CatalogueState()
        self.queue = OutageQueue(stores, self.state)
        self.numbers = PromisedNumbers(stores, self.queue, self.state)
        self._replay = Replay(stores, self.queue)

    def save(
        self, new: NewVersion, ready: Prepared, kept: Iterable[str], actor: str, once: bool
    ) -> SavedVersion:
        """Make a version durable without the catalogue; `kept` are numbers that nobody else may get.

        Raises
        ------
        SavedBeforeError
            If it may be saved `once` only, and waits already.
        """
        new = documents.complete(new)
        if new.version is not None:
            self.numbers.number(new, kept)  # a number that is taken is refused before its bytes are stored
        with ExitStack() as held:
            if ready.data is not None:
                writer = held.enter_context(self._stores.artifacts.create())
                writer.write(ready.data)
                writer.finish()
                renew: Callable[[], object] = writer.finish
                new = replace(
                    new,
                    artifact=replace(new.artifact, place=Place.STORE, store=self._stores.artifacts.store_id),
                )
            else:
                renew = ready.renew
            digest = new.artifact.digest
            assert digest is not None  # it was just computed
            source = self._stores.artifacts.path(digest)
            staged = held.enter_context(self._stores.version_files.stage(new.model_id, ready.data))
            with self._journal.exclusive():
                if once and (known := self.queue.find_id(new.model_id)) is not None:
                    raise SavedBeforeError(known)
                number = self.numbers.number(new, kept)
                path = self._stores.version_files.path(new.name, number, lambda _: False)
                name = self.queue.append(outage_operations.save_document(new, number, path, actor))
                if not self._stores.artifacts.has(digest):  # a sweep that had not seen the entry yet
                    self._renew(renew, name)
                # Under its name before anybody else gets a number: who keeps another journal sees it there.
                version = ModelVersion(new.model_id, new.name, number, 0, new.activate, path, new.artifact)
                record = version_records.write(new, number, self._journal.location)
                Publication(self._stores).publish(staged, version, source, record)
        return SavedVersion(new.model_id, new.name, number, active=new.activate)

    def _renew(self, renew: Callable[[], object], name: str) -> None:
        try:
            renew()
        except BaseException:
            self._journal.remove(name)
            raise

    def take_back(self, model_id: str) -> None:
        """Forget a save that nobody was told of, if it waits."""
        for item in self.queue.waiting():
            if isinstance(item.operation, SaveOperation) and item.operation.new.model_id == model_id:
                self._journal.remove(item.entry)

    def record(self, version: ModelVersion, performances: Iterable[ModelPerformance]) -> None:
        """Make measurements durable without the catalogue."""
        document = outage_operations.measure_document(version, performances)
        with self._journal.exclusive():
            self.queue.append(document)

    def record_run(self, version: ModelVersion, run: Run) -> None:
        """Make a training record durable without the catalogue."""
        document = outage_operations.run_document(version, run)
        with self._journal.exclusive():
            self.queue.append(document)

    def replay(self) -> int:
        """Give the catalogue what waits for it; see Replay.run."""
        return self._replay.run()

    @contextmanager
    def writing(self, by: str) -> Iterator[Transaction]:
        """Write to the catalogue after what waited for it, and remember how that went."""
        self.replay()
        with self._stores.catalogue.write(by) as work:
            yield work
        self.state.clear()
