"""Which version of a model is active: moved in the catalogue, and written down beside the files."""

from __future__ import annotations

import logging

from ai_engine.catalogue.protocol import Transaction
from ai_engine.domain import clock
from ai_engine.domain.audit import AuditEvent
from ai_engine.domain.entities import ModelVersion, PointerMove
from ai_engine.domain.errors import ModelNotFoundError, StorageError, VersionNotFoundError
from ai_engine.registry import version_records
from ai_engine.registry.outage import Outage
from ai_engine.registry.stores import Stores
from ai_engine.registry.unsaved_models import UnsavedModels

log = logging.getLogger(__name__)


class ActivePointer:
    """Moves the pointer of each model.

    Parameters
    ----------
    stores : Stores
        Where the rows and the files are.
    outage : Outage
        What goes into the catalogue before.
    unsaved : UnsavedModels
        Versions that are in memory only, one of which may be the active one.
    """

    def __init__(self, stores: Stores, outage: Outage, unsaved: UnsavedModels) -> None:
        self._stores, self._outage, self._unsaved = stores, outage, unsaved

    def activate(self, name: str, version: str, by: str, reason: str) -> PointerMove:
        """Make a stored version active. Raises VersionNotFoundError."""
        with self._outage.writing(by) as work:
            found = require(work, name, version)
            before = work.activate(found, reason, clock.now())
            work.audit.append(AuditEvent("activate", name, version, detail={"before": before}))
        self._write_down(found)
        self._unsaved.yield_activity(name)
        return PointerMove(version, before)

    def roll_back(self, name: str, by: str) -> PointerMove:
        """Make the version active that was active before. Raises NoPreviousVersionError."""
        with self._outage.writing(by) as work:
            if not work.versions(name):
                raise ModelNotFoundError(name)
            version, previous = work.roll_back(name, clock.now())
            work.audit.append(AuditEvent("rollback", name, version, detail={"before": previous}))
            found = work.find(name, version)
        if found is not None:
            self._write_down(found)
        self._unsaved.yield_activity(name)
        return PointerMove(version, previous)

    def _write_down(self, version: ModelVersion) -> None:
        """Write down, for a catalogue that is lost one day, which version is active."""
        pointer = version_records.pointer(version, clock.to_text(clock.now()))
        try:
            self._stores.version_files.point(version.name, pointer)
        except StorageError as error:
            log.error("that %s is active cannot be written down beside the models: %s", version.label, error)


def require(work: Transaction, name: str, version: str) -> ModelVersion:
    """Return a version that there is. Raises VersionNotFoundError."""
    found = work.find(name, version)
    if found is None:
        raise VersionNotFoundError(name, version, [known.version for known in work.versions(name)])
    return found
