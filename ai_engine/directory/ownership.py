"""The model directory: whose it is, and what of ours is in it.

::

    <model_dir>/
        model_registry.db            the catalogue, unless it is elsewhere
        <name>@<version>.pkl         one a version, for people and their tools
        .engine/
            catalogue.json           which catalogue the directory belongs to
            open.lock                    shared by all who have the database open
            opening.lock             held while a database is made or migrated
            reserve, reserve.opening     room to open and to forget versions when the disk is full
            artifacts/<digest>       the bytes of large models
            records/<file>.json      what a lost catalogue is rebuilt from, one a version
            sandbox/                 files that are being written
            outage/                  what the catalogue could not take
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple
from uuid import uuid4

from ai_engine.domain.errors import CatalogueMismatchError, CatalogueUnavailableError
from ai_engine.files.durable_io import (
    FileLock,
    Handle,
    make_directory,
    read_file,
    storage_errors,
    sync_directory,
    write_all,
)
from ai_engine.files.sandbox import Sandbox

# Room on the disk that is kept for the day on which it is full. Opening a database makes its log and the
# index of it, 32 KiB; forgetting versions writes to the log before it frees anything: so much, for thousands.
_TO_OPEN, _TO_FORGET = "reserve.opening", "reserve"
_RESERVES = {_TO_OPEN: 96 * 1024, _TO_FORGET: 256 * 1024}


class Owner(NamedTuple):
    """The catalogue that a directory belongs to, and where both were last."""

    catalogue_id: str
    location: str
    model_dir: str


class ModelDirectory:
    """A model directory; see the module.

    Parameters
    ----------
    path : str
        Absolute.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.engine = f"{path}/.engine"
        self.sandbox = Sandbox(f"{self.engine}/sandbox")
        self._card = f"{self.engine}/catalogue.json"
        self._opening = FileLock(f"{self.engine}/opening.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)

    def make(self) -> None:
        """Make the directory where it does not exist."""
        with storage_errors(self.path):
            make_directory(self.engine)

    def keep_reserve(self) -> None:
        """Take up a little of the disk, unless that is done or there is none to take."""
        for name, size in _RESERVES.items():
            with suppress(OSError):
                handle = Handle(f"{self.engine}/{name}", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW)
                try:
                    if os.fstat(handle.number).st_size < size:
                        os.posix_fallocate(handle.number, 0, size)
                except OSError:
                    os.ftruncate(handle.number, 0)  # a part of it would be missing where it is needed
                    raise
                finally:
                    handle.close()

    def make_room(self) -> bool:
        """Give the disk back what opening a database takes; tell whether there was anything to give."""
        return self._spend(_TO_OPEN)

    def spend_reserve(self) -> None:
        """Give the disk back what forgetting versions takes."""
        self._spend(_TO_FORGET)

    def _spend(self, name: str) -> bool:
        with suppress(OSError):
            if os.path.getsize(f"{self.engine}/{name}"):
                os.truncate(f"{self.engine}/{name}", 0)
                return True
        return False

    def owner(self) -> Owner | None:
        """Return whose the directory is; None where it is nobody's yet."""
        try:
            text = read_file(self._card)
            if text is None:
                return None
            known = json.loads(text)
            return Owner(str(known["catalogue_id"]), str(known["location"]), str(known["model_dir"]))
        except (ValueError, KeyError, TypeError) as error:
            raise CatalogueUnavailableError(
                self._card,
                f"it was changed by hand ({error}); restore it, or remove it if you know the database",
            ) from error

    def written_at(self) -> str:
        """Return how the directory was called when its catalogue was opened last."""
        owner = self.owner()
        return self.path if owner is None else owner.model_dir

    @contextmanager
    def opening_lock(self) -> Iterator[None]:
        """Exclude every other process while a database is made or migrated."""
        self.make()
        with self._opening.held():
            yield

    def hold(self) -> Handle:
        """Note that the database is open, until what is returned is closed."""
        handle = self._open_lock()
        try:
            handle.lock(fcntl.LOCK_SH)
        except BaseException:
            handle.close()
            raise
        return handle

    def set_aside(self, location: str, is_corrupt: Callable[[], bool]) -> str | None:
        """Move a damaged database away, with its log, if nobody has it open and it is still damaged."""
        handle = self._open_lock()
        try:
            handle.lock(fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not is_corrupt():
                return None
            aside = f"{location}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid4().hex[:6]}"
            for suffix in ("-wal", "-shm", ""):
                with suppress(FileNotFoundError):
                    os.rename(f"{location}{suffix}", f"{aside}{suffix}")
            sync_directory(os.path.dirname(location))
            return aside
        except BlockingIOError:
            return None
        finally:
            handle.close()

    def _open_lock(self) -> Handle:
        """Open the file by whose lock it is known who has the database open."""
        path = f"{self.engine}/open.lock"
        try:
            self.make()
            return Handle(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES):
                raise
            # Who may not write may lock all the same; where there is nothing to lock, nobody writes.
            return Handle(path if os.path.exists(path) else self.path, os.O_RDONLY | os.O_NOFOLLOW)

    def release(self) -> None:
        """Let the directory be nobody's, so that a new database may be put into service in it."""
        with suppress(FileNotFoundError):
            os.unlink(self._card)
        sync_directory(self.engine)

    def check_new(self, location: str) -> None:
        """Raise if a database without our tables may not be put into service here."""
        owner = self.owner()
        if owner is None:
            return
        if owner.location != location and owner.model_dir == self.path:
            raise CatalogueMismatchError(self.path, location, owner.location)
        raise CatalogueUnavailableError(
            location,
            "it was deleted or emptied, while the models that it listed are still recorded beside it. "
            "Make it again from the records with `ai-engine doctor --rebuild`, or begin with an empty "
            "database with `ai-engine doctor --accept-loss`",
        )

    def claim(self, catalogue_id: str, location: str, relocate: Callable[[str, str], None]) -> None:
        """Raise if the directory belongs to another catalogue; it is this one's from now on.

        `relocate` is called, with the old path and the new one, when the directory was moved or copied.
        """
        owner = self.owner()
        if owner == (catalogue_id, location, self.path):
            return
        if owner is not None and owner.catalogue_id != catalogue_id:
            raise CatalogueMismatchError(self.path, location, owner.location)
        if owner is not None and owner.model_dir != self.path:
            relocate(owner.model_dir, self.path)
        self.assign(catalogue_id, location)

    def assign(self, catalogue_id: str, location: str) -> None:
        """Write down whose the directory is, whatever was known before."""
        self.make()
        card = json.dumps(Owner(catalogue_id, location, self.path)._asdict()).encode()
        with storage_errors(self._card), self.sandbox.entry() as entry:
            write_all(entry.descriptor, card)
            os.fsync(entry.descriptor)
            entry.move(self._card)
            sync_directory(self.engine)
