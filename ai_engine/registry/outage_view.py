"""The answers of a catalogue that has taken what waits for it, worked out without writing to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from ai_engine.catalogue.protocol import Snapshot
from ai_engine.domain import clock
from ai_engine.domain.answers import ModelInfo, Numbers, VersionInfo
from ai_engine.domain.entities import Activation, ModelId, Run
from ai_engine.domain.history import RunRecord
from ai_engine.domain.performance import ModelPerformance
from ai_engine.domain.search import EVERYTHING, Order, Position, Search, value_of
from ai_engine.registry.outage_operations import Change, MeasureOperation, RunOperation, SaveOperation

AnyInfo = TypeVar("AnyInfo", bound=VersionInfo)

# Versions that one statement asks for by their numbers.
_BATCH = 200


class OutageView:
    """A moment of the catalogue with what waits for it on top.

    Parameters
    ----------
    waiting : iterable of Change
        Read before the snapshot was taken: what has got its row in between is told by the snapshot.
    snapshot : Snapshot or None
        None where the catalogue cannot be read, and only what waits is known.
    """

    def __init__(self, waiting: Iterable[Change], snapshot: Snapshot | None) -> None:
        self._snapshot = snapshot
        self._saves: dict[ModelId, tuple[int, SaveOperation]] = {}
        self._measures: defaultdict[str, list[ModelPerformance]] = defaultdict(list)
        self._measured: dict[tuple[str, str], None] = {}  # stored versions, in the order of the journal
        self._runs: list[tuple[str, str, Run]] = []  # with the name and the version
        for item in waiting:
            self._take(item)

    def _take(self, item: Change) -> None:
        operation = item.operation
        if self._snapshot is not None and self._snapshot.replayed(operation.key):
            return
        if isinstance(operation, MeasureOperation):
            self._measures[operation.model_id] += operation.performances
            if operation.model_id not in self._saves:
                self._measured[operation.name, operation.version] = None
        elif isinstance(operation, RunOperation):
            self._runs.append((operation.name, operation.version, operation.run))
        elif not self._is_stored(operation):
            new = operation.new
            self._saves[new.model_id] = item.seq, operation
            if new.performance is not None:
                self._measures[new.model_id].append(new.performance)
            if new.run is not None:
                self._runs.append((new.name, operation.version, new.run))

    def _is_stored(self, save: SaveOperation) -> bool:
        if self._snapshot is None:
            return False
        known = self._snapshot.find(save.new.name, save.version)
        return known is not None and known.model_id == save.new.model_id

    @property
    def _changes_nothing(self) -> bool:
        return not (self._saves or self._measures or self._runs)

    def _of(self, name: str | None = None) -> Iterator[tuple[int, SaveOperation]]:
        """Yield the saves that wait, oldest first."""
        for seq, save in self._saves.values():
            if name is None or save.new.name == name:
                yield seq, save

    # -- versions ------------------------------------------------------------------------------------------

    def versions(self, name: str) -> list[str]:
        """Return the versions of a model, oldest first."""
        stored = self._snapshot.versions(name) if self._snapshot else []
        return [version.version for version in stored] + [save.version for _, save in self._of(name)]

    def names(self) -> list[str]:
        """Return every model that has a version, sorted."""
        stored = self._snapshot.names() if self._snapshot else []
        return sorted({*stored, *(save.new.name for _, save in self._of())})

    def actives(self) -> dict[str, str]:
        """Return the active version of every model that has one, by name."""
        found = self._snapshot.actives() if self._snapshot else {}
        waiting = {save.new.name: save.version for _, save in self._of() if save.new.activate}
        return dict(sorted((found | waiting).items()))

    def activations(self, name: str) -> list[Activation]:
        """Return every move of a model's active pointer, oldest first."""
        moves = self._snapshot.activations(name) if self._snapshot else []
        for _, save in self._of(name):
            if save.new.activate:
                at = save.new.created_at
                before = moves[-1].activated_at if moves else None
                # A clock that was set back must not put this move before the one it follows.
                moves.append(Activation(name, save.version, max(at, before or at), save.actor, "saved"))
        return moves

    # -- measurements and runs -----------------------------------------------------------------------------

    def performances(self, model_id: str) -> list[ModelPerformance]:
        """Return what was measured of a version, oldest first."""
        stored = self._snapshot.performances(model_id) if self._snapshot else []
        return stored + self._measures.get(model_id, [])

    def runs(self, name: str, version: str | None = None) -> list[RunRecord]:
        """Return the training records of a model or of one version, newest first."""
        stored = self._snapshot.runs(name, version) if self._snapshot else []
        waiting = [
            RunRecord(name, number, run)
            for of, number, run in reversed(self._runs)
            if of == name and version in (None, number)
        ]
        return waiting + stored

    def report(self, model_id: str, name: str, version: str) -> Mapping[str, Any] | None:
        """Return what the last training of a version measured in detail (JSON values)."""
        for of, number, run in reversed(self._runs):
            if (of, number) == (name, version) and run.report is not None:
                return run.report
        return self._snapshot.report(model_id) if self._snapshot else None

    # -- lists ---------------------------------------------------------------------------------------------

    def describe(
        self, search: Search, limit: int | None, after: Position | None
    ) -> tuple[list[VersionInfo], int]:
        """Return a page of entries in the order of a search, and the number of all."""
        if self._snapshot is None:
            stored: list[VersionInfo] = []
            touched: list[VersionInfo] = []
            total = 0
        elif self._changes_nothing:
            return self._snapshot.describe(search, limit, after), self._snapshot.count(search)
        else:
            touched = self._touched(self._snapshot)
            ids = {entry["model_id"] for entry in touched}
            total = self._snapshot.count(search) - sum(map(search.matches, touched))
            # As many more as can be others by now than the database thinks.
            wanted = None if limit is None else limit + len(ids)
            found = self._snapshot.describe(search, wanted, after)
            stored = [entry for entry in found if entry["model_id"] not in ids]
        changed = touched + [_entry_of(seq, save) for seq, save in self._of()]
        self._apply(changed)
        meant = [entry for entry in changed if search.matches(entry)]
        behind = [entry for entry in meant if after is None or _is_behind(search.order, entry, after)]
        return arranged(search.order, stored + behind)[:limit], total + len(meant)

    def models(
        self, search: Search, limit: int | None, after: Position | None
    ) -> tuple[list[ModelInfo], int]:
        """Return a page of models as the catalogue's `models` does, and the number of all."""
        if self._snapshot is not None and self._changes_nothing:
            return self._snapshot.models(search, limit, after), self._snapshot.count_models(search)
        of: defaultdict[str, list[VersionInfo]] = defaultdict(list)
        for entry in self.describe(EVERYTHING, None, None)[0]:  # newest first
            of[entry["name"]].append(entry)
        models = [
            ModelInfo(**next((one for one in entries if one["is_active"]), entries[0]), versions=len(entries))
            for entries in of.values()
        ]
        meant = [model for model in models if search.matches(model)]
        behind = [model for model in meant if after is None or _is_behind(search.order, model, after)]
        return arranged(search.order, behind)[:limit], len(meant)

    def _touched(self, snapshot: Snapshot) -> list[VersionInfo]:
        """Return the stored versions of which something that waits makes another entry."""
        wanted: defaultdict[str, list[str]] = defaultdict(list)
        for name, version in self._measured:
            wanted[name].append(version)
        for name in {save.new.name for _, save in self._of() if save.new.activate}:
            active = snapshot.find(name)
            if active is not None and active.version not in wanted[name]:
                wanted[name].append(active.version)
        return [
            entry
            for name, versions in wanted.items()
            for start in range(0, len(versions), _BATCH)
            for entry in snapshot.describe(EVERYTHING.of(name, *versions[start : start + _BATCH]), None, None)
            if versions
        ]

    def _apply(self, entries: list[VersionInfo]) -> None:
        """Let entries tell what will be active, and what was measured."""
        at_most: dict[str, list[SaveOperation]] = defaultdict(list)
        for _, save in self._of():
            if save.new.activate:
                at_most[save.new.name].append(save)
        for entry in entries:
            self._activate(entry, at_most.get(entry["name"], []))
            for performance in self._measures.get(entry["model_id"], []):
                at = clock.to_text(performance.last_updated or clock.now())
                entry["metric_count"] += 1
                entry["last_metric_update"] = max(at, entry["last_metric_update"] or at)
                entry["performance"] = _numbers_of(performance)
            if entry["model_id"] in self._measures:
                entry["avg_accuracy"] = self._average(entry["model_id"])

    def _activate(self, entry: VersionInfo, activations: list[SaveOperation]) -> None:
        """Hand the active version of a model on from one save to the next."""
        for save in activations:
            if save.new.model_id == entry["model_id"]:
                entry["is_active"] = True
            elif entry["is_active"]:
                entry["is_active"] = False
                entry["updated_at"] = clock.to_text(save.new.created_at)

    def _average(self, model_id: str) -> float | None:
        scores = [
            performance.accuracy_score
            for performance in self.performances(model_id)
            if performance.accuracy_score is not None
        ]
        return sum(scores) / len(scores) if scores else None


def _entry_of(seq: int, save: SaveOperation) -> VersionInfo:
    """Return the entry of a version as it is saved, before anything is measured or becomes active."""
    new, at = save.new, clock.to_text(save.new.created_at)
    return {
        "seq": seq,
        "model_id": new.model_id,
        "name": new.name,
        "version": save.version,
        "model_type": new.model_type,
        "algorithms": list(new.algorithms),
        "created_at": at,
        "updated_at": at,
        "is_active": False,
        "model_path": save.model_path,
        "metadata": dict(new.metadata),
        "digest": new.artifact.digest,
        "format": new.artifact.format,
        "size": new.artifact.size,
        "python": new.artifact.python,
        "packages": dict(new.artifact.packages),
        "pinned": False,
        "saved_by": save.actor,
        "metric_count": 0,
        "avg_accuracy": None,
        "last_metric_update": None,
        "performance": None,
    }


def _numbers_of(performance: ModelPerformance) -> Numbers:
    """Return a measurement as a list of versions tells it."""
    return Numbers(
        mae=performance.mae,
        mse=performance.mse,
        r2=performance.r2,
        accuracy_score=performance.accuracy_score,
        confidence_score=performance.confidence_score,
        training_time=performance.training_time,
        prediction_time=performance.prediction_time,
        training_samples=performance.training_samples,
        feature_count=performance.feature_count,
        metrics=performance.metrics,
    )


def arranged(order: Order, entries: Iterable[AnyInfo]) -> list[AnyInfo]:
    """Return entries in an order: numbers before text, what is not known last, as a database has them."""
    by_age = sorted(entries, key=lambda entry: entry["seq"], reverse=order.newest_first)
    known = [entry for entry in by_age if value_of(order.field, entry) is not None]
    unknown = [entry for entry in by_age if value_of(order.field, entry) is None]
    known.sort(key=lambda entry: _rank(value_of(order.field, entry)), reverse=order.descending)
    return known + unknown


def _rank(value: Any) -> tuple[bool, Any]:
    """Return what the values of a field are sorted by; they are text or numbers."""
    return isinstance(value, str), value


def _is_behind(order: Order, entry: VersionInfo, after: Position) -> bool:
    """Tell whether an entry stands behind the last one of a page."""
    value: Any = value_of(order.field, entry)
    if value == after.value and isinstance(value, str) == isinstance(after.value, str):
        seq: int = entry["seq"]
        return seq < after.seq if order.newest_first else seq > after.seq
    if value is None or after.value is None:
        return value is None
    return (_rank(value) < _rank(after.value)) is order.descending
