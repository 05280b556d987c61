"""Processes write while others checkpoint as we do; the WAL-reset bug would lose commits of theirs.

The bug (sqlite.org/wal.html) needs a checkpoint without the writer's lock to meet a writer that starts the
log anew. Ours hold it. Every process here checkpoints after each third commit, so this happens all the time.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.processes.test_many_processes import finish, start

WRITER = """
import sys
import ai_engine.catalogue.sqlite as catalogue
catalogue._CHECKPOINT_EVERY = 3
from ai_engine.models import ModelManager
directory, process, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sys.stdin.readline()
for opening in range(4):  # closing as the last one checkpoints too
    with ModelManager(directory) as manager:
        for number in range(count // 4):
            manager.save_model(f"model-{process}", (opening, number))
            print("saved", flush=True)
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
    from ai_engine.artifacts.directory import ModelDirectory
    from ai_engine.catalogue.sqlite import SqliteCatalogue

    catalogue = SqliteCatalogue(str(tmp_path / "catalogue.db"), ModelDirectory(str(tmp_path)))
    with catalogue.write(), catalogue.read():
        connections = [catalogue._watch, catalogue._writer, *catalogue._idle]
        assert len(connections) >= 2
        for connection in connections:
            assert connection is not None
            assert connection.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    catalogue.close()
