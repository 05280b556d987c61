"""The model directory: whose it is, and what of ours is in it.

::

    <model_dir>/
        model_registry.db            the catalogue, unless it is elsewhere
        <name>@<version>.pkl         one a version, for people and their tools
        .engine/
            catalogue.json           which catalogue the directory belongs to
            opening.lock             held while a database is made or migrated
            artifacts/<digest>       the bytes of large models
            records/<file>.json      what a lost catalogue is rebuilt from, one a version
            sandbox/                 files that are being written
            outage/                  what the catalogue could not take
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ai_engine.artifacts.files import make_directory, storage_errors, sync_directory, write_all
from ai_engine.artifacts.sandbox import Sandbox
from ai_engine.domain.errors import CatalogueMismatchError, CatalogueUnavailableError


class Owner(NamedTuple):
    """The catalogue that a directory belongs to, and where it was last."""

    catalogue_id: str
    location: str


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

    def owner(self) -> Owner | None:
        """Return whose the directory is; None where it is nobody's yet."""
        try:
            with open(self._card, encoding="utf-8") as card:
                known = json.load(card)
            return Owner(known["catalogue_id"], known["location"])
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
        descriptor = os.open(f"{self.engine}/opening.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def check_new(self, location: str) -> None:
        """Raise if a database without our tables may not be put into service here."""
        owner = self.owner()
        if owner is None:
            return
        if owner.location != location:
            raise CatalogueMismatchError(self.path, location, owner.location)
        raise CatalogueUnavailableError(
            location,
            "it is gone or empty, while the directory still holds models that it listed. Restore a backup, "
            "or rebuild it from the files with `ai-engine doctor --rebuild`",
        )

    def claim(self, catalogue_id: str, location: str) -> None:
        """Raise if the directory belongs to another catalogue; it is this one's from now on."""
        owner = self.owner()
        if owner == (catalogue_id, location):
            return
        if owner is not None and owner.catalogue_id != catalogue_id:
            raise CatalogueMismatchError(self.path, location, owner.location)
        self.assign(catalogue_id, location)

    def assign(self, catalogue_id: str, location: str) -> None:
        """Write down whose the directory is, whatever was known before."""
        self.make()
        card = json.dumps({"catalogue_id": catalogue_id, "location": location}).encode()
        with storage_errors(self._card), self.sandbox.entry() as entry:
            write_all(entry.descriptor, card)
            os.fsync(entry.descriptor)
            os.rename(entry.path, self._card)
            sync_directory(self.engine)
