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

from ai_engine.files.durable_io import Handle, make_directory

# Sorts behind every entry, so that a leftover goes before its companions are looked at.
_COMPANION = "+"
# Between the id of the version that an entry is for and the rest of its name; stands in no id.
_FOR = "="


class SandboxEntry:
    """A file of the sandbox, open for writing and locked, gone at the latest when nobody refers to it.

    Attributes
    ----------
    path : str
        Where it is.
    """

    _handle: Handle | None = None
    _companions: tuple[str, ...] = ()
    _stays = _closed = False
    _process = 0

    def __init__(self, path: str) -> None:
        self.path = path
        self._process = os.getpid()
        try:
            self._handle = Handle(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW)
            self._handle.lock(fcntl.LOCK_EX)
        except FileExistsError:
            self._closed = True  # somebody else's
            raise
        except BaseException:
            self.close()
            raise

    @property
    def handle(self) -> Handle:
        """The open file."""
        assert self._handle is not None  # nobody has an entry whose making failed
        return self._handle

    @property
    def descriptor(self) -> int:
        """The descriptor of the open file."""
        return self.handle.number

    def companion(self) -> str:
        """Return another path that goes when the entry goes, for a file or a link that needs no lock."""
        self._companions += (f"{self.path}{_COMPANION * (1 + len(self._companions))}",)
        return self._companions[-1]

    def move(self, target: str) -> None:
        """Give the file its place outside the sandbox. Companions have theirs already: none outlives it."""
        os.rename(self.path, target)
        self._stays = True

    def label(self, text: str) -> None:
        """Put a label in front of the entry's name, for whoever finds it as a leftover."""
        directory, name = os.path.split(self.path)
        if name.startswith(f"{text}."):
            return
        labelled = f"{directory}/{text}.{name}"
        self._companions += (labelled,)  # an interrupt may come before the path is known to be another
        os.rename(self.path, labelled)
        self.path = labelled
        self._companions = self._companions[:-1]

    def leave(self) -> None:
        """Let the entry be a leftover once it is closed."""
        self._stays = True

    def close(self) -> None:
        """Remove what of it is still in the sandbox; once more does nothing."""
        if self._closed:
            return
        for path in self._companions if self._stays else (*self._companions, self.path):
            with suppress(FileNotFoundError):
                os.unlink(path)
        if self._handle is not None:
            self._handle.close()
        self._closed = True

    def __del__(self) -> None:
        if self._process == os.getpid():  # else it is the parent's, which may be writing it
            with suppress(OSError):
                self.close()


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
    def entry(self, model_id: str = "") -> Iterator[SandboxEntry]:
        """Make an entry, perhaps for a version; leaving the context removes what of it is still there."""
        entry = None
        try:
            entry = self._create(f"{model_id}{_FOR}" if model_id else "")
            yield entry
        finally:
            if entry is not None:
                entry.close()

    def _create(self, prefix: str) -> SandboxEntry:
        while True:
            try:
                entry = SandboxEntry(f"{self.path}/{prefix}{token_hex(8)}")
            except FileNotFoundError:
                make_directory(self.path)
                continue
            if os.fstat(entry.descriptor).st_nlink:
                return entry
            entry.close()  # a sweeper took it for a leftover before it was locked

    def names(self) -> list[str]:
        """Return the names of all entries."""
        try:
            return os.listdir(self.path)
        except FileNotFoundError:
            return []

    def leftovers(self, of_versions: bool = False) -> Iterator[str]:
        """Yield the path of each entry whose writer is gone, locked while the caller looks at it.

        Parameters
        ----------
        of_versions : bool
            Those that are for a version, or those that are not.
        """
        for name in sorted(self.names()):
            if (_FOR in name) != of_versions:
                continue
            path = f"{self.path}/{name}"
            if name.endswith(_COMPANION):
                if not os.path.lexists(path.rstrip(_COMPANION)):
                    yield path
                continue
            try:
                handle = Handle(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except OSError:  # gone meanwhile, or a link that somebody planted: not an entry of ours
                continue
            try:
                handle.lock(fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield path
            except BlockingIOError:
                continue
            finally:
                handle.close()


def version_of(path: str) -> str:
    """Return the id of the version that an entry is for.

    >>> version_of("/models/.engine/sandbox/cpu#5e7d=0f1e")
    'cpu#5e7d'
    """
    return os.path.basename(path).rpartition(_FOR)[0]
