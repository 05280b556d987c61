"""Processes write while others checkpoint as we do; the WAL-reset bug would lose commits of theirs.

The bug (sqlite.org/wal.html) needs a checkpoint without the writer's lock to meet a writer that starts the
log anew. Ours hold it. Every process here checkpoints after each third commit, so this happens all the time.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ai_engine.catalogue.sqlite.catalogue import SqliteCatalogue
from ai_engine.directory.ownership import ModelDirectory
from tests.processes.test_many_processes import finish, start

WRITER = """
import sys
from dataclasses import replace
from ai_engine.catalogue.sqlite.catalogue import SqliteCatalogue
from ai_engine.registry.model_cache import PROCESS
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings
from ai_engine.wiring import build_stores, database_path, model_directory
directory, process, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
settings = Settings(model_dir=directory)
sys.stdin.readline()
for opening in range(4):  # closing as the last one checkpoints too
    catalogue = SqliteCatalogue(database_path(settings), model_directory(settings), checkpoint_every=3)
    registry = Registry(replace(build_stores(settings), catalogue=catalogue), PROCESS, "test")
    registry.open()
    for number in range(count // 4):
        registry.save(f"model-{process}", (opening, number))
        print("saved", flush=True)
    registry.close()
"""


def test_no_commit_is_lost_while_the_log_starts_anew(tmp_path: Path) -> None:
    processes = [start(WRITER, tmp_path / "models", n, 200) for n in range(6)]
    results = finish(processes)
    assert [(code, errors) for code, _, errors in results] == [(0, "")] * 6
    acknowledged = sum(output.count("saved") for _, output, _ in results)
    assert acknowledged == 1200
    with sqlite3.connect(tmp_path / "models" / "model_registry.db") as connection:
        assert connection.execute("SELECT COUNT(*) FROM model_registry").fetchone() == (acknowledged,)
        assert connection.execute("SELECT COUNT(*) FROM engine_blobs").fetchone()[0] <= 200
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_automatic_checkpoints_are_off_on_every_connection(tmp_path: Path) -> None:
    connections: list[sqlite3.Connection] = []
    catalogue = SqliteCatalogue(
        str(tmp_path / "catalogue.db"), ModelDirectory(str(tmp_path)), on_connect=connections.append
    )
    with catalogue.write(), catalogue.read():
        for connection in connections[-3:]:  # what asks, what writes and what reads
            assert connection.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    catalogue.close()
