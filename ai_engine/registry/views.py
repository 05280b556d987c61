"""The registry as the mappings that callers of the original software read; live and read-only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from ai_engine.domain.performance import ModelPerformance
from ai_engine.registry.registry import Registry

Value = TypeVar("Value")


class _View(Mapping[str, Value], Generic[Value]):
    """A mapping whose keys and values are asked for when they are looked at."""

    def __init__(self, keys: Callable[[], list[str]], value: Callable[[str], Value]) -> None:
        self._keys, self._value = keys, value

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self._keys())

    def __contains__(self, key: object) -> bool:
        return key in self._keys()

    def __getitem__(self, key: str) -> Value:
        if key not in self:
            raise KeyError(key)
        return self._value(key)

    def __repr__(self) -> str:
        return f"<{', '.join(map(repr, self))}>"


def models(registry: Registry) -> Mapping[str, Mapping[str, object]]:
    """Return ``models[name][version]``: the object, loaded when it is first touched."""
    return _View(
        registry.names,
        lambda name: _View(lambda: registry.versions(name), lambda version: registry.load(name, version)),
    )


def model_versions(registry: Registry) -> Mapping[str, list[str]]:
    """Return ``model_versions[name]``: the versions, oldest first."""
    return _View(registry.names, registry.versions)


def performance_history(registry: Registry) -> Mapping[str, Mapping[str, ModelPerformance]]:
    """Return ``performance_history[name][version]``: what was measured last, where anything was."""

    def measured(name: str) -> list[str]:
        return [version for version in registry.versions(name) if registry.latest_performance(name, version)]

    def latest(name: str, version: str) -> ModelPerformance:
        performance = registry.latest_performance(name, version)
        if performance is None:
            raise KeyError(version)
        return performance

    return _View(
        registry.names, lambda name: _View(lambda: measured(name), lambda version: latest(name, version))
    )


def active_models(registry: Registry) -> Mapping[str, str]:
    """Return ``active_models[name]``: the active version."""
    return _View(lambda: list(registry.actives()), lambda name: registry.actives()[name])
