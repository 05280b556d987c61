"""Whatever is done in whichever order, on a disk and in memory."""

from __future__ import annotations

import shutil
import tempfile

from hypothesis import settings

from ai_engine.artifacts.memory import MemoryStore
from ai_engine.catalogue.memory import MemoryCatalogue, MemoryDatabase
from ai_engine.models import ModelManager
from ai_engine.registry.model_cache import PROCESS
from ai_engine.registry.registry import Registry
from ai_engine.registry.stores import Stores
from ai_engine.settings import Settings
from ai_engine.testing.memory_files import MemoryJournal, MemoryOperations, MemoryVersionFiles
from ai_engine.testing.stateful import ManagerMachine

SETTINGS = settings(max_examples=25, stateful_step_count=25, deadline=None)


class OnDisk(ManagerMachine):
    def __init__(self) -> None:
        self.directory = tempfile.mkdtemp()
        super().__init__()

    def open_manager(self) -> ModelManager:
        return ModelManager(self.directory)

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.directory)


class InMemory(ManagerMachine):
    def __init__(self) -> None:
        self.database, self.artifacts = MemoryDatabase("/models"), MemoryStore()
        self.files, self.operations = MemoryVersionFiles("/models"), MemoryOperations()
        super().__init__()

    def open_manager(self) -> ModelManager:
        journal = MemoryJournal(self.operations)
        registry = Registry(
            Stores(MemoryCatalogue(self.database), self.artifacts, self.files, journal), PROCESS, "test"
        )
        registry.open()
        return ModelManager.over(registry, Settings(model_dir="/models"))


OnDisk.TestCase.settings = InMemory.TestCase.settings = SETTINGS
TestOnDisk, TestInMemory = OnDisk.TestCase, InMemory.TestCase
