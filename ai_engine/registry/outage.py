"""What happens while the catalogue cannot be written: operations wait in a journal and are replayed once.

The bytes of a model go to the artifact store as always; the row waits as a small synced file that names their
digest. Whoever opens the catalogue next applies the operations in order, each in one transaction that also
records that it was applied: a replay that is killed can be repeated, and nothing is applied twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from ai_engine.artifacts.protocol import Waiting
from ai_engine.catalogue.protocol import Transaction
from ai_engine.domain import clock, versions
from ai_engine.domain.errors import (
    ModelNotFoundError,
    StorageError,
    VersionExistsError,
)
from ai_engine.domain.performance import ModelPerformance
from ai_engine.domain.records import ModelVersion, NewVersion, Place, Run, SavedVersion
from ai_engine.registry import records, wire
from ai_engine.registry.publication import Publication
from ai_engine.registry.records import Records
from ai_engine.registry.saving import Prepared
from ai_engine.registry.stores import Stores

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pending:
    """A version that is durable and waits for its row."""

    version: ModelVersion
    new: NewVersion


class Outage:
    """The journal, and what is known of the catalogue's state.

    Parameters
    ----------
    stores : Stores
        Where everything is.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._seen = 0
        self._waiting: list[Waiting] = []
        self._pending: list[Pending] = []
        self.reason: str | None = None

    def note(self, error: StorageError) -> None:
        """Remember and log why the catalogue cannot be used."""
        self.reason = str(error)
        log.error("the catalogue cannot be used, and the engine goes on without it: %s", error)

    def clear(self) -> None:
        """Remember that the catalogue took something again."""
        if self.reason is not None:
            log.warning("the catalogue can be written again")
            self.reason = None

    # -- what waits ----------------------------------------------------------------------------------------

    def waiting(self) -> list[Waiting]:
        """Return what waits, oldest first."""
        stamp = self._stores.journal.stamp()
        if stamp != self._seen:
            self._waiting = self._stores.journal.waiting() if stamp else []
            self._pending = [
                _pending(entry.operation, seq)
                for seq, entry in enumerate(self._waiting, start=1)
                if entry.operation.get("kind") == "save"
            ]
            self._seen = stamp
        return self._waiting

    def pending(self, name: str | None = None) -> list[Pending]:
        """Return the versions that wait for their rows, oldest first."""
        self.waiting()
        return [item for item in self._pending if name is None or item.version.name == name]

    def find(self, name: str, version: str | None) -> ModelVersion | None:
        """Return a version that waits for its row; without a number, the one that will be active then."""
        for item in reversed(self.pending(name)):
            if item.version.version == version or (version is None and item.new.activate):
                return item.version
        return None

    def performances(self, model_id: str) -> list[ModelPerformance]:
        """Return the measurements of a version that wait, oldest first."""
        at_saving = [
            item.new.performance
            for item in self.pending()
            if item.new.model_id == model_id and item.new.performance
        ]
        return at_saving + self.recorded(model_id)

    def recorded(self, model_id: str) -> list[ModelPerformance]:
        """Return the measurements that wait and came after the save, oldest first."""
        return [
            wire.performance_from_dict(values)
            for entry in self.waiting()
            if entry.operation.get("kind") == "record" and entry.operation["model_id"] == model_id
            for values in entry.operation["performances"]
        ]

    def runs(self, name: str, version: str | None) -> list[dict[str, Any]]:
        """Return the training records that wait, newest first."""
        return [
            {"name": name, "version": item.version.version, **wire.run_to_dict(item.new.run)}
            for item in reversed(self.pending(name))
            if item.new.run is not None and version in (None, item.version.version)
        ]

    # -- journalling ---------------------------------------------------------------------------------------

    def save(self, new: NewVersion, ready: Prepared, kept: Iterable[str] = ()) -> SavedVersion:
        """Make a version durable without the catalogue; `kept` are numbers that nobody else may get."""
        with ExitStack() as held:
            if ready.data is not None:
                writer = held.enter_context(self._stores.artifacts.create())
                writer.write(ready.data)
                writer.finish()
                renew: Callable[[], object] = writer.finish
                new = replace(new, artifact=replace(new.artifact, place=Place.STORE))
            else:
                renew = ready.renew
            number = self._number(new, kept)
            path = self._stores.shelf.path(new.name, number, lambda _: False)
            document = wire.version_to_dict(new, number)
            digest = new.artifact.digest
            assert digest is not None  # it was just computed
            source = self._stores.artifacts.path(digest)
            record = records.write(new, number)
            staged = held.enter_context(self._stores.shelf.stage(new.model_id, ready.data))
            entry = self._append({"kind": "save", "version": document, "model_path": path, "digest": digest})
            if not self._stores.artifacts.has(digest):  # a sweep that had not seen the entry yet
                self._renew(renew, entry)
            version = ModelVersion(new.model_id, new.name, number, 0, new.activate, path, new.artifact)
            Publication(self._stores).publish(staged, version, source, record)
        return SavedVersion(new.model_id, new.name, number, active=new.activate)

    def _renew(self, renew: Callable[[], object], entry: Waiting) -> None:
        try:
            renew()
        except StorageError:
            self._stores.journal.remove(entry.entry)
            raise

    def take_back(self, model_id: str) -> None:
        """Forget a save that nobody was told of, if it waits."""
        for entry in self.waiting():
            if entry.operation.get("kind") == "save" and entry.operation["version"]["model_id"] == model_id:
                self._stores.journal.remove(entry.entry)

    def record(self, version: ModelVersion, performances: Iterable[ModelPerformance]) -> None:
        """Make measurements durable without the catalogue."""
        documents = [wire.performance_to_dict(performance) for performance in performances]
        self._append({"kind": "record", "model_id": version.model_id, "performances": documents})

    def record_run(self, version: ModelVersion, run: Run) -> None:
        """Make a training record durable without the catalogue."""
        self._append({"kind": "run", "model_id": version.model_id, "run": wire.run_to_dict(run)})

    def _append(self, operation: dict[str, Any]) -> Waiting:
        return self._stores.journal.append(
            {"operation": uuid4().hex, "at": clock.to_text(clock.now()), **operation}
        )

    def _number(self, new: NewVersion, kept: Iterable[str]) -> str:
        """Return the number of a version that the catalogue cannot number."""
        taken = self._taken(new.name) | set(kept)
        if new.version is not None:
            if new.version in taken:
                raise VersionExistsError(new.name, new.version)
            return new.version
        numbered = [version for version in taken if versions.parse(version)]
        return versions.next_patch(max(numbered, key=lambda v: versions.parse(v) or (-1,), default=None))

    def _taken(self, name: str) -> set[str]:
        pending = {item.version.version for item in self.pending(name)}
        try:
            with self._stores.catalogue.read() as snapshot:
                highest = snapshot.highest(name)
                known = {version.version for version in snapshot.versions(name)}
                return pending | known | ({highest} if highest else set())
        except StorageError:
            recorded = {record.version for record in Records(self._stores.shelf) if record.new.name == name}
            return pending | recorded

    # -- replaying -----------------------------------------------------------------------------------------

    def replay(self) -> int:
        """Give the catalogue what waits for it; return how many operations it took.

        Raises
        ------
        StorageError
            If the catalogue still cannot take them; those that it took are done.
        """
        if not self.waiting():
            return 0
        taken = 0
        with self._stores.journal.replaying() as waiting:
            for entry in waiting:
                self._replay_one(entry)
                taken += 1
        if taken:
            log.warning("replayed %d operations that waited in %s", taken, self._stores.journal.location)
        return taken

    def _replay_one(self, entry: Waiting) -> None:
        try:
            operation = str(entry.operation["operation"])
            with self._stores.catalogue.write() as work:
                if not work.replayed(operation):
                    self._apply(work, entry.operation)
                    work.mark_replayed(operation, clock.now())
        except (KeyError, TypeError, ValueError, ModelNotFoundError) as error:
            aside = self._stores.journal.reject(entry.entry)
            log.error(
                "an operation in the outage journal cannot be applied (%r); it is kept in %s", error, aside
            )
            return
        self._stores.journal.remove(entry.entry)

    def _apply(self, work: Transaction, operation: dict[str, Any]) -> None:
        if operation["kind"] == "save":
            self._apply_save(work, operation)
        elif operation["kind"] == "record":
            work.record(operation["model_id"], map(wire.performance_from_dict, operation["performances"]))
        elif operation["kind"] == "run":
            work.record_run(operation["model_id"], wire.run_from_dict(operation["run"]))
        else:
            raise ValueError(f"its kind {operation['kind']!r} is not known")

    def _apply_save(self, work: Transaction, operation: dict[str, Any]) -> None:
        new = wire.version_from_dict(operation["version"])
        path = str(operation["model_path"])
        known = work.find(new.name, new.version)
        if known is not None and known.model_id == new.model_id:
            return  # rebuilding took it from its record
        if known is not None:
            log.error(
                "%s@%s was saved by another process while this one waited; it gets the next number",
                new.name,
                new.version,
            )
            new = replace(new, version=None)
        work.add(new, None, lambda _: path, "ai-engine")


def _pending(operation: dict[str, Any], seq: int) -> Pending:
    new = wire.version_from_dict(operation["version"])
    number = str(operation["version"]["version"])
    path = str(operation["model_path"])
    return Pending(ModelVersion(new.model_id, new.name, number, seq, new.activate, path, new.artifact), new)
