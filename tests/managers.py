"""Managers whose parts a test can reach, as a program that puts them together itself would have them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ai_engine.models import ModelManager
from ai_engine.registry.model_cache import ModelCache
from ai_engine.registry.registry import Registry
from ai_engine.registry.stores import Stores
from ai_engine.settings import Settings
from ai_engine.wiring import build_stores


@contextmanager
def another_process(directory: Path, max_bytes: int = 10**9) -> Iterator[tuple[ModelManager, Stores]]:
    """Open a manager as another process would have it: what this one has loaded is not there."""
    settings = Settings(model_dir=str(directory))
    stores = build_stores(settings)
    registry = Registry(stores, ModelCache(max_bytes), "test")
    registry.open()
    with ModelManager.over(registry, settings) as manager:
        yield manager, stores
