"""Files that survive: the few steps that all durable writing is made of."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from weakref import ref

from ai_engine.domain.errors import AIEngineError, ReentrantCallError, StorageError, StorageFullError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Handle:
    """An open file, closed at the latest when nobody refers to it any more.

    So an interrupt, at whatever line it comes, leaves no descriptor open and no lock held. A signal handler
    may run between a call and the storing of its answer, so a descriptor is opened and noted within one call
    in C, and closed and struck off within one. A path that is not absolute may be within an open `directory`.
    """

    def __init__(self, path: str, flags: int, mode: int = 0o644, directory: int | None = None) -> None:
        self._process = os.getpid()
        self._locked = False
        self._numbers: list[int] = []
        self._numbers.extend(map(partial(os.open, dir_fd=directory), (path,), (flags,), (mode,)))

    @property
    def number(self) -> int:
        """The descriptor. Raises ValueError once it is closed."""
        if not self._numbers:
            raise ValueError("the file is closed")
        return self._numbers[0]

    @property
    def is_open(self) -> bool:
        """Whether it was not closed yet."""
        return bool(self._numbers)

    def duplicate(self) -> Handle:
        """Return another one of the same open file, which has the lock for as long as this one has it."""
        other = Handle.__new__(Handle)
        other._process, other._locked, other._numbers = self._process, False, []
        other._numbers.extend(map(os.dup, self._numbers))
        return other

    def lock(self, operation: int) -> None:
        """Wait for a lock (see fcntl.flock), which is held until the file is closed."""
        self._locked = True
        fcntl.flock(self.number, operation)

    def close(self) -> None:
        """Let go of the lock and the file; once more does nothing."""
        # A forked process has the same lock: closing alone would leave it held there; and there, undoing it
        # would take it from us.
        if self._locked and self._numbers and self._process == os.getpid():
            fcntl.flock(self._numbers[0], fcntl.LOCK_UN)
        self._numbers[:] = filter(None, map(os.close, self._numbers))

    def __del__(self) -> None:
        if hasattr(self, "_numbers"):
            with suppress(OSError):
                self.close()


class FileLock:
    """A lock on a file or directory that threads and processes respect.

    Parameters
    ----------
    path : str
        What is opened with `flags`.
    patience : float or None
        Seconds for which it is waited for; None for as long as it takes.
    """

    def __init__(self, path: str, flags: int, patience: float | None = None) -> None:
        self.path = path
        self._flags, self._patience = flags, patience
        self._held: dict[int, ref[Handle]] = {}  # by thread

    @contextmanager
    def held(self, shared: bool = False) -> Iterator[Handle]:
        """Hold it, alone or with others who share it.

        Raises
        ------
        ReentrantCallError
            If this thread holds it already: it would wait for itself.
        TimeoutError
            If others have kept it for too long.
        """
        me = threading.get_ident()
        known = self._held.get(me)
        mine = known() if known is not None else None
        if mine is not None and mine.is_open:
            raise ReentrantCallError
        handle = None
        try:
            handle = Handle(self.path, self._flags)
            self._held[me] = ref(handle)
            self._wait(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            yield handle
        finally:
            self._held.pop(me, None)
            if handle is not None:
                handle.close()

    def _wait(self, handle: Handle, operation: int) -> None:
        if self._patience is None:
            handle.lock(operation)
            return
        give_up = time.monotonic() + self._patience
        while True:
            try:
                handle.lock(operation | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise TimeoutError(f"{self.path} is kept locked") from None
            time.sleep(0.001)


def read_file(path: str, most: int | None = None, follow: bool = False) -> bytes | None:
    """Return what is in a regular file; None where there is none, or something else in its place.

    Nothing is waited for: a pipe that somebody put there would never end.

    Parameters
    ----------
    most : int or None
        The size above which it is not read, and None is returned.
    follow : bool
        Whether a symbolic link may lead to it.

    Raises
    ------
    OSError
        If there is a file that cannot be read.
    """
    try:
        flags = os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
        handle = Handle(path, flags)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return None
        raise
    try:
        found = os.fstat(handle.number)
        if not stat.S_ISREG(found.st_mode) or (most is not None and found.st_size > most):
            return None
        with open(handle.number, "rb", closefd=False) as file:
            return file.read()
    finally:
        handle.close()


@contextmanager
def storage_errors(where: str) -> Iterator[None]:
    """Turn the operating system's refusals into StorageFullError and StorageError."""
    try:
        yield
    except AIEngineError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFullError(where, error) from error
        raise StorageError(f"{where} cannot be written: {error}. Nothing was saved.") from error


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write every byte: one call may take fewer than it was given."""
    left = memoryview(data).cast("B")
    while left:
        left = left[os.write(descriptor, left) :]


def sync_directory(path: str) -> None:
    """Make the names in a directory durable: fsync of a file does not do that for its name."""
    handle = Handle(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle.number)
    finally:
        handle.close()


def sync_directories(*paths: str) -> None:
    """Make the names in directories durable; one that does not exist has none."""
    for path in paths:
        if os.path.isdir(path):
            with storage_errors(path):
                sync_directory(path)


def make_directory(path: str, mode: int = 0o777) -> None:
    """Make a directory and its parents, each with a durable name; one that exists is left as it is."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    make_directory(parent)
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
    sync_directory(parent)


def allocated(stat: os.stat_result) -> int:
    """Return the bytes that the disk gets back when this name goes; none while another name is left."""
    return stat.st_blocks * 512 if stat.st_nlink == 1 else 0
