"""Each contract over each backend that there is."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ai_engine.artifacts.local import LocalStore
from ai_engine.artifacts.memory import MemoryStore
from ai_engine.catalogue.memory import MemoryCatalogue, MemoryDatabase
from ai_engine.catalogue.sqlite.catalogue import SqliteCatalogue
from ai_engine.directory.outage_journal import LocalOutageJournal
from ai_engine.directory.ownership import ModelDirectory
from ai_engine.directory.version_files import LocalVersionFiles
from ai_engine.formats.mapped import MappedFormat, write_buffers
from ai_engine.formats.pickled import PickleFormat
from ai_engine.testing.access_contract import AccessContract
from ai_engine.testing.artifacts_contract import ArtifactStoreContract
from ai_engine.testing.catalogue_contract import CatalogueContract
from ai_engine.testing.format_contract import FormatContract
from ai_engine.testing.job_queue_contract import JobQueueContract
from ai_engine.testing.memory_files import MemoryJournal, MemoryOperations, MemoryVersionFiles
from ai_engine.testing.outage_journal_contract import OutageJournalContract
from ai_engine.testing.schedule_contract import ScheduleContract
from ai_engine.testing.search_contract import SearchContract
from ai_engine.testing.version_files_contract import VersionFilesContract


class TestLocalStore(ArtifactStoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], LocalStore]:
        directory = ModelDirectory(str(tmp_path))
        return lambda: LocalStore(str(tmp_path / "artifacts"), directory.sandbox)


class TestPickleFormat(FormatContract):
    @pytest.fixture
    def tested(self) -> PickleFormat:
        return PickleFormat()

    @pytest.fixture
    def artifact(self) -> Callable[[Any], bytes]:
        return lambda model: pickle.dumps(model, protocol=5)


class TestMappedFormat(FormatContract):
    """Bytes stand beside the pickle where they are wrapped as buffers; otherwise it has none of them."""

    @pytest.fixture
    def tested(self) -> MappedFormat:
        return MappedFormat()

    @pytest.fixture
    def artifact(self) -> Callable[[Any], bytes]:
        return mapped


class Blob(bytes):
    """Bytes that a pickle hands out as a buffer, as it does with arrays."""

    def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
        return Blob, (pickle.PickleBuffer(self),)


def mapped(model: list[Any]) -> bytes:
    """Return a list as the format has it, with its bytes objects as buffers."""
    output, beside = io.BytesIO(), list[memoryview]()
    wrapped = [Blob(part) if isinstance(part, bytes) else part for part in model]
    pickle.Pickler(output, protocol=5, buffer_callback=lambda buffer: beside.append(buffer.raw())).dump(
        wrapped
    )
    write_buffers(output, output.tell(), beside)
    return output.getvalue()


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


class TestMemoryCatalogue(
    CatalogueContract, SearchContract, JobQueueContract, ScheduleContract, AccessContract
):
    @pytest.fixture
    def open_catalogue(self) -> Callable[[], MemoryCatalogue]:
        database = MemoryDatabase("/models")
        return lambda: MemoryCatalogue(database)


class TestSqliteCatalogue(
    CatalogueContract, SearchContract, JobQueueContract, ScheduleContract, AccessContract
):
    @pytest.fixture
    def open_catalogue(self, tmp_path: Path) -> Iterator[Callable[[], SqliteCatalogue]]:
        opened: list[SqliteCatalogue] = []

        def open_one() -> SqliteCatalogue:
            opened.append(SqliteCatalogue(str(tmp_path / "catalogue.db"), ModelDirectory(str(tmp_path))))
            return opened[-1]

        yield open_one
        for catalogue in opened:
            catalogue.close()
