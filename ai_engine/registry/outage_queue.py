"""What waits for the catalogue: the entries of the outage journal, read as operations."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ai_engine.domain.entities import ModelVersion
from ai_engine.domain.errors import StorageError, UnsafeDirectoryError
from ai_engine.registry import documents, outage_operations
from ai_engine.registry.catalogue_state import CatalogueState
from ai_engine.registry.outage_operations import (
    Change,
    ForeignOperation,
    NewerOperation,
    Operation,
    Queued,
    SaveOperation,
    Unreadable,
)
from ai_engine.registry.stores import Stores

log = logging.getLogger(__name__)

# What waits is behind every row, and numbered by its entry; within what JavaScript counts exactly.
_BEHIND_ROWS = 1 << 51
# What is said of an entry that was set aside.
SET_ASIDE = "read it, and save again what it holds; then remove it"


@dataclass(frozen=True, slots=True)
class _Read:
    """The journal as it was read, and when."""

    stamp: int | None
    queued: tuple[Queued, ...] = ()
    changes: tuple[Change, ...] = ()


class OutageQueue:
    """The operations that wait in the journal.

    Parameters
    ----------
    stores : Stores
        Where everything is.
    state : CatalogueState
        What is told where the journal cannot be read.
    """

    def __init__(self, stores: Stores, state: CatalogueState) -> None:
        self._journal = stores.journal
        self._state = state
        self._model_dir = os.path.dirname(stores.version_files.path("_", "0", lambda _: True))
        self._last = _Read(0)
        self._told: set[str] = set()  # entries that the log was told of
        self._applied: set[str] = set()  # entries that the catalogue took and nobody could remove
        self._deferred: set[str] = set()  # entries that need what only a newer version can apply

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
            if self._state.reason is None:
                self._state.note(StorageError(str(error)))
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

    def promised(self, name: str) -> set[str]:
        """Return the numbers of a model that callers were told and the catalogue may not know."""
        found = set()
        for item in self._read().queued:
            operation = item.operation
            if isinstance(operation, SaveOperation) and operation.new.name == name:
                found.add(operation.version)
            elif isinstance(operation, NewerOperation) and operation.name == name:
                found.add(str(operation.version))
        return found

    def goes_first(self) -> bool:
        """Tell whether something waits that has to be applied before anything else is written."""
        return any(item.entry not in self._deferred for item in self._read().changes)

    def changes(self) -> tuple[Change, ...]:
        """Return what can be applied, oldest first.

        Raises
        ------
        StorageError
            If the journal cannot be read.
        UnsafeDirectoryError
            If somebody else can write it.
        """
        return self._read().changes

    def append(self, document: documents.Document) -> str:
        """Make an operation durable; return its entry. The journal is held."""
        with unsafe_is_storage():
            return self._journal.append(outage_operations.encode(document, self._journal.owner))

    def defer(self, entry: str) -> None:
        """Let others go before an entry that needs what only a newer version can apply."""
        self._deferred.add(entry)

    def forget(self, entry: str) -> None:
        """Remove an entry that was applied."""
        try:
            self._journal.remove(entry)
        except StorageError as error:
            self._applied.add(entry)
            self._last = _Read(None)
            log.error("%s was applied and cannot be removed: %s", entry, error)

    def reject(self, entry: str, problem: str) -> None:
        """Set an entry aside, and tell why it cannot be applied."""
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

    def inspect(self) -> None:
        """Set aside what can never be applied; it is kept, and told of.

        Raises
        ------
        UnsafeDirectoryError
            If somebody else can write the journal.
        """
        for item in self.queued():
            if isinstance(item.operation, Unreadable) and item.operation.lasting:
                self.reject(item.entry, item.operation.told)

    def _read(self) -> _Read:
        """Return the journal as it is; what was read before is not read again."""
        last, stamp = self._last, self._journal.stamp()
        if stamp is not None and stamp == last.stamp:
            return last
        names = self._journal.names() if stamp != 0 else ()
        known = {item.entry: item for item in last.queued if not isinstance(item.operation, Unreadable)}
        queued = tuple(item for name in names if (item := known.get(name) or self._item(name)))
        changes = tuple(
            Change(item.entry, item.seq, item.operation)
            for item in queued
            if not isinstance(item.operation, (ForeignOperation, NewerOperation, Unreadable))
            and item.entry not in self._applied
        )
        self._last = read = _Read(stamp, queued, changes)
        return read

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


@contextmanager
def unsafe_is_storage() -> Iterator[None]:
    """Refuse a save where the journal became unsafe under a registry that is open."""
    try:
        yield
    except UnsafeDirectoryError as error:
        raise StorageError(str(error)) from error
