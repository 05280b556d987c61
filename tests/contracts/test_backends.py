"""Each contract over each backend that there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ai_engine.artifacts.local import LocalStore
from ai_engine.catalogue.sqlite.catalogue import SqliteCatalogue
from ai_engine.directory.outage_journal import LocalOutageJournal
from ai_engine.directory.ownership import ModelDirectory
from ai_engine.testing.artifacts_contract import ArtifactStoreContract
from ai_engine.testing.catalogue_contract import CatalogueContract
from ai_engine.testing.journal_contract import JournalContract
from ai_engine.testing.memory_store import MemoryStore


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


class TestLocalJournal(JournalContract):
    @pytest.fixture
    def open_journal(self, tmp_path: Path) -> Callable[[], LocalOutageJournal]:
        return lambda: LocalOutageJournal(str(tmp_path / "outage"), "mine", str(tmp_path), patience=0.5)


class TestSqliteCatalogue(CatalogueContract):
    @pytest.fixture
    def open_catalogue(self, tmp_path: Path) -> Iterator[Callable[[], SqliteCatalogue]]:
        opened: list[SqliteCatalogue] = []

        def open_one() -> SqliteCatalogue:
            opened.append(SqliteCatalogue(str(tmp_path / "catalogue.db"), ModelDirectory(str(tmp_path))))
            return opened[-1]

        yield open_one
        for catalogue in opened:
            catalogue.close()
