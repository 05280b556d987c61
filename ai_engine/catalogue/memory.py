"""A catalogue without a file: for tests, and as the plainest example of what a catalogue has to do.

It is a SQLite database of which each transaction has a copy of its own; a commit puts the copy in the place
of the original. So a reader sees one moment, and what raised leaves nothing. It is slow with many versions.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from ai_engine.catalogue.protocol import ENGINE
from ai_engine.catalogue.sql.migrations import migrate
from ai_engine.catalogue.sql.snapshot import SqlSnapshot
from ai_engine.catalogue.sql.transaction import SqlTransaction
from ai_engine.catalogue.sqlite.file import executor
from ai_engine.domain.errors import CatalogueUnavailableError, ClosedError, ReentrantCallError

_PATIENCE = 10.0


class MemoryDatabase:
    """What catalogues share that are opened one after the other, or at once.

    Parameters
    ----------
    model_dir : str
        What the paths of version files begin with.
    """

    def __init__(self, model_dir: str) -> None:
        self.model_dir = model_dir
        self.lock = threading.Lock()  # of the one who writes
        self.stamp = 1
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            execute = executor(connection)
            migrate(execute, 0, model_dir)
            ((catalogue_id,),) = execute("SELECT value FROM engine_meta WHERE key = 'catalogue_id'")
            self.catalogue_id = str(catalogue_id)
            self.image = connection.serialize()

    def put(self, connection: sqlite3.Connection) -> None:
        """Let everybody see what a connection has. The caller has the lock."""
        self.image = connection.serialize()
        self.stamp += 1


class MemoryCatalogue:
    """See protocol.Catalogue. Threads may share it, processes cannot.

    Parameters
    ----------
    database : MemoryDatabase
        The rows.
    """

    location = "memory"

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._writing = 0  # the thread that does
        self._closed = False

    def open(self) -> None:
        """See protocol.Catalogue."""
        if self._closed:
            raise ClosedError

    @property
    def catalogue_id(self) -> str:
        """See protocol.Catalogue."""
        return self._database.catalogue_id

    @contextmanager
    def read(self) -> Iterator[SqlSnapshot]:
        """See protocol.Catalogue."""
        with self._copy() as connection:
            yield SqlSnapshot(executor(connection), self._database.model_dir)

    @contextmanager
    def write(
        self,
        by: str = ENGINE,
        timeout: float | None = None,
        alone: bool = False,  # noqa: ARG002  # there is one writer at a time
    ) -> Iterator[SqlTransaction]:
        """See protocol.Catalogue."""
        with self._writing_alone(timeout), self._copy() as connection:
            yield SqlTransaction(executor(connection), self._database.model_dir, by)
            self._database.put(connection)

    @contextmanager
    def _writing_alone(self, timeout: float | None) -> Iterator[None]:
        me = threading.get_ident()
        if self._writing == me:
            raise ReentrantCallError
        patience = _PATIENCE if timeout is None else timeout
        if not self._database.lock.acquire(timeout=patience):
            raise CatalogueUnavailableError(
                self.location, f"another thread has kept it locked for {patience:g} s"
            )
        try:
            self._writing = me
            yield
        finally:
            self._writing = 0
            self._database.lock.release()

    @contextmanager
    def _copy(self) -> Iterator[sqlite3.Connection]:
        if self._closed:
            raise ClosedError
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        try:
            connection.deserialize(self._database.image)
            connection.execute("PRAGMA foreign_keys = ON")
            yield connection
        finally:
            connection.close()

    def stamp(self) -> int | None:
        """See protocol.Catalogue."""
        if self._closed:
            raise ClosedError
        return self._database.stamp

    def check(self) -> list[str]:
        """See protocol.Catalogue."""
        with self._copy() as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(100)").fetchall()]
        return [] if found == ["ok"] else found

    def copy_to(self, path: str) -> None:
        """See protocol.Catalogue."""
        with self._copy() as connection, closing(sqlite3.connect(path)) as target:
            connection.backup(target)

    def rehearse(self, work: Callable[[SqlTransaction], None]) -> int:
        """See protocol.Catalogue."""
        with self._copy() as connection:
            work(SqlTransaction(executor(connection), self._database.model_dir, ENGINE))
            connection.execute("VACUUM")
            return len(connection.serialize())

    def reclaim(self) -> None:
        """See protocol.Catalogue."""
        with self._writing_alone(None), self._copy() as connection:
            connection.execute("VACUUM")
            self._database.put(connection)

    def allocated(self) -> int:
        """See protocol.Catalogue."""
        return len(self._database.image)

    def close(self) -> None:
        """See protocol.Catalogue."""
        self._closed = True
