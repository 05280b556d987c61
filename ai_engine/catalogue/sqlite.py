"""The catalogue in one SQLite file: its connections and transactions, and what they need to be safe.

What is unusual here, and why:

* Only the standard library's sqlite3, and never a plain `open` of the database file in this process: POSIX
  locks belong to the process, and closing any other descriptor of the file drops them.
* Before a fork every connection is closed, and reopened on both sides when next needed. A child that opens
  the file while it inherits SQLite's idea of which locks are held holds none in truth.
* The journal is a WAL with synchronous=FULL: one sync a commit. Automatic checkpoints are off and ours hold
  the writer's lock, which defuses the WAL-reset bug of every SQLite before 3.51.3. They reuse the file
  instead of truncating it: overwriting is a third cheaper to sync than growing.
* A writer that has to wait polls with BEGIN IMMEDIATE. SQLite's own busy handler sleeps up to 100 ms at a
  time, and with eight writers most of the time is then spent asleep.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from weakref import WeakSet

from ai_engine.catalogue.snapshot import SqlSnapshot
from ai_engine.catalogue.sqlite_file import READ_PATIENCE, DatabaseFile, Guard, code_of, executor, is_damage
from ai_engine.catalogue.transaction import SqlTransaction
from ai_engine.domain.errors import (
    AIEngineError,
    CatalogueCorruptedError,
    CatalogueUnavailableError,
    ClosedError,
    OutcomeUnknownError,
    StorageFullError,
)

# How long a writer waits for the others before it calls the database locked.
PATIENCE = 10.0
# Commits by this process between two checkpoints, which take 2 ms: until the first one the log grows, and to
# sync what grows costs twice what it costs to sync what is written over.
_CHECKPOINT_EVERY = 250
# A log that killed processes left is worth a checkpoint at opening above this size.
_LARGE_LOG = 64 * 1024 * 1024
_MAX_IDLE = 8

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
    """

    def __init__(self, path: str, guard: Guard) -> None:
        self.location = path
        self._file = DatabaseFile(path, guard)
        self._catalogue_id: str | None = None
        self._closed = False
        self._opened = 0  # how many times; part of the stamp, as data_version starts anew with a connection
        self._commits = 0
        self._suspect = False  # an answer said that the database is damaged
        self._reset()
        _CATALOGUES.add(self)

    def _reset(self) -> None:
        """Start without connections and with fresh locks, as at first and in a forked child."""
        self._gate = threading.Condition()  # guards the fields below
        self._users = 0
        self._idle: list[sqlite3.Connection] = []
        self._watch: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._retired: list[sqlite3.Connection] = []  # to be closed once nobody uses any
        self._release: Callable[[], None] | None = None
        self._files: tuple[tuple[int, int], ...] | None = None
        self._turn = threading.Lock()  # held by the one writer of this process
        self._opening = threading.Lock()

    # -- reading ---------------------------------------------------------------------------------------------

    @property
    def catalogue_id(self) -> str:
        """The id that the first opening gave the catalogue. Opens it where it is not yet."""
        with self._translated(), self._using():
            assert self._catalogue_id is not None  # set by the opening
            return self._catalogue_id

    @contextmanager
    def read(self) -> Iterator[SqlSnapshot]:
        with self._translated(), self._using(), self._reader() as connection:
            connection.execute("BEGIN")
            yield SqlSnapshot(executor(connection))
            connection.execute("COMMIT")

    def stamp(self) -> int | None:
        with self._translated(), self._using():
            assert self._watch is not None  # set by the opening
            return (self._opened << 40) + int(self._watch.execute("PRAGMA data_version").fetchone()[0])

    @contextmanager
    def _using(self) -> Iterator[None]:
        """Keep a fork and a close waiting while connections are in use; open where that is still to do."""
        with self._gate:
            if self._closed:
                raise ClosedError
            self._users += 1
        try:
            if self._watch is None:
                self._open()
            yield
        finally:
            with self._gate:
                self._users -= 1
                if not self._users:
                    self._close_retired()
                self._gate.notify_all()

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        with self._gate:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._file.connect(READ_PATIENCE)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._gate:
            keep = len(self._idle) < _MAX_IDLE
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()

    # -- writing ---------------------------------------------------------------------------------------------

    @contextmanager
    def write(self) -> Iterator[SqlTransaction]:
        with self._translated(), self._using(), self._turn:
            connection = self._begin()
            work = SqlTransaction(executor(connection))
            try:
                yield work
            except BaseException:
                self._roll_back(connection)
                raise
            self._commit(connection, work)
            self._commits += 1
            if self._commits % _CHECKPOINT_EVERY == 0:
                self._checkpoint(connection, "RESTART")

    def _begin(self) -> sqlite3.Connection:
        """Return the writer's connection with the write lock held."""
        self._check_files()
        connection = self._writer
        if connection is None:
            connection = self._writer = self._file.connect(0)
        give_up = time.monotonic() + PATIENCE
        pause = 0.0005
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return connection
            except sqlite3.OperationalError as error:
                if code_of(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    raise
                if time.monotonic() > give_up:
                    raise CatalogueUnavailableError(
                        self.location, f"another program has kept it locked for {PATIENCE:.0f} s"
                    ) from error
            time.sleep(random.uniform(pause / 2, pause))
            pause = min(pause * 1.2, 0.0015)

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._abandon_writer()

    def _commit(self, connection: sqlite3.Connection, work: SqlTransaction) -> None:
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            # After a failed sync nothing that this connection says can be relied upon.
            self._abandon_writer()
            if code_of(error) == sqlite3.SQLITE_FULL:
                raise  # the log had no room for the commit's last frame, so there is no commit
            if not self._settles_without(work.added):
                raise OutcomeUnknownError(work.added, error) from error
            raise CatalogueUnavailableError(self.location, error) from error
        self._check_files()  # a commit into a file that was just deleted is none

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

    def _abandon_writer(self) -> None:
        connection, self._writer = self._writer, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _checkpoint(self, connection: sqlite3.Connection, mode: str) -> None:
        """Copy the log into the database, holding the writer's lock; given up where readers are in it."""
        with suppress(sqlite3.OperationalError):
            connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()

    def check(self) -> list[str]:
        with self._translated(), self._using(), self._reader() as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(100)").fetchall()]
        return [] if found == ["ok"] else found

    def copy_to(self, path: str) -> None:
        with self._translated(), self._using(), self._reader() as connection:
            target = sqlite3.connect(path, isolation_level=None)
            try:
                connection.backup(target)
                target.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, whole in itself
            finally:
                target.close()

    def rehearse(self, work: Callable[[SqlTransaction], None]) -> int:
        with self._translated(), self._using(), self._turn:
            connection = self._begin()
            try:
                work(SqlTransaction(executor(connection)))
                while connection.execute("PRAGMA freelist_count").fetchone()[0]:
                    connection.execute("PRAGMA incremental_vacuum")  # one page a call, inside the transaction
                pages = int(connection.execute("PRAGMA page_count").fetchone()[0])
                return pages * int(connection.execute("PRAGMA page_size").fetchone()[0])
            finally:
                self._roll_back(connection)

    def reclaim(self) -> None:
        with self._translated(), self._using(), self._turn:
            connection = self._begin()
            self._roll_back(connection)
            connection.execute(f"PRAGMA busy_timeout = {int(READ_PATIENCE * 1000)}")
            # A row without columns for every page: `execute` would stop after the first one.
            connection.executescript("PRAGMA incremental_vacuum")
            self._checkpoint(connection, "TRUNCATE")
            connection.execute("PRAGMA busy_timeout = 0")

    def allocated(self) -> int:
        return self._file.allocated()

    # -- opening and closing ---------------------------------------------------------------------------------

    def _open(self) -> None:
        with self._opening:
            if self._watch is not None:
                return
            release = self._file.guard.hold()
            connection = None
            try:
                if self._suspect and self._file.is_corrupt():
                    raise CatalogueCorruptedError(self.location, "its structure is damaged")
                connection, self._catalogue_id = self._file.open()
                self._files = self._file.identify()
                if os.stat(f"{self.location}-wal").st_size > _LARGE_LOG:
                    self._checkpoint(connection, "RESTART")
            except BaseException as error:
                if connection is not None:
                    connection.close()
                release()
                if is_damage(error):
                    self._file.set_aside()
                raise
            self._opened += 1
            self._release = release
            self._watch = connection
            self._suspect = False

    def _check_files(self) -> None:
        """Refuse to write into files that were deleted or replaced under the open connections."""
        try:
            if self._file.identify() == self._files:
                return
            problem = "another file has taken its place"
        except FileNotFoundError as error:
            problem = f"{error.filename} is gone"
        self._retire()
        if not os.path.exists(self.location):
            self._file.guard.check_new(self.location)  # tells what can be done about it
        raise CatalogueUnavailableError(self.location, problem)

    def _retire(self) -> None:
        """Let the next use open anew; others may be in the middle of using what there is."""
        with self._gate:
            self._retired += [c for c in (*self._idle, self._watch, self._writer) if c is not None]
            self._idle, self._watch, self._writer, self._files = [], None, None, None
            if self._release is not None:
                self._release()
                self._release = None

    def _close_retired(self) -> None:
        """Close what was retired. The gate is held, and nobody uses a connection."""
        while self._retired:
            with suppress(sqlite3.Error):
                self._retired.pop().close()

    def _disconnect(self) -> None:
        """Close every connection. The gate is held, and nobody uses one."""
        self._retire()
        self._close_retired()

    def close(self) -> None:
        with self._gate:
            self._closed = True
            if self._gate.wait_for(lambda: self._users == 0, timeout=PATIENCE):
                self._disconnect()

    def before_fork(self) -> None:
        """Let go of every connection and let nobody take one until the fork is done."""
        self._gate.acquire()
        if self._gate.wait_for(lambda: self._users == 0, timeout=PATIENCE):
            self._disconnect()

    def after_fork_in_parent(self) -> None:
        """Let everybody go on."""
        self._gate.release()

    def after_fork_in_child(self) -> None:
        """Start anew: the threads that could hold the locks do not exist here."""
        self._reset()

    # -- errors ----------------------------------------------------------------------------------------------

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the driver's errors, and the file system's, into ours."""
        try:
            yield
        except AIEngineError:
            raise
        except sqlite3.Error as error:
            code = code_of(error)
            if code == sqlite3.SQLITE_FULL:
                raise StorageFullError(self.location, error) from error
            if is_damage(error):
                self._suspect = True
                self._retire()
                raise CatalogueCorruptedError(self.location, error) from error
            if code in _UNUSABLE or "no such table" in str(error):
                raise CatalogueUnavailableError(self.location, error) from error
            raise
        except OSError as error:
            raise CatalogueUnavailableError(self.location, error) from error


_CATALOGUES: WeakSet[SqliteCatalogue] = WeakSet()
_FORKING: list[SqliteCatalogue] = []


def _before_fork() -> None:
    _FORKING.extend(_CATALOGUES)
    for catalogue in _FORKING:
        catalogue.before_fork()


def _after_fork_in_parent() -> None:
    while _FORKING:
        _FORKING.pop().after_fork_in_parent()


def _after_fork_in_child() -> None:
    while _FORKING:
        _FORKING.pop().after_fork_in_child()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
)
