"""The use cases of a model registry, each one transaction.

Bytes become durable first, then a row makes them visible: a crash between the two leaves bytes that nobody
names, never a version without bytes. What a reader sees is always a committed row. Nothing here knows which
database or which store it works over, and nothing here holds a lock.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from secrets import token_hex
from typing import Any

from ai_engine.catalogue.protocol import Transaction
from ai_engine.domain import clock, versions
from ai_engine.domain.entities import (
    Artifact,
    Digest,
    ModelId,
    ModelVersion,
    NewVersion,
    Place,
    Run,
    SavedVersion,
)
from ai_engine.domain.errors import (
    AIEngineError,
    CatalogueUnavailableError,
    InvalidInputError,
    ModelNotFoundError,
    OutcomeUnknownError,
    SerializationError,
    StorageError,
    VersionActiveError,
    VersionExistsError,
    VersionNotFoundError,
)
from ai_engine.domain.json_values import plain
from ai_engine.domain.locks import let_go
from ai_engine.domain.names import check_name, check_version
from ai_engine.domain.performance import ModelPerformance, checked
from ai_engine.domain.retention import Policy
from ai_engine.domain.search import Field
from ai_engine.registry import version_records
from ai_engine.registry.lost_versions import LostVersions
from ai_engine.registry.model_cache import LoadedModels
from ai_engine.registry.outage import NumberPromisedError, OvertakenError
from ai_engine.registry.publication import Publication
from ai_engine.registry.queries import Reads
from ai_engine.registry.retention import Retention
from ai_engine.registry.serialized_model import Prepared, prepared
from ai_engine.registry.stores import Stores
from ai_engine.registry.sweep import Sweeper

log = logging.getLogger(__name__)


class Registry(Reads):
    """A model registry over its stores.

    Parameters
    ----------
    stores : Stores
        Where everything is.
    loaded : LoadedModels
        Where objects are kept once they are made.
    actor : str
        Who it is that moves pointers, where a call does not say.
    """

    def __init__(self, stores: Stores, loaded: LoadedModels, actor: str) -> None:
        super().__init__(stores, loaded)
        self._actor = actor
        self._sweeper = Sweeper(stores)
        self._retention = Retention(stores, self._sweeper)
        self._publication = Publication(stores)
        self._lost = LostVersions(stores)

    def open(self) -> None:
        """Open the catalogue, take in what waited for it, and finish what killed writers had begun.

        A database that cannot be used is logged, and health says so; it takes nobody down.
        """
        try:
            self._outage.inspect()
            self._catalogue.catalogue_id  # noqa: B018  # the property opens
            self._outage.replay()
            self._lost.look()
            self._publication.finish_interrupted()
            self._sweeper.sweep_leftovers()
            self._sweeper.sweep_where_needed()
            self._stores.version_files.keep_reserve()
        except StorageError as error:
            self._outage.note(error)

    def close(self) -> None:
        """Let go of everything that is open."""
        self._catalogue.close()

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
        actor: str | None = None,
    ) -> SavedVersion:
        """Save an object as a new version of a model, with what was measured of it, in one commit.

        Raises
        ------
        InvalidInputError
            If the name, the version, the metadata or a number cannot be stored.
        VersionExistsError
            If the version exists.
        SerializationError
            If the object cannot be pickled.
        StorageError
            If neither the catalogue nor the outage journal can take it.
        """
        new = _new_version(name, version, model_type, algorithms, metadata, activate, performance, run)
        if version is not None and self._memory.find(name, version) is not None:
            raise VersionExistsError(name, version)
        return self._save(new, model, actor)

    def register(self, name: str, model: object, version: str) -> None:
        """Save an object under a given version, or keep it in memory where it cannot be stored.

        Raises
        ------
        VersionExistsError
            If the version exists with other bytes.
        """
        new = _new_version(name, version, None, None, None, True, None, None)
        try:
            self._save(new, model, None, known_counts=True)
        except OutcomeUnknownError:
            raise
        except (SerializationError, StorageError) as error:
            self._memory.hold(name, version, model)
            log.warning("%s@%s is kept in memory only and ends with this process: %s", name, version, error)

    def _save(
        self, new: NewVersion, model: object, actor: str | None, known_counts: bool = False
    ) -> SavedVersion:
        """Save an object; with `known_counts` a version of equal bytes that there is counts as saved."""
        what = f"the model {new.name!r}"

        def refuse_early() -> None:
            if not known_counts and new.version is not None and self._known(new) is not None:
                raise VersionExistsError(new.name, new.version)

        try:
            with prepared(what, model, self._stores.artifacts, refuse_early, self._sweeper.discard) as ready:
                known = self._known(new) if known_counts else None
                if known is None:
                    return self._commit(replace(new, artifact=ready.artifact), ready, actor)
                if self._reader.digest(known) != ready.artifact.digest:
                    raise VersionExistsError(known.name, known.version)
                self._activate_again(known)
                return SavedVersion(known.model_id, known.name, known.version, active=True)
        except AIEngineError:
            raise  # from before the commit
        except BaseException as error:
            let_go(error.__traceback__)
            self._take_back(new)
            self._sweeper.discard()  # what the frames held until now
            raise

    def _take_back(self, new: NewVersion) -> None:
        """Forget a version whose save was interrupted, perhaps after the commit: nobody was told of it."""
        try:
            self._outage.take_back(new.model_id)
            with self._catalogue.read() as snapshot:
                saved = snapshot.find_id(new.model_id)
            if saved is not None:
                with self._catalogue.write() as work:
                    files = self._retention.files(saved)
                    work.withdraw(saved, files, actor=self._actor, at=clock.now())
                self._sweeper.sweep()
        except StorageError as error:
            raise OutcomeUnknownError(new.model_id, error) from error

    def _activate_again(self, known: ModelVersion) -> None:
        """Make a version active that is stored already, if it is not and the catalogue takes it."""
        if self.active(known.name) == known.version:
            return
        try:
            self.activate(known.name, known.version)
        except CatalogueUnavailableError as error:
            self._outage.note(error)
            log.warning("%s is stored and cannot be made active now: %s", known.label, error)

    def _known(self, new: NewVersion) -> ModelVersion | None:
        try:
            return self._lookup.find(new.name, new.version)
        except CatalogueUnavailableError:
            return None  # the save will wait for it, and a number that is taken is found then

    def _commit(self, new: NewVersion, ready: Prepared, actor: str | None) -> SavedVersion:
        actor = actor or self._actor
        try:
            saved = self._commit_behind_what_waits(new, ready, actor)
            self._outage.clear()
        except CatalogueUnavailableError as error:
            self._outage.note(error)
            saved = self._outage.save(new, ready, self._memory.versions(new.name), actor)
        if saved.active:
            self._memory.yield_activity(saved.name)
        return saved

    def _commit_behind_what_waits(self, new: NewVersion, ready: Prepared, actor: str) -> SavedVersion:
        lost = self._lost.versions(new.name)
        if new.version in lost:
            raise VersionExistsError(new.name, str(new.version), self._lost.reason)
        taken = lost | set(self._memory.versions(new.name))
        while True:
            self._outage.replay()
            try:
                return self._commit_row(new, ready, actor, taken)
            except OvertakenError:
                continue
            except NumberPromisedError as error:
                if new.version is not None:
                    raise VersionExistsError(new.name, new.version) from error
                taken.add(error.version)

    def _commit_row(self, new: NewVersion, ready: Prepared, actor: str, taken: set[str]) -> SavedVersion:
        artifacts, version_files = self._stores.artifacts, self._stores.version_files
        with version_files.stage(new.model_id, ready.data) as staged:
            # Left after the commit: until then nobody is told a number that is about to be ours.
            with ExitStack() as settled, self._catalogue.write() as work:
                promised = settled.enter_context(self._outage.settled(new.name))
                digest = _digest(new.artifact)
                source = None
                if ready.data is None:
                    if not artifacts.has(digest):  # a sweep took equal bytes that were known before
                        ready.renew()
                    source = artifacts.path(digest)
                if source is None:
                    twin = work.user(digest)
                    source = twin.model_path if twin else None
                new = _numbered(new, taken | promised, work.highest)
                version = work.add(new, ready.data, lambda number: self._path(work, new.name, number), actor)
            record = version_records.write(new, version.version)
            self._publication.publish(staged, version, source, record)
        return SavedVersion(new.model_id, new.name, version.version, active=new.activate)

    def _path(self, work: Transaction, name: str, number: str) -> str:
        """Return a path for a new version; one that still awaits removal is ours to use again."""

        def take_back(path: str) -> bool:
            if not work.is_debris(path):
                self._outage.check_promise(name, number)
                return False
            work.forget_debris([path, self._stores.version_files.record_path(path)])
            return True

        return self._stores.version_files.path(name, number, take_back)

    # -- the active version --------------------------------------------------------------------------------

    def activate(
        self, name: str, version: str, actor: str | None = None, reason: str = "activated"
    ) -> dict[str, str | None]:
        """Make a version the one that `load(name)` returns.

        Returns
        -------
        dict
            `version` and `previous_version`, the latter None where none was active.
        """
        held = self._memory.find(name, version)
        if held is not None:
            previous = self.actives().get(name)
            self._memory.hold(name, version, held.model)
            return {"version": version, "previous_version": previous}
        with self._writing() as work:
            found = _found(work, name, version)
            before = work.activate(found, actor or self._actor, reason, clock.now())
        self._point(found)
        self._memory.yield_activity(name)
        return {"version": version, "previous_version": before}

    def roll_back(self, name: str, actor: str | None = None) -> dict[str, str | None]:
        """Make the version active that was active before; see `activate`.

        Raises
        ------
        NoPreviousVersionError
            If none is left to go back to.
        """
        with self._writing() as work:
            if not work.versions(name):
                raise ModelNotFoundError(name)
            version, previous = work.roll_back(name, actor or self._actor, clock.now())
            found = work.find(name, version)
        if found is not None:
            self._point(found)
        self._memory.yield_activity(name)
        return {"version": version, "previous_version": previous}

    def _point(self, version: ModelVersion) -> None:
        """Write down, for a catalogue that is lost one day, which version is active."""
        try:
            self._stores.version_files.point(
                version.name, version_records.pointer(version, clock.to_text(clock.now()))
            )
        except StorageError as error:
            log.error("that %s is active cannot be written down beside the models: %s", version.label, error)

    # -- forgetting ----------------------------------------------------------------------------------------

    def delete(self, name: str, version: str) -> int:
        """Forget a version; return the bytes that the disk got back. Raises VersionActiveError."""
        with self._writing() as work:
            found = _found(work, name, version)
            if found.is_active:
                raise VersionActiveError(name, version)
            self._retention.drop(work, [found])
        return self._sweeper.sweep_if_possible()

    def pin(self, name: str, version: str, pinned: bool = True) -> None:
        """Keep a version from every clean-up, or let it go."""
        with self._writing() as work:
            work.pin(_found(work, name, version), pinned)

    def clean_up(self, policy: Policy | int, dry_run: bool = False) -> dict[str, Any]:
        """Keep what a policy says, or so many of the highest versions of each model, and free the rest.

        Returns
        -------
        dict
            `removed`, a list of names and versions, and `freed_bytes`, by the disk's own account; of a dry
            run, what would be removed and freed.
        """
        wanted = policy if isinstance(policy, Policy) else Policy(keep_versions=_number(policy))
        self._outage.replay()
        plan = self._retention.plan(wanted) if dry_run else self._retention.apply(wanted)
        removed = [{"name": version.name, "version": version.version} for version in plan.dropped]
        return {"removed": removed, "freed_bytes": plan.freed_bytes}

    def index(self, field: Field) -> None:
        """Give the values of a field an index, for searches among very many versions."""
        with self._writing() as work:
            work.index(field)

    # -- measuring -----------------------------------------------------------------------------------------

    def record(self, name: str, version: str, *performances: ModelPerformance) -> None:
        """Append measurements of a version; what was recorded before stays. Raises VersionNotFoundError."""
        for performance in performances:
            if not isinstance(performance, ModelPerformance):
                raise InvalidInputError(
                    "performance", f"is a {type(performance).__name__}, no ModelPerformance"
                )
        held = self._memory.find(name, version)
        if held is not None:
            held.performances.extend(map(checked, performances))
            return
        found = self._require(name, version)
        self._write_or_wait(
            found,
            lambda work: work.record(found.model_id, performances),
            lambda: self._outage.record(found, performances),
        )

    def record_run(self, name: str, version: str, run: Run) -> None:
        """Append a training record of a version. Raises VersionNotFoundError."""
        held = self._memory.find(name, version)
        if held is not None:
            held.runs.append(run)
            return
        found = self._require(name, version)
        self._write_or_wait(
            found,
            lambda work: work.record_run(found.model_id, run),
            lambda: self._outage.record_run(found, run),
        )

    def _write_or_wait(
        self, version: ModelVersion, write: Callable[[Transaction], None], wait: Callable[[], None]
    ) -> None:
        try:
            with self._writing() as work:
                write(work)
        except CatalogueUnavailableError as error:
            self._outage.note(error)
            wait()
        except ModelNotFoundError as error:  # deleted since it was found
            raise VersionNotFoundError(version.name, version.version) from error

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        """Write to the catalogue after what waited for it, and remember how that went."""
        self._outage.replay()
        with self._catalogue.write() as work:
            yield work
        self._outage.clear()

    # -- health --------------------------------------------------------------------------------------------

    def health(self) -> dict[str, Any]:
        """Try to take the write lock, give the catalogue what waits for it, and say how that went."""
        try:
            with self._writing():
                pass
        except StorageError as error:
            if str(error) != self._outage.reason:
                self._outage.note(error)
        waiting = self._outage.count()
        kept = self._memory.count()
        if self._lost.reason:
            self._look_again()
        reason = self._outage.reason or self._lost.reason or self._outage.complaint()
        return {
            "status": "degraded" if reason or waiting else "healthy",
            "reason": reason,
            "waiting": waiting,
            "in_memory_only": kept,
            "damaged": sorted(self._damaged),
            "journal": self._stores.journal.location,
            "database": self._catalogue.location,
        }

    def _look_again(self) -> None:
        """Take note of what was added again, or given up, since the opening."""
        with suppress(StorageError):
            self._lost.look()


def _new_version(
    name: str,
    version: str | None,
    model_type: str | None,
    algorithms: Iterable[str] | None,
    metadata: Mapping[str, Any] | None,
    activate: bool,
    performance: ModelPerformance | None,
    run: Run | None,
) -> NewVersion:
    """Check all that a caller said of a version before anything is written."""
    check_name(name)
    if version is not None:
        check_version(version)
    if isinstance(algorithms, str) or not (algorithms is None or isinstance(algorithms, Iterable)):
        raise InvalidInputError("algorithms", f"{algorithms!r} is no list; give a list of names")
    if metadata is not None and not isinstance(metadata, Mapping):
        raise InvalidInputError("metadata", f"is a {type(metadata).__name__}; give a dict")
    if model_type is not None and not isinstance(model_type, str):
        raise InvalidInputError("model_type", f"{model_type!r} is no text")
    if not isinstance(activate, int) and type(activate).__name__ not in ("bool", "bool_"):  # numpy's
        raise InvalidInputError("activate", f"{activate!r} is neither True nor False")
    return NewVersion(
        model_id=ModelId(f"{name}#{token_hex(8)}"),
        name=name,
        version=version,
        model_type=model_type and plain("model_type", model_type),
        algorithms=() if algorithms is None else tuple(plain("algorithms", list(algorithms))),
        metadata=plain("metadata", metadata) if metadata else {},
        activate=bool(activate),
        artifact=Artifact(Place.ROW, None, "", None),
        created_at=clock.now(),
        performance=performance,
        run=run,
    )


def _numbered(new: NewVersion, taken: set[str], highest: Callable[[str], str | None]) -> NewVersion:
    """Return a version with a number behind those that were given and the catalogue does not know."""
    if not taken:
        return new
    if new.version is not None:
        if new.version in taken:
            raise VersionExistsError(new.name, new.version)
        return new
    known = [version for version in (*taken, highest(new.name)) if version and versions.parse(version)]
    number = versions.next_patch(max(known, key=lambda v: versions.parse(v) or (-1,), default=None))
    return replace(new, version=number)


def _digest(artifact: Artifact) -> Digest:
    assert artifact.digest is not None  # `prepared` computed it
    return artifact.digest


def _found(work: Transaction, name: str, version: str) -> ModelVersion:
    found = work.find(name, version)
    if found is None:
        raise VersionNotFoundError(name, version, [known.version for known in work.versions(name)])
    return found


def _number(keep_versions: object) -> int:
    if type(keep_versions) is not int:
        raise InvalidInputError("keep_versions", f"{keep_versions!r} is not a whole number of at least 1")
    return keep_versions
