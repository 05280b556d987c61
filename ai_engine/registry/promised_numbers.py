"""Numbers of versions that callers were told and that the catalogue may not know yet.

A number that a caller was told is kept. Numbers are given with the journal held exclusively; a save into the
catalogue holds it shared from before it takes its number until it is committed, and what waits goes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ai_engine.domain import versions
from ai_engine.domain.entities import NewVersion
from ai_engine.domain.errors import StorageError, VersionExistsError
from ai_engine.registry.catalogue_state import CatalogueState
from ai_engine.registry.outage_queue import OutageQueue, unsafe_is_storage
from ai_engine.registry.stores import Stores
from ai_engine.registry.version_records import VersionRecords


class OvertakenError(Exception):
    """Something began to wait while a save was on its way into the catalogue, and goes first."""


class NumberPromisedError(Exception):
    """A number was given to a save that waits where this process does not look."""

    def __init__(self, version: str) -> None:
        self.version = version
        super().__init__(version)


class PromisedNumbers:
    """Gives numbers without the catalogue, and keeps those that were given.

    Parameters
    ----------
    stores : Stores
        Where everything is.
    queue : OutageQueue
        What waits for the catalogue.
    state : CatalogueState
        What is told where the catalogue cannot be asked.
    """

    def __init__(self, stores: Stores, queue: OutageQueue, state: CatalogueState) -> None:
        self._stores = stores
        self._journal = stores.journal
        self._queue = queue
        self._state = state
        self._records = VersionRecords(stores.version_files)

    def number(self, new: NewVersion, kept: Iterable[str]) -> str:
        """Return the number of a version that the catalogue cannot number. The journal is held."""
        with unsafe_is_storage():
            taken = self._queue.promised(new.name) | set(kept)
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
            with unsafe_is_storage():
                if self._queue.goes_first():
                    raise OvertakenError
                promised = self._queue.promised(name)
            yield promised

    def check_promise(self, name: str, version: str) -> None:
        """Raise NumberPromisedError where a number was given to a save that waits in another journal."""
        if self._is_promised_elsewhere(name, version):
            raise NumberPromisedError(version)

    def _highest(self, name: str) -> set[str]:
        """Return what the numbers of a model have come to, as far as that can be known."""
        try:
            with self._stores.catalogue.read() as snapshot:
                highest = snapshot.highest(name)
                return {highest} if highest else set()
        except StorageError as error:
            self._state.note_again(error)
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
            self._state.note_again(error)
            if self._records.find(name, version) is not None:
                raise VersionExistsError(name, version, str(error)) from error
            return
        if self._is_promised_elsewhere(name, version):
            raise VersionExistsError(name, version)

    def _is_promised_elsewhere(self, name: str, version: str) -> bool:
        path = self._stores.version_files.path(name, version, lambda _: True)
        return self._stores.version_files.exists(path) and self._records.waits(name, version)
