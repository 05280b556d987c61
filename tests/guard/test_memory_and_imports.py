"""What a save and a load allocate, and what an import brings in."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ai_engine.models import ModelManager
from ai_engine.registry.model_cache import PROCESS

MIB = 1024 * 1024
SIZE = 20 * MIB
# A save's slices, the index, what a transaction needs; a second copy of the array would be twenty.
MOST = 2 * MIB

# What `import ai_engine.models` may add to a bare Python: 71 of others, 104 of ours.
MOST_OF_OTHERS = 73
MOST_OF_OURS = 107
FORBIDDEN = {
    *("numpy", "scipy", "sklearn", "pandas", "joblib", "sqlalchemy", "alembic", "dask"),
    *("fastapi", "starlette", "pydantic", "uvicorn", "httpx", "anyio", "asyncio", "ssl", "http"),
    *("typer", "click", "rich", "jinja2", "prometheus_client", "psutil", "multiprocessing", "email"),
}


def peak(work: Callable[[], object]) -> int:
    """Return the bytes that Python and numpy had allocated at most while `work` ran."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_saving_a_large_array_makes_no_second_copy(tmp_path: Path) -> None:
    model = {"weights": np.random.default_rng(0).random(SIZE // 8)}
    with ModelManager(tmp_path) as manager:
        manager.save_model("warm", [1])
        assert peak(lambda: manager.save_model("large", model)) < MOST


def test_saving_a_large_pickle_makes_no_second_copy(tmp_path: Path) -> None:
    model = [bytes([value]) * (SIZE // 20) for value in range(20)]
    with ModelManager(tmp_path) as manager:
        manager.save_model("warm", [1])
        assert peak(lambda: manager.save_model("large", model)) < MOST


def test_loading_a_large_array_makes_no_copy(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("large", {"weights": np.random.default_rng(0).random(SIZE // 8)})
        loaded: list[object] = []
        assert peak(lambda: loaded.append(manager.get_model("large"))) < MOST
    assert PROCESS.instruments.misses


def test_the_guard_sees_a_second_copy() -> None:
    array = np.zeros(SIZE // 8)
    assert peak(array.copy) > MOST


def test_importing_the_models_brings_in_little() -> None:
    bare = _modules("sys")
    added = _modules("ai_engine.models") - bare
    assert "ai_engine.catalogue.sqlite.catalogue" in added
    assert {name for name in added if name.partition(".")[0] in FORBIDDEN} == set()
    ours = {name for name in added if name.partition(".")[0] == "ai_engine"}
    assert len(added - ours) <= MOST_OF_OTHERS, sorted(added - ours)
    assert len(ours) <= MOST_OF_OURS, sorted(ours)


def _modules(name: str) -> set[str]:
    program = f"import {name}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())
