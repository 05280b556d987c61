"""Look for whatever is wrong: every version has its bytes, every byte of ours has its version.

Repairing does only what cannot lose anything: files that can be written again from the truth are, what waits
is replayed, and what nobody can ever ask for is removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from enum import StrEnum

from ai_engine.catalogue.protocol import Snapshot
from ai_engine.domain.answers import FindingAnswer
from ai_engine.domain.audit import AuditEvent
from ai_engine.domain.digests import digest_of
from ai_engine.domain.entities import Digest, ModelVersion, Place
from ai_engine.domain.errors import ArtifactCorruptedError, SignatureError, SigningKeyError, StorageError
from ai_engine.registry.model_loader import ModelLoader
from ai_engine.registry.outage import Outage
from ai_engine.registry.outage_operations import digests_needed, writing_alone
from ai_engine.registry.outage_queue import SET_ASIDE
from ai_engine.registry.publication import Publication
from ai_engine.registry.signatures import Signer, check_signature, signed_artifact
from ai_engine.registry.stores import Stores
from ai_engine.registry.sweep import Sweeper
from ai_engine.registry.version_records import VersionRecords

_AT_OPENING = "the next opening sees to it"


class Severity(StrEnum):
    """How bad a finding is."""

    DAMAGE = "damage"  # something that was saved cannot be had as it was
    DISORDER = "disorder"  # nothing is lost, and something is not as it should be
    NOTE = "note"  # for information; the exit code does not count it


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes
    ----------
    kind : str
        Which check found it.
    subject : str
        What it is about: a version, a file, a table.
    detail : str
        What is wrong with it, and what to do.
    repaired : bool
        Whether it has been put right.
    """

    severity: Severity
    kind: str
    subject: str
    detail: str
    repaired: bool = False

    @property
    def is_open(self) -> bool:
        """Whether somebody has to do something about it."""
        return not self.repaired and self.severity is not Severity.NOTE

    def as_dict(self) -> FindingAnswer:
        """Return it as plain JSON values."""
        return FindingAnswer(
            severity=self.severity.value,
            kind=self.kind,
            subject=self.subject,
            detail=self.detail,
            repaired=self.repaired,
        )


Progress = Callable[[int, int], None]


def _silent(done: int, total: int) -> None:
    """Tell nobody."""


class Doctor:
    """Examines a registry.

    Parameters
    ----------
    stores : Stores
        Where everything is.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._reader = ModelLoader(stores, None)
        self._sweeper = Sweeper(stores)
        self._outage = Outage(stores)
        self._publication = Publication(stores)
        self._begun: set[str] = set()  # versions that killed writers may not have published

    def examine(self, repair: bool = False, progress: Progress = _silent) -> list[Finding]:
        """Check everything and return what is wrong.

        Parameters
        ----------
        repair : bool
            Put right what can be without losing anything.
        progress : callable
            Told how many versions are checked, and of how many.
        """
        try:
            with self._stores.catalogue.read():
                pass
        except StorageError as error:
            return [
                Finding(Severity.DAMAGE, "catalogue", self._stores.catalogue.location, str(error)),
                *self._journal(False),
            ]
        self._begun = set(self._stores.version_files.begun())
        return [
            *self._catalogue(repair),
            *self._journal(repair),
            *self._leftovers(repair),
            *self._versions(repair, progress),
            *self._artifacts(repair),
            *self._records(),
        ]

    def sign(self, by: str, progress: Progress = _silent) -> list[str]:
        """Sign every version that is not, as it is, once its bytes have their digest; return which.

        Raises
        ------
        SigningKeyError
            If no key is set.
        """
        signer = self._stores.signer
        if signer is None:
            raise SigningKeyError(
                "AI_ENGINE_SIGNING_KEY", "is not set; name a file outside of the model directory"
            )
        with self._stores.catalogue.read() as snapshot:
            versions = snapshot.everything()
        done = []
        for number, version in enumerate(versions):
            progress(number, len(versions))
            if self._sign(version, signer, by):
                done.append(version.label)
        progress(len(versions), len(versions))
        return done

    def _sign(self, version: ModelVersion, signer: Signer, by: str) -> bool:
        """Sign a version; tell whether that was to do. One whose bytes are damaged is left as it is."""
        with suppress(SignatureError):
            check_signature(version, signer)
            return False
        try:
            data = self._reader.unsigned(version)
        except ArtifactCorruptedError:
            return False  # `examine` tells of it
        artifact = replace(
            version.artifact, digest=version.artifact.digest or digest_of(data), size=data.nbytes
        )
        signed = signed_artifact(version.model_id, version.name, artifact, signer)
        with self._stores.catalogue.write(by) as work:
            found = work.find(version.name, version.version)
            if found is None or found.model_id != version.model_id:
                return False  # deleted meanwhile
            work.set_artifact(version.model_id, signed)
            work.audit.append(AuditEvent("sign", version.name, version.version))
        if version.artifact.place is not Place.PATH:
            self._publication.write_record(replace(version, artifact=signed))
        return True

    def _catalogue(self, repair: bool) -> Iterator[Finding]:
        location = self._stores.catalogue.location
        for problem in self._stores.catalogue.check():
            yield Finding(Severity.DAMAGE, "catalogue", location, problem)
        with self._stores.catalogue.read() as snapshot:
            inconsistencies = snapshot.inconsistencies()
        mendable = repair and any(kind == "measured" for kind, _, _ in inconsistencies)
        if mendable:
            with self._stores.catalogue.write() as work:
                work.measure_again()
        for kind, subject, detail in inconsistencies:
            severity = Severity.NOTE if kind == "orphan" else Severity.DISORDER
            yield Finding(severity, kind, subject, detail, mendable and kind == "measured")

    def _journal(self, repair: bool) -> Iterator[Finding]:
        journal = self._stores.journal
        found = self._outage.queue.queued()
        repaired = False
        if repair and found:
            with suppress(StorageError):
                self._outage.replay()
                repaired = True
        left = {item.entry for item in self._outage.queue.queued()}
        for item in found:
            done = repaired and item.entry not in left
            subject = f"{journal.location}/{item.entry}"
            yield Finding(Severity.DISORDER, "journal", subject, item.operation.told, done)
        for told in self._outage.queue.strangers():
            yield Finding(Severity.NOTE, "journal", journal.location, told)
        for path in journal.rejected():
            detail = f"could not be applied and was set aside; {SET_ASIDE}"
            yield Finding(Severity.DISORDER, "journal", path, detail)

    def _leftovers(self, repair: bool) -> Iterator[Finding]:
        with self._stores.catalogue.read() as snapshot:
            debris = [item.path for item in snapshot.debris(-1)]
        if repair and debris:
            self._sweeper.sweep()
        for path in debris:
            detail = f"its version is gone and its bytes are not; {_AT_OPENING}"
            yield Finding(Severity.NOTE, "debris", path, detail, repair)
        if repair:
            self._publication.finish_interrupted()
            left = self._sweeper.sweep_leftovers()
        else:
            left = len(self._begun) + sum(1 for _ in self._stores.artifacts.leftovers())
        if left:
            detail = f"{left} files that killed writers left; {_AT_OPENING}"
            yield Finding(Severity.NOTE, "leftover", self._stores.artifacts.location, detail, repair)

    def _versions(self, repair: bool, progress: Progress) -> Iterator[Finding]:
        with self._stores.catalogue.read() as snapshot:
            versions = snapshot.everything()
        recorded = self._stores.version_files.recorded()
        for done, version in enumerate(versions):
            progress(done, len(versions))
            yield from self._version(version, recorded, repair)
        progress(len(versions), len(versions))
        if repair:
            self._stores.version_files.tidy()

    def _version(self, version: ModelVersion, recorded: Container[str], repair: bool) -> Iterator[Finding]:
        """Check the truth of a version, then its file."""
        try:
            check_signature(version, self._stores.signer)
        except SignatureError as error:
            if self._still_there(version):
                yield Finding(Severity.DAMAGE, "signature", version.label, str(error))
            return
        if version.artifact.place is Place.PATH and version.artifact.digest is None:
            if self._stores.version_files.exists(version.model_path):
                detail = "was never read since the original software wrote it, and has no digest yet"
                yield Finding(Severity.NOTE, "digest", version.label, detail)
            elif self._still_there(version):
                yield Finding(Severity.DAMAGE, "artifact", version.label, f"{version.model_path} is missing")
            return
        try:
            data = self._reader.reread(version)
        except ArtifactCorruptedError as error:
            if self._still_there(version):
                yield Finding(Severity.DAMAGE, "artifact", version.label, str(error))
            return
        if version.artifact.place is Place.PATH:
            return
        path = self._stores.version_files.path(version.name, version.version, lambda _: True)
        if os.path.dirname(path) != os.path.dirname(version.model_path) and self._still_there(version):
            elsewhere = version.model_path
            if repair:
                version = self._bring_home(version, bytes(data))
            detail = "is the file of a version and not in the model directory"
            yield Finding(Severity.DISORDER, "file", elsewhere, detail, repair)
        yield from self._file(version, data, repair)
        yield from self._record(version, recorded, repair)

    def _bring_home(self, version: ModelVersion, data: bytes) -> ModelVersion:
        """Give a version a file in this directory; its database was in another one."""
        version_files = self._stores.version_files
        path = version_files.path(
            version.name, version.version, lambda there: version_files.read(there) == data
        )
        with self._stores.catalogue.write() as work:
            work.relocate(version, path)
        return replace(version, model_path=path)

    def _file(self, version: ModelVersion, data: memoryview, repair: bool) -> Iterator[Finding]:
        if self._publication.has_file(version, data) or not self._still_there(version):
            return
        if repair:
            self._publication.write_file(version, data)
        yield self._unpublished(version, "file", version.model_path, "is missing or altered", repair)

    def _record(self, version: ModelVersion, recorded: Container[str], repair: bool) -> Iterator[Finding]:
        if self._publication.has_record(version, recorded) or not self._still_there(version):
            return
        if repair:
            self._publication.write_record(version)
        path = self._stores.version_files.record_path(version.model_path)
        detail = "is missing: a lost database could not be rebuilt"
        yield self._unpublished(version, "record", path, detail, repair)

    def _unpublished(
        self, version: ModelVersion, kind: str, subject: str, detail: str, repair: bool
    ) -> Finding:
        if version.model_id in self._begun:
            return Finding(Severity.NOTE, kind, subject, f"{detail}; {_AT_OPENING}", repair)
        return Finding(Severity.DISORDER, kind, subject, detail, repair)

    def _still_there(self, version: ModelVersion) -> bool:
        """Tell whether nobody has dropped the version since the examination began."""
        with self._stores.catalogue.read() as snapshot:
            found = snapshot.find(version.name, version.version)
        return found is not None and found.model_id == version.model_id

    def _artifacts(self, repair: bool) -> Iterator[Finding]:
        """Find bytes that no version has, no job needs, none waits for and no live writer holds."""
        recorded = {record.new.artifact.digest for record in VersionRecords(self._stores.version_files)}
        with self._stores.catalogue.read() as snapshot:
            swept = {item.digest for item in snapshot.debris(-1)}  # by the next opening, and told of above
            stored = (digest for digest in self._stores.artifacts.list() if digest not in swept)
            unused = [digest for digest in stored if not snapshot.user(digest)]
        for digest in unused:
            with ExitStack() as held:
                look: Snapshot
                if repair:
                    look, awaited = held.enter_context(
                        writing_alone(self._stores.catalogue, self._stores.journal)
                    )
                else:
                    look = held.enter_context(self._stores.catalogue.read())
                    awaited = digests_needed(self._stores.journal)
                if self._in_use(look, digest) or digest in awaited:
                    continue
                if digest in recorded:
                    detail = "belongs to a version that the catalogue does not know; see the record"
                    yield Finding(Severity.NOTE, "artifact", digest, detail)
                    continue
                if repair:
                    self._stores.artifacts.delete(digest)
            yield Finding(
                Severity.DISORDER, "artifact", digest, "no version and no job has these bytes", repair
            )

    def _in_use(self, look: Snapshot, digest: Digest) -> bool:
        return (
            look.user(digest) is not None
            or look.jobs.needs(digest)
            or digest in self._stores.artifacts.in_flight()
        )

    def _records(self) -> Iterator[Finding]:
        """Find records of versions that the catalogue does not know: it was lost, or set back."""
        known = {version.model_id for version in self._outage.queue.saved()}
        with self._stores.catalogue.read() as snapshot:
            known |= {version.model_id for version in snapshot.everything()}
            debris = {item.path for item in snapshot.debris(-1)}
            accepted = snapshot.loss_accepted_at()
        for record in VersionRecords(self._stores.version_files):
            path = self._stores.version_files.record_path(record.model_path)
            if record.new.model_id not in known and path not in debris:
                given_up = accepted is not None and record.new.created_at <= accepted
                detail = "is recorded and not in the catalogue; `ai-engine doctor --rebuild` adds it"
                severity = Severity.NOTE if given_up else Severity.DISORDER
                yield Finding(severity, "record", f"{record.new.name}@{record.version}", detail)
