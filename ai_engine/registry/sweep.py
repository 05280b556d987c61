"""Remove files of ours that no version refers to, no job needs and no writer holds.

Only files on the catalogue's list of debris, and what writers left that were killed, are ever looked at. A
file is removed inside a write transaction, and a save looks for its bytes inside one: whichever comes second
sees what the first has done.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from ai_engine.catalogue.protocol import Debris, Transaction
from ai_engine.domain.digests import is_digest
from ai_engine.domain.entities import Digest
from ai_engine.domain.errors import StorageError
from ai_engine.registry.outage_operations import writing_alone
from ai_engine.registry.stores import Stores

log = logging.getLogger(__name__)

# Files removed in one transaction; bounds how long other writers wait.
_BATCH = 200


class Sweeper:
    """Removes debris.

    Parameters
    ----------
    stores : Stores
        Where the files are.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def sweep(self) -> int:
        """Remove the files of dropped versions; return the bytes that the disk got back."""
        freed = 0
        while True:
            with writing_alone(self._stores.catalogue, self._stores.journal) as (work, awaited):
                debris = work.debris(_BATCH)
                freed += sum(self._remove(work, item, awaited) for item in debris)
                # Struck off the list only once the removal would survive a power cut.
                self._stores.version_files.sync()
                self._stores.artifacts.sync()
                work.forget_debris(item.path for item in debris)
            if len(debris) < _BATCH:
                return freed

    def sweep_if_possible(self) -> int:
        """Sweep, and leave to the next sweep what cannot be removed now: the versions are dropped already."""
        try:
            return self.sweep()
        except StorageError as error:
            log.warning("files of versions that were dropped will be removed later: %s", error)
            return 0

    def sweep_where_needed(self) -> None:
        """Sweep if anything is left of a clean-up that was killed."""
        with self._stores.catalogue.read() as snapshot:
            needed = bool(snapshot.debris(1))
        if needed:
            self.sweep()

    def _remove(self, work: Transaction, item: Debris, awaited: frozenset[str]) -> int:
        if item.digest is None:
            return self._stores.version_files.remove(item.path)
        return self._remove_artifact(work, item.digest, awaited)

    def _remove_artifact(self, work: Transaction, digest: Digest, awaited: frozenset[str]) -> int:
        if not is_digest(digest):
            return 0  # whatever the catalogue says, nothing outside the store is ours to remove
        if work.user(digest) or work.jobs.needs(digest) or digest in awaited:
            return 0
        return self._stores.artifacts.delete(digest)

    def discard(self) -> None:
        """Remove the bytes of a save that was refused, unless somebody else has them or is about to.

        Where that cannot be done now, the next opening does it.
        """
        with suppress(StorageError):
            self.sweep_leftovers()

    def sweep_leftovers(self) -> int:
        """Remove what writers left that failed or were killed; return how many of them there were."""
        found = 0
        for leftover in self._stores.artifacts.leftovers():
            with leftover as digest:
                found += 1
                if digest is not None:
                    with writing_alone(self._stores.catalogue, self._stores.journal) as (work, awaited):
                        self._remove_artifact(work, digest, awaited)
        return found
