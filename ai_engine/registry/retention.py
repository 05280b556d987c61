"""Forget versions and give their bytes back to the disk: the plan, and carrying it out."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from ai_engine.catalogue.protocol import Transaction
from ai_engine.directory.protocol import VersionFiles
from ai_engine.domain import clock
from ai_engine.domain.audit import AuditEvent
from ai_engine.domain.entities import ModelVersion, Place
from ai_engine.domain.errors import StorageError, StorageFullError
from ai_engine.domain.retention import Policy, to_drop
from ai_engine.registry.stores import Stores
from ai_engine.registry.sweep import Sweeper

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CleanUp:
    """What a policy drops, and the bytes that the disk gets back, by its own account."""

    dropped: list[ModelVersion]
    freed_bytes: int


class Retention:
    """Applies policies.

    Parameters
    ----------
    stores : Stores
        Where everything is.
    sweeper : Sweeper
        Who removes the files.
    """

    def __init__(self, stores: Stores, sweeper: Sweeper) -> None:
        self._stores, self._sweeper = stores, sweeper

    def plan(self, policy: Policy) -> CleanUp:
        """Return what the policy would do now. The database is asked by doing it and taking it back."""
        before = self._stores.catalogue.allocated()
        dropped: list[ModelVersion] = []

        def rehearse(work: Transaction) -> None:
            dropped.extend(to_drop(work.candidates(policy), policy, clock.now()))
            self.drop(work, dropped, "clean-up")
            work.forget_debris(item.path for item in work.debris(-1))

        after = self._stores.catalogue.rehearse(rehearse)
        if not dropped:
            return CleanUp([], 0)
        return CleanUp(dropped, self._footprint(dropped) + max(0, before - after))

    def apply(self, policy: Policy, by: str) -> CleanUp:
        """Drop what the policy does not keep and free its bytes, by the disk's own account."""
        before = self._stores.catalogue.allocated()
        try:
            dropped = self._drop_all(policy, by)
        except StorageFullError:
            self._stores.version_files.spend_reserve()
            dropped = self._drop_all(policy, by)
        if not dropped:
            return CleanUp([], 0)
        freed = self._sweeper.sweep_if_possible()
        try:
            self._stores.version_files.tidy()
            self._stores.catalogue.reclaim()
        except StorageError as error:  # the versions are gone; their space in the database waits
            log.warning("the database will be made smaller by the next clean-up: %s", error)
        freed += max(0, before - self._stores.catalogue.allocated())
        self._stores.version_files.keep_reserve()
        return CleanUp(dropped, freed)

    def _drop_all(self, policy: Policy, by: str) -> list[ModelVersion]:
        with self._stores.catalogue.write(by) as work:
            dropped = to_drop(work.candidates(policy), policy, clock.now())
            self.drop(work, dropped, "clean-up")
        return dropped

    def drop(self, work: Transaction, versions: Iterable[ModelVersion], action: str) -> None:
        """Forget versions; their files wait for the next sweep. The audit log tells by which action."""
        for version in versions:
            work.audit.append(AuditEvent(action, version.name, version.version))
            work.drop(version, files_of(version, self._stores.version_files))

    def _footprint(self, dropped: list[ModelVersion]) -> int:
        gone = {version.seq for version in dropped}
        paths = [path for version in dropped for path in files_of(version, self._stores.version_files)]
        unseen = 0
        with self._stores.catalogue.read() as snapshot:
            stored = [v.artifact for v in dropped if v.artifact.place is Place.STORE]
            for digest, size in {(artifact.digest, artifact.size) for artifact in stored}:
                if digest is None or any(use.seq not in gone for use in snapshot.uses(digest)):
                    continue
                path = self._stores.artifacts.path(digest)
                if path is None:
                    unseen += size or 0
                else:
                    paths.append(path)
        return self._stores.version_files.footprint(paths) + unseen


def files_of(version: ModelVersion, version_files: VersionFiles) -> list[str]:
    """Return the files of a version that go with it."""
    if version.artifact.place is Place.PATH:
        return []  # the original software made it, and it is not ours to remove
    return [version.model_path, version_files.record_path(version.model_path)]
