"""How many saves a second do eight processes make together, and is any lost?

The raw limit is eight processes that do the durable save of limits.py and wait for the lock as SQLite does.
Afterwards every version that was acknowledged is looked for and loaded.
"""

from __future__ import annotations

import time
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import NamedTuple

from ai_engine.domain.errors import StorageError
from ai_engine.models import ModelManager
from benchmarks.filled import NAMES, small_model
from benchmarks.limits import RawStore
from benchmarks.measure import Answer, Options

PROCESSES = 8
SAVES = 50


class Told(NamedTuple):
    """What a process did: from when to when, and the ids that it was given."""

    started: float
    ended: float
    saved: list[str]


def ask(answer: Answer, options: Options) -> None:
    ours, raw, lost = [], [], 0
    small_model(0)  # before the fork, so that it is made once
    for _ in range(options.times(7)):
        with options.scratch() as scratch:
            raw.append(_rate("raw", scratch / "raw")[0])
            rate, acknowledged = _rate("ours", scratch / "ours")
            ours.append(rate)
            lost += PROCESSES * SAVES - _held(scratch / "ours", acknowledged)
    answer.add("rate", f"{PROCESSES} processes saving", "saves/s", ours, raw, at=PROCESSES)
    answer.add("lost", "saves that were lost or refused, over all rounds", "saves", [lost])


def _rate(kind: str, directory: Path) -> tuple[float, list[str]]:
    """Let the processes save together; return the saves a second and what they were told."""
    if kind == "ours":
        ModelManager(directory).close()
    else:
        RawStore(directory).close()
    # Forked: eight imports of scikit-learn would take longer than all else here.
    context = get_context("fork")
    ready = context.Barrier(PROCESSES)
    told: SimpleQueue[Told] = context.SimpleQueue()
    running = [
        context.Process(target=_save, args=(kind, directory, number, ready, told))
        for number in range(PROCESSES)
    ]
    for process in running:
        process.start()
    all_told = [told.get() for _ in running]
    for process in running:
        process.join()
    seconds = max(one.ended for one in all_told) - min(one.started for one in all_told)
    return PROCESSES * SAVES / seconds, [model_id for one in all_told for model_id in one.saved]


def _held(directory: Path, acknowledged: list[str]) -> int:
    """Return how many of the saves are there, each with a number and an object of its own."""
    with ModelManager(directory) as manager:
        listed = {entry["model_id"]: entry for entry in manager.get_model_info()["models"]}
        numbers = {(listed[one]["name"], listed[one]["version"]) for one in acknowledged if one in listed}
        return len({manager.get_model(name, version).intercept_ for name, version in numbers})


def _save(kind: str, directory: Path, number: int, ready: Barrier, told: SimpleQueue[Told]) -> None:
    models = [small_model(number * SAVES + n) for n in range(SAVES)]
    saved: list[str] = []
    manager = ModelManager(directory) if kind == "ours" else None
    raw = RawStore(directory) if kind == "raw" else None
    ready.wait()
    started = time.monotonic()  # the machine's clock, the same for all processes
    for position, model in enumerate(models):
        name = NAMES[position % len(NAMES)]
        if manager is not None:
            with suppress(StorageError):  # is counted as lost
                saved.append(manager.save_model(name, model))
        elif raw is not None:
            raw.save(name, model)
    told.put(Told(started, time.monotonic(), saved))
