"""Where files are written before they get their names, and how a killed writer's are told from a live one's.

Each entry is locked by its writer for as long as it is in use. The system releases the lock when the writer
dies, however it dies; an entry whose lock is free is a leftover, and nothing else is: neither its age nor its
name says so. A companion, a link or a file that nobody locks, lives as long as its entry.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from secrets import token_hex

from ai_engine.artifacts.files import make_directory

# Sorts behind every entry, so that a leftover goes before its companions are looked at.
_COMPANION = "+"


class Entry:
    """A file of the sandbox, open for writing and locked."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path, self.descriptor = path, descriptor
        self._companions: list[str] = []
        self._moved = False

    def companion(self) -> str:
        """Return another path that goes when the entry goes, for a file or a link that needs no lock."""
        self._companions.append(f"{self.path}{_COMPANION * (1 + len(self._companions))}")
        return self._companions[-1]

    def move(self, target: str) -> None:
        """Give the file its place outside the sandbox. Companions have theirs already: none outlives it."""
        os.rename(self.path, target)
        self._moved = True

    def label(self, text: str) -> None:
        """Put a label in front of the entry's name, for whoever finds it as a leftover."""
        directory, name = os.path.split(self.path)
        if name.startswith(f"{text}."):
            return
        labelled = f"{directory}/{text}.{name}"
        os.rename(self.path, labelled)
        self.path = labelled

    def close(self) -> None:
        """Remove what of it is still in the sandbox."""
        for path in self._companions if self._moved else (*self._companions, self.path):
            with suppress(FileNotFoundError):
                os.unlink(path)
        os.close(self.descriptor)


class Sandbox:
    """A directory of entries, on the file system on which they will stay.

    Parameters
    ----------
    path : str
        The directory; made when the first entry is.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    @contextmanager
    def entry(self) -> Iterator[Entry]:
        """Make an entry; leaving the context removes what of it is still in the sandbox."""
        entry = self._create()
        try:
            yield entry
        finally:
            entry.close()

    def _create(self) -> Entry:
        while True:
            path = f"{self.path}/{token_hex(16)}"
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
            except FileNotFoundError:
                make_directory(self.path)
                continue
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return Entry(path, descriptor)
            os.close(descriptor)  # a sweeper took it for a leftover before it was locked

    def names(self) -> list[str]:
        """Return the names of all entries."""
        try:
            return os.listdir(self.path)
        except FileNotFoundError:
            return []

    def leftovers(self) -> Iterator[str]:
        """Yield the path of each entry whose writer is gone, locked while the caller looks at it."""
        for name in sorted(self.names()):
            path = f"{self.path}/{name}"
            if name.endswith(_COMPANION):
                if not os.path.lexists(path.rstrip(_COMPANION)):
                    yield path
                continue
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            except OSError:  # gone meanwhile, or a link that somebody planted: not an entry of ours
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield path
            except BlockingIOError:
                continue
            finally:
                os.close(descriptor)
