"""Operations that wait for the catalogue: one small synced file each, in order.

The directory and the files in it are believed only where nobody else can have written them: what they say is
given to the catalogue.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from ai_engine.directory.protocol import JournalEntry
from ai_engine.domain.errors import StorageError, UnsafeDirectoryError
from ai_engine.files.durable_io import (
    FileLock,
    Handle,
    make_directory,
    storage_errors,
    sync_directory,
    write_all,
)

_NAME = re.compile(r"([0-9]{1,18})\.json", re.ASCII)
# How long the lock is waited for. It is held for a few syncs; whoever keeps it longer has been stopped.
_PATIENCE = 10.0
# A change within the clock's granularity leaves the times of a directory as they were. Two seconds is the
# coarsest granularity of a file system in use (FAT).
_SETTLED_NS = 2_000_000_000
# What opening an entry says when it will never be readable: no permission, a link, a socket or a pipe.
_LASTING = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EISDIR})


class LocalOutageJournal:
    """See protocol.Journal.

    Parameters
    ----------
    path : str
        The directory; made when the first operation has to wait.
    owner : str
        Whose operations these are: another registry may keep its own in the same directory.
    lock : str
        A directory that exists, the same for all processes of the registry wherever their journals are.
    patience : float
        Seconds for which the lock is waited for.
    """

    def __init__(self, path: str, owner: str, lock: str, patience: float = _PATIENCE) -> None:
        self.location = os.path.abspath(path)
        self.owner = owner
        self._patience = patience
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        self._lock = FileLock(lock, flags, patience)
        # For those who share the directory and not the registry.
        self._own_lock = FileLock(self.location, flags, patience)

    # -- locks -----------------------------------------------------------------------------------------------

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._locked(self._lock):
            yield

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._locked(self._lock, shared=True):
            yield

    @contextmanager
    def _locked(self, lock: FileLock, shared: bool = False) -> Iterator[None]:
        with storage_errors(lock.path), ExitStack() as held:
            try:
                held.enter_context(lock.held(shared))
            except TimeoutError as error:
                raise StorageError(
                    f"the outage journal {self.location} has been kept locked for {self._patience:.0f} s "
                    "by another process. Nothing was saved. Find it with `fuser` and end it."
                ) from error
            yield

    # -- reading ---------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        with self._opened() as directory:
            found = [] if directory is None else os.listdir(directory)
        return sorted((name for name in found if name.endswith(".json")), key=_order)

    def read(self, name: str) -> JournalEntry | None:
        with self._opened() as directory:
            if directory is None:
                return None
            try:
                return _read(directory, name)
            except FileNotFoundError:
                return None
            except OSError as error:
                problem = f"cannot be read ({os.strerror(error.errno or 0)})"
                return JournalEntry(name, None, problem, error.errno in _LASTING)

    @contextmanager
    def _opened(self) -> Iterator[int | None]:
        """Open the directory for reading; None where there is none."""
        handle = None
        try:
            handle = Handle(self.location, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError) as error:
            if os.path.islink(self.location):
                raise self._unsafe("is a symbolic link") from error
            yield None  # of a file `append` complains
            return
        except OSError as error:
            raise StorageError(f"the outage journal {self.location} cannot be read: {error}") from error
        try:
            problem = _not_ours_alone(os.fstat(handle.number))
            if problem is not None:
                raise self._unsafe(problem)
            yield handle.number
        finally:
            handle.close()

    def _unsafe(self, problem: str) -> UnsafeDirectoryError:
        return UnsafeDirectoryError(
            self.location,
            problem,
            "the outage journal",
            "Nothing of it was applied. Look at what is in it; then make it yours with `chown` and "
            "`chmod 700`, or set AI_ENGINE_JOURNAL_DIR to a directory that only you can write.",
        )

    def has(self, name: str) -> bool:
        return os.path.lexists(f"{self.location}/{name}")

    def stamp(self) -> int | None:
        # That there is none, as most of the time, costs half of what it costs as an exception.
        if not os.access(self.location, os.F_OK):
            return 0
        now = time.time_ns()
        try:
            changed = os.stat(self.location).st_mtime_ns
        except OSError:
            return 0
        return changed if now - changed > _SETTLED_NS else None

    # -- writing ---------------------------------------------------------------------------------------------

    def append(self, document: bytes) -> str:
        with storage_errors(self.location):
            make_directory(os.path.dirname(self.location))
            make_directory(self.location, mode=0o700)
            self.names()  # raises where what is written here could be written over
            with self._locked(self._own_lock):
                # Never a name that was there before, so that what was read of an entry stays true.
                newest = max(map(_order, self.names()), default=(0, ""))[0]
                self._remove_unfinished()
                name = f"{max(newest + 1, time.time_ns() // 1000):016d}.json"
                self._write(name, document)
        return name

    def _remove_unfinished(self) -> None:
        """Remove what writers that were killed left; those that live hold the lock."""
        for name in os.listdir(self.location):
            if name.endswith(".json.new"):
                with suppress(FileNotFoundError):
                    os.unlink(f"{self.location}/{name}")

    def _write(self, name: str, document: bytes) -> None:
        path = f"{self.location}/{name}"
        aside = f"{path}.new"
        handle = None
        try:
            handle = Handle(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            write_all(handle.number, document)
            os.fsync(handle.number)
            os.rename(aside, path)
            sync_directory(self.location)
        except BaseException:
            for left in (aside, path):  # what is refused must not be replayed one day
                with suppress(FileNotFoundError):
                    os.unlink(left)
            raise
        finally:
            if handle is not None:
                handle.close()

    def remove(self, name: str) -> None:
        with storage_errors(self.location):
            with suppress(FileNotFoundError):
                os.unlink(f"{self.location}/{name}")
            sync_directory(self.location)

    def reject(self, name: str) -> str | None:
        with storage_errors(self.location), self._locked(self._own_lock):
            aside, tries = f"{self.location}/{name}.rejected", 1
            while os.path.lexists(aside):  # of an earlier outage: kept as well
                tries += 1
                aside = f"{self.location}/{name}.{tries}.rejected"
            try:
                os.rename(f"{self.location}/{name}", aside)
            except FileNotFoundError:  # another process was first
                return None
            sync_directory(self.location)
        return aside

    def rejected(self) -> list[str]:
        with self._opened() as directory:
            found = [] if directory is None else sorted(os.listdir(directory))
        return [f"{self.location}/{name}" for name in found if name.endswith(".rejected")]


def _not_ours_alone(found: os.stat_result) -> str | None:
    """Return why somebody else may have written a file or directory; None where nobody can have."""
    if found.st_uid != os.geteuid():
        return "belongs to another user"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "can be written by other users"
    return None


def _order(name: str) -> tuple[int, str]:
    """Return what entries are sorted by; what is not named as we name them comes first."""
    ours = _NAME.fullmatch(name)
    return (int(ours[1]) if ours else 0), name


def _read(directory: int, name: str) -> JournalEntry:
    """Read an entry, unless it is one that our own saves did not write."""
    # Of a pipe, opening for reading would wait for a writer.
    handle = Handle(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, directory=directory)
    try:
        found = os.fstat(handle.number)
        if not stat.S_ISREG(found.st_mode):
            return JournalEntry(name, None, "is not a regular file", True)
        problem = _not_ours_alone(found)
        if problem is not None:
            return JournalEntry(name, None, problem, True)
        with open(handle.number, "rb", closefd=False) as file:
            return JournalEntry(name, file.read(), None, False)
    finally:
        handle.close()
