"""Programs that are killed, refused or cut off, and what must hold afterwards."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from ai_engine.models import ModelManager
from ai_engine.registry.doctor import Doctor, Finding, Severity
from ai_engine.settings import Settings
from ai_engine.wiring import build_stores

# Each program prints a line for everything that it was told is done: what, name, version.
PRELUDE = textwrap.dedent(
    """
    import os, sys
    from ai_engine.models import ModelManager
    from ai_engine import OutcomeUnknownError, StorageError
    directory = sys.argv[1]

    def tell(*words):
        os.write(1, (" ".join(map(str, words)) + "\\n").encode())

    def value(seed, size):
        return [seed, bytes([seed % 256]) * size]

    def save(manager, name, seed, size=100):
        try:
            manager.save_model(name, value(seed, size), version=f"1.0.{seed}")
        except OutcomeUnknownError:
            tell("unknown", name, seed, size)
        except StorageError as error:
            tell("refused", name, seed, size)
        else:
            tell("saved", name, seed, size)
    """
)

LARGE = 400_000
PROGRAMS = {
    "first opening": """
        with ModelManager(directory) as manager:
            save(manager, "a", 1)
    """,
    "small": """
        with ModelManager(directory) as manager:
            for seed in (11, 12):
                save(manager, "a", seed)
    """,
    "large": f"""
        with ModelManager(directory) as manager:
            for seed in (11, 12):
                save(manager, "b", seed, {LARGE})
    """,
    "clean up": """
        with ModelManager(directory) as manager:
            manager.cleanup_old_models(1)
            tell("cleaned", "-", 0, 0)
    """,
    "activate": """
        with ModelManager(directory) as manager:
            manager.activate("a", "1.0.1")
            tell("activated", "a", 1, 0)
            manager.rollback("a")
    """,
    "outage": """
        import sqlite3
        os.environ["AI_ENGINE_LOCK_TIMEOUT"] = "0.05"
        other = sqlite3.connect(directory + "/model_registry.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with ModelManager(directory) as manager:
            save(manager, "a", 11)
            save(manager, "b", 12, 400_000)
            other.execute("ROLLBACK")
            other.close()
            manager.registry.health()  # replays
            save(manager, "a", 13)
    """,
}


# In CI and in a soak every step is tried, otherwise every third one from a random one on.
STRIDE = 1 if "CI" in os.environ or "AI_ENGINE_SOAK_ROUNDS" in os.environ else 3


def first_step() -> int:
    """Return the step, counted from 1, that is tried first."""
    return random.randint(1, STRIDE)


@dataclass(frozen=True)
class Told:
    """One line that a program printed before it ended."""

    what: str
    name: str
    seed: int
    size: int


def prepare(directory: Path) -> None:
    """Fill a directory with three small and three large versions."""
    with ModelManager(directory) as manager:
        for seed in (1, 2, 3):
            manager.save_model("a", value(seed, 100), version=f"1.0.{seed}")
            manager.save_model("b", value(seed, LARGE), version=f"1.0.{seed}")


def value(seed: int, size: int) -> list[object]:
    return [seed, bytes([seed % 256]) * size]


def copy(pristine: Path, directory: Path) -> None:
    """Copy a prepared directory and let it find that it was copied."""
    shutil.copytree(pristine, directory, symlinks=True)
    with ModelManager(directory):
        pass


def run(program: str, directory: Path, *around: str) -> tuple[list[Told], int]:
    """Run a program, perhaps under another one, and return what it told and how it ended."""
    code = PRELUDE + textwrap.dedent(PROGRAMS.get(program, program))
    command = [*around, sys.executable, "-B", "-c", code, str(directory)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    told = [line.split() for line in done.stdout.splitlines()]
    return [Told(words[0], words[1], int(words[2]), int(words[3])) for words in told], done.returncode


def check(directory: Path, told: list[Told], kept: bool = True, copies_may_be_gone: bool = False) -> None:
    """Check the promises after a program ended in whatever way.

    Parameters
    ----------
    kept : bool
        Whether it dropped nothing.
    copies_may_be_gone : bool
        Whether the power was cut: files that are copies are not synced, nor is the note that bytes are on
        their way; `doctor --repair` writes the ones and removes the others.
    """
    with ModelManager(directory) as manager:
        saved = {(line.name, line.seed): line.size for line in told if line.what == "saved"}
        for (name, seed), size in saved.items():
            assert manager.get_model(name, f"1.0.{seed}") == value(seed, size), f"{name}@1.0.{seed} was lost"
        refused = {(line.name, line.seed) for line in told if line.what == "refused"}
        for name, seed in refused:
            assert manager.get_model(name, f"1.0.{seed}") is None, f"{name}@1.0.{seed} is half there"
        if kept:
            for name, size in (("a", 100), ("b", LARGE)):
                for seed in (1, 2, 3):
                    if name in manager.model_versions and f"1.0.{seed}" in manager.model_versions[name]:
                        assert manager.get_model(name, f"1.0.{seed}") == value(seed, size)
        for entry in manager.get_model_info()["models"]:  # none is listed without its bytes
            assert manager.get_model(entry["name"], entry["version"])[0] == int(
                entry["version"].split(".")[-1]
            )
        assert set(manager.active_models) == set(manager.models)
        assert manager.registry.health().status == "healthy"
    if copies_may_be_gone:
        found = diagnose(directory, repair=True)
        odd = [
            f for f in found if f.severity is Severity.DAMAGE or f.kind not in ("file", "record", "artifact")
        ]
        assert odd == [], odd
    found = diagnose(directory)
    assert found == [], found


def diagnose(directory: Path, repair: bool = False) -> list[Finding]:
    stores = build_stores(Settings(model_dir=str(directory)))
    try:
        return Doctor(stores).examine(repair=repair)
    finally:
        stores.catalogue.close()
