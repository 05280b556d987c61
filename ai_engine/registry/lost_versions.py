"""Versions that were saved and that the catalogue does not know: its log was lost, or an older copy restored.

A record is written behind the commit of its version, so whatever is recorded was committed, but for what
waited in an outage journal then. At the opening the newest record is looked up, which costs the same however
many there are; all of them only where the catalogue does not know that one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress

from ai_engine.catalogue.protocol import Snapshot
from ai_engine.domain.errors import StorageError
from ai_engine.registry.stores import Stores
from ai_engine.registry.version_records import Record, VersionRecords, newest

log = logging.getLogger(__name__)

# Versions that a sentence names.
_NAMED = 3


class LostVersions:
    """What the catalogue has forgotten.

    Parameters
    ----------
    stores : Stores
        Where everything is.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._records = VersionRecords(stores.version_files)
        self._lost: dict[str, list[str]] = {}

    @property
    def reason(self) -> str | None:
        """What to tell an operator; None where nothing is lost."""
        labels = [f"{name}@{version}" for name, versions in self._lost.items() for version in versions]
        if not labels:
            return None
        more = f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
        return (
            f"the database {self._stores.catalogue.location} does not know {', '.join(labels[:_NAMED])}{more}"
            ", which are recorded beside the models: its log was lost, or an older copy of it was restored. "
            "Add them again with `ai-engine doctor --rebuild`, or go on without them with "
            "`ai-engine doctor --accept-loss`"
        )

    def versions(self, name: str) -> set[str]:
        """Return the numbers of a model that were given and must not be given again."""
        return set(self._lost.get(name, ()))

    def look(self) -> None:
        """Find out what is lost, and let the next opening know that something is."""
        with self._stores.catalogue.read() as snapshot:
            known = snapshot.is_incomplete()
        lost: dict[str, list[str]] = {}
        if known or self._is_newest_lost():
            with self._stores.catalogue.read() as snapshot:
                for record in self._unknown(snapshot, self._records):
                    lost.setdefault(record.new.name, []).append(record.version)
        told, self._lost = self._lost, lost
        if lost and lost != told:
            log.error("%s", self.reason)
        if bool(lost) != known:
            with suppress(StorageError), self._stores.catalogue.write() as work:
                work.set_incomplete(bool(lost))

    def _is_newest_lost(self) -> bool:
        """Tell whether the record that was written last is of a version that nobody knows."""
        suspect: Record | None = None
        while True:
            last = next(newest(self._stores.version_files), None)
            if last is None or last == suspect:  # still the last one: its version was not dropped meanwhile
                return last is not None
            with self._stores.catalogue.read() as snapshot:
                suspect = next(self._unknown(snapshot, [last]), None)
            if suspect is None:
                return False

    def _unknown(self, snapshot: Snapshot, records: VersionRecords | list[Record]) -> Iterator[Record]:
        accepted = snapshot.loss_accepted_at()
        for record in records:
            if not (
                (accepted is not None and record.new.created_at <= accepted)
                or snapshot.find_id(record.new.model_id) is not None
                or snapshot.is_debris(self._stores.version_files.record_path(record.model_path))
                or record.waits_in is not None  # it was not committed then: the outage knows of it
            ):
                yield record
