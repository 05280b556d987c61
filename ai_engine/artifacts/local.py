"""Artifacts as files of a directory, each named by its digest.

A file is written in the sandbox, synced, and linked under its digest; the sandbox keeps its own name for it
until the version is committed, so that what a writer leaves when it is killed in between is known.
"""

from __future__ import annotations

import _thread
import errno
import mmap
import os
import queue
import re
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from ai_engine.artifacts.protocol import OpenArtifact, Stored
from ai_engine.domain.digests import named
from ai_engine.domain.entities import Digest, Identity
from ai_engine.files.durable_io import (
    Handle,
    allocated,
    make_directory,
    storage_errors,
    sync_directories,
    sync_directory,
    write_all,
)
from ai_engine.files.sandbox import Sandbox, SandboxEntry

if TYPE_CHECKING:
    from hashlib import _Hash as HASH

# Large writes are told to the hasher in slices, so that it starts with the first one.
_SLICE = 8 * 1024 * 1024
# What the hasher reads at a time: stays in the cache of a core.
_PIECE = 512 * 1024
# A file that changes within the clock's granularity after it was looked at keeps its times. Two seconds is
# the coarsest granularity of a file system in use (FAT), and what git allows for.
_SETTLE = 2.0
# A sandbox entry whose bytes may be stored under this digest.
_LABELLED = re.compile(r"([0-9a-f]{64})\.")


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
    settle : float
        Seconds that a file must have been left alone before its times tell whether it was changed.
    """

    store_id = "local"

    def __init__(self, path: str, sandbox: Sandbox, *others: Sandbox, settle: float = _SETTLE) -> None:
        self.location = path
        self._settle_ns = round(settle * 1e9)
        self._sandbox = sandbox
        self._others = others

    @contextmanager
    def create(self) -> Iterator[_Writer]:
        with storage_errors(self.location):
            make_directory(self.location)
            with self._sandbox.entry() as entry, _Hasher(entry.handle.duplicate()) as hasher:
                writer = _Writer(self, entry, hasher)
                try:
                    yield writer
                except BaseException:
                    if writer.digest is not None:  # stored, perhaps, and nobody will name it
                        entry.leave()
                    raise

    def open(self, digest: Digest) -> OpenArtifact | None:
        try:
            handle = _open(self.path(digest))
        except FileNotFoundError:
            return None
        try:
            found = os.fstat(handle.number)
            if not found.st_size:
                return OpenArtifact(memoryview(b""), self._identity(found))
            # Private: an estimator may write to its arrays, and only it sees that.
            mapping = mmap.mmap(handle.number, 0, access=mmap.ACCESS_COPY)
            return OpenArtifact(memoryview(mapping), self._identity(found))
        finally:
            handle.close()

    def _identity(self, found: os.stat_result) -> Identity | None:
        if time.time_ns() - found.st_ctime_ns < self._settle_ns:
            return None
        facts = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        return Identity(":".join(map(str, facts)))

    def has(self, digest: Digest) -> bool:
        try:
            return stat.S_ISREG(os.lstat(self.path(digest)).st_mode)
        except FileNotFoundError:
            return False

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
        found = map(_LABELLED.match, self._sandbox.names())
        return {named(match.group(1)) for match in found if match}

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
        match = _LABELLED.match(os.path.basename(self._path))
        return named(match.group(1)) if match else None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            with suppress(FileNotFoundError):  # a companion that its writer has just put into its place
                os.unlink(self._path)


class _Writer:
    """See protocol.ArtifactWriter."""

    def __init__(self, store: LocalStore, entry: SandboxEntry, hasher: _Hasher) -> None:
        self._store, self._entry, self._hasher = store, entry, hasher
        self._size = 0
        self.digest: Digest | None = None

    def write(self, data: bytes | memoryview, /) -> int:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _SLICE):
            piece = view[start : start + _SLICE]
            with storage_errors(self._store.location):
                write_all(self._entry.descriptor, piece)
            self._size += len(piece)
            self._hasher.follow(self._size)
        return len(view)

    def finish(self) -> Stored:
        os.fchmod(self._entry.descriptor, 0o444)
        os.fsync(self._entry.descriptor)  # while the hasher catches up
        hexadecimal = self._hasher.finish()
        self.digest = named(hexadecimal)
        self._entry.label(hexadecimal)
        path = self._store.path(self.digest)
        try:
            os.link(self._entry.path, path)
        except FileExistsError:
            if not self._same(path):
                os.rename(self._entry.path, path)  # what stood there was damaged
        sync_directory(self._store.location)
        return Stored(self.digest, self._size)

    def _same(self, path: str) -> bool:
        """Tell whether the file under the digest really holds these bytes."""
        hasher = sha256()
        try:
            handle = _open(path)
        except FileNotFoundError:
            return False
        try:
            with open(handle.number, "rb", closefd=False) as there:
                while piece := there.read(_SLICE):
                    hasher.update(piece)
        finally:
            handle.close()
        return path.endswith(hasher.hexdigest())


class _Hasher:
    """The digest of a file that is being written, computed in a thread of its own behind the writer.

    What is hashed is read off the file and not out of the memory that was written: another thread may change
    that in between, and the digest would be that of bytes that nobody has.

    Parameters
    ----------
    handle : Handle
        The file, to be closed by this object: the writer may close its own first.
    """

    def __init__(self, handle: Handle) -> None:
        self._sizes: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._digest = sha256()
        self._outcome: list[BaseException | None] = []  # empty until the thread has ended
        self._working = threading.Lock()  # held by the thread until then
        self._working.acquire()
        work = (handle, self._sizes, self._digest, self._outcome, self._working)
        # Not by `threading`: an interrupt while its `start` waits for the thread leaves both locked for ever.
        _thread.start_new_thread(_hash, work)

    def __enter__(self) -> _Hasher:
        return self

    def __exit__(self, *_: object) -> None:
        self._wait()

    def __del__(self) -> None:
        if hasattr(self, "_sizes"):
            self._sizes.put(None)  # the thread refers to nothing that would keep this object alive

    def _wait(self) -> None:
        self._sizes.put(None)
        if not self._outcome:  # an interrupt after the wait may have left the lock with this thread
            with self._working:
                pass

    def follow(self, size: int) -> None:
        """Tell that so many bytes are in the file."""
        self._sizes.put(size)

    def finish(self) -> str:
        """Return the digest in hexadecimal, once everything is hashed."""
        self._wait()
        failure = self._outcome[0]
        if failure is not None:
            raise failure
        return self._digest.hexdigest()


def _hash(
    handle: Handle,
    sizes: queue.SimpleQueue[int | None],
    digest: HASH,
    outcome: list[BaseException | None],
    working: threading.Lock,
) -> None:
    """Hash a file up to each of the sizes that come in."""
    failure = None
    try:
        piece = memoryview(bytearray(_PIECE))
        done = 0
        while (size := sizes.get()) is not None:
            while done < size:
                count = os.preadv(handle.number, [piece[: size - done]], done)
                if not count:
                    raise OSError(errno.EIO, "what was written to the file cannot be read", "")
                digest.update(piece[:count])
                done += count
    except BaseException as error:  # noqa: BLE001  # raised by who waits for the digest
        failure = error
    finally:
        try:
            handle.close()
        finally:
            outcome.append(failure)
            working.release()


def _open(path: str) -> Handle:
    """Open an artifact's file for reading; a link or a pipe in its place is no file of ours."""
    try:
        handle = Handle(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise FileNotFoundError(error.errno, "something else stands in the place of", path) from error
        raise
    if not stat.S_ISREG(os.fstat(handle.number).st_mode):
        handle.close()
        raise FileNotFoundError(errno.ENOENT, "something else stands in the place of", path)
    return handle
