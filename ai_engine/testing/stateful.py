"""The manager against a plain-dict model of it, over whatever Hypothesis thinks of, reopened now and then."""

from __future__ import annotations

from abc import abstractmethod

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ai_engine.domain.errors import (
    NoPreviousVersionError,
    VersionActiveError,
    VersionExistsError,
    VersionNotFoundError,
)
from ai_engine.domain.versions import next_patch, parse, sort_key
from ai_engine.models import ModelManager

NAMES = st.sampled_from(["cpu", "CPU", "a_1", "a"])
VERSIONS = st.sampled_from(["1.0.0", "1.0.1", "1.10", "1.9.0", "v1", "nightly", "1_0.0"])
VALUES = st.one_of(st.integers(), st.binary(max_size=40), st.just(b"large" * 60_000))


class ManagerMachine(RuleBasedStateMachine):
    """What should be: values by name and version, the active version, and the way back.

    Derive a class that opens managers on one registry, each as another process would.
    """

    @abstractmethod
    def open_manager(self) -> ModelManager:
        """Open a manager."""

    def __init__(self) -> None:
        super().__init__()
        self.manager = self.open_manager()
        self.saved: dict[str, dict[str, object]] = {}
        self.order: dict[tuple[str, str], int] = {}
        self.highest: dict[str, str] = {}
        self.way: dict[str, list[tuple[str, int]]] = {}
        self.count = 0

    def active(self, name: str) -> str | None:
        """Return the active version."""
        return self.way[name][-1][0] if self.way.get(name) else None

    def remember(self, name: str, version: str, value: object, activate: bool) -> None:
        """Note a save."""
        self.count += 1
        self.saved.setdefault(name, {})[version] = value
        self.order[name, version] = self.count
        if parse(version) and (parse(version) or ()) > (parse(self.highest.get(name, "")) or ()):
            self.highest[name] = version
        if activate:
            self.way.setdefault(name, []).append((version, self.count))

    @rule(name=NAMES, value=VALUES, activate=st.booleans())
    def save(self, name: str, value: object, activate: bool) -> None:
        """Save under the next number."""
        expected = next_patch(self.highest.get(name))
        self.manager.save_model(name, value, activate=activate)
        self.remember(name, expected, value, activate)

    @rule(name=NAMES, version=VERSIONS, value=VALUES)
    def save_as(self, name: str, version: str, value: object) -> None:
        """Save under a given number."""
        if version in self.saved.get(name, {}):
            with pytest.raises(VersionExistsError):
                self.manager.save_model(name, value, version=version)
        else:
            self.manager.save_model(name, value, version=version)
            self.remember(name, version, value, activate=True)

    @rule(name=NAMES, data=st.data())
    def activate(self, name: str, data: st.DataObject) -> None:
        """Move the pointer."""
        version = data.draw(st.sampled_from([*self.saved.get(name, {}), "9.9.9"]))
        if version not in self.saved.get(name, {}):
            with pytest.raises(VersionNotFoundError):
                self.manager.activate(name, version)
            return
        answer = self.manager.activate(name, version)
        assert answer == {"version": version, "previous_version": self.active(name)}
        if version != self.active(name):
            self.way.setdefault(name, []).append((version, self.order[name, version]))

    @rule(name=NAMES)
    def roll_back(self, name: str) -> None:
        """Move it back."""
        way = list(self.way.get(name, []))
        now = self.active(name)
        while way and (way[-1][0] == now or self.order.get((name, way[-1][0])) != way[-1][1]):
            way.pop()
        if not way:
            with pytest.raises(LookupError) as caught:
                self.manager.rollback(name)
            assert isinstance(caught.value, NoPreviousVersionError) or not self.saved.get(name)
            return
        assert self.manager.rollback(name) == {"version": way[-1][0], "previous_version": now}
        self.way[name] = way

    @precondition(lambda self: any(self.saved.values()))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """Forget a version."""
        pairs = [(name, version) for name, of_one in self.saved.items() for version in of_one]
        name, version = data.draw(st.sampled_from(pairs))
        if version == self.active(name):
            with pytest.raises(VersionActiveError):
                self.manager.delete_version(name, version)
        else:
            self.manager.delete_version(name, version)
            del self.saved[name][version], self.order[name, version]

    @rule(keep=st.integers(1, 3))
    def clean_up(self, keep: int) -> None:
        """Keep the highest."""
        expected = set()
        for name, of_one in self.saved.items():
            ranked = sorted(of_one, key=lambda v: (sort_key(v, self.order[name, v]), self.order[name, v]))
            expected |= {(name, v) for v in ranked[:-keep] if v != self.active(name)}
        removed = self.manager.cleanup_old_models(keep)["removed"]
        assert {(entry["name"], entry["version"]) for entry in removed} == expected
        for name, version in expected:
            del self.saved[name][version], self.order[name, version]

    @rule()
    def reopen(self) -> None:
        """Go on as another process."""
        self.manager.close()
        self.manager = self.open_manager()

    @invariant()
    def everything_is_as_it_should_be(self) -> None:
        """Compare all that can be asked."""
        present = {name: of_one for name, of_one in self.saved.items() if of_one}
        assert set(self.manager.models) == set(present)
        for name, of_one in present.items():
            assert sorted(self.manager.model_versions[name], key=lambda v: self.order[name, v]) == list(
                self.manager.model_versions[name]
            )
            assert {version: self.manager.get_model(name, version) for version in of_one} == of_one
            active = self.active(name)
            assert self.manager.active_models.get(name) == active
            assert self.manager.get_model(name) == (of_one[active] if active else None)

    def teardown(self) -> None:
        """Examine what is left."""
        self.manager.close()
        with self.open_manager() as manager:
            assert manager.doctor()["findings"] == []
