"""What do keys and the audit log add?

To a GET: the same request to two servers over the same versions, second by second in turns, one of which
wants a key. To a save and to an activation: with the audit log, and with its entry left out, call by call in
turns.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ai_engine.catalogue.sql.audit import SqlAuditLog
from ai_engine.domain.rights import Rights, Scope
from ai_engine.models import ModelManager
from ai_engine.settings import Settings
from ai_engine.wiring import open_keyring
from benchmarks.filled import small_model
from benchmarks.http import running
from benchmarks.load import load, request
from benchmarks.measure import Answer, Options, alternating, medians

CONNECTIONS = 8
_NAME = "single"


def ask(answer: Answer, options: Options) -> None:
    with options.scratch() as scratch:
        opened, guarded = scratch / "open", scratch / "guarded"
        with ModelManager(opened) as manager:
            manager.save_model(_NAME, small_model(0), metadata={"source": "benchmark"})
        shutil.copytree(opened, guarded)
        with ModelManager(guarded) as manager:
            keyring = open_keyring(manager.registry, Settings(model_dir=str(guarded)))
            key = keyring.create("benchmark", Rights(frozenset({Scope.READ}))).text
        _rates(answer, options, opened, guarded, key)
    with options.scratch() as scratch, ModelManager(scratch) as manager:
        _changes(answer, options, manager)


def _rates(answer: Answer, options: Options, opened: Path, guarded: Path, key: str) -> None:
    path = f"/models/info?name={_NAME}&limit=1"
    with running("ours", opened) as without, running("ours", guarded, "/health") as wanting:
        plain = request("GET", path, without.port)
        with_key = request("GET", path, wanting.port).replace(
            b"\r\n\r\n", f"\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
        )
        rates: tuple[list[float], list[float]] = ([], [])
        for turn in range(2 * options.times(7)):
            pairs = [(wanting.port, with_key, rates[0]), (without.port, plain, rates[1])]
            for port, message, found in pairs if turn % 2 else pairs[::-1]:
                found.append(load(port, message, CONNECTIONS, 1.0).rate)
    answer.add("get", f"GET one version, {CONNECTIONS} connections, beside no key", "answers/s", *rates)


def _changes(answer: Answer, options: Options, manager: ModelManager) -> None:
    append = SqlAuditLog.append

    def without(work: Callable[[], object]) -> None:
        SqlAuditLog.append = lambda *_: None  # type: ignore[method-assign,assignment]  # as if there were none
        try:
            work()
        finally:
            SqlAuditLog.append = append  # type: ignore[method-assign]

    model = small_model(0)
    manager.save_model(_NAME, model)
    manager.save_model(_NAME, model)
    versions = iter(["1.0.0", "1.0.1"] * 100_000)
    save = partial(manager.save_model, _NAME, model, activate=False)

    def activate() -> None:
        manager.activate(_NAME, next(versions))

    for key, what, work in (("activate", "an activation", activate), ("save", "a small save", save)):
        ours, limit = alternating(work, partial(without, work), options.times(15), options.times(40))
        answer.add(key, f"{what}, beside one without an entry", "s", medians(ours), medians(limit))
