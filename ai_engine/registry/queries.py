"""What can be asked of a registry, answered from the catalogue, from what waits for it and from memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

from ai_engine.domain import clock
from ai_engine.domain.answers import ModelInfo, VersionInfo
from ai_engine.domain.entities import Activation, ModelVersion
from ai_engine.domain.errors import (
    ArtifactCorruptedError,
    CatalogueUnavailableError,
    InvalidInputError,
    ModelNotFoundError,
    VersionNotFoundError,
)
from ai_engine.domain.history import RunRecord
from ai_engine.domain.performance import ModelPerformance
from ai_engine.domain.search import EVERYTHING, Position, Search
from ai_engine.registry.lookup import Lookup
from ai_engine.registry.model_loader import ModelLoader
from ai_engine.registry.outage import Outage
from ai_engine.registry.outage_view import OutageView
from ai_engine.registry.stores import Stores
from ai_engine.registry.unsaved_models import UnsavedModels

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class Queries:
    """What can be asked; nothing here changes anything.

    Parameters
    ----------
    stores : Stores
        Where everything is.
    outage : Outage
        What waits for the catalogue.
    unsaved : UnsavedModels
        What is in memory only.
    lookup : Lookup
        Which version a name means.
    loader : ModelLoader
        Who makes the object of a version.

    Attributes
    ----------
    damaged : mapping of str to str
        What the last `verify` found wrong, by version.
    """

    def __init__(
        self, stores: Stores, outage: Outage, unsaved: UnsavedModels, lookup: Lookup, loader: ModelLoader
    ) -> None:
        self._catalogue = stores.catalogue
        self._outage, self._unsaved = outage, unsaved
        self._lookup, self._loader = lookup, loader
        self.damaged: dict[str, str] = {}

    # -- objects -------------------------------------------------------------------------------------------

    def find(self, name: str, version: str | None = None) -> ModelVersion | None:
        """Return a version, or the active one; None where there is none."""
        return self._lookup.find(name, version)

    def load(self, name: str, version: str | None = None) -> object | None:
        """Return the object of a version, or of the active one; None where there is none.

        It is made of the stored bytes, and is one object for all callers in the process.

        Raises
        ------
        ArtifactCorruptedError
            If the bytes are missing or changed; they are never deserialised.
        ModelLoadError
            If this Python cannot make the object.
        """
        held = self._unsaved.find(name, version)
        if held is not None:
            return held.model
        found = self._lookup.find(name, version)
        return None if found is None else self._loader.load(found)

    def export(self, name: str, version: str | None = None) -> bytes:
        """Return a version as a plain pickle, which needs nothing but `pickle.load`."""
        return self._loader.plain(self.require(name, version))

    def require(self, name: str, version: str | None = None) -> ModelVersion:
        """Return a version, or the active one. Raises VersionNotFoundError."""
        found = self._lookup.find(name, version)
        if found is None:
            raise VersionNotFoundError(name, version, self.versions(name))
        return found

    def number(self, name: str, version: str | None = None) -> str:
        """Return which version is meant, be it in memory only.

        Raises
        ------
        ModelNotFoundError
            If there is no such model; VersionNotFoundError if it has no such version.
        """
        found = self._lookup.find(name, version)
        if found is not None:
            return found.version
        held = self._unsaved.actives().get(name) if version is None else version
        if held is None or self._unsaved.find(name, held) is None:
            known = self.versions(name)
            raise VersionNotFoundError(name, version, known) if known else ModelNotFoundError(name)
        return held

    def verify(self, pause: Callable[[int], bool]) -> dict[str, str]:
        """Read every artifact again and return what is wrong with those that have changed, by version.

        Parameters
        ----------
        pause : callable
            Called with the bytes just read; answers whether to go on.
        """
        with self._catalogue.read() as snapshot:
            versions = snapshot.everything()
        damaged = {}
        for version in versions:
            try:
                size = self._loader.reread(version).nbytes
            except ArtifactCorruptedError as error:
                size = 0
                if self.find(version.name, version.version) == version:
                    damaged[version.label] = str(error)
                    log.error("%s", error)
            if not pause(size):
                break
        self.damaged = damaged
        return damaged

    # -- measurements --------------------------------------------------------------------------------------

    def performances(self, name: str, version: str | None = None) -> list[ModelPerformance]:
        """Return what was measured of a version, or of the active one, oldest first."""
        held = self._unsaved.find(name, version)
        if held is not None:
            return list(held.performances)
        found = self.require(name, version)
        return self._ask(lambda overlay: overlay.performances(found.model_id))

    def latest_performance(self, name: str, version: str) -> ModelPerformance | None:
        """Return the measurement of a version that was recorded last; None where there is none."""
        measured = self.performances(name, version)
        return measured[-1] if measured else None

    def runs(self, name: str, version: str | None = None) -> list[RunRecord]:
        """Return the training records of a model, or of one of its versions, newest first."""
        held = self._unsaved.runs(name, version)
        kept = [RunRecord(name, number, run) for number, run in reversed(held)]
        return kept + self._ask(lambda overlay: overlay.runs(name, version))

    def report(self, name: str, version: str | None = None) -> Mapping[str, Any] | None:
        """Return what the last training of a version measured in detail; None where none told anything."""
        held = self._unsaved.find(name, version)
        if held is not None:
            return next((run.report for run in reversed(held.runs) if run.report is not None), None)
        found = self.require(name, version)
        return self._ask(lambda overlay: overlay.report(found.model_id, found.name, found.version))

    # -- the active version over time ------------------------------------------------------------------------

    def activations(self, name: str) -> list[Activation]:
        """Return every move of a model's active pointer, oldest first."""
        waiting = self._outage.queue.waiting()
        with self._catalogue.read() as snapshot:
            return OutageView(waiting, snapshot).activations(name)

    def active_at(self, name: str, moment: datetime) -> str | None:
        """Return the version that was active at a moment; None where none was, or none is recorded."""
        wanted = clock.checked("moment", moment)
        if wanted is None:
            raise InvalidInputError("moment", "is not known; give a datetime")
        before = [a for a in self.activations(name) if a.activated_at and a.activated_at <= wanted]
        return before[-1].version if before else None

    # -- listing -------------------------------------------------------------------------------------------

    def describe(
        self,
        name: str | None = None,
        limit: int | None = None,
        after: Position | None = None,
        search: Search = EVERYTHING,
    ) -> tuple[list[VersionInfo], int, bool]:
        """Return a page of entries in the order of a search, the number of all, and the source.

        Parameters
        ----------
        name : str or None
            Only versions of this model.
        after : Position or None
            The last entry of the page before, as `Order.position` tells it.

        Returns
        -------
        entries : list of dict
            Every column of `model_registry`, what is known of the bytes, and what was measured: the last
            time in `performance`, a dict, None where nothing was. Those that wait for the database are where
            it will have them.
        total : int
            Versions over all pages.
        from_database : bool
            False where the database cannot be read and these are the versions that this process knows.
        """
        _check_limit(limit)
        search = search.of(name)
        waiting = self._outage.queue.waiting()
        try:
            with self._catalogue.read() as snapshot:
                entries, total = OutageView(waiting, snapshot).describe(search, limit, after)
        except CatalogueUnavailableError as error:
            self._outage.state.note(error)
            entries, total = OutageView(waiting, None).describe(search, limit, after)
            return entries, total, False
        return entries, total, True

    def models(
        self, limit: int | None = None, after: Position | None = None, search: Search = EVERYTHING
    ) -> tuple[list[ModelInfo], int, bool]:
        """Return a page of models, each an entry of `describe` for its active version; see there.

        A model of which no version is active stands by its newest one. Each entry has in `versions` how many
        the model has.
        """
        _check_limit(limit)
        waiting = self._outage.queue.waiting()
        try:
            with self._catalogue.read() as snapshot:
                return *OutageView(waiting, snapshot).models(search, limit, after), True
        except CatalogueUnavailableError as error:
            self._outage.state.note(error)
            return *OutageView(waiting, None).models(search, limit, after), False

    def versions(self, name: str) -> list[str]:
        """Return the versions of a model, oldest first."""
        known = self._ask(lambda overlay: overlay.versions(name))
        return list(dict.fromkeys(known + self._unsaved.versions(name)))

    def names(self) -> list[str]:
        """Return every model that has a version, sorted."""
        return sorted({*self._ask(OutageView.names), *self._unsaved.names()})

    def actives(self) -> dict[str, str]:
        """Return the active version of every model that has one, by name."""
        return dict(sorted((self._ask(OutageView.actives) | self._unsaved.actives()).items()))

    def active(self, name: str) -> str | None:
        """Return the active version of a model; None where none is."""
        kept = self._unsaved.actives().get(name)
        if kept is not None:
            return kept
        found = None
        with self._unless_unavailable():
            found = self._lookup.find(name)
        return None if found is None else found.version

    @contextmanager
    def _unless_unavailable(self) -> Iterator[None]:
        """Go on with what the process knows where the catalogue cannot be read."""
        try:
            yield
        except CatalogueUnavailableError as error:
            self._outage.state.note(error)

    def _ask(self, question: Callable[[OutageView], Answer]) -> Answer:
        """Ask the catalogue with what waits for it; what waits alone where it cannot be read."""
        waiting = self._outage.queue.waiting()  # before the snapshot, so that nothing falls in between
        try:
            with self._catalogue.read() as snapshot:
                return question(OutageView(waiting, snapshot))
        except CatalogueUnavailableError as error:
            self._outage.state.note(error)
            return question(OutageView(waiting, None))


def _check_limit(limit: object) -> None:
    if limit is not None and (type(limit) is not int or limit < 0):
        raise InvalidInputError("limit", f"{limit!r} is not a whole number of at least 0")
