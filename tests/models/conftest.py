from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ai_engine.models import ModelManager


@pytest.fixture
def open_manager(tmp_path: Path) -> Iterator[Callable[[], ModelManager]]:
    """Open managers on one directory, as processes that come one after the other would."""
    opened: list[ModelManager] = []

    def open_one() -> ModelManager:
        opened.append(ModelManager(tmp_path / "models"))
        return opened[-1]

    yield open_one
    for manager in opened:
        manager.close()


@pytest.fixture
def manager(open_manager: Callable[[], ModelManager]) -> ModelManager:
    return open_manager()
