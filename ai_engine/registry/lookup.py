"""Which version a name means, answered from memory for as long as nobody has committed anything."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ai_engine.domain.entities import ModelVersion
from ai_engine.domain.errors import CatalogueUnavailableError
from ai_engine.registry.outage import Outage
from ai_engine.registry.stores import Stores
from ai_engine.registry.version_records import VersionRecords

# Names and versions asked for; a process that asks for more starts anew.
_MAX_KNOWN = 10_000


@dataclass(slots=True)
class _Known:
    """What was read since the catalogue had this stamp."""

    stamp: int | None
    found: dict[tuple[str, str | None], ModelVersion | None] = field(default_factory=dict)


class Lookup:
    """Finds versions.

    Parameters
    ----------
    stores : Stores
        Where the catalogue is, and the records where it is not.
    outage : Outage
        Who knows of those that the catalogue could not take.
    """

    def __init__(self, stores: Stores, outage: Outage) -> None:
        self._catalogue, self._outage = stores.catalogue, outage
        self._records = VersionRecords(stores.version_files)
        self._known = _Known(None)

    def find(self, name: str, version: str | None = None) -> ModelVersion | None:
        """Return a version, or the active one, as it is now; None where there is none.

        While the catalogue cannot be read, the answer is the last one that it gave, or else what the records
        beside the artifacts say.

        Raises
        ------
        CatalogueUnavailableError
            If it cannot be read and nobody else knows.
        """
        waits = False
        if self._outage.queue.waiting():
            pending = self._outage.queue.find(name, version)
            if pending is not None:
                return pending
            waits = self._outage.queue.find(name, None) is not None
        try:
            # The stamp is taken before the question: a commit in between makes the answer newer than its
            # stamp, and it is asked again.
            stamp, known = self._catalogue.stamp(), self._known
            if stamp is None or stamp != known.stamp or (name, version) not in known.found:
                found = self._ask(name, version, stamp)
            else:
                found = known.found[name, version]
            # What waits will be active, and this no longer.
            return replace(found, is_active=False) if found is not None and waits else found
        except CatalogueUnavailableError:
            found = self._known.found.get((name, version)) or self._records.find(name, version)
            if found is None:
                raise
            self._known.found[name, version] = found
            return found

    def find_recorded(self, model_id: str) -> ModelVersion | None:
        """Return the version of an id that the records beside the artifacts know; its number is that."""
        return self._records.find_id(model_id)

    def _ask(self, name: str, version: str | None, stamp: int | None) -> ModelVersion | None:
        known = self._known
        if stamp is None or stamp != known.stamp or len(known.found) > _MAX_KNOWN:
            known = self._known = _Known(stamp)
        with self._catalogue.read() as snapshot:
            found = known.found[name, version] = snapshot.find(name, version)
        return found
