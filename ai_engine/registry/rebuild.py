"""A catalogue made again from the records beside the artifacts, when the database is lost."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from ai_engine.catalogue.protocol import Transaction
from ai_engine.domain.digests import matches
from ai_engine.domain.entities import Digest, Place
from ai_engine.domain.errors import ConflictError
from ai_engine.registry.stores import Stores
from ai_engine.registry.version_records import Record, VersionRecords

log = logging.getLogger(__name__)

_ACTOR = "ai-engine doctor"
# Versions that are committed together: one sync for all of them.
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was restored, and what could not be, with the reason."""

    versions: list[str]
    lost: list[str]


def rebuild(stores: Stores) -> Rebuilt:
    """Add every recorded version that the catalogue does not have, with its bytes checked.

    What was measured at the time of saving comes back; later measurements were in the database alone.
    """
    records = VersionRecords(stores.version_files)
    actives = records.actives()
    done = Rebuilt([], [])
    pending = list(records)
    while pending:
        batch, pending = pending[:_BATCH], pending[_BATCH:]
        with stores.catalogue.write(_ACTOR, alone=True) as work:
            for record in batch:
                known = work.find(record.new.name, record.version)
                if known is None or known.model_id != record.new.model_id:
                    is_active = actives.get(record.new.name) == record.new.model_id
                    _note(done, record, _add(stores, work, record, is_active))
    return done


def _note(done: Rebuilt, record: Record, problem: str | None) -> None:
    label = f"{record.new.name}@{record.version}"
    if problem is None:
        done.versions.append(label)
    else:
        done.lost.append(f"{label}: {problem}")
        log.error("%s cannot be restored: %s", label, problem)


def _add(stores: Stores, work: Transaction, record: Record, active: bool) -> str | None:
    """Add one version; return why not."""
    new = replace(record.new, version=record.version, activate=active)
    digest = new.artifact.digest
    if digest is None:
        return "its record has no digest"
    if new.artifact.place is Place.PATH:
        return "its record names a file and no bytes of ours"
    data = None
    if new.artifact.place is Place.ROW:
        data = stores.version_files.read(record.model_path)
        if data is None or not matches(data, digest):
            return f"the bytes in {record.model_path} are missing or changed"
    elif not _stored(stores, digest):
        return "its artifact is missing or changed"
    try:
        work.add(new, data, record.model_path)
    except ConflictError as error:  # raised before anything was written
        return str(error)
    return None


def _stored(stores: Stores, digest: Digest) -> bool:
    opened = stores.artifacts.open(digest)
    return opened is not None and matches(opened.view, digest)
