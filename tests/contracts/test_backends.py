"""Each contract over each backend that there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ai_engine.artifacts.local import LocalStore
from ai_engine.artifacts.memory import MemoryStore
from ai_engine.catalogue.memory import MemoryCatalogue, MemoryDatabase
from ai_engine.catalogue.sqlite.catalogue import SqliteCatalogue
from ai_engine.directory.outage_journal import LocalOutageJournal
from ai_engine.directory.ownership import ModelDirectory
from ai_engine.directory.version_files import LocalVersionFiles
from ai_engine.testing.artifacts_contract import ArtifactStoreContract
from ai_engine.testing.catalogue_contract import CatalogueContract
from ai_engine.testing.memory_files import MemoryJournal, MemoryOperations, MemoryVersionFiles
from ai_engine.testing.outage_journal_contract import OutageJournalContract
from ai_engine.testing.search_contract import SearchContract
from ai_engine.testing.version_files_contract import VersionFilesContract


class TestLocalStore(ArtifactStoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], LocalStore]:
        directory = ModelDirectory(str(tmp_path))
        return lambda: LocalStore(str(tmp_path / "artifacts"), directory.sandbox)


class TestMemoryStore(ArtifactStoreContract):
    """One without files: what works over it works over any."""

    @pytest.fixture
    def open_store(self) -> Callable[[], MemoryStore]:
        store = MemoryStore()
        return lambda: store


class TestLocalOutageJournal(OutageJournalContract):
    @pytest.fixture
    def open_journal(self, tmp_path: Path) -> Callable[[], LocalOutageJournal]:
        return lambda: LocalOutageJournal(str(tmp_path / "outage"), "mine", str(tmp_path), patience=0.5)


class TestMemoryJournal(OutageJournalContract):
    @pytest.fixture
    def open_journal(self) -> Callable[[], MemoryJournal]:
        operations = MemoryOperations()
        return lambda: MemoryJournal(operations, patience=0.05)


class TestLocalVersionFiles(VersionFilesContract):
    @pytest.fixture
    def open_files(self, tmp_path: Path) -> Callable[[], LocalVersionFiles]:
        ModelDirectory(str(tmp_path)).make()
        return lambda: LocalVersionFiles(ModelDirectory(str(tmp_path)))


class TestMemoryVersionFiles(VersionFilesContract):
    @pytest.fixture
    def open_files(self) -> Callable[[], MemoryVersionFiles]:
        files = MemoryVersionFiles("/models")
        return lambda: files


class TestMemoryCatalogue(CatalogueContract, SearchContract):
    @pytest.fixture
    def open_catalogue(self) -> Callable[[], MemoryCatalogue]:
        database = MemoryDatabase("/models")
        return lambda: MemoryCatalogue(database)


class TestSqliteCatalogue(CatalogueContract, SearchContract):
    @pytest.fixture
    def open_catalogue(self, tmp_path: Path) -> Iterator[Callable[[], SqliteCatalogue]]:
        opened: list[SqliteCatalogue] = []

        def open_one() -> SqliteCatalogue:
            opened.append(SqliteCatalogue(str(tmp_path / "catalogue.db"), ModelDirectory(str(tmp_path))))
            return opened[-1]

        yield open_one
        for catalogue in opened:
            catalogue.close()
