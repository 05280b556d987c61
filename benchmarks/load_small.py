"""What does `get_model` of a small model cost, first and again, and is it ever stale?

The raw limit selects the active version, reads its file and unpickles it. Again, ours is one object for all
callers; before each answer the registry asks the database whether anybody has committed anything since, and
that is checked here with another process that activates another version.
"""

from __future__ import annotations

import json
import pickle
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from sklearn.linear_model import LinearRegression

from ai_engine.models import ModelManager
from benchmarks.filled import fill, small_model
from benchmarks.measure import REPOSITORY, Answer, Options, alternating, child, medians

_ACTIVATE = """
import sys
from ai_engine.models import ModelManager
with ModelManager(sys.argv[1]) as manager:
    manager.activate("pair", "1.0.0")
"""


def ask(answer: Answer, options: Options) -> None:
    with options.scratch() as scratch:
        directory = scratch / "ours"
        fill(directory, 1000)
        with ModelManager(directory) as manager:
            manager.save_model("pair", small_model(0))
            manager.save_model("pair", small_model(1))
            database = _opened(directory)
            mine, raw = alternating(
                lambda: manager.get_model("pair"), lambda: _unpickled(database), options.times(10), 200
            )
            answer.add("again", "get the active version again", "s", medians(mine), medians(raw))
            mine, raw = alternating(
                lambda: manager.get_model("pair", "1.0.0"),
                lambda: _unpickled(database),
                options.times(10),
                200,
            )
            answer.add("again_named", "get a named version again", "s", medians(mine), medians(raw))
            stale = 0
            for _ in range(options.times(5)):
                assert manager.get_model("pair").intercept_ == 1.0
                subprocess.run([sys.executable, "-c", _ACTIVATE, directory], cwd=REPOSITORY, check=True)
                stale += manager.get_model("pair").intercept_ != 0.0
                manager.activate("pair", "1.0.1")
            answer.add("stale", "stale answers after another process activated", "answers", [stale])
        ours, limit = [], []
        for _ in range(options.times(7)):
            limit.append(child("load_small", "raw", directory))
            ours.append(child("load_small", "ours", directory))
        answer.add("fresh", "open, get and use it, new process", "s", ours, limit)


def _opened(directory: Path) -> sqlite3.Connection:
    return sqlite3.connect(directory / "model_registry.db")


def _unpickled(database: sqlite3.Connection) -> object:
    ((path,),) = database.execute(
        "SELECT model_path FROM model_registry WHERE name = 'pair' AND is_active = 1"
    ).fetchall()
    with open(path, "rb") as file:
        return pickle.load(file)


def _fresh(kind: str, path: str) -> float:
    LinearRegression  # noqa: B018  # is imported before the clock starts
    started = time.perf_counter()
    if kind == "raw":
        assert getattr(_unpickled(_opened(Path(path))), "intercept_") == 1.0  # noqa: B009  # any class
    else:
        with ModelManager(path) as manager:
            assert manager.get_model("pair").intercept_ == 1.0
    return time.perf_counter() - started


if __name__ == "__main__":
    print(json.dumps(_fresh(sys.argv[1], sys.argv[2])))
