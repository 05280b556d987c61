"""Commits are seen in the index of SQLite's log, and looking there takes no lock from anybody."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ai_engine.catalogue.sqlite import wal_index
from ai_engine.catalogue.sqlite.catalogue import SqliteCatalogue
from ai_engine.directory.ownership import ModelDirectory
from ai_engine.domain import clock

Open = Callable[[], SqliteCatalogue]


@pytest.fixture
def asked() -> list[str]:
    """The statements that were run, oldest first."""
    return []


@pytest.fixture
def open_catalogue(tmp_path: Path, asked: list[str]) -> Iterator[Open]:
    opened: list[SqliteCatalogue] = []

    def trace(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(asked.append)

    def make() -> SqliteCatalogue:
        location = str(tmp_path / "model_registry.db")
        opened.append(SqliteCatalogue(location, ModelDirectory(str(tmp_path)), on_connect=trace))
        opened[-1].catalogue_id  # noqa: B018  # the property opens
        return opened[-1]

    yield make
    for catalogue in opened:
        catalogue.close()


# Commits once for each line that it reads, and says so; another program would do it in the same way.
_COMMITTER = textwrap.dedent(
    """
    import sqlite3, sys
    database = sqlite3.connect(sys.argv[1], isolation_level=None)
    for line in sys.stdin:
        database.execute("INSERT OR REPLACE INTO engine_meta (key, value) VALUES ('test', ?)", (line,))
        if line == "checkpoint\\n":
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        print(line, end="", flush=True)
    """
)


def test_every_commit_of_another_process_is_seen(
    tmp_path: Path, open_catalogue: Open, asked: list[str]
) -> None:
    """By the time it is acknowledged, and SQLite is asked only then."""
    catalogue = open_catalogue()
    stamps = [catalogue.stamp()]
    with subprocess.Popen(
        [sys.executable, "-c", _COMMITTER, tmp_path / "model_registry.db"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as committer:
        assert committer.stdin is not None
        assert committer.stdout is not None
        for number in range(300):
            committer.stdin.write("checkpoint\n" if number % 50 == 49 else f"{number}\n")
            committer.stdin.flush()
            committer.stdout.readline()
            stamps.append(catalogue.stamp())
            asked.clear()
            assert catalogue.stamp() == stamps[-1]
            assert asked == []
        committer.stdin.close()
    assert len(set(stamps)) == len(stamps)


def test_a_commit_of_a_writer_that_was_killed_is_seen(tmp_path: Path, open_catalogue: Open) -> None:
    catalogue = open_catalogue()
    before = catalogue.stamp()
    committer = subprocess.Popen(
        [sys.executable, "-c", _COMMITTER, tmp_path / "model_registry.db"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert committer.stdin is not None
    assert committer.stdout is not None
    committer.stdin.write("last\n")
    committer.stdin.flush()
    committer.stdout.readline()
    committer.kill()
    committer.communicate()
    assert catalogue.stamp() != before
    with catalogue.read() as snapshot:
        assert snapshot._execute("SELECT value FROM engine_meta WHERE key = 'test'") == [("last\n",)]


# Tells whether this process, beside others, could take the lock by which SQLite knows that it is the first.
_FIRST = textwrap.dedent(
    """
    import fcntl, os, sys
    descriptor = os.open(sys.argv[1], os.O_RDWR)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 128)
    except OSError:
        print("others")
    else:
        print("first")
    """
)


def believes(index: Path) -> str:
    """Return whether another process would believe that it is the first, and begin the index anew."""
    done = subprocess.run(
        [sys.executable, "-c", _FIRST, index], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


def test_closing_a_catalogue_takes_no_lock_from_another_one(tmp_path: Path, open_catalogue: Open) -> None:
    """POSIX locks go when any descriptor of their file is closed in the process."""
    index = tmp_path / "model_registry.db-shm"
    first = open_catalogue()
    first.stamp()
    for _ in range(3):
        other = open_catalogue()
        other.stamp()
        other.close()
        del other
        assert believes(index) == "others"
    first.close()
    assert not index.exists()


def test_a_program_of_its_own_connection_keeps_its_locks(tmp_path: Path, open_catalogue: Open) -> None:
    """Though the catalogue was closed that looked at the index."""
    catalogue = open_catalogue()
    catalogue.stamp()
    database = sqlite3.connect(tmp_path / "model_registry.db", isolation_level=None)
    database.execute("SELECT COUNT(*) FROM engine_meta").fetchall()
    catalogue.close()
    assert believes(tmp_path / "model_registry.db-shm") == "others"
    database.close()


def test_nothing_is_kept_of_files_that_are_gone(open_catalogue: Open) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        catalogue = open_catalogue()
        catalogue.stamp()
        catalogue.close()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_catalogues_of_one_file_share_what_they_look_at(open_catalogue: Open) -> None:
    open_catalogue().stamp()
    kept = len(wal_index._KEPT)
    open_catalogue().stamp()
    assert len(wal_index._KEPT) == kept


def test_an_index_of_another_kind_is_not_read(
    open_catalogue: Open, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite is asked each time, and says the same."""
    monkeypatch.setattr(wal_index, "_VERSION", 1)
    watching, writing = open_catalogue(), open_catalogue()
    before = watching.stamp()
    asked.clear()
    assert watching.stamp() == before
    assert asked == ["PRAGMA data_version"]
    with writing.write() as work:
        work.mark_replayed("operation", clock.now())
    assert watching.stamp() != before
