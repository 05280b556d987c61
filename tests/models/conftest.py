from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ai_engine.models import ModelManager
from ai_engine.registry.model_cache import PROCESS
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings
from ai_engine.testing.memory_store import MemoryStore
from ai_engine.wiring import build_stores


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test over artifacts in files and over a store that has none, as one across a network."""
    if "store" in metafunc.fixturenames:
        without = [] if "local_files" in metafunc.fixturenames else ["no files"]
        metafunc.parametrize("store", ["files", *without], indirect=True)


@pytest.fixture
def local_files() -> None:
    """For a test that looks at the files of artifacts."""


@pytest.fixture
def store(request: pytest.FixtureRequest) -> MemoryStore | None:
    return None if request.param == "files" else MemoryStore()


@pytest.fixture
def open_manager(tmp_path: Path, store: MemoryStore | None) -> Iterator[Callable[[], ModelManager]]:
    """Open managers on one directory, as processes that come one after the other would."""
    opened: list[ModelManager] = []

    def open_one() -> ModelManager:
        settings = Settings(model_dir=str(tmp_path / "models"))
        if store is None:
            opened.append(ModelManager(settings.model_dir))
        else:
            registry = Registry(replace(build_stores(settings), artifacts=store), PROCESS, "test")
            registry.open()
            opened.append(ModelManager.over(registry, settings))
        return opened[-1]

    yield open_one
    for manager in opened:
        manager.close()


@pytest.fixture
def manager(open_manager: Callable[[], ModelManager]) -> ModelManager:
    return open_manager()
