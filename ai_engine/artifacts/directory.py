"""The model directory: whose it is, and what of ours is in it.

::

    <model_dir>/
        model_registry.db            the catalogue, unless it is elsewhere
        <name>@<version>.pkl         one a version, for people and their tools
        .engine/
            catalogue.json           which catalogue the directory belongs to
            open.lock                    shared by all who have the database open
            opening.lock             held while a database is made or migrated
            reserve                      room to forget versions in when the disk is full
            artifacts/<digest>       the bytes of large models
            records/<file>.json      what a lost catalogue is rebuilt from, one a version
            sandbox/                 files that are being written
            outage/                  what the catalogue could not take
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple
from uuid import uuid4

from ai_engine.artifacts.files import make_directory, storage_errors, sync_directory, write_all
from ai_engine.artifacts.sandbox import Sandbox
from ai_engine.domain.errors import CatalogueMismatchError, CatalogueUnavailableError

# Forgetting versions writes to the log of the database before it frees anything: so much, for thousands.
_RESERVE = 256 * 1024


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

    def make(self) -> None:
        """Make the directory where it does not exist."""
        with storage_errors(self.path):
            make_directory(self.engine)

    def keep_reserve(self) -> None:
        """Take up a little of the disk, unless that is done or there is none to take."""
        with suppress(OSError):
            descriptor = os.open(f"{self.engine}/reserve", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            try:
                if os.fstat(descriptor).st_size < _RESERVE:
                    os.posix_fallocate(descriptor, 0, _RESERVE)
            finally:
                os.close(descriptor)

    def spend_reserve(self) -> None:
        """Give the reserve back to the disk."""
        with suppress(OSError):
            os.truncate(f"{self.engine}/reserve", 0)

    def owner(self) -> Owner | None:
        """Return whose the directory is; None where it is nobody's yet."""
        try:
            with open(self._card, encoding="utf-8") as card:
                known = json.load(card)
            return Owner(known["catalogue_id"], known["location"], known["model_dir"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise CatalogueUnavailableError(
                self._card,
                f"it was changed by hand ({error}); restore it, or remove it if you know the database",
            ) from error

    @contextmanager
    def opening_lock(self) -> Iterator[None]:
        """Exclude every other process while a database is made or migrated."""
        self.make()
        descriptor = self._lock_file("opening.lock")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def hold(self) -> Callable[[], None]:
        """Note that the database is open, until what is returned is called."""
        self.make()
        descriptor = self._lock_file("open.lock")
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return lambda: os.close(descriptor)

    def set_aside(self, location: str, is_corrupt: Callable[[], bool]) -> str | None:
        """Move a damaged database away, with its log, if nobody has it open and it is still damaged."""
        descriptor = self._lock_file("open.lock")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
            os.close(descriptor)

    def _lock_file(self, name: str) -> int:
        return os.open(f"{self.engine}/{name}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)

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
