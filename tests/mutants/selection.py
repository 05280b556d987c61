"""Plugins for pytest: which test runs which lines of the core, and runs of some in an order."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

Lines = dict[str, set[int]]


class _Tracer:
    """Notes the lines of the package that run in this process, into the set that is current."""

    def __init__(self, root: str) -> None:
        self._package = f"{root}/ai_engine/"
        self._root = f"{root}/"
        self._known: dict[CodeType, set[int] | None] = {}
        self.found: Lines = defaultdict(set)

    def begin(self) -> None:
        self.found = defaultdict(set)
        self._known = {}
        threading.settrace(self.trace)
        sys.settrace(self.trace)

    def end(self) -> Lines:
        sys.settrace(None)
        threading.settrace(None)
        return self.found

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if code not in self._known:
            ours = code.co_filename.startswith(self._package)
            self._known[code] = self.found[code.co_filename.removeprefix(self._root)] if ours else None
        lines = self._known[code]
        if lines is None:
            return None
        add = lines.add

        def local(frame: FrameType, event: str, argument: Any) -> Any:
            add(frame.f_lineno)
            return local

        return local(frame, event, argument)


class Recording:
    """Writes down for each test how long it takes and which lines it runs.

    What a fixture of a whole module runs counts for each of its tests.
    """

    def __init__(self, target: Path, root: str) -> None:
        self._target = target
        self._tracer = _Tracer(root)
        self._shared: dict[str, Lines] = defaultdict(lambda: defaultdict(set))
        self._tests: dict[str, tuple[float, Lines]] = {}
        self._failed: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        began = time.monotonic()
        self._tracer.begin()
        try:
            return (yield)
        finally:
            self._tests[item.nodeid] = time.monotonic() - began, self._tracer.end()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        try:
            return (yield)
        finally:
            if fixturedef.scope != "function":
                shared = self._shared[request.node.nodeid]
                for module, lines in self._tracer.found.items():
                    shared[module] |= lines

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        told = {}
        for test, (seconds, lines) in self._tests.items():
            if test in self._failed:
                continue  # it tells nothing
            merged = {module: set(found) for module, found in lines.items()}
            for module, found in self._shared.get(test.partition("::")[0], {}).items():
                merged.setdefault(module, set()).update(found)
            told[test] = {"seconds": seconds, "lines": {m: sorted(found) for m, found in merged.items()}}
        self._target.write_text(json.dumps(told))


class Chosen:
    """Runs the tests of a list in its order, and no others."""

    def __init__(self, tests: list[str]) -> None:
        self._places = {test: place for place, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = (item for item in items if item.nodeid in self._places)
        items[:] = sorted(chosen, key=lambda item: self._places[item.nodeid])


def pytest_configure(config: pytest.Config) -> None:
    selection = json.loads(Path(os.environ["MUTANTS_SELECTION"]).read_text())
    if selection["record"] is not None:
        config.pluginmanager.register(Recording(Path(selection["record"]), str(config.rootpath)))
    if selection["tests"] is not None:
        config.pluginmanager.register(Chosen(selection["tests"]))
