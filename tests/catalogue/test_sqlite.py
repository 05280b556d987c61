"""What SQLite refuses has the right name, and the next call tries again."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from ai_engine.catalogue.sqlite.catalogue import SqliteCatalogue
from ai_engine.directory.ownership import ModelDirectory
from ai_engine.domain.errors import (
    CatalogueUnavailableError,
    ClosedError,
    InvalidInputError,
    OutcomeUnknownError,
    ReentrantCallError,
    StorageFullError,
)
from ai_engine.testing.catalogue_contract import MOMENT, add, insert, new

Open = Callable[..., SqliteCatalogue]


@pytest.fixture
def open_one(tmp_path: Path) -> Iterator[Open]:
    opened: list[SqliteCatalogue] = []

    def open_one(**more: object) -> SqliteCatalogue:
        guard = ModelDirectory(str(tmp_path))
        opened.append(SqliteCatalogue(str(tmp_path / "catalogue.db"), guard, **more))  # type: ignore[arg-type]  # as the test says
        return opened[-1]

    yield open_one
    for catalogue in opened:
        catalogue.close()


class Refusal:
    """Denies statements to the connections that are handed to it, the next so many times."""

    def __init__(self) -> None:
        self.connections: list[sqlite3.Connection] = []
        self.denied: dict[tuple[int, str], int] = {}

    def __call__(self, connection: sqlite3.Connection) -> None:
        self.connections.append(connection)
        connection.set_authorizer(self._look)

    def deny(self, what: tuple[int, str], times: int) -> None:
        self.denied[what] = times
        for connection in self.connections:
            with suppress(sqlite3.ProgrammingError):  # closed
                connection.set_authorizer(self._look)  # what was looked at before is looked at again

    def _look(self, action: int, first: str | None, *_: str | None) -> int:
        left = self.denied.get((action, str(first)), 0)
        self.denied[action, str(first)] = left - 1
        return sqlite3.SQLITE_DENY if left > 0 else sqlite3.SQLITE_OK


COMMIT = (sqlite3.SQLITE_TRANSACTION, "COMMIT")
INSERT = (sqlite3.SQLITE_INSERT, "engine_replayed")


def replay(catalogue: SqliteCatalogue, operation: str) -> None:
    with catalogue.write() as work:
        work.mark_replayed(operation, MOMENT)


def test_a_commit_that_failed_and_was_written_over_is_none(open_one: Open) -> None:
    refusal = Refusal()
    catalogue = open_one(on_connect=refusal)
    add(catalogue, new())
    refusal.deny(COMMIT, 1)
    with pytest.raises(CatalogueUnavailableError):
        add(catalogue, new())
    with catalogue.read() as snapshot:
        assert [version.version for version in snapshot.versions("cpu")] == ["1.0.0"]
    assert add(catalogue, new()).version == "1.0.1"


def test_a_commit_that_failed_and_cannot_be_written_over_is_of_unknown_outcome(open_one: Open) -> None:
    refusal = Refusal()
    catalogue = open_one(on_connect=refusal)
    add(catalogue, new())
    refusal.deny(COMMIT, 2)
    version = new()
    with pytest.raises(OutcomeUnknownError) as caught:
        add(catalogue, version)
    assert version.model_id in str(caught.value)
    refusal.deny(COMMIT, 1)
    with pytest.raises(OutcomeUnknownError):  # nothing tells what was done
        replay(catalogue, "operation")
    replay(catalogue, "operation")


def test_what_is_refused_leaves_the_next_call_whole(open_one: Open) -> None:
    refusal = Refusal()
    catalogue = open_one(on_connect=refusal)
    add(catalogue, new())
    refusal.deny(INSERT, 1)
    with pytest.raises(CatalogueUnavailableError):
        replay(catalogue, "refused")
    replay(catalogue, "taken")
    with catalogue.read() as snapshot:
        assert (snapshot.replayed("refused"), snapshot.replayed("taken")) == (False, True)
    refusal.deny((sqlite3.SQLITE_READ, "engine_models"), 1)
    with pytest.raises(CatalogueUnavailableError), catalogue.read() as snapshot:
        snapshot.names()
    with catalogue.read() as snapshot:
        assert snapshot.names() == ["cpu"]


@pytest.mark.parametrize(
    "use",
    [
        lambda catalogue: catalogue.catalogue_id,
        lambda catalogue: catalogue.stamp(),
        lambda catalogue: catalogue.check(),
        lambda catalogue: catalogue.copy_to(f"{catalogue.location}.copy"),
        lambda catalogue: catalogue.rehearse(lambda work: None),
        lambda catalogue: catalogue.reclaim(),
        lambda catalogue: replay(catalogue, "operation"),
    ],
    ids=["id", "stamp", "check", "copy", "rehearse", "reclaim", "write"],
)
def test_every_call_tells_of_a_database_that_is_gone(open_one: Open, use: Callable[[object], object]) -> None:
    add(open_one(), new())
    catalogue = open_one()
    for suffix in ("", "-wal", "-shm"):
        os.rename(f"{catalogue.location}{suffix}", f"{catalogue.location}{suffix}.away")
    for _ in range(2):
        with pytest.raises(CatalogueUnavailableError, match="deleted or emptied"):
            use(catalogue)
    for suffix in ("", "-wal", "-shm"):
        os.rename(f"{catalogue.location}{suffix}.away", f"{catalogue.location}{suffix}")
    use(catalogue)


def test_a_database_that_may_grow_no_further_is_a_full_disk(open_one: Open) -> None:
    connections: list[sqlite3.Connection] = []
    catalogue = open_one(on_connect=connections.append)
    add(catalogue, new())
    for connection in connections:
        with suppress(sqlite3.ProgrammingError):  # closed
            connection.execute("PRAGMA max_page_count = 1")  # the least that it has
    data = bytes(1_000_000)
    with pytest.raises(StorageFullError), catalogue.write() as work:
        insert(work, new(data=data), data)
    with catalogue.read() as snapshot:
        assert snapshot.count() == 1


def test_a_thread_that_writes_cannot_begin_to_write(open_one: Open) -> None:
    catalogue = open_one()
    with catalogue.write() as work:
        work.mark_replayed("outer", MOMENT)
        with pytest.raises(ReentrantCallError):
            replay(catalogue, "inner")
    with catalogue.read() as snapshot:
        assert snapshot.replayed("outer")


def test_the_log_starts_anew_every_so_many_commits(open_one: Open) -> None:
    """So it stops growing; readers that are gone hold nothing back."""
    sizes = {}
    for every in (1, 5, 1000):
        catalogue = open_one(checkpoint_every=every)
        catalogue.reclaim()
        for number in range(40):
            replay(catalogue, f"{every} {number}")
        sizes[every] = os.path.getsize(f"{catalogue.location}-wal")
        catalogue.close()
    assert sizes[1] < sizes[5] < sizes[1000]


def test_who_waits_for_a_writer_is_told_for_how_long(open_one: Open) -> None:
    catalogue, other = open_one(), open_one(lock_timeout=0.05)
    with catalogue.write(), pytest.raises(CatalogueUnavailableError, match=r"locked for 0\.05 s"):
        replay(other, "operation")
    replay(other, "operation")


def test_closing_waits_for_who_is_reading(open_one: Open) -> None:
    catalogue = open_one()
    add(catalogue, new())
    reading, go_on = threading.Event(), threading.Event()
    seen: list[int] = []

    def read() -> None:
        with catalogue.read() as snapshot:
            reading.set()
            assert go_on.wait(30)
            seen.append(snapshot.count())

    reader = threading.Thread(target=read)
    reader.start()
    assert reading.wait(30)
    closer = threading.Thread(target=catalogue.close)
    closer.start()
    go_on.set()
    reader.join()
    closer.join()
    assert seen == [1]
    with pytest.raises(ClosedError):
        catalogue.stamp()


@pytest.mark.parametrize("size", [2**63 - 1, -(2**63)])
def test_what_no_column_can_hold_is_named(open_one: Open, size: int) -> None:
    catalogue = open_one()
    version = new()
    held = replace(version, model_type=None, artifact=replace(version.artifact, size=size))
    assert add(catalogue, held).artifact.size == size
    beyond = replace(held.artifact, size=size + (1 if size > 0 else -1))
    odd = {
        "size": replace(new(), model_type=None, artifact=beyond),
        "model_type": replace(new(), model_type="\ud800"),
        "format": replace(new(), artifact=replace(held.artifact, format=object())),  # type: ignore[arg-type]  # odd
    }
    for field, refused in odd.items():
        with pytest.raises(InvalidInputError, match="cannot be held") as caught:
            add(catalogue, refused)
        assert caught.value.field == field
    with catalogue.read() as snapshot:
        assert snapshot.count() == 1
