"""The files under which people find versions, and the records from which a lost catalogue is rebuilt.

Nothing here is the truth: that is the catalogue's row and the artifact. So these files are not synced; one
that is missing or altered is written again from the truth.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from ai_engine.artifacts.directory import ModelDirectory
from ai_engine.artifacts.files import allocated, make_directory, storage_errors, sync_directories, write_all
from ai_engine.artifacts.sandbox import Entry
from ai_engine.domain.names import encode, file_name

_POINTER = ".active.json"


class LocalShelf:
    """See protocol.Shelf.

    Parameters
    ----------
    directory : ModelDirectory
        Where the files stand.
    """

    def __init__(self, directory: ModelDirectory) -> None:
        self._directory = directory
        self._records = f"{directory.engine}/records"

    def path(self, name: str, version: str, is_ours: Callable[[str], bool]) -> str:
        plain = f"{self._directory.path}/{file_name(name, version)}"
        path, tries = plain, 1
        while os.path.lexists(path) and not is_ours(path):
            tries += 1
            path = f"{plain.removesuffix('.pkl')}~{tries}.pkl"
        return path

    def record_path(self, path: str) -> str:
        return f"{self._records}/{os.path.basename(path)}.json"

    @contextmanager
    def stage(self, data: bytes | None) -> Iterator[_Staged]:
        with storage_errors(self._directory.path), self._directory.sandbox.entry() as entry:
            if data is not None:
                write_all(entry.descriptor, data)
            yield _Staged(self, entry, data)

    def place(self, entry: Entry, data: bytes | None, source: str | None, path: str) -> None:
        """Put the bytes where people look for them: as another name for `source`, or as the entry's file."""
        if source is not None and (data is None or self.read(source) == data):
            with suppress(OSError):  # no hard links here, or too many on this file: a copy does as well
                link = entry.companion()
                os.link(source, link, follow_symlinks=False)
                os.rename(link, path)
                return
        if data is not None:
            entry.move(path)
            return
        assert source is not None  # a large artifact has a file
        link = entry.companion()
        os.symlink(os.path.relpath(source, self._directory.path), link)
        os.rename(link, path)

    def write_record(self, path: str, record: bytes) -> None:
        with storage_errors(self._records), self._directory.sandbox.entry() as entry:
            write_all(entry.descriptor, record)
            make_directory(self._records)
            entry.move(path)

    def place_record(self, entry: Entry, record: bytes, path: str) -> None:
        """Write the record of a version beside an entry that has not moved yet, and give it its place."""
        beside = entry.companion()
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        try:
            write_all(descriptor, record)
        finally:
            os.close(descriptor)
        try:
            os.rename(beside, path)
        except FileNotFoundError:
            make_directory(self._records)
            os.rename(beside, path)

    def records(self) -> Iterator[tuple[str, bytes]]:
        for file, text in self._read(".pkl.json"):
            yield f"{self._directory.path}/{file.removesuffix('.json')}", text

    def stamp(self) -> int:
        try:
            return os.stat(self._records).st_mtime_ns
        except FileNotFoundError:
            return 0

    def point(self, name: str, pointer: bytes) -> None:
        self.write_record(f"{self._records}/{encode(name)}{_POINTER}", pointer)

    def pointers(self) -> Iterator[bytes]:
        for _, text in self._read(_POINTER):
            yield text

    def _read(self, suffix: str) -> Iterator[tuple[str, bytes]]:
        with suppress(FileNotFoundError):
            for name in sorted(os.listdir(self._records)):
                if name.endswith(suffix):
                    with suppress(OSError), open(f"{self._records}/{name}", "rb") as file:
                        yield name, file.read()

    def keep_reserve(self) -> None:
        self._directory.keep_reserve()

    def spend_reserve(self) -> None:
        self._directory.spend_reserve()

    def read(self, path: str) -> bytes | None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read() if stat.S_ISREG(os.fstat(descriptor).st_mode) else None

    def exists(self, path: str) -> bool:
        return os.path.isfile(path)

    def mend(self, path: str, data: bytes | None, source: str | None = None) -> None:
        with self.stage(data) as staged:
            self.place(staged.entry, data, source, path)

    def sync(self) -> None:
        sync_directories(self._directory.path, self._records)

    def footprint(self, paths: Iterable[str]) -> int:
        names: Counter[int] = Counter()
        found: dict[int, os.stat_result] = {}
        for path in paths:
            with suppress(FileNotFoundError):
                stat_result = os.lstat(path)
                names[stat_result.st_ino] += 1
                found[stat_result.st_ino] = stat_result
        return sum(s.st_blocks * 512 for inode, s in found.items() if names[inode] == s.st_nlink)

    def remove(self, path: str) -> int:
        if os.path.dirname(path) not in (self._directory.path, self._records):
            return 0  # whatever the catalogue says, nothing outside the model directory is ours to remove
        try:
            found = os.lstat(path)
            os.unlink(path)
        except FileNotFoundError:
            return 0
        return allocated(found)


class _Staged:
    """See protocol.Staged."""

    def __init__(self, shelf: LocalShelf, entry: Entry, data: bytes | None) -> None:
        self.entry = entry
        self._shelf, self._data = shelf, data

    def publish(self, path: str, source: str | None, record: bytes) -> None:
        self._shelf.place_record(self.entry, record, self._shelf.record_path(path))
        self._shelf.place(self.entry, self._data, source, path)
