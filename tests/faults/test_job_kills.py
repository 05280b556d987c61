"""Whatever of several jobs is killed, whenever: none is lost and none makes two versions."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.faults.job_kills import kill_at_random

# `make soak`, of 2,000 rounds, makes 500 kills, which take half an hour.
KILLS = max(3, int(os.environ.get("AI_ENGINE_SOAK_ROUNDS", "0")) // 4)


@pytest.mark.timeout(7200)
def test_kills_at_random_moments_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    tally = kill_at_random(tmp_path, KILLS, seed)
    assert (tally.lost, tally.doubled) == ([], []), f"seed {seed}: {tally}"
    assert sum(tally.kills.values()) == KILLS
