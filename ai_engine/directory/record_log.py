"""Texts by name in one file that only grows: a record then costs a write, and not a file of its own.

A line holds a name, a tab and a text. The last line of a name counts; one without text says that it is gone.
What a writer that was killed left of a line is no line. Writers share a lock with each other, and none with
whoever writes the file anew without what is gone.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ai_engine.files.durable_io import Handle, make_directory, sync_directory, write_all
from ai_engine.files.sandbox import Sandbox

# Below this size nobody cares what of it is gone.
_WORTH_COMPACTING = 1024 * 1024
# What a quick look reads: some tens of records.
_TAIL = 64 * 1024


class RecordLog:
    """The file.

    Parameters
    ----------
    path : str
        Made, with its directory, by the first append.
    sandbox : Sandbox
        On the same file system.
    """

    def __init__(self, path: str, sandbox: Sandbox) -> None:
        self.path = path
        self._sandbox = sandbox

    def append(self, name: str, text: bytes) -> None:
        """Give a name its text; an empty one takes the name out."""
        with self._locked(fcntl.LOCK_SH) as descriptor:
            # On a line of its own, whatever somebody left of theirs.
            write_all(descriptor, b"\n%s\t%s\n" % (name.encode(), text))

    @contextmanager
    def _locked(self, lock: int) -> Iterator[int]:
        while True:
            handle = None
            try:
                handle = Handle(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW)
                handle.lock(lock)
                if os.fstat(handle.number).st_nlink:  # else it was written anew meanwhile
                    yield handle.number
                    return
            except FileNotFoundError:
                if handle is not None:
                    raise
                make_directory(os.path.dirname(self.path))
            finally:
                if handle is not None:
                    handle.close()

    def exists(self) -> bool:
        """Tell whether anything was ever appended."""
        return os.path.exists(self.path)

    def stamp(self) -> int:
        """Return a number that differs once anything was appended."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return 0
        return hash((found.st_ino, found.st_size, found.st_mtime_ns))

    def sync(self) -> None:
        """Make everything that was appended durable."""
        with suppress(FileNotFoundError):
            handle = Handle(self.path, os.O_RDWR | os.O_NOFOLLOW)
            try:
                os.fsync(handle.number)
            finally:
                handle.close()

    def texts(self) -> Iterator[tuple[str, bytes]]:
        """Yield every name that has a text, with it."""
        with suppress(FileNotFoundError), _reading(self.path) as descriptor:
            index = Index(self.path)
            index.read(descriptor)
            yield from index.texts(descriptor)

    def newest(self) -> list[tuple[str, bytes]]:
        """Return the names that were given a text last, newest first, as far as the file's end tells."""
        found: dict[str, bytes] = {}
        with suppress(FileNotFoundError), _reading(self.path) as descriptor:
            start = max(0, os.fstat(descriptor).st_size - _TAIL)
            # Behind the last line somebody is writing.
            whole, _, _ = os.pread(descriptor, _TAIL, start).rpartition(b"\n")
            lines = whole.split(b"\n")
            for line in lines[1:] if start else lines:
                name, tab, text = line.partition(b"\t")
                if tab:
                    found.pop(name.decode(errors="replace"), None)
                    found[name.decode(errors="replace")] = text
        return [(name, text) for name, text in reversed(found.items()) if text]

    def compact(self) -> None:
        """Write the file anew without what is gone, where that is more than half of it."""
        with suppress(FileNotFoundError):
            if os.stat(self.path).st_size < _WORTH_COMPACTING:
                return
        with self._locked(fcntl.LOCK_EX) as descriptor, self._sandbox.entry() as entry:
            index = Index(self.path)
            index.read(descriptor)
            if index.live > index.end / 2:
                return
            for name, text in index.texts(descriptor):
                write_all(entry.descriptor, b"%s\t%s\n" % (name.encode(), text))
            os.fsync(entry.descriptor)
            entry.move(self.path)
            sync_directory(os.path.dirname(self.path))


@contextmanager
def _reading(path: str) -> Iterator[int]:
    """Open a file to read; an interrupt, wherever it comes, leaves it to be closed without a word."""
    handle = Handle(path, os.O_RDONLY)
    try:
        yield handle.number
    finally:
        handle.close()


class Index:
    """Where in the file the text of each name is; for one thread, which follows the file as it grows.

    Attributes
    ----------
    live, end : int
        Bytes of the texts that count, and of everything that was read.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._inode = self.live = self.end = 0
        self._places: dict[str, tuple[int, int]] = {}  # where a text begins, and its length

    def __contains__(self, name: object) -> bool:
        if name not in self._places:
            with suppress(FileNotFoundError), _reading(self._path) as descriptor:
                self.read(descriptor)
        return name in self._places

    def read(self, descriptor: int) -> None:
        """Take in what was appended since; everything, where the file is another one."""
        inode = os.fstat(descriptor).st_ino
        if inode != self._inode:
            self._inode, self.live, self.end, self._places = inode, 0, 0, {}
        with open(descriptor, "rb", closefd=False) as file:
            file.seek(self.end)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # somebody is writing it
                self._note(line)
                self.end += len(line)

    def _note(self, line: bytes) -> None:
        name, tab, text = line[:-1].partition(b"\t")
        if not tab:
            return
        key = name.decode(errors="replace")
        self.live -= self._places.pop(key, (0, 0))[1]
        if text:
            self._places[key] = (self.end + len(name) + 1, len(text))
            self.live += len(text)

    def texts(self, descriptor: int) -> Iterator[tuple[str, bytes]]:
        """Yield every name with its text."""
        for name, (start, length) in self._places.items():
            yield name, os.pread(descriptor, length, start)
