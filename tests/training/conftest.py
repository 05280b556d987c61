"""Real telemetry, where it is there, and a progress that says nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ai_engine.training.progress import Progress

# Before scikit-learn loads: test processes side by side with two threads each wait for one another at every
# barrier.
os.environ["OMP_NUM_THREADS"] = "1"

# Beside the repository, not in it: the sets are large and have licences of their own.
DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"the real telemetry is not at {DATA}; these tests measure on it")
    return DATA


@pytest.fixture(scope="session")
def quiet() -> Progress:
    def ignore(fraction: float, message: str) -> None: ...

    return ignore
