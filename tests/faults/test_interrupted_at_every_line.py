"""Ctrl-C, or whatever a signal handler raises, at every line of every write: nothing open, nothing held.

A save that raised is not there; one that returned is. Other writers are free at once. `make soak` raises both
exceptions at every line; otherwise they take turns, at every few lines from a random one on.
"""

from __future__ import annotations

import _thread
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ai_engine import VersionExistsError
from ai_engine.models import ModelManager, ModelPerformance
from tests.faults.driver import LARGE, diagnose, prepare, value
from tests.faults.interrupts import check_free, interrupted, left_open

SOAK = "AI_ENGINE_SOAK_ROUNDS" in os.environ
ERRORS = (KeyboardInterrupt, SystemExit)
MEASURED = ModelPerformance(1, 1, 1, 1, 1, 1, 1, datetime(2026, 1, 1, tzinfo=UTC))


def refused(call: Callable[[], object]) -> None:
    with pytest.raises(VersionExistsError):
        call()


# What is done, and the version that it saves.
SAVES: dict[str, tuple[Callable[[ModelManager], object], str, str]] = {
    "small": (lambda m: m.save_model("a", value(9, 100), version="1.0.9"), "a", "1.0.9"),
    "large": (lambda m: m.save_model("b", value(9, LARGE), version="1.0.9"), "b", "1.0.9"),
    "next number": (lambda m: m.save_model("a", value(4, 100)), "a", "1.0.4"),
    "equal bytes": (lambda m: m.save_model("a", value(3, 100), version="1.0.9"), "a", "1.0.9"),
    "first of a model": (lambda m: m.save_model("c", value(9, 100)), "c", "1.0.0"),
    "not active": (lambda m: m.save_model("a", value(9, 100), activate=False), "a", "1.0.4"),
    "registered": (lambda m: m.register_model("c", value(9, 100), "1.0.9"), "c", "1.0.9"),
}
OTHERS: dict[str, Callable[[ModelManager], object]] = {
    "a version that exists": lambda m: refused(lambda: m.save_model("a", value(9, 100), version="1.0.1")),
    "a large one that exists": lambda m: refused(lambda: m.save_model("b", value(9, LARGE), version="1.0.1")),
    "registered again": lambda m: m.register_model("a", value(3, 100), "1.0.3"),
    "measurement": lambda m: m.update_performance("a", "1.0.1", MEASURED),
    "training record": lambda m: m.save_training_history("a", "1.0.1", {"dataset_size": 7}),
    "activation": lambda m: m.activate("a", "1.0.1"),
    "rollback": lambda m: m.rollback("a"),
    "deletion": lambda m: m.delete_version("b", "1.0.1"),
    "clean-up": lambda m: m.cleanup_old_models(1),
    "load": lambda m: m.get_model("b", "1.0.1"),
    "list": lambda m: m.get_model_info(),
}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("interrupts") / "models"
    prepare(directory)
    return directory


def at_every_line(
    pristine: Path,
    scratch: Path,
    call: Callable[[ModelManager], object],
    check: Callable[[ModelManager, bool], None],
) -> None:
    """Interrupt a call at one line after the other, each time in a fresh directory."""
    stride = 1 if SOAK else 23
    first, last = random.randrange(stride), False
    at = first - stride + 1
    while not last:
        at += stride
        for error in ERRORS if SOAK else (random.choice(ERRORS),):
            directory = scratch / "models"
            shutil.copytree(pristine, directory, symlinks=True)
            with ModelManager(directory) as manager:
                manager.save_model("warm", 0)
                opened, threads = left_open(), _thread._count()
                interrupter, raised = interrupted(at, error, lambda: call(manager))
                last = not interrupter.place
                try:
                    check_free(directory, opened, threads)
                    check(manager, raised)
                    manager.save_model("after", value(8, 100), version="1.0.8")
                    assert manager.get_model("after") == value(8, 100)
                except BaseException as failed:
                    failed.add_note(f"interrupted at line {at}, in {interrupter.place} ({raised=})")
                    raise
            with ModelManager(directory):
                pass
            assert diagnose(directory) == [], interrupter.place
            shutil.rmtree(directory)
    assert at > 40, "nothing was interrupted"


@pytest.mark.parametrize("what", SAVES)
@pytest.mark.timeout(900)
def test_a_save(what: str, pristine: Path, tmp_path: Path) -> None:
    call, name, version = SAVES[what]

    def check(manager: ModelManager, raised: bool) -> None:
        active = manager.active_models.get(name)
        if raised:
            assert version not in manager.model_versions.get(name, [])
            assert manager.get_model(name, version) is None
            assert active == {"a": "1.0.3", "b": "1.0.3"}.get(name)
        else:
            assert version in manager.model_versions[name]
            loaded = manager.get_model(name, version)
            assert loaded == value(loaded[0], LARGE if name == "b" else 100)

    at_every_line(pristine, tmp_path, call, check)


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.timeout(900)
def test_another_write(what: str, pristine: Path, tmp_path: Path) -> None:
    """It has happened wholly or not at all, and every version that is listed has its bytes."""

    def check(manager: ModelManager, raised: bool) -> None:
        for entry in manager.get_model_info()["models"]:
            assert manager.get_model(entry["name"], entry["version"]) is not None
        assert set(manager.active_models) == {"a", "b", "warm"}
        assert len(manager.metric_history("a")) <= 1

    at_every_line(pristine, tmp_path, OTHERS[what], check)


SIGNALS = """
import os, random, signal, sqlite3, sys
from functools import partial
from itertools import starmap
from ai_engine.models import ModelManager

def interrupt(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
directory, rounds, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
interrupted = 0
with ModelManager(directory) as manager:
    manager.save_model("warm", 1)
    opened = len(os.listdir("/proc/self/fd"))
    for number in range(rounds):
        size, version = chance.choice([100, 400_000]), f"1.0.{number}"
        save = partial(manager.save_model, "cpu", [number, bytes(size)], version=version)
        returned = []
        try:
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-5, 3e-3))
            # In C, so that what was returned is known though a signal comes before it can be stored.
            returned.extend(starmap(save, [()]))
        except KeyboardInterrupt:
            pass
        finally:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                pass
        interrupted += not returned
        other = sqlite3.connect(manager.db_path, timeout=0, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        other.close()
        saved = manager.get_model("cpu", version)
        assert (saved is not None) == bool(returned), (number, returned)
        assert not returned or saved == [number, bytes(size)]
        if number % 50 == 0:
            manager.cleanup_old_models(2)
    assert os.listdir(directory + "/.engine/sandbox") == []
    assert len(os.listdir("/proc/self/fd")) <= opened + 4  # connections of readers
print(interrupted)
"""


def test_a_signal_at_a_random_moment(tmp_path: Path) -> None:
    """The interpreter runs a handler between a call and the storing of its answer, which no line shows."""
    rounds, seed = 2_000 if SOAK else 250, random.randrange(2**32)
    done = subprocess.run(
        [sys.executable, "-c", SIGNALS, str(tmp_path), str(rounds), str(seed)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, (seed, done.stderr)
    assert int(done.stdout) > rounds / 20, "hardly any save was interrupted"
    assert diagnose(tmp_path) == []
