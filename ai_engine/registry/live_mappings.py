"""The registry as the mappings that callers of the original software read; live and read-only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Generic, TypeVar

from ai_engine.domain.errors import AIEngineError, VersionNotFoundError
from ai_engine.domain.performance import ModelPerformance
from ai_engine.registry.registry import Registry

Value = TypeVar("Value")

# Keys in one line, characters of each, and keys that are offered for completion.
_SHOWN: Final = 10
_LONGEST: Final = 80
_OFFERED: Final = 1000


class _View(Mapping[str, Value], Generic[Value]):
    """A mapping whose keys and values are asked for when they are looked at.

    Parameters
    ----------
    keys, value : callable
        `value` raises KeyError for what is none of the keys.
    """

    def __init__(self, keys: Callable[[], list[str]], value: Callable[[str], Value]) -> None:
        self._keys, self._value = keys, value

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self._keys())

    def __contains__(self, key: object) -> bool:
        return key in self._keys()  # without the value, which may be a model of a gigabyte

    def __getitem__(self, key: str) -> Value:
        return self._value(key)

    def __repr__(self) -> str:
        """Return how many keys there are, and the first of them, in one line."""
        try:
            keys = self._keys()
        except AIEngineError as error:
            return f"<cannot be read: {_short(str(error))}>"
        more = f", … {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
        return f"<{len(keys)}: {', '.join(map(_short, keys[:_SHOWN]))}{more}>" if keys else "<empty>"

    def _repr_html_(self) -> str:
        """Return the same for a notebook."""
        from html import escape  # slow to import, and rarely needed

        return f"<code>{escape(repr(self))}</code>"

    def _ipython_key_completions_(self) -> list[str]:
        """Return the keys that IPython offers after a bracket; none where they cannot be read."""
        try:
            return self._keys()[:_OFFERED]
        except AIEngineError:
            return []


def _short(text: str) -> str:
    return repr(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def _by_name(registry: Registry, value: Callable[[str], Value]) -> _View[Value]:
    """Return the view of what every model has."""

    def of(name: str) -> Value:
        if registry.active(name) is None and name not in registry.names():
            raise KeyError(name)
        return value(name)

    return _View(registry.names, of)


def models(registry: Registry) -> Mapping[str, Mapping[str, object]]:
    """Return ``models[name][version]``: the object, loaded when it is first touched."""

    def load(name: str, version: str) -> object:
        model = registry.load(name, version)
        if model is None and version not in registry.versions(name):
            raise KeyError(version)
        return model

    return _by_name(
        registry, lambda name: _View(lambda: registry.versions(name), lambda version: load(name, version))
    )


def model_versions(registry: Registry) -> Mapping[str, list[str]]:
    """Return ``model_versions[name]``: the versions, oldest first."""
    return _by_name(registry, registry.versions)


def performance_history(registry: Registry) -> Mapping[str, Mapping[str, ModelPerformance]]:
    """Return ``performance_history[name][version]``: what was measured last, where anything was."""

    def measured(name: str) -> list[str]:
        return [version for version in registry.versions(name) if registry.latest_performance(name, version)]

    def latest(name: str, version: str) -> ModelPerformance:
        try:
            performance = registry.latest_performance(name, version)
        except VersionNotFoundError:
            performance = None
        if performance is None:
            raise KeyError(version)
        return performance

    return _by_name(
        registry, lambda name: _View(lambda: measured(name), lambda version: latest(name, version))
    )


def active_models(registry: Registry) -> Mapping[str, str]:
    """Return ``active_models[name]``: the active version."""

    def version(name: str) -> str:
        active = registry.active(name)
        if active is None:
            raise KeyError(name)
        return active

    return _View(lambda: list(registry.actives()), version)
