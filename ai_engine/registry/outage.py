"""What happens while the catalogue cannot be written: operations wait in a journal and are replayed once.

The bytes of a model go to the artifact store as always; the row waits as a small synced file that names their
digest. Whoever opens the catalogue next applies the operations in order, each in one transaction that also
records that it was applied: a replay that is killed can be repeated, and nothing is applied twice.

A number that a caller was told is kept. Numbers are given with the journal held exclusively; a save into the
catalogue holds it shared from before it takes its number until it is committed, and what waits goes first.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from ai_engine.catalogue.protocol import ENGINE, Transaction
from ai_engine.domain import clock, versions
from ai_engine.domain.entities import ModelVersion, NewVersion, Place, Run, SavedVersion
from ai_engine.domain.errors import (
    ConflictError,
    ModelNotFoundError,
    StorageError,
    UnsafeDirectoryError,
    VersionExistsError,
)
from ai_engine.domain.performance import ModelPerformance
from ai_engine.registry import documents, outage_operations, version_records
from ai_engine.registry.outage_operations import (
    Change,
    ForeignOperation,
    MeasureOperation,
    NewerOperation,
    Operation,
    Queued,
    SaveOperation,
    Unreadable,
)
from ai_engine.registry.publication import Publication
from ai_engine.registry.serialized_model import Prepared
from ai_engine.registry.stores import Stores
from ai_engine.registry.version_records import VersionRecords

log = logging.getLogger(__name__)

# What waits is behind every row, and numbered by its entry; within what JavaScript counts exactly.
_BEHIND_ROWS = 1 << 51
# What is said of an entry that was set aside.
SET_ASIDE = "read it, and save again what it holds; then remove it"


class OvertakenError(Exception):
    """Something began to wait while a save was on its way into the catalogue, and goes first."""


class NumberPromisedError(Exception):
    """A number was given to a save that waits where this process does not look."""

    def __init__(self, version: str) -> None:
        self.version = version
        super().__init__(version)


class SavedBeforeError(Exception):
    """A version was saved under the id that the caller gave."""

    def __init__(self, known: ModelVersion) -> None:
        self.saved = SavedVersion(known.model_id, known.name, known.version, known.is_active)
        super().__init__(known.model_id)


@dataclass(frozen=True, slots=True)
class _Queue:
    """The journal as it was read, and when."""

    stamp: int | None
    names: tuple[str, ...] = ()
    queued: tuple[Queued, ...] = ()
    changes: tuple[Change, ...] = ()


class Outage:
    """The journal, and what is known of the catalogue's state.

    Parameters
    ----------
    stores : Stores
        Where everything is.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._journal = stores.journal
        self._records = VersionRecords(stores.version_files)
        self._model_dir = os.path.dirname(stores.version_files.path("_", "0", lambda _: True))
        self._queue = _Queue(0)
        self._told: set[str] = set()  # entries that the log was told of
        self._applied: set[str] = set()  # entries that the catalogue took and nobody could remove
        self._deferred: set[str] = set()  # entries that need what only a newer version can apply
        self.reason: str | None = None

    def note(self, error: StorageError) -> None:
        """Remember why the catalogue cannot be used, and log it."""
        self.reason = str(error)
        log.error("the catalogue cannot be used, and the engine goes on without it: %s", error)

    def clear(self) -> None:
        """Remember that the catalogue took something again."""
        if self.reason is not None:
            log.warning("the catalogue can be written again")
            self.reason = None

    # -- what waits ----------------------------------------------------------------------------------------

    def queued(self) -> tuple[Queued, ...]:
        """Return every entry of this registry, oldest first, those that cannot be applied included."""
        return tuple(item for item in self._read().queued if not isinstance(item.operation, ForeignOperation))

    def count(self) -> int:
        """Return how many operations wait, those included that cannot be applied."""
        try:
            return len(self.queued())
        except (StorageError, UnsafeDirectoryError):
            return 0  # `complaint` tells why

    def waiting(self) -> tuple[Change, ...]:
        """Return what waits and can be applied, oldest first. Never raises: a reader goes on without."""
        try:
            return self._read().changes
        except (StorageError, UnsafeDirectoryError) as error:
            if self.reason is None:
                self.note(StorageError(str(error)))
            return ()

    def saved(self, name: str | None = None) -> list[ModelVersion]:
        """Return the versions that wait for their rows, oldest first; the last to be active is."""
        saves = [
            (item.seq, item.operation)
            for item in self.waiting()
            if isinstance(item.operation, SaveOperation) and name in (None, item.operation.new.name)
        ]
        actives = {save.new.name: seq for seq, save in saves if save.new.activate}
        return [save.as_version(seq, actives.get(save.new.name) == seq) for seq, save in saves]

    def find(self, name: str, version: str | None) -> ModelVersion | None:
        """Return a version that waits for its row; without a number, the one that will be active then."""
        for found in reversed(self.saved(name)):
            if found.version == version or (version is None and found.is_active):
                return found
        return None

    def find_id(self, model_id: str) -> ModelVersion | None:
        """Return the version of an id that waits for its row."""
        return next((version for version in self.saved() if version.model_id == model_id), None)

    def strangers(self) -> list[str]:
        """Return what is told of other registries whose operations wait in the same place."""
        found = (item.operation for item in self._read().queued)
        return sorted({operation.told for operation in found if isinstance(operation, ForeignOperation)})

    def complaint(self) -> str | None:
        """Return what of the journal an operator has to look at; None where there is nothing."""
        try:
            odd = [
                f"{self._journal.location}/{item.entry} {item.operation.told}"
                for item in self.queued()
                if isinstance(item.operation, (NewerOperation, Unreadable))
            ]
            odd += [f"{path} was set aside; {SET_ASIDE}" for path in self._journal.rejected()]
        except (StorageError, UnsafeDirectoryError) as error:
            return str(error)
        more = f" (and {len(odd) - 1} more: see `ai-engine doctor`)" if len(odd) > 1 else ""
        return f"{odd[0]}{more}" if odd else None

    def _read(self) -> _Queue:
        """Return the journal as it is; what was read before is not read again."""
        queue, stamp = self._queue, self._journal.stamp()
        if stamp is not None and stamp == queue.stamp:
            return queue
        names = tuple(self._journal.names()) if stamp != 0 else ()
        known = {item.entry: item for item in queue.queued if not isinstance(item.operation, Unreadable)}
        queued = tuple(item for name in names if (item := known.get(name) or self._item(name)))
        changes = tuple(
            Change(item.entry, item.seq, item.operation)
            for item in queued
            if not isinstance(item.operation, (ForeignOperation, NewerOperation, Unreadable))
            and item.entry not in self._applied
        )
        self._queue = queue = _Queue(stamp, names, queued, changes)
        return queue

    def _item(self, name: str) -> Queued | None:
        entry = self._journal.read(name)
        if entry is None:
            return None
        operation = outage_operations.parse(entry, self._journal.owner, self._model_dir)
        self._tell(name, operation)
        numbered = re.match(r"[0-9]{1,18}", name)
        number = int(numbered[0]) if numbered else 0
        return Queued(name, _BEHIND_ROWS + number % _BEHIND_ROWS, operation)

    def _tell(self, name: str, operation: Operation) -> None:
        if isinstance(operation, (NewerOperation, Unreadable)) and name not in self._told:
            self._told.add(name)
            log.error("%s/%s %s", self._journal.location, name, operation.told)

    # -- journalling ---------------------------------------------------------------------------------------

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
            self._number(new, kept)  # a number that is taken is refused before its bytes are stored
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
                if once and (known := self.find_id(new.model_id)) is not None:
                    raise SavedBeforeError(known)
                number = self._number(new, kept)
                path = self._stores.version_files.path(new.name, number, lambda _: False)
                name = self._append(outage_operations.save_document(new, number, path, actor))
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
        for item in self.waiting():
            if isinstance(item.operation, SaveOperation) and item.operation.new.model_id == model_id:
                self._journal.remove(item.entry)

    def record(self, version: ModelVersion, performances: Iterable[ModelPerformance]) -> None:
        """Make measurements durable without the catalogue."""
        document = outage_operations.measure_document(version, performances)
        with self._journal.exclusive():
            self._append(document)

    def record_run(self, version: ModelVersion, run: Run) -> None:
        """Make a training record durable without the catalogue."""
        document = outage_operations.run_document(version, run)
        with self._journal.exclusive():
            self._append(document)

    def _append(self, document: documents.Document) -> str:
        with _unsafe_is_storage():
            return self._journal.append(outage_operations.encode(document, self._journal.owner))

    # -- numbers -------------------------------------------------------------------------------------------

    def _number(self, new: NewVersion, kept: Iterable[str]) -> str:
        """Return the number of a version that the catalogue cannot number. The journal is held."""
        with _unsafe_is_storage():
            taken = _promised(self._read(), new.name) | set(kept)
        if new.version is not None:
            if new.version in taken:
                raise VersionExistsError(new.name, new.version)
            self._check_unknown(new.name, new.version)
            return new.version
        taken |= self._highest(new.name)
        numbered = [version for version in taken if versions.parse(version)]
        number = versions.next_patch(max(numbered, key=lambda v: versions.parse(v) or (-1,), default=None))
        while self._is_promised_elsewhere(new.name, number):
            number = versions.next_patch(number)
        return number

    def promised(self, name: str) -> set[str]:
        """Return the numbers of a model that callers were told and the catalogue may not know."""
        return _promised(self._read(), name)

    def _highest(self, name: str) -> set[str]:
        """Return what the numbers of a model have come to, as far as that can be known."""
        try:
            with self._stores.catalogue.read() as snapshot:
                highest = snapshot.highest(name)
                return {highest} if highest else set()
        except StorageError as error:
            self._note_again(error)
            return {record.version for record in self._records if record.new.name == name}

    def _check_unknown(self, name: str, version: str) -> None:
        """Raise VersionExistsError where the catalogue knows a version; the records, where it cannot tell."""
        try:
            with self._stores.catalogue.read() as snapshot:
                if snapshot.find(name, version) is not None:
                    raise VersionExistsError(name, version)
                if snapshot.is_debris(self._stores.version_files.path(name, version, lambda _: True)):
                    return
        except StorageError as error:
            self._note_again(error)
            if self._records.find(name, version) is not None:
                raise VersionExistsError(name, version, str(error)) from error
            return
        if self._is_promised_elsewhere(name, version):
            raise VersionExistsError(name, version)

    def _note_again(self, error: StorageError) -> None:
        """Remember what the last attempt said: the first one only knows that a file is gone."""
        if str(error) != self.reason:
            self.note(error)

    def check_promise(self, name: str, version: str) -> None:
        """Raise NumberPromisedError where a number was given to a save that waits in another journal."""
        if self._is_promised_elsewhere(name, version):
            raise NumberPromisedError(version)

    def _is_promised_elsewhere(self, name: str, version: str) -> bool:
        path = self._stores.version_files.path(name, version, lambda _: True)
        return self._stores.version_files.exists(path) and self._records.waits(name, version)

    @contextmanager
    def settled(self, name: str) -> Iterator[set[str]]:
        """Let nobody give numbers without the catalogue until the context is left.

        Yields the numbers of a model that were given and cannot be applied here.

        Raises
        ------
        OvertakenError
            If something waits that has to go first.
        """
        with self._journal.shared():
            with _unsafe_is_storage():
                queue = self._read()
                if any(item.entry not in self._deferred for item in queue.changes):
                    raise OvertakenError
                promised = _promised(queue, name)
            yield promised

    # -- writing -------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self, by: str) -> Iterator[Transaction]:
        """Write to the catalogue after what waited for it, and remember how that went."""
        self.replay()
        with self._stores.catalogue.write(by) as work:
            yield work
        self.clear()

    # -- replaying -----------------------------------------------------------------------------------------

    def inspect(self) -> None:
        """Set aside what can never be applied; it is kept, and told of.

        Raises
        ------
        UnsafeDirectoryError
            If somebody else can write the journal.
        """
        for item in self.queued():
            if isinstance(item.operation, Unreadable) and item.operation.lasting:
                self._reject(item.entry, item.operation.told)

    def replay(self) -> int:
        """Give the catalogue what waits for it; return how many operations it took.

        Raises
        ------
        StorageError
            If the catalogue still cannot take them; those that it took are done.
        """
        with _unsafe_is_storage():
            if not self._read().queued:
                return 0
            self.inspect()
            waiting = self._read().changes
        ids: dict[str, set[str]] = {}
        taken = sum(self._replay_one(item, ids) for item in waiting)
        if taken:
            log.warning("replayed %d operations that waited in %s", taken, self._journal.location)
        return taken

    def _replay_one(self, item: Change, ids: dict[str, set[str]]) -> bool:
        try:
            with ExitStack() as held, self._stores.catalogue.write(_by(item.operation)) as work:
                held.enter_context(self._journal.shared())
                if not self._journal.has(item.entry):  # another process was first, or its save was refused
                    return False
                if not work.replayed(item.operation.key):
                    self._apply(work, item.operation, ids)
                    work.mark_replayed(item.operation.key, clock.now())
        except (ValueError, ConflictError, ModelNotFoundError) as error:
            if self._waits_for_upgrade(error):
                self._deferred.add(item.entry)
            else:
                self._reject(item.entry, str(error))
            return False
        self._forget(item.entry)
        return True

    def _waits_for_upgrade(self, error: Exception) -> bool:
        """Tell whether what an operation lacks may be in one that only a newer version can apply."""
        newer = any(isinstance(item.operation, NewerOperation) for item in self._read().queued)
        return newer and isinstance(error, ModelNotFoundError)

    def _forget(self, entry: str) -> None:
        try:
            self._journal.remove(entry)
        except StorageError as error:
            self._applied.add(entry)
            self._queue = _Queue(None)
            log.error("%s was applied and cannot be removed: %s", entry, error)

    def _reject(self, entry: str, problem: str) -> None:
        try:
            aside = self._journal.reject(entry)
        except StorageError as error:
            log.error("%s/%s cannot be set aside: %s", self._journal.location, entry, error)
            return
        if aside is not None:
            log.error(
                "an operation in the outage journal cannot be applied (%s); it is kept in %s: %s",
                problem,
                aside,
                SET_ASIDE,
            )

    def _apply(
        self, work: Transaction, operation: outage_operations.Applicable, ids: dict[str, set[str]]
    ) -> None:
        if isinstance(operation, SaveOperation):
            self._apply_save(work, operation, ids)
        elif isinstance(operation, MeasureOperation):
            work.record(operation.model_id, operation.performances)
        else:
            work.record_run(operation.model_id, operation.run)

    def _apply_save(self, work: Transaction, operation: SaveOperation, ids: dict[str, set[str]]) -> None:
        """Add a version; `ids` are those of the versions of each model, read once for a whole replay."""
        new = operation.new
        known = work.find(new.name, operation.version)
        if known is not None and known.model_id == new.model_id:
            return  # rebuilding took it from its record
        if new.name not in ids:
            ids[new.name] = {version.model_id for version in work.versions(new.name)}
        if new.model_id in ids[new.name]:
            raise ValueError(f"the version {new.model_id} is in the database under another number")
        if known is not None:
            log.error(
                "%s@%s is another version by now, saved while this one waited in a journal that nobody knew "
                "of; it gets the next number",
                new.name,
                new.version,
            )
            new = replace(new, version=work.next_number(new.name))
        work.add(new, None, operation.model_path)
        ids[new.name].add(new.model_id)


def _by(operation: outage_operations.Applicable) -> str:
    """Return who asked for an operation."""
    return operation.actor if isinstance(operation, SaveOperation) else ENGINE


def _promised(queue: _Queue, name: str) -> set[str]:
    """Return the numbers of a model that callers were told and the catalogue may not know."""
    found = set()
    for item in queue.queued:
        operation = item.operation
        if isinstance(operation, SaveOperation) and operation.new.name == name:
            found.add(operation.version)
        elif isinstance(operation, NewerOperation) and operation.name == name:
            found.add(str(operation.version))
    return found


@contextmanager
def _unsafe_is_storage() -> Iterator[None]:
    """Refuse a save where the journal became unsafe under a registry that is open."""
    try:
        yield
    except UnsafeDirectoryError as error:
        raise StorageError(str(error)) from error
