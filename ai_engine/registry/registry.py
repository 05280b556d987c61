"""A model registry: what can be asked of it, and what changes it, each change one transaction.

What a reader sees is always a committed row. Nothing here knows which database or which store it works over,
and nothing here holds a lock.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ai_engine.catalogue.protocol import Catalogue, Transaction
from ai_engine.domain.audit import AuditEvent
from ai_engine.domain.entities import Health, ModelVersion, PointerMove, Run, SavedVersion
from ai_engine.domain.error_codes import code_of
from ai_engine.domain.errors import (
    CatalogueUnavailableError,
    ConflictError,
    InvalidInputError,
    ModelNotFoundError,
    StorageError,
    VersionActiveError,
    VersionNotFoundError,
)
from ai_engine.domain.jobs import Attempt, JobCompletion
from ai_engine.domain.names import check_name
from ai_engine.domain.performance import ModelPerformance, checked
from ai_engine.domain.retention import Policy
from ai_engine.domain.schedules import Schedule
from ai_engine.domain.search import Field
from ai_engine.registry.active_pointer import ActivePointer, require
from ai_engine.registry.lookup import Lookup
from ai_engine.registry.lost_versions import LostVersions
from ai_engine.registry.model_cache import ModelCache
from ai_engine.registry.model_loader import ModelLoader
from ai_engine.registry.outage import Outage
from ai_engine.registry.publication import Publication
from ai_engine.registry.queries import Queries
from ai_engine.registry.retention import CleanUp, Retention
from ai_engine.registry.saver import Saver
from ai_engine.registry.schedules import TrainingSchedules
from ai_engine.registry.stores import Stores
from ai_engine.registry.sweep import Sweeper
from ai_engine.registry.training_queue import TrainingQueue
from ai_engine.registry.unsaved_models import UnsavedModels
from ai_engine.registry.wanted_version import new_version

if TYPE_CHECKING:
    from ai_engine.registry.doctor import Finding


# Schedules that health tells of.
_SCHEDULES_TOLD = 100


class Registry:
    """A model registry over its stores.

    Parameters
    ----------
    stores : Stores
        Where everything is.
    loaded : ModelCache
        Where objects are kept once they are made.
    actor : str
        Who changes something.
    """

    def __init__(self, stores: Stores, loaded: ModelCache, actor: str) -> None:
        self._stores, self._actor = stores, actor
        self._outage = Outage(stores)
        self._unsaved = UnsavedModels()
        self._lost = LostVersions(stores)
        self._publication = Publication(stores)
        self._sweeper = Sweeper(stores)
        self._retention = Retention(stores, self._sweeper)
        self._pointer = ActivePointer(stores, self._outage, self._unsaved)
        lookup, loader = Lookup(stores, self._outage), ModelLoader(stores, loaded)
        self._queries = Queries(stores, self._outage, self._unsaved, lookup, loader)
        self._saver = Saver(
            stores=stores,
            outage=self._outage,
            unsaved=self._unsaved,
            lookup=lookup,
            loader=loader,
            pointer=self._pointer,
            sweeper=self._sweeper,
            publication=self._publication,
            lost=self._lost,
        )
        # What can be asked is told in `queries`.
        self.find, self.load, self.export = self._queries.find, self._queries.load, self._queries.export
        self.require, self.number = self._queries.require, self._queries.number
        self.describe, self.models = self._queries.describe, self._queries.models
        self.verify = self._queries.verify
        self.performances, self.runs = self._queries.performances, self._queries.runs
        self.latest_performance, self.report = self._queries.latest_performance, self._queries.report
        self.names, self.versions = self._queries.names, self._queries.versions
        self.active, self.actives = self._queries.active, self._queries.actives
        self.activations, self.active_at = self._queries.activations, self._queries.active_at

    @property
    def queue(self) -> TrainingQueue:
        """The trainings that wait, run or have ended."""
        return TrainingQueue(self._stores, self._sweeper, self._actor)

    @property
    def catalogue(self) -> Catalogue:
        """Where keys and the audit log are, too."""
        return self._stores.catalogue

    @property
    def schedules(self) -> TrainingSchedules:
        """The schedules by which models are trained again."""
        return TrainingSchedules(self._stores, self._actor)

    @property
    def location(self) -> str:
        """Where the catalogue is."""
        return self._stores.catalogue.location

    def as_actor(self, actor: str) -> Registry:
        """Return the same registry for somebody else, whose name is written down with every change."""
        other = copy.copy(self)
        other._actor = actor
        return other

    def open(self) -> None:
        """Open the catalogue, take in what waited for it, and finish what killed writers had begun.

        A database that cannot be used is logged, and health says so; it takes nobody down.
        """
        try:
            self._outage.queue.inspect()
            self._stores.catalogue.open()
            self._outage.replay()
            self._lost.look()
            self._publication.finish_interrupted()
            self._sweeper.sweep_leftovers()
            self._sweeper.sweep_where_needed()
            self._stores.version_files.keep_reserve()
        except StorageError as error:
            self._outage.state.note(error)

    def close(self) -> None:
        """Let go of everything that is open."""
        self._stores.catalogue.close()

    # -- saving --------------------------------------------------------------------------------------------

    def save(
        self,
        name: str,
        model: object,
        *,
        version: str | None = None,
        model_type: str | None = None,
        algorithms: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        activate: bool = True,
        performance: ModelPerformance | None = None,
        run: Run | None = None,
        save_id: str | None = None,
        job: JobCompletion | None = None,
    ) -> SavedVersion:
        """Save an object as a new version of a model, with what was measured of it, in one commit.

        Parameters
        ----------
        save_id : str or None
            Tells this save from all others of the model. A caller that does not know whether a save came
            through repeats it with the same id, and is answered what the first one came to.
        job : JobCompletion or None
            The job that this version completes, in the same commit; its id is the `save_id`.

        Raises
        ------
        InvalidInputError
            If the name, the version, the metadata or a number cannot be stored.
        VersionExistsError
            If the version exists.
        SerializationError
            If the object cannot be pickled.
        LeaseLostError
            If the job is another worker's by now, or has ended; nothing is saved.
        StorageError
            If neither the catalogue nor the outage journal can take it. The version of a job is for the
            catalogue alone.
        """
        save_id = save_id if job is None else job.claim.job_id
        new = new_version(
            name, version, model_type, algorithms, metadata, activate, performance, run, save_id
        )
        return self._saver.save(new, model, self._actor, save_id is not None, job)

    def register(self, name: str, model: object, version: str) -> None:
        """Save an object under a given version, or keep it in memory where it cannot be stored.

        Raises
        ------
        VersionExistsError
            If the version exists with other bytes.
        """
        new = new_version(name, version, None, None, None, True, None, None)
        self._saver.register(new, model, self._actor)

    # -- the active version --------------------------------------------------------------------------------

    def activate(self, name: str, version: str, reason: str = "activated") -> PointerMove:
        """Make a version the one that `load(name)` returns. Raises VersionNotFoundError."""
        held = self._unsaved.find(name, version)
        if held is not None:
            previous = self.actives().get(name)
            self._unsaved.hold(name, version, held.model)
            return PointerMove(version, previous)
        with self._refusals("activate", name, version):
            return self._pointer.activate(name, version, self._actor, reason)

    def roll_back(self, name: str) -> PointerMove:
        """Make the version active that was active before; a rollback is itself no step to go back to.

        Raises
        ------
        NoPreviousVersionError
            If none is left to go back to.
        """
        with self._refusals("rollback", name):
            return self._pointer.roll_back(name, self._actor)

    # -- forgetting ----------------------------------------------------------------------------------------

    def delete(self, name: str, version: str) -> int:
        """Forget a version; return the bytes that the disk got back. Raises VersionActiveError."""
        with self._refusals("delete", name, version), self._outage.writing(self._actor) as work:
            found = require(work, name, version)
            if found.is_active:
                raise VersionActiveError(name, version)
            self._retention.drop(work, [found], "delete")
        return self._sweeper.sweep_if_possible()

    def pin(self, name: str, version: str, pinned: bool = True) -> None:
        """Keep a version from every clean-up, or let it go."""
        with self._outage.writing(self._actor) as work:
            work.pin(require(work, name, version), pinned)
            work.audit.append(AuditEvent("pin" if pinned else "unpin", name, version))

    def clean_up(self, policy: Policy | int, dry_run: bool = False) -> CleanUp:
        """Keep what a policy says, or so many of the highest versions of each model, and free the rest.

        A dry run tells what would be removed and freed, and changes nothing.
        """
        wanted = policy if isinstance(policy, Policy) else Policy(keep_versions=_number(policy))
        self._outage.replay()
        return self._retention.plan(wanted) if dry_run else self._retention.apply(wanted, self._actor)

    def index(self, field: Field) -> None:
        """Give the values of a field an index, for searches among very many versions."""
        with self._outage.writing(self._actor) as work:
            work.index(field)

    # -- measuring -----------------------------------------------------------------------------------------

    def record(self, name: str, version: str, *performances: ModelPerformance) -> None:
        """Append measurements of a version; what was recorded before stays. Raises VersionNotFoundError."""
        for performance in performances:
            if not isinstance(performance, ModelPerformance):
                raise InvalidInputError(
                    "performance", f"is a {type(performance).__name__}, no ModelPerformance"
                )
        held = self._unsaved.find(name, version)
        if held is not None:
            held.performances.extend(map(checked, performances))
            return
        found = self._queries.require(name, version)
        self._write_or_wait(
            found,
            lambda work: work.record(found.model_id, performances),
            lambda: self._outage.record(found, performances),
        )

    def record_run(self, name: str, version: str, run: Run) -> None:
        """Append a training record of a version. Raises VersionNotFoundError."""
        held = self._unsaved.find(name, version)
        if held is not None:
            held.runs.append(run)
            return
        found = self._queries.require(name, version)
        self._write_or_wait(
            found,
            lambda work: work.record_run(found.model_id, run),
            lambda: self._outage.record_run(found, run),
        )

    @contextmanager
    def _refusals(self, action: str, name: str, version: str | None = None) -> Iterator[None]:
        """Write down, as far as that can be done, that somebody tried what is refused."""
        try:
            yield
        except ConflictError as error:
            event = AuditEvent(action, name, version, code_of(type(error)))
            with suppress(StorageError), self._stores.catalogue.write(self._actor) as work:
                work.audit.append(event)
            raise

    def record_attempt(
        self, name: str, attempt: Attempt, hyperparameters: Mapping[str, Any], model_id: str | None = None
    ) -> None:
        """Append an attempt to train a model that was no job, to its history; see protocol.Transaction."""
        with self._outage.writing(self._actor) as work:
            work.record_attempt(check_name(name), attempt, hyperparameters, model_id)

    def _write_or_wait(
        self, version: ModelVersion, write: Callable[[Transaction], None], wait: Callable[[], None]
    ) -> None:
        try:
            with self._outage.writing(self._actor) as work:
                write(work)
        except CatalogueUnavailableError as error:
            self._outage.state.note(error)
            wait()
        except ModelNotFoundError as error:  # deleted since it was found
            raise VersionNotFoundError(version.name, version.version) from error

    # -- health --------------------------------------------------------------------------------------------

    def health(self) -> Health:
        """Try to take the write lock, give the catalogue what waits for it, and say how that went."""
        try:
            with self._outage.writing(self._actor):
                pass
        except StorageError as error:
            self._outage.state.note_again(error)
        waiting = self._outage.queue.count()
        if self._lost.reason:
            self._look_again()
        reason = self._outage.state.reason or self._lost.reason or self._outage.queue.complaint()
        return Health(
            status="degraded" if reason or waiting else "healthy",
            reason=reason,
            waiting=waiting,
            in_memory_only=self._unsaved.count(),
            damaged=tuple(sorted(self._queries.damaged)),
            journal=self._stores.journal.location,
            database=self._stores.catalogue.location,
            schedules=self._schedules_told(),
        )

    def _schedules_told(self) -> tuple[Schedule, ...] | None:
        try:
            return tuple(self.schedules.told(_SCHEDULES_TOLD)[0])
        except StorageError:
            return None

    def examine(
        self, repair: bool = False, progress: Callable[[int, int], None] | None = None
    ) -> list[Finding]:
        """Check that every version has its bytes and every byte its version; see `doctor`."""
        from ai_engine.registry.doctor import Doctor  # rarely needed, and slow to import

        return Doctor(self._stores).examine(repair, progress or (lambda _done, _total: None))

    def _look_again(self) -> None:
        """Take note of what was added again, or given up, since the opening."""
        with suppress(StorageError):
            self._lost.look()


def _number(keep_versions: object) -> int:
    if type(keep_versions) is not int:
        raise InvalidInputError("keep_versions", f"{keep_versions!r} is not a whole number of at least 1")
    return keep_versions
