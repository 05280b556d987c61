"""The catalogue in one SQLite file: its transactions, and what they need to be safe.

What is unusual here, and why:

* Only the standard library's sqlite3, and never a plain `open` of the database file in this process: POSIX
  locks belong to the process, and closing any other descriptor of the file drops them.
  The log's index is opened besides, to see commits in it, and never closed: see wal_index.
* The journal is a WAL with synchronous=FULL: one sync a commit. Automatic checkpoints are off and ours hold
  the writer's lock, which defuses the WAL-reset bug of every SQLite before 3.51.3. They reuse the file
  instead of truncating it: overwriting is a third cheaper to sync than growing.
* A writer that has to wait polls with BEGIN IMMEDIATE. SQLite's own busy handler sleeps up to 100 ms at a
  time, and with eight writers most of the time is then spent asleep.
* A transaction takes its connection out of the slot and gives it back when it is clean: whatever interrupts
  it, nobody gets a connection that is inside somebody's transaction.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import NoReturn

from ai_engine.catalogue.protocol import ENGINE
from ai_engine.catalogue.sql.full_list import FullList
from ai_engine.catalogue.sql.snapshot import SqlSnapshot
from ai_engine.catalogue.sql.transaction import SqlTransaction
from ai_engine.catalogue.sqlite.connections import Opening, Slot, close_before_forks
from ai_engine.catalogue.sqlite.file import READ_PATIENCE, DatabaseFile, Guard, code_of, executor, is_damage
from ai_engine.domain.errors import (
    AIEngineError,
    CatalogueCorruptedError,
    CatalogueUnavailableError,
    ClosedError,
    OutcomeUnknownError,
    ReentrantCallError,
    StorageFullError,
)
from ai_engine.domain.locks import Hold

# Commits by this process between two checkpoints, which take 2 ms: until the first one the log grows, and to
# sync what grows costs twice what it costs to sync what is written over.
_CHECKPOINT_EVERY = 250
# A log that killed processes left is worth a checkpoint at opening above this size.
_LARGE_LOG = 64 * 1024 * 1024

_UNUSABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_INTERRUPT,
    }
)


class SqliteCatalogue:
    """See protocol.Catalogue. Nothing is opened before the first call.

    Parameters
    ----------
    path : str
        The database file; made, with its directories, where it does not exist.
    guard : Guard
        Asked before a database is made, and told of every one that is opened.
    lock_timeout : float
        Seconds that a writer waits for the others before it calls the database locked.
    checkpoint_every : int
        Commits between two checkpoints.
    on_connect : callable or None
        Handed every connection that is made.
    """

    def __init__(
        self,
        path: str,
        guard: Guard,
        lock_timeout: float = 10.0,
        checkpoint_every: int = _CHECKPOINT_EVERY,
        on_connect: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:
        self.location = path
        self._model_dir = guard.path
        self._file = DatabaseFile(path, guard, on_connect)
        self._lock_timeout = lock_timeout
        self._checkpoint_every = checkpoint_every
        self._closed = False
        self._openings = 0  # part of the stamp, as data_version starts anew with a connection
        self._commits = 0
        self._suspect = False  # an answer said that the database is damaged
        self._opened: Opening | None = None
        self._full_list = FullList()
        self._opening = threading.RLock()
        self._forking: list[Hold] = []
        self._forked_open: Opening | None = None
        close_before_forks(self)

    # -- reading ---------------------------------------------------------------------------------------------

    def open(self) -> None:
        try:
            self._current()
        except (sqlite3.Error, OSError) as error:
            self._raise(error)

    @property
    def catalogue_id(self) -> str:
        """The id that the first opening gave the catalogue."""
        self.open()
        return self._current().catalogue_id

    @contextmanager
    def read(self) -> Iterator[SqlSnapshot]:
        try:
            stamp = self.stamp()
            with self._reader() as connection:
                connection.execute("BEGIN")
                yield SqlSnapshot(executor(connection), self._model_dir, partial(self._full_list.rows, stamp))
                connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self._raise(error)

    def stamp(self) -> int | None:
        opening = self._opened
        if opening is not None and (known := opening.unchanged()) is not None:
            return known
        try:
            while True:
                opening = self._current()
                hold = opening.watch.hold()
                try:
                    connection = opening.watch.connection
                    if connection is not None:
                        header = opening.header()  # before the question: the answer is as new, or newer
                        version = int(connection.execute("PRAGMA data_version").fetchone()[0])
                        opening.note(header, opening.stamp + version)
                        return opening.stamp + version
                finally:
                    hold.release()
        except (sqlite3.Error, OSError) as error:
            self._raise(error)

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        """Give a connection to read with; one that an error came over is closed."""
        while True:
            opening = self._current()
            slot = opening.take()
            hold = None
            try:
                hold = slot.hold()
                if opening.is_ended:  # closed, or forked, since
                    continue
                if slot.connection is None:
                    slot.connection = self._file.connect_to_read(opening)
                yield slot.connection
            except BaseException:
                slot.close()
                raise
            finally:
                if hold is not None:
                    hold.release()
            opening.give_back(slot)
            return

    # -- writing ---------------------------------------------------------------------------------------------

    @contextmanager
    def write(
        self,
        by: str = ENGINE,
        timeout: float | None = None,
        alone: bool = False,  # noqa: ARG002  # one writer at a time is all that SQLite has
    ) -> Iterator[SqlTransaction]:
        try:
            with self._writer(timeout) as (opening, connection):
                work = SqlTransaction(executor(connection), self._model_dir, by)
                yield work
                self._commit(opening, connection, work)
                self._commits += 1
                if self._commits % self._checkpoint_every == 0:
                    self._checkpoint(connection, "RESTART")
        except (sqlite3.Error, OSError) as error:
            self._raise(error)

    @contextmanager
    def _writer(self, timeout: float | None = None) -> Iterator[tuple[Opening, sqlite3.Connection]]:
        """Give the writer's connection with the write lock held; what is not committed is rolled back."""
        while True:
            opening = self._current()
            slot = opening.writer
            if slot.is_held_here:
                raise ReentrantCallError
            hold = connection = None
            try:
                hold = slot.hold()
                if opening.is_ended:
                    continue
                self._check_files(opening)
                connection = self._begin(slot, self._lock_timeout if timeout is None else timeout)
                yield opening, connection
                return
            finally:
                if connection is not None:
                    _put_back(slot, connection)
                if hold is not None:
                    hold.release()

    def _begin(self, slot: Slot, timeout: float) -> sqlite3.Connection:
        """Take the connection out of its slot and take the write lock."""
        connection, slot.connection = slot.connection, None
        if connection is None:
            connection = self._file.connect(0)
        give_up = time.monotonic() + timeout
        pause = 0.0005
        try:
            while True:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    return connection
                except sqlite3.OperationalError as error:
                    if code_of(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                        raise
                    if time.monotonic() > give_up:
                        raise CatalogueUnavailableError(
                            self.location, f"another program has kept it locked for {timeout:g} s"
                        ) from error
                time.sleep(random.uniform(pause / 2, pause))
                pause = min(pause * 1.2, 0.0015)
        except BaseException:
            _put_back(slot, connection)
            raise

    def _commit(self, opening: Opening, connection: sqlite3.Connection, work: SqlTransaction) -> None:
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            # After a failed sync nothing that this connection says can be relied upon.
            connection.close()
            if code_of(error) == sqlite3.SQLITE_FULL:
                raise  # the log had no room for the commit's last frame, so there is no commit
            if not self._settles_without(work.added):
                raise OutcomeUnknownError(work.added, error) from error
            raise CatalogueUnavailableError(self.location, error) from error
        self._check_files(opening)  # a commit into a file that was just deleted is none

    def _settles_without(self, added: str | None) -> bool:
        """Tell whether a commit that failed is certain not to hold, now or after any crash.

        What it wrote lies in the log behind the last commit that is known. The next commit writes over it, so
        one that succeeds makes an end of it, unless the failed one has become known to anybody before.
        """
        if added is None:
            return False
        try:
            connection = self._file.connect(READ_PATIENCE)
            try:
                connection.execute("BEGIN IMMEDIATE")
                known = connection.execute(
                    "SELECT 1 FROM engine_versions WHERE model_id = :added", {"added": added}
                ).fetchall()
                connection.execute(
                    "INSERT INTO engine_meta (key, value) VALUES ('settled', :added) "
                    "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    {"added": added},
                )
                connection.execute("COMMIT")
            finally:
                connection.close()
        except sqlite3.Error:
            return False
        return not known

    def _checkpoint(self, connection: sqlite3.Connection, mode: str) -> None:
        """Copy the log into the database, holding the writer's lock; given up where readers are in it."""
        with suppress(sqlite3.OperationalError):
            connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()

    def check(self) -> list[str]:
        try:
            with self._reader() as connection:
                found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(100)").fetchall()]
        except (sqlite3.Error, OSError) as error:
            self._raise(error)
        return [] if found == ["ok"] else found

    def copy_to(self, path: str) -> None:
        try:
            with self._reader() as connection:
                target = sqlite3.connect(path, isolation_level=None)
                try:
                    connection.backup(target)
                    target.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, whole in itself
                finally:
                    target.close()
        except (sqlite3.Error, OSError) as error:
            self._raise(error)

    def rehearse(self, work: Callable[[SqlTransaction], None]) -> int:
        try:
            with self._writer() as (_, connection):
                work(SqlTransaction(executor(connection), self._model_dir, ENGINE))
                _shrink(connection)
                pages = int(connection.execute("PRAGMA page_count").fetchone()[0])
                return pages * int(connection.execute("PRAGMA page_size").fetchone()[0])
        except (sqlite3.Error, OSError) as error:
            self._raise(error)

    def reclaim(self) -> None:
        try:
            with self._writer() as (_, connection):
                _shrink(connection)
                connection.execute("COMMIT")
                connection.execute(f"PRAGMA busy_timeout = {int(READ_PATIENCE * 1000)}")
                try:
                    self._checkpoint(connection, "TRUNCATE")
                finally:
                    connection.execute("PRAGMA busy_timeout = 0")
        except (sqlite3.Error, OSError) as error:
            self._raise(error)

    def allocated(self) -> int:
        return self._file.allocated()

    # -- opening and closing ---------------------------------------------------------------------------------

    def _current(self) -> Opening:
        """Return the present opening; open where that is still to do."""
        if self._closed:
            raise ClosedError
        opening = self._opened
        if opening is None:
            return self._open()
        if opening.frozen is not None and opening.frozen != self._file.looks():
            self._retire(opening)
            return self._open()
        return opening

    def _open(self) -> Opening:
        with self._opening:
            if self._closed:
                raise ClosedError
            if self._opened is not None:
                return self._opened
            if self._forked_open is not None:
                raise CatalogueUnavailableError(
                    self.location,
                    "this process was forked in the middle of a transaction. Start another one, and open a "
                    "ModelManager in it",
                )
            try:
                if self._suspect and self._file.is_corrupt():
                    raise CatalogueCorruptedError(self.location, "its structure is damaged")
                opening = self._file.open((self._openings + 1) << 40)
            except BaseException as error:
                if is_damage(error):
                    self._file.set_aside()
                raise
            if opening.refusal is None and os.stat(f"{self.location}-wal").st_size > _LARGE_LOG:
                assert opening.watch.connection is not None  # nobody else has it yet
                self._checkpoint(opening.watch.connection, "RESTART")
            self._openings += 1
            self._suspect = False
            self._opened = opening
            return opening

    def _check_files(self, opening: Opening) -> None:
        """Refuse to write into files that were deleted or replaced under the open connections."""
        if opening.refusal is not None:
            raise CatalogueUnavailableError(self.location, opening.refusal)
        try:
            if self._file.identify() == opening.files:
                return
            problem = "another file has taken its place"
        except FileNotFoundError as error:
            problem = f"{error.filename} is gone"
        self._retire(opening)
        if not os.path.exists(self.location):
            self._file.check_new()  # tells what can be done about it
        raise CatalogueUnavailableError(self.location, problem)

    def _retire(self, opening: Opening) -> None:
        """Let the next use open anew; who is in the middle of using this opening keeps it until then."""
        opening.release()
        if self._opened is opening:
            self._opened = None

    def close(self) -> None:
        self._closed = True
        with self._opening:
            opening, self._opened = self._opened, None
        if opening is not None:
            held, complete = opening.acquire_all(self._lock_timeout)
            try:
                if complete:
                    opening.end()
            finally:
                for hold in held:
                    hold.release()

    def before_fork(self) -> None:
        """Close every connection, and let nobody open one until the fork is done."""
        self._opening.acquire()
        opening = self._opened
        if opening is None:
            return
        self._forking, complete = opening.acquire_all(self._lock_timeout + READ_PATIENCE)
        if complete:
            self._opened = None
            opening.end()

    def after_fork(self, in_child: bool) -> None:
        """Let everybody go on; in the child, whose other threads are gone, with fresh locks."""
        if in_child:
            # Connections that are still open are the parent's: they are neither used nor closed here.
            self._forked_open, self._opened = self._opened, None
            self._opening = threading.RLock()
            self._forking = []
            return
        while self._forking:
            self._forking.pop().release()
        self._opening.release()

    # -- errors ----------------------------------------------------------------------------------------------

    def _raise(self, error: sqlite3.Error | OSError) -> NoReturn:
        """Raise our error for one of the driver's or of the file system's."""
        if isinstance(error, AIEngineError):
            raise error
        code = code_of(error) if isinstance(error, sqlite3.Error) else None
        if code == sqlite3.SQLITE_FULL:
            raise StorageFullError(self.location, error) from error
        if is_damage(error):
            self._suspect = True
            if self._opened is not None:
                self._retire(self._opened)
            raise CatalogueCorruptedError(self.location, error) from error
        if isinstance(error, OSError) or code in _UNUSABLE or "no such table" in str(error):
            raise CatalogueUnavailableError(self.location, error) from error
        raise error


def _put_back(slot: Slot, connection: sqlite3.Connection) -> None:
    """Give a connection back to its slot, outside of any transaction; one that cannot be so is closed."""
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        slot.connection = connection
    except sqlite3.Error:  # closed, after a commit that failed, among others
        with suppress(sqlite3.Error):
            connection.close()


def _shrink(connection: sqlite3.Connection) -> None:
    """Cut free pages off the end of the file, inside the transaction."""
    for _ in range(int(connection.execute("PRAGMA freelist_count").fetchone()[0])):
        connection.execute("PRAGMA incremental_vacuum(1)").fetchall()
