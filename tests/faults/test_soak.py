"""Writers are killed at random, AI_ENGINE_SOAK_ROUNDS times over (`make soak`: 2,000)."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from ai_engine.models import ModelManager
from tests.faults.driver import LARGE, Told, check, diagnose, value

ROUNDS = int(os.environ.get("AI_ENGINE_SOAK_ROUNDS", "50"))


def write_for_ever(directory: Path, first: int, acknowledgements: int) -> None:
    """Save, activate and clean up until killed; tell what is done through a pipe."""
    with ModelManager(directory) as manager:
        for seed in range(first, first + 10_000):
            name, size = ("a", 100) if seed % 3 else ("b", LARGE)
            manager.save_model(name, value(seed, size), version=f"1.0.{seed}")
            os.write(acknowledgements, f"saved {name} {seed} {size}\n".encode())
            if seed % 7 == 0:
                manager.cleanup_old_models(4)
            if seed % 5 == 0:
                manager.rollback(name)


@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_writers_that_are_killed_at_random_lose_nothing(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    told: list[Told] = []
    for number in range(ROUNDS):
        reader, writer = os.pipe()
        children = []
        for place in range(2):
            child = os.fork()
            if child == 0:
                os.close(reader)
                try:
                    write_for_ever(tmp_path, 1 + (number * 2 + place) * 10_000, writer)
                finally:
                    os._exit(1)
            children.append(child)
        os.close(writer)
        time.sleep(chance.uniform(0.005, 0.12))  # the moment of the kill is what is random here
        for child in children:
            os.kill(child, signal.SIGKILL)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        with os.fdopen(reader) as pipe:
            lines = [line.split() for line in pipe if line.endswith("\n")]
        told += [Told(words[0], words[1], int(words[2]), int(words[3])) for words in lines]
        newest = [line for line in told[-8:] if is_listed(tmp_path, line)]
        check(tmp_path, newest, kept=False)
    assert told, f"no save was ever acknowledged (seed {seed})"
    assert diagnose(tmp_path) == []


def is_listed(directory: Path, line: Told) -> bool:
    """Tell whether no clean-up has had the version since; the highest of a name are never had."""
    with ModelManager(directory) as manager:
        versions = manager.model_versions.get(line.name, [])
        present = sorted(int(version.rpartition(".")[2]) for version in versions)
        assert present, f"{line.name} was saved and nothing of it is left"
        if line.seed > present[-1]:
            raise AssertionError(
                f"{line.name}@1.0.{line.seed} was acknowledged and is above all that are left"
            )
        return line.seed in present
