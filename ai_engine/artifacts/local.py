"""Artifacts as files of a directory, each named by its digest.

A file is written in the sandbox, synced, and linked under its digest; the sandbox keeps its own name for it
until the version is committed, so that what a writer leaves when it is killed in between is known.
"""

from __future__ import annotations

import errno
import mmap
import os
import queue
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256

from ai_engine.artifacts.files import (
    allocated,
    make_directory,
    storage_errors,
    sync_directories,
    sync_directory,
    write_all,
)
from ai_engine.artifacts.protocol import Opened, Stored
from ai_engine.artifacts.sandbox import Entry, Sandbox
from ai_engine.domain.digests import named
from ai_engine.domain.records import Digest, Identity

# Large writes are handed on in slices, so that hashing starts with the first one.
_SLICE = 8 * 1024 * 1024
# Slices that the hasher may lag behind; bounds the memory that a stream of small writes can hold.
_LAG = 64


class LocalStore:
    """See protocol.ArtifactStore.

    Parameters
    ----------
    path : str
        The directory of the artifacts; made when the first one is stored.
    sandbox : Sandbox
        On the same file system.
    others : Sandbox
        Where others of the same registry write, whose leftovers are looked for too.
    """

    def __init__(self, path: str, sandbox: Sandbox, *others: Sandbox) -> None:
        self.location = path
        self._sandbox = sandbox
        self._others = others

    @contextmanager
    def create(self) -> Iterator[_Writer]:
        with storage_errors(self.location):
            make_directory(self.location)
            with self._sandbox.entry() as entry, _Hasher() as hasher:
                yield _Writer(self, entry, hasher)

    def open(self, digest: Digest) -> Opened | None:
        try:
            descriptor = _open(self.path(digest))
        except FileNotFoundError:
            return None
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                return None
            if not found.st_size:
                return Opened(memoryview(b""), _identity(found))
            # Private: an estimator may write to its arrays, and only it sees that.
            return Opened(memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)), _identity(found))
        finally:
            os.close(descriptor)

    def identify(self, digest: Digest) -> Identity | None:
        try:
            return _identity(os.lstat(self.path(digest)))
        except FileNotFoundError:
            return None

    def has(self, digest: Digest) -> bool:
        return os.path.isfile(self.path(digest))

    def delete(self, digest: Digest) -> int:
        path = self.path(digest)
        try:
            found = os.lstat(path)
            os.unlink(path)
        except FileNotFoundError:
            return 0
        return allocated(found)

    def sync(self) -> None:
        sync_directories(self.location)

    def list(self) -> Iterator[Digest]:
        with suppress(FileNotFoundError), os.scandir(self.location) as entries:
            for entry in entries:
                if len(entry.name) == 64:
                    yield named(entry.name)

    def in_flight(self) -> set[Digest]:
        labels = (name.partition(".") for name in self._sandbox.names())
        return {named(label) for label, dot, _ in labels if dot}

    def leftovers(self) -> Iterator[_Leftover]:
        for sandbox in (self._sandbox, *self._others):
            for path in sandbox.leftovers():
                yield _Leftover(path)

    def path(self, digest: Digest) -> str:
        return f"{self.location}/{digest.partition(':')[2]}"


class _Leftover:
    """See protocol.ArtifactStore.leftovers."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> Digest | None:
        label, dot, _ = os.path.basename(self._path).partition(".")
        return named(label) if dot else None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            with suppress(FileNotFoundError):  # a companion that its writer has just put into its place
                os.unlink(self._path)


class _Writer:
    """See protocol.ArtifactWriter."""

    def __init__(self, store: LocalStore, entry: Entry, hasher: _Hasher) -> None:
        self._store, self._entry, self._hasher = store, entry, hasher
        self._size = 0

    def write(self, data: bytes | memoryview, /) -> int:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _SLICE):
            piece = view[start : start + _SLICE]
            self._hasher.feed(piece)
            with storage_errors(self._store.location):
                write_all(self._entry.descriptor, piece)
        self._size += len(view)
        return len(view)

    def finish(self) -> Stored:
        os.fchmod(self._entry.descriptor, 0o444)
        os.fsync(self._entry.descriptor)  # while the hasher catches up
        hexadecimal = self._hasher.finish()
        digest = named(hexadecimal)
        self._entry.label(hexadecimal)
        path = self._store.path(digest)
        try:
            os.link(self._entry.path, path)
        except FileExistsError:
            if not self._same(path):
                os.rename(self._entry.path, path)  # what stood there was damaged
        sync_directory(self._store.location)
        return Stored(digest, self._size)

    def _same(self, path: str) -> bool:
        """Tell whether the file under the digest really holds these bytes."""
        hasher = sha256()
        try:
            descriptor = _open(path)
        except FileNotFoundError:
            return False
        with os.fdopen(descriptor, "rb") as there:
            while piece := there.read(_SLICE):
                hasher.update(piece)
        return path.endswith(hasher.hexdigest())


class _Hasher:
    """A digest that is computed in a thread of its own, beside the writing."""

    def __init__(self) -> None:
        self._pieces: queue.Queue[memoryview | None] = queue.Queue(_LAG)
        self._digest = sha256()
        self._thread = threading.Thread(target=self._run, name="ai-engine-hasher", daemon=True)

    def __enter__(self) -> _Hasher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._digest.update(piece)

    def feed(self, piece: memoryview) -> None:
        self._pieces.put(piece)

    def finish(self) -> str:
        if self._thread.is_alive():
            self._pieces.put(None)
            self._thread.join()
        return self._digest.hexdigest()


def _open(path: str) -> int:
    """Open an artifact's file for reading; a link that somebody planted in its place is no file of ours."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FileNotFoundError(error.errno, "a symbolic link stands in the place of", path) from error
        raise


def _identity(found: os.stat_result) -> Identity:
    return Identity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
