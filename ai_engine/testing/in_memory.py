"""A manager without a disk, for the unit tests of whoever embeds one."""

from __future__ import annotations

from ai_engine.artifacts.memory import MemoryStore
from ai_engine.catalogue.memory import MemoryCatalogue, MemoryDatabase
from ai_engine.models import ModelManager
from ai_engine.registry.model_cache import ModelCache
from ai_engine.registry.registry import Registry
from ai_engine.registry.stores import Stores
from ai_engine.settings import Settings
from ai_engine.testing.memory_files import MemoryJournal, MemoryOperations, MemoryVersionFiles

# What the paths of files begin with, of which there is none.
_NOWHERE = "/in-memory"
_CACHE_BYTES = 64 * 1024 * 1024


def in_memory() -> ModelManager:
    """Return a manager that keeps everything in memory, until it is closed.

    It does what any other does, with real bytes and a real database, and leaves nothing on the disk. Paths
    that it tells name no file.

    Examples
    --------
    >>> with in_memory() as manager:
    ...     _ = manager.save_model("cpu-forecast", {"slope": 2.0})
    ...     manager.get_model("cpu-forecast")
    {'slope': 2.0}
    """
    stores = Stores(
        catalogue=MemoryCatalogue(MemoryDatabase(_NOWHERE)),
        artifacts=MemoryStore(),
        version_files=MemoryVersionFiles(_NOWHERE),
        journal=MemoryJournal(MemoryOperations()),
    )
    registry = Registry(stores, ModelCache(_CACHE_BYTES), "test")
    registry.open()
    return ModelManager.over(registry, Settings(model_dir=_NOWHERE))
