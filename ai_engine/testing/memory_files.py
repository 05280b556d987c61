"""Version files and an outage journal without a disk: for tests of what works over them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

from ai_engine.directory.protocol import JournalEntry, StagedFile
from ai_engine.domain.entities import ModelId
from ai_engine.domain.errors import ReentrantCallError, StorageError
from ai_engine.domain.names import file_name


class MemoryVersionFiles:
    """See `ai_engine.directory.protocol.VersionFiles`. Nobody is killed in memory, so nothing is left over.

    Parameters
    ----------
    path : str
        What the paths of all files begin with.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._files: dict[str, bytes] = {}
        self._records: dict[str, bytes] = {}
        self._pointers: dict[str, bytes] = {}
        self._stamp = 0

    def path(self, name: str, version: str, is_ours: Callable[[str], bool]) -> str:
        """See VersionFiles."""
        plain = f"{self._path}/{file_name(name, version)}"
        path, tries = plain, 1
        while path in self._files and not is_ours(path):
            tries += 1
            path = f"{plain.removesuffix('.pkl')}~{tries}.pkl"
        return path

    def record_path(self, path: str) -> str:
        """See VersionFiles."""
        return f"{path}.json"

    @contextmanager
    def stage(self, model_id: ModelId, data: bytes | None) -> Iterator[StagedFile]:  # noqa: ARG002
        """See VersionFiles."""
        yield _Staged(self, data)

    def leftovers(self) -> Iterator[AbstractContextManager[ModelId]]:
        """See VersionFiles."""
        return iter(())

    def begun(self) -> list[ModelId]:
        """See VersionFiles."""
        return []

    def records(self) -> Iterator[tuple[str, bytes]]:
        """See VersionFiles."""
        for path, text in list(self._records.items()):
            yield path.removesuffix(".json"), text

    def newest_records(self) -> list[tuple[str, bytes]]:
        """See VersionFiles."""
        return list(self.records())[::-1]

    def recorded(self) -> Container[str]:
        """See VersionFiles."""
        return self._records

    def tidy(self) -> None:
        """See VersionFiles."""

    def stamp(self) -> int:
        """See VersionFiles."""
        return self._stamp

    def write_record(self, path: str, record: bytes) -> None:
        """See VersionFiles."""
        self._records[path] = record
        self._stamp += 1

    def point(self, name: str, pointer: bytes) -> None:
        """See VersionFiles."""
        self._pointers[name] = pointer
        self._stamp += 1

    def pointers(self) -> Iterator[bytes]:
        """See VersionFiles."""
        yield from list(self._pointers.values())

    def keep_reserve(self) -> None:
        """See VersionFiles."""

    def spend_reserve(self) -> None:
        """See VersionFiles."""

    def read(self, path: str) -> bytes | None:
        """See VersionFiles."""
        return self._files.get(path)

    def read_elsewhere(self, path: str) -> bytes | None:
        """See VersionFiles."""
        return self._files.get(path)

    def exists(self, path: str) -> bool:
        """See VersionFiles."""
        return path in self._files

    def mend(self, path: str, data: bytes | memoryview | None, source: str | None = None) -> None:
        """See VersionFiles."""
        known = self._files.get(source) if source is not None else None
        if data is not None and known != data:
            known = bytes(data)
        assert known is not None  # a version has bytes
        self._files[path] = known  # of equal bytes, one more name

    def sync(self) -> None:
        """See VersionFiles."""

    def footprint(self, paths: Iterable[str]) -> int:
        """See VersionFiles."""
        left = {path: data for path, data in self._files.items() if path not in set(paths)}
        kept = {id(data) for data in left.values()}
        gone = {id(self._files[path]): self._files[path] for path in paths if path in self._files}
        return sum(len(data) for number, data in gone.items() if number not in kept)

    def remove(self, path: str) -> int:
        """See VersionFiles."""
        self._stamp += self._records.pop(path, None) is not None
        freed = self.footprint([path])
        self._files.pop(path, None)
        return freed


class _Staged:
    """See `ai_engine.directory.protocol.StagedFile`."""

    def __init__(self, files: MemoryVersionFiles, data: bytes | None) -> None:
        self._files, self._data = files, data

    def publish(
        self, path: str, source: str | None, record: bytes, content: memoryview | None = None
    ) -> None:
        self._files.write_record(self._files.record_path(path), record)
        self._files.mend(path, self._data if content is None else content, source)

    def leave(self) -> None:
        """Nothing is left: there is no next opening."""


class MemoryOperations:
    """What journals share that are opened one after the other, or at once."""

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}
        self.rejected: dict[str, bytes] = {}
        self.given = self.stamp = 0
        self.changed = threading.Condition()
        self.sharing = self.alone = 0  # how many hold it so


class MemoryJournal:
    """See `ai_engine.directory.protocol.OutageJournal`.

    Parameters
    ----------
    operations : MemoryOperations
        The entries.
    patience : float
        Seconds for which the lock is waited for.
    """

    location, owner = "memory", "."

    def __init__(self, operations: MemoryOperations, patience: float = 10.0) -> None:
        self._of, self._patience = operations, patience
        self._holding: set[int] = set()  # threads

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """See OutageJournal."""
        of = self._of
        with self._held(lambda: not of.alone and not of.sharing):
            of.alone += 1
            of.changed.release()
            try:
                yield
            finally:
                of.changed.acquire()
                of.alone -= 1

    @contextmanager
    def shared(self) -> Iterator[None]:
        """See OutageJournal."""
        of = self._of
        with self._held(lambda: not of.alone):
            of.sharing += 1
            of.changed.release()
            try:
                yield
            finally:
                of.changed.acquire()
                of.sharing -= 1

    @contextmanager
    def _held(self, is_free: Callable[[], bool]) -> Iterator[None]:
        """Wait until it is free, and hold the lock of what tells so while the block begins and ends."""
        me = threading.get_ident()
        if me in self._holding:
            raise ReentrantCallError
        with self._of.changed:
            if not self._of.changed.wait_for(is_free, self._patience):
                raise StorageError(f"the outage journal has been kept locked for {self._patience:g} s")
            self._holding.add(me)
            try:
                yield
            finally:
                self._holding.discard(me)
                self._of.changed.notify_all()

    def append(self, document: bytes) -> str:
        """See OutageJournal."""
        self._of.given += 1
        name = f"{self._of.given:016d}.json"
        self._of.entries[name] = document
        self._of.stamp += 1
        return name

    def names(self) -> list[str]:
        """See OutageJournal."""
        return sorted(self._of.entries)

    def read(self, name: str) -> JournalEntry | None:
        """See OutageJournal."""
        data = self._of.entries.get(name)
        return None if data is None else JournalEntry(name, data, None, lasting=False)

    def has(self, name: str) -> bool:
        """See OutageJournal."""
        return name in self._of.entries

    def remove(self, name: str) -> None:
        """See OutageJournal."""
        self._of.entries.pop(name, None)
        self._of.stamp += 1

    def reject(self, name: str) -> str | None:
        """See OutageJournal."""
        data = self._of.entries.pop(name, None)
        if data is None:
            return None
        self._of.stamp += 1
        self._of.rejected[f"{name}.rejected"] = data
        return f"{name}.rejected"

    def rejected(self) -> list[str]:
        """See OutageJournal."""
        return sorted(self._of.rejected)

    def stamp(self) -> int | None:
        """See OutageJournal."""
        return self._of.stamp
