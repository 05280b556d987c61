"""Apply what waits for the catalogue: in order, each operation once.

An operation is applied in one transaction that also records that it was applied: a replay that is killed can
be repeated, and nothing is applied twice.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import replace

from ai_engine.catalogue.protocol import ENGINE, Transaction
from ai_engine.domain import clock
from ai_engine.domain.errors import ConflictError, ModelNotFoundError
from ai_engine.registry import audit_events
from ai_engine.registry.outage_operations import (
    Applicable,
    Change,
    MeasureOperation,
    NewerOperation,
    SaveOperation,
)
from ai_engine.registry.outage_queue import OutageQueue, unsafe_is_storage
from ai_engine.registry.stores import Stores

log = logging.getLogger(__name__)


class Replay:
    """Gives the catalogue what waits for it.

    Parameters
    ----------
    stores : Stores
        Where everything is.
    queue : OutageQueue
        What waits.
    """

    def __init__(self, stores: Stores, queue: OutageQueue) -> None:
        self._stores = stores
        self._journal = stores.journal
        self._queue = queue

    def run(self) -> int:
        """Give the catalogue what waits for it; return how many operations it took.

        Raises
        ------
        StorageError
            If the catalogue still cannot take them; those that it took are done.
        """
        with unsafe_is_storage():
            if not self._queue.queued():
                return 0
            self._queue.inspect()
            waiting = self._queue.changes()
        ids: dict[str, set[str]] = {}
        taken = sum(self._replay_one(item, ids) for item in waiting)
        if taken:
            log.warning("replayed %d operations that waited in %s", taken, self._journal.location)
        return taken

    def _replay_one(self, item: Change, ids: dict[str, set[str]]) -> bool:
        try:
            with ExitStack() as held, self._stores.catalogue.write(_by(item.operation)) as work:
                held.enter_context(self._journal.shared())
                if not self._journal.has(item.entry):  # another process was first, or its save was refused
                    return False
                if not work.replayed(item.operation.key):
                    self._apply(work, item.operation, ids)
                    work.mark_replayed(item.operation.key, clock.now())
        except (ValueError, ConflictError, ModelNotFoundError) as error:
            if self._waits_for_upgrade(error):
                self._queue.defer(item.entry)
            else:
                self._queue.reject(item.entry, str(error))
            return False
        self._queue.forget(item.entry)
        return True

    def _waits_for_upgrade(self, error: Exception) -> bool:
        """Tell whether what an operation lacks may be in one that only a newer version can apply."""
        newer = any(isinstance(item.operation, NewerOperation) for item in self._queue.queued())
        return newer and isinstance(error, ModelNotFoundError)

    def _apply(self, work: Transaction, operation: Applicable, ids: dict[str, set[str]]) -> None:
        if isinstance(operation, SaveOperation):
            self._apply_save(work, operation, ids)
        elif isinstance(operation, MeasureOperation):
            work.record(operation.model_id, operation.performances)
        else:
            work.record_run(operation.model_id, operation.run)

    def _apply_save(self, work: Transaction, operation: SaveOperation, ids: dict[str, set[str]]) -> None:
        """Add a version; `ids` are those of the versions of each model, read once for a whole replay."""
        new = operation.new
        known = work.find(new.name, operation.version)
        if known is not None and known.model_id == new.model_id:
            return  # rebuilding took it from its record
        if new.name not in ids:
            ids[new.name] = {version.model_id for version in work.versions(new.name)}
        if new.model_id in ids[new.name]:
            raise ValueError(f"the version {new.model_id} is in the database under another number")
        if known is not None:
            log.error(
                "%s@%s is another version by now, saved while this one waited in a journal that nobody knew "
                "of; it gets the next number",
                new.name,
                new.version,
            )
            new = replace(new, version=work.next_number(new.name))
        added = work.add(new, None, operation.model_path)
        work.audit.append(audit_events.saved(new, added.version))
        ids[new.name].add(new.model_id)


def _by(operation: Applicable) -> str:
    """Return who asked for an operation."""
    return operation.actor if isinstance(operation, SaveOperation) else ENGINE
