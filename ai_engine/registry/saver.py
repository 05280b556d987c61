"""From an object to a version: its bytes become durable, then a row makes them visible.

A crash between the two leaves bytes that nobody names, never a version without bytes.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass, replace

from ai_engine.catalogue.protocol import Transaction
from ai_engine.domain import clock, versions
from ai_engine.domain.audit import AuditEvent
from ai_engine.domain.entities import (
    Artifact,
    Digest,
    ModelVersion,
    NewVersion,
    SavedVersion,
)
from ai_engine.domain.errors import (
    AIEngineError,
    CatalogueUnavailableError,
    OutcomeUnknownError,
    SerializationError,
    StorageError,
    VersionExistsError,
)
from ai_engine.domain.jobs import JobCompletion
from ai_engine.domain.locks import let_go
from ai_engine.registry import audit_events, version_records
from ai_engine.registry.active_pointer import ActivePointer
from ai_engine.registry.lookup import Lookup
from ai_engine.registry.lost_versions import LostVersions
from ai_engine.registry.model_loader import ModelLoader
from ai_engine.registry.outage import Outage, SavedBeforeError
from ai_engine.registry.promised_numbers import NumberPromisedError, OvertakenError
from ai_engine.registry.publication import Publication
from ai_engine.registry.retention import files_of
from ai_engine.registry.serialized_model import Prepared, prepared
from ai_engine.registry.signatures import signed
from ai_engine.registry.stores import Stores
from ai_engine.registry.sweep import Sweeper
from ai_engine.registry.unsaved_models import UnsavedModels

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Saver:
    """Saves objects as versions.

    Attributes
    ----------
    stores : Stores
        Where everything is.
    outage : Outage
        Where a save goes that the catalogue cannot take.
    unsaved : UnsavedModels
        Where an object goes that cannot be stored at all.
    """

    stores: Stores
    outage: Outage
    unsaved: UnsavedModels
    lookup: Lookup
    loader: ModelLoader
    pointer: ActivePointer
    sweeper: Sweeper
    publication: Publication
    lost: LostVersions

    def save(
        self,
        new: NewVersion,
        model: object,
        by: str,
        once: bool = False,
        job: JobCompletion | None = None,
    ) -> SavedVersion:
        """Save an object as a new version, with what was measured of it, in one commit.

        Parameters
        ----------
        once : bool
            Whether the caller gave the id, and may call again with it: what was saved under it before is then
            answered as it is.
        job : JobCompletion or None
            The job that ends with the same commit. The catalogue alone knows who has it, so such a save does
            not wait for it in the outage journal.
        """
        if once:
            try:
                self._refuse_again(new)
                return self._save(new, model, by, once=True, job=job)
            except SavedBeforeError as error:
                return error.saved
        if new.version is not None and self.unsaved.find(new.name, new.version) is not None:
            raise VersionExistsError(new.name, new.version)
        return self._save(new, model, by)

    def register(self, new: NewVersion, model: object, by: str) -> None:
        """Save an object under its number, or keep it in memory where it cannot be stored."""
        assert new.version is not None  # that is what sets it apart from `save`
        try:
            self._save(new, model, by, known_counts=True)
        except OutcomeUnknownError:
            raise
        except (SerializationError, StorageError) as error:
            self.unsaved.hold(new.name, new.version, model)
            log.warning(
                "%s@%s is kept in memory only and ends with this process: %s", new.name, new.version, error
            )

    def _save(
        self,
        new: NewVersion,
        model: object,
        by: str,
        known_counts: bool = False,
        once: bool = False,
        job: JobCompletion | None = None,
    ) -> SavedVersion:
        """Save an object; with `known_counts` a version of equal bytes that there is counts as saved."""
        what = f"the model {new.name!r}"

        def refuse_early() -> None:
            if not known_counts and new.version is not None and self._known(new) is not None:
                raise VersionExistsError(new.name, new.version)

        try:
            with prepared(what, model, self.stores.artifacts, refuse_early, self.sweeper.discard) as ready:
                known = self._known(new) if known_counts else None
                if known is None:
                    new = signed(replace(new, artifact=ready.artifact), self.stores.signer)
                    return self._commit(new, ready, by, once, job)
                if self.loader.digest(known) != ready.artifact.digest:
                    raise VersionExistsError(known.name, known.version)
                self._activate_again(known, by)
                return SavedVersion(known.model_id, known.name, known.version, active=True)
        except (AIEngineError, SavedBeforeError):
            raise  # from before the commit
        except BaseException as error:
            let_go(error.__traceback__)
            if not once:  # else the caller asks again, and is told
                self._take_back(new)
            self.sweeper.discard()  # what the frames held until now
            raise

    def _take_back(self, new: NewVersion) -> None:
        """Forget a version whose save was interrupted, perhaps after the commit: nobody was told of it."""
        try:
            self.outage.take_back(new.model_id)
            with self.stores.catalogue.read() as snapshot:
                saved = snapshot.find_id(new.model_id)
            if saved is not None:
                with self.stores.catalogue.write() as work:
                    work.audit.append(AuditEvent("withdraw", saved.name, saved.version))
                    work.withdraw(saved, files_of(saved, self.stores.version_files), clock.now())
                self.sweeper.sweep()
        except StorageError as error:
            raise OutcomeUnknownError(new.model_id, error) from error

    def _activate_again(self, known: ModelVersion, by: str) -> None:
        """Make a version active that is stored already, if it is not and the catalogue takes it."""
        held = self.unsaved.actives().get(known.name)
        try:
            if held is None:
                active = self.lookup.find(known.name)
                if active is not None and active.version == known.version:
                    return
            self.pointer.activate(known.name, known.version, by, "activated")
        except CatalogueUnavailableError as error:
            self.outage.state.note(error)
            log.warning("%s is stored and cannot be made active now: %s", known.label, error)

    def _refuse_again(self, new: NewVersion) -> None:
        """Raise SavedBeforeError where a version has this id."""
        known = self.outage.queue.find_id(new.model_id)
        if known is None:
            try:
                with self.stores.catalogue.read() as snapshot:
                    known = snapshot.find_id(new.model_id)
            except CatalogueUnavailableError:
                known = self.lookup.find_recorded(new.model_id)
        if known is not None:
            raise SavedBeforeError(known)

    def _known(self, new: NewVersion) -> ModelVersion | None:
        try:
            return self.lookup.find(new.name, new.version)
        except CatalogueUnavailableError:
            return None  # the save will wait for it, and a number that is taken is found then

    def _commit(
        self, new: NewVersion, ready: Prepared, by: str, once: bool, job: JobCompletion | None
    ) -> SavedVersion:
        try:
            saved = self._commit_behind_what_waits(new, ready, by, once, job)
            self.outage.state.clear()
        except CatalogueUnavailableError as error:
            self.outage.state.note(error)
            if job is not None:
                raise
            saved = self.outage.save(new, ready, self.unsaved.versions(new.name), by, once)
        if saved.active:
            self.unsaved.yield_activity(saved.name)
        return saved

    def _commit_behind_what_waits(
        self, new: NewVersion, ready: Prepared, by: str, once: bool, job: JobCompletion | None
    ) -> SavedVersion:
        lost = self.lost.versions(new.name)
        if new.version in lost:
            raise VersionExistsError(new.name, str(new.version), self.lost.reason)
        taken = lost | set(self.unsaved.versions(new.name))
        while True:
            self.outage.replay()
            try:
                return self._commit_row(new, ready, by, taken, once, job)
            except OvertakenError:
                continue
            except NumberPromisedError as error:
                if new.version is not None:
                    raise VersionExistsError(new.name, new.version) from error
                taken.add(error.version)

    def _commit_row(
        self,
        new: NewVersion,
        ready: Prepared,
        by: str,
        taken: set[str],
        once: bool,
        job: JobCompletion | None,
    ) -> SavedVersion:
        artifacts, version_files = self.stores.artifacts, self.stores.version_files
        with version_files.stage(new.model_id, ready.data) as staged:
            # Left after the commit: until then nobody is told a number that is about to be ours.
            with ExitStack() as settled, self.stores.catalogue.write(by) as work:
                promised = settled.enter_context(self.outage.numbers.settled(new.name))
                if once and (known := work.find_id(new.model_id)) is not None:
                    raise SavedBeforeError(known)
                digest = _digest(new.artifact)
                source = None
                if ready.data is None:
                    if not artifacts.has(digest):  # a sweep took equal bytes that were known before
                        ready.renew()
                    source = artifacts.path(digest)
                if source is None:
                    twin = work.user(digest)
                    source = twin.model_path if twin else None
                new = _numbered(new, taken | promised, work)
                version = work.add(new, ready.data, self._path(work, new))
                saved = SavedVersion(new.model_id, new.name, version.version, active=new.activate)
                work.audit.append(audit_events.saved(new, version.version, job))
                if job is not None:
                    work.jobs.complete(job.claim, new.model_id, job.result(saved))
            record = version_records.write(new, version.version)
            self.publication.publish(staged, version, source, record)
        return saved

    def _path(self, work: Transaction, new: NewVersion) -> str:
        """Return a path for a new version; one that still awaits removal is ours to use again."""
        name, number = new.name, _number(new)

        def take_back(path: str) -> bool:
            if not work.is_debris(path):
                self.outage.numbers.check_promise(name, number)
                return False
            work.forget_debris([path, self.stores.version_files.record_path(path)])
            return True

        return self.stores.version_files.path(name, number, take_back)


def _numbered(new: NewVersion, taken: set[str], work: Transaction) -> NewVersion:
    """Return a version with its number, behind those that were given and the catalogue does not know."""
    if new.version is not None:
        if new.version in taken:
            raise VersionExistsError(new.name, new.version)
        return new
    number = work.next_number(new.name)
    known = [version for version in taken if versions.parse(version)]
    if known:
        behind = versions.next_patch(max(known, key=lambda version: versions.parse(version) or (-1,)))
        number = max(number, behind, key=lambda version: versions.parse(version) or (-1,))
    return replace(new, version=number)


def _number(new: NewVersion) -> str:
    assert new.version is not None  # `_numbered` gave it
    return new.version


def _digest(artifact: Artifact) -> Digest:
    assert artifact.digest is not None  # `prepared` computed it
    return artifact.digest
