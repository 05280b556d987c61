from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ai_engine.artifacts.memory import MemoryStore
from ai_engine.catalogue.memory import MemoryCatalogue, MemoryDatabase
from ai_engine.models import ModelManager
from ai_engine.registry.model_cache import PROCESS
from ai_engine.registry.registry import Registry
from ai_engine.registry.stores import Stores
from ai_engine.settings import Settings
from ai_engine.testing.memory_files import MemoryJournal, MemoryOperations, MemoryVersionFiles
from ai_engine.wiring import build_stores


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test over artifacts in files, over a store that has none, and in memory alone."""
    if "store" in metafunc.fixturenames:
        without = [] if "local_files" in metafunc.fixturenames else ["no files"]
        nowhere = [] if {"local_files", "local_database"} & set(metafunc.fixturenames) else ["memory"]
        metafunc.parametrize("store", ["files", *without, *nowhere], indirect=True)


@pytest.fixture
def local_files() -> None:
    """For a test that looks at the files of artifacts."""


@pytest.fixture
def local_database() -> None:
    """For a test that looks at the database, or at the files of versions."""


@pytest.fixture
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stores(tmp_path: Path, store: str) -> Callable[[], Stores]:
    """Put together the stores of one registry, as processes that come one after the other would."""
    settings = Settings(model_dir=str(tmp_path / "models"))
    artifacts, database = MemoryStore(), MemoryDatabase(settings.model_dir)
    files, journal = MemoryVersionFiles(settings.model_dir), MemoryJournal(MemoryOperations())

    def build() -> Stores:
        if store == "memory":
            return Stores(MemoryCatalogue(database), artifacts, files, journal)
        local = build_stores(settings)
        return local if store == "files" else replace(local, artifacts=artifacts)

    return build


@pytest.fixture
def open_manager(
    tmp_path: Path, store: str, stores: Callable[[], Stores]
) -> Iterator[Callable[[], ModelManager]]:
    """Open managers on one directory, as processes that come one after the other would."""
    opened: list[ModelManager] = []

    def open_one() -> ModelManager:
        settings = Settings(model_dir=str(tmp_path / "models"))
        if store == "files":
            opened.append(ModelManager(settings.model_dir))
        else:
            registry = Registry(stores(), PROCESS, "test")
            registry.open()
            opened.append(ModelManager.over(registry, settings))
        return opened[-1]

    yield open_one
    for manager in opened:
        manager.close()


@pytest.fixture
def manager(open_manager: Callable[[], ModelManager]) -> ModelManager:
    return open_manager()
