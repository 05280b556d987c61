"""The files under which people find versions, and the records from which a lost catalogue is rebuilt.

Nothing here is the truth: that is the catalogue's row and the artifact. So these files are not synced; one
that is missing or altered is written again from the truth.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from ai_engine.directory.ownership import ModelDirectory
from ai_engine.directory.record_log import Index, RecordLog
from ai_engine.domain.entities import ModelId
from ai_engine.domain.names import encode, file_name
from ai_engine.files.durable_io import (
    allocated,
    make_directory,
    read_file,
    storage_errors,
    sync_directories,
    write_all,
)
from ai_engine.files.sandbox import SandboxEntry, version_of

_POINTER = ".active.json"


class LocalVersionFiles:
    """See protocol.VersionFiles.

    Parameters
    ----------
    directory : ModelDirectory
        Where the files stand.
    """

    def __init__(self, directory: ModelDirectory) -> None:
        self._directory = directory
        self._records = f"{directory.engine}/records"
        self._log = RecordLog(f"{self._records}/versions.log", directory.sandbox)

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
    def stage(self, model_id: ModelId, data: bytes | None) -> Iterator[_Staged]:
        with storage_errors(self._directory.path), self._directory.sandbox.entry(model_id) as entry:
            if data is not None:
                write_all(entry.descriptor, data)
            yield _Staged(self, entry, data)

    def leftovers(self) -> Iterator[_Leftover]:
        for path in self._directory.sandbox.leftovers(of_versions=True):
            yield _Leftover(path)

    def begun(self) -> list[ModelId]:
        return [ModelId(version_of(path)) for path in self._directory.sandbox.leftovers(of_versions=True)]

    def place(
        self, entry: SandboxEntry, data: bytes | memoryview | None, source: str | None, path: str
    ) -> None:
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
        with storage_errors(self._records):
            self._log.append(os.path.basename(path), record)

    def records(self) -> Iterator[tuple[str, bytes]]:
        recorded = set()
        for file, text in self._log.texts():
            recorded.add(file)
            yield f"{self._directory.path}/{file.removesuffix('.json')}", text
        for file, text in self._read(".pkl.json"):
            if file not in recorded:
                yield f"{self._directory.path}/{file.removesuffix('.json')}", text

    def newest_records(self) -> list[tuple[str, bytes]]:
        found = self._log.newest()
        return [(f"{self._directory.path}/{file.removesuffix('.json')}", text) for file, text in found]

    def recorded(self) -> _Recorded:
        return _Recorded(self._log.path)

    def tidy(self) -> None:
        with storage_errors(self._records):
            self._log.compact()

    def stamp(self) -> int:
        try:
            pointers = os.stat(self._records).st_mtime_ns
        except FileNotFoundError:
            return 0
        return hash((pointers, self._log.stamp()))

    def point(self, name: str, pointer: bytes) -> None:
        with storage_errors(self._records), self._directory.sandbox.entry() as entry:
            write_all(entry.descriptor, pointer)
            make_directory(self._records)
            entry.move(f"{self._records}/{encode(name)}{_POINTER}")

    def pointers(self) -> Iterator[bytes]:
        for _, text in self._read(_POINTER):
            yield text

    def _read(self, suffix: str) -> Iterator[tuple[str, bytes]]:
        with suppress(FileNotFoundError):
            for name in sorted(os.listdir(self._records)):
                if name.endswith(suffix):
                    text = self.read(f"{self._records}/{name}")
                    if text is not None:
                        yield name, text

    def keep_reserve(self) -> None:
        self._directory.keep_reserve()

    def spend_reserve(self) -> None:
        self._directory.spend_reserve()

    def read(self, path: str) -> bytes | None:
        try:
            return read_file(path)
        except OSError:
            return None

    def read_elsewhere(self, path: str) -> bytes | None:
        return read_file(path, follow=True)

    def exists(self, path: str) -> bool:
        return os.path.isfile(path)

    def mend(self, path: str, data: bytes | memoryview | None, source: str | None = None) -> None:
        if os.path.dirname(path) != self._directory.path:
            return  # whatever the catalogue says, nothing outside the model directory is ours to write
        with storage_errors(self._directory.path), self._directory.sandbox.entry() as entry:
            if data is not None:
                write_all(entry.descriptor, data)
            self.place(entry, data, source, path)

    def sync(self) -> None:
        sync_directories(self._directory.path, self._records)
        with storage_errors(self._records):
            self._log.sync()

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
            freed = 0
        else:
            freed = allocated(found)
        if path.startswith(self._records) and self._log.exists():
            self._log.append(os.path.basename(path), b"")
        return freed


class _Staged:
    """See protocol.Staged."""

    def __init__(self, version_files: LocalVersionFiles, entry: SandboxEntry, data: bytes | None) -> None:
        self.entry = entry
        self._version_files, self._data = version_files, data

    def publish(
        self, path: str, source: str | None, record: bytes, content: memoryview | None = None
    ) -> None:
        # The record first: as long as the file is not in its place, the entry tells of what is to be done.
        self._version_files.write_record(self._version_files.record_path(path), record)
        if content is not None:
            write_all(self.entry.descriptor, content)
        self._version_files.place(self.entry, self._data if content is None else content, source, path)

    def leave(self) -> None:
        self.entry.leave()


class _Leftover:
    """See protocol.VersionFiles.leftovers."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> ModelId:
        return ModelId(version_of(self._path))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            with suppress(FileNotFoundError):
                os.unlink(self._path)


class _Recorded:
    """See protocol.VersionFiles.recorded."""

    def __init__(self, log: str) -> None:
        self._index = Index(log)

    def __contains__(self, path: object) -> bool:
        # Earlier versions of the engine gave each record a file.
        return os.path.basename(str(path)) in self._index or os.path.isfile(str(path))
