"""Files that survive: the few steps that all durable writing is made of."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ai_engine.domain.errors import AIEngineError, StorageError, StorageFullError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


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
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
