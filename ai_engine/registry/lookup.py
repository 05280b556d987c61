"""Which version a name means, answered from memory for as long as nobody has committed anything."""

from __future__ import annotations

from dataclasses import dataclass, field

from ai_engine.catalogue.protocol import Catalogue
from ai_engine.domain.errors import CatalogueUnavailableError
from ai_engine.domain.records import ModelVersion
from ai_engine.registry.outage import Outage

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
    catalogue : Catalogue
        Who knows.
    outage : Outage
        Who knows of those that the catalogue could not take.
    """

    def __init__(self, catalogue: Catalogue, outage: Outage) -> None:
        self._catalogue, self._outage = catalogue, outage
        self._known = _Known(None)

    def find(self, name: str, version: str | None = None) -> ModelVersion | None:
        """Return a version, or the active one, as it is now; None where there is none.

        While the catalogue cannot be read, the answer is the last one that it gave.

        Raises
        ------
        CatalogueUnavailableError
            If it cannot be read and never answered this.
        """
        if self._outage.waiting():
            pending = self._outage.find(name, version)
            if pending is not None:
                return pending
        try:
            return self._ask(name, version)
        except CatalogueUnavailableError:
            if (name, version) in self._known.found:
                return self._known.found[name, version]
            raise

    def _ask(self, name: str, version: str | None) -> ModelVersion | None:
        # The stamp is taken before the question: a commit in between makes the answer newer than its stamp,
        # and it is asked again.
        stamp = self._catalogue.stamp()
        known = self._known
        if stamp is None or stamp != known.stamp or len(known.found) > _MAX_KNOWN:
            known = self._known = _Known(stamp)
        key = (name, version)
        if key in known.found:
            return known.found[key]
        with self._catalogue.read() as snapshot:
            found = known.found[key] = snapshot.find(name, version)
        return found

    def remembered(self) -> list[ModelVersion]:
        """Return the versions that were found since the catalogue last changed."""
        return [version for version in self._known.found.values() if version is not None]
