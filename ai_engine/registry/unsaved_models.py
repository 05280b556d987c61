"""Models that live only as long as the process: those that could not be stored when they were registered."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from ai_engine.domain.entities import Run
from ai_engine.domain.errors import VersionExistsError
from ai_engine.domain.performance import ModelPerformance


@dataclass
class Held:
    """One object and what was said about it."""

    model: object
    performances: list[ModelPerformance] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)


class UnsavedModels:
    """Versions by name that no store has."""

    def __init__(self) -> None:
        self._held: defaultdict[str, dict[str, Held]] = defaultdict(dict)
        self._active: dict[str, str] = {}

    def hold(self, name: str, version: str, model: object) -> None:
        """Keep an object and make it active. Raises VersionExistsError for another object."""
        known = self._held[name].setdefault(version, Held(model))
        if known.model is not model:
            raise VersionExistsError(name, version)
        self._active[name] = version

    def find(self, name: str, version: str | None) -> Held | None:
        """Return what is held of a version, or of the active one where that is held here."""
        if name not in self._held:
            return None
        wanted = self._active.get(name) if version is None else version
        return self._held[name].get(wanted) if wanted is not None else None

    def yield_activity(self, name: str) -> None:
        """Let a stored version be the active one of a model."""
        self._active.pop(name, None)

    def actives(self) -> dict[str, str]:
        """Return the active versions that are held here."""
        return dict(self._active)

    def versions(self, name: str) -> list[str]:
        """Return the versions of a model, oldest first."""
        return list(self._held.get(name, ()))

    def runs(self, name: str, version: str | None) -> list[tuple[str, Run]]:
        """Return the training records of a model, or of one version, oldest first, with the version."""
        held = self._held.get(name, {})
        return [(number, run) for number in held if version in (None, number) for run in held[number].runs]

    def names(self) -> list[str]:
        """Return the models of which something is held."""
        return list(self._held)

    def count(self) -> int:
        """Return how many versions are held."""
        return sum(map(len, self._held.values()))
