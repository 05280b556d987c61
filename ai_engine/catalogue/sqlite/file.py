"""One SQLite file: made, migrated, connected to, and told from a damaged one."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any, NoReturn, Protocol
from urllib.parse import quote

from ai_engine.catalogue.sql.migrations import migrate
from ai_engine.catalogue.sql.rows import SqlRow
from ai_engine.catalogue.sql.tables import SCHEMA
from ai_engine.catalogue.sqlite.connections import Closable, Opening
from ai_engine.catalogue.sqlite.wal_index import wal_index
from ai_engine.domain.errors import (
    CatalogueCorruptedError,
    CatalogueUnavailableError,
    InvalidInputError,
    NewerCatalogueError,
    StorageError,
    StorageFullError,
)

# A reader waits only where SQLite recovers a log that a killed process left.
READ_PATIENCE = 5.0
# How long the switch to a write-ahead log is tried while others have the file open.
_SWITCH_PATIENCE = 10.0


class Guard(Protocol):
    """Who watches over the directory that belongs to the catalogue.

    Attributes
    ----------
    path : str
        The directory, absolute.
    """

    @property
    def path(self) -> str:
        """The directory."""

    def written_at(self) -> str:
        """Return how the directory was called when the catalogue was opened last."""

    def opening_lock(self) -> AbstractContextManager[None]:
        """Exclude every other process while the database is made or migrated."""

    def check_new(self, location: str) -> None:
        """Raise if a database that has no tables of ours yet may not be put into service."""

    def hold(self) -> Closable:
        """Note that the database is open, until what is returned is closed."""

    def make_room(self) -> bool:
        """Give the disk back what opening a database takes; tell whether there was anything to give."""

    def set_aside(self, location: str, is_corrupt: Callable[[], bool]) -> str | None:
        """Move a damaged database away; return where to, None while somebody else has it open."""

    def claim(self, catalogue_id: str, location: str, relocate: Callable[[str, str], None]) -> None:
        """Raise if the directory belongs to another catalogue; it is this one's from now on.

        `relocate` is called, with the old path and the new one, when the directory was moved or copied.
        """


class DatabaseFile:
    """A database file that may not exist yet, or no longer.

    Parameters
    ----------
    location : str
        Its path.
    guard : Guard
        Asked before it is made, and told of every opening.
    on_connect : callable or None
        Handed every connection that is made.
    """

    def __init__(
        self,
        location: str,
        guard: Guard,
        on_connect: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:
        self.location = location
        self._log = f"{location}-wal"
        self._guard = guard
        self._on_connect = on_connect

    def open(self, stamp: int) -> Opening:
        """Open the database, and make or migrate it first; one that may not be written is opened to read."""
        if self._may_write():
            try:
                return self._open_to_write(stamp)
            except (sqlite3.OperationalError, StorageError) as error:
                # Even to open takes a little room, for the log and its index.
                if not (_is_refusal(error) and self._guard.make_room()):
                    raise
            return self._open_to_write(stamp)
        if not os.path.exists(self.location):
            raise CatalogueUnavailableError(self.location, "it does not exist and cannot be made here")
        return self._open_to_read(stamp)

    def check_new(self) -> None:
        """Raise what there is to say of a database that is not there, if the directory belonged to one."""
        self._guard.check_new(self.location)

    def _may_write(self) -> bool:
        """Tell whether the file may be written, or made; its directory, too, for the log stands beside it."""
        directory = os.path.dirname(self.location)
        while not os.path.exists(directory):
            directory = os.path.dirname(directory)
        file = self.location
        return os.access(directory, os.W_OK) and (not os.path.exists(file) or os.access(file, os.W_OK))

    def _open_to_write(self, stamp: int) -> Opening:
        hold, connection = None, None
        try:
            hold = self._guard.hold()
            connection = self._try_current()
            if connection is None:
                with self._guard.opening_lock():
                    connection = self._try_current() or self._create_or_migrate()
            catalogue_id = _catalogue_id(connection)
            self._guard.claim(catalogue_id, self.location, _relocator(connection))
            opening = Opening(stamp, catalogue_id, connection, hold)
            opening.files = self.identify()
            with suppress(OSError, ValueError):  # then SQLite is asked
                opening.index = wal_index(f"{self.location}-shm")
            return opening
        except BaseException:
            if connection is not None:
                connection.close()
            if hold is not None:
                hold.close()
            raise

    # -- without writing -------------------------------------------------------------------------------------

    def _open_to_read(self, stamp: int) -> Opening:
        """Open a database beside which nothing can be written.

        SQLite needs the log's index. Where another process has one, it is shared. Where there is none and no
        log, nobody is writing, and the file is read as it is. Where a killed process left a log, its commits
        count: both are copied to where the index can be made.
        """
        copy = frozen = None
        try:
            if os.path.exists(f"{self.location}-shm"):
                connection = self._connect(f"file:{quote(self.location)}?mode=ro", READ_PATIENCE)
                self._check_schema(connection)
            else:
                frozen = self.looks()
                readable = f"file:{quote(self.location)}?immutable=1"
                if os.path.exists(self._log) and os.path.getsize(self._log):
                    import shutil
                    from tempfile import TemporaryDirectory  # rarely needed, and slow to import

                    copy = TemporaryDirectory(prefix="ai-engine-")
                    target = f"{copy.name}/{os.path.basename(self.location)}"
                    shutil.copyfile(self.location, target)
                    shutil.copyfile(self._log, f"{target}-wal")
                    readable = f"file:{quote(target)}?mode=rw"
                connection = self._connect(readable, READ_PATIENCE)
                self._check_schema(connection)
            opening = Opening(stamp, _catalogue_id(connection), connection, self._guard.hold())
        except sqlite3.OperationalError as error:
            raise CatalogueUnavailableError(
                self.location, f"it may not be written here, and cannot be read without that ({error})"
            ) from error
        opening.frozen, opening.copy = frozen, copy
        opening.refusal = f"{os.path.dirname(self.location)} may not be written by this process"
        opening.readable = None if frozen is None else readable
        return opening

    def _check_schema(self, connection: sqlite3.Connection) -> None:
        schema = _schema(connection)
        if schema > SCHEMA:
            raise NewerCatalogueError(self.location, schema, SCHEMA)
        if schema < SCHEMA:
            raise CatalogueUnavailableError(
                self.location,
                "an earlier version wrote it, and it may not be written here; open it once where it may",
            )

    def looks(self) -> tuple[object, ...]:
        """Return what changes whenever anybody writes the file or its log."""
        found: list[object] = []
        for path in (self.location, self._log):
            with suppress(FileNotFoundError):
                stat = os.stat(path)
                found += (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
        return tuple(found)

    def connect_to_read(self, opening: Opening) -> sqlite3.Connection:
        """Return another connection of an opening, for a reader."""
        if opening.refusal is None:
            return self.connect(READ_PATIENCE)
        readable = opening.readable or f"file:{quote(self.location)}?mode=ro"
        return self._connect(readable, READ_PATIENCE)

    # -- making and migrating --------------------------------------------------------------------------------

    def _try_current(self) -> sqlite3.Connection | None:
        """Return a connection where the database is of the present schema, None where there is work to do."""
        if not os.path.exists(self.location):
            return None
        connection = self.connect(READ_PATIENCE)
        try:
            schema = _schema(connection)
            if schema > SCHEMA:
                raise NewerCatalogueError(self.location, schema, SCHEMA)
            if schema == SCHEMA and connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
                return connection
        except BaseException:
            connection.close()
            raise
        connection.close()
        return None

    def _create_or_migrate(self) -> sqlite3.Connection:
        if not self._has_tables():
            self._guard.check_new(self.location)
        os.makedirs(os.path.dirname(self.location), exist_ok=True)
        connection = self.connect(READ_PATIENCE, create=True)
        try:
            # Only from the first page on, or by rewriting the file, which a database of the original gets.
            if connection.execute("PRAGMA auto_vacuum").fetchone()[0] != 2:
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                connection.execute("VACUUM")
            self._switch_to_log(connection)
            connection.execute("BEGIN IMMEDIATE")
            migrate(executor(connection), _schema(connection), self._guard.written_at())
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        connection.close()
        current = self._try_current()
        if current is None:
            raise CatalogueUnavailableError(
                self.location, "it does not keep a write-ahead log on this file system"
            )
        return current

    def _has_tables(self) -> bool:
        """Tell whether there is a database that was in service before."""
        if not os.path.exists(self.location):
            return False
        connection = self.connect(READ_PATIENCE)
        try:
            return _schema(connection) > 0
        finally:
            connection.close()

    def _switch_to_log(self, connection: sqlite3.Connection) -> None:
        give_up = time.monotonic() + _SWITCH_PATIENCE
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL").fetchall()
                return
            except sqlite3.OperationalError as error:  # no busy handler runs for this one
                if code_of(error) != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                    raise
            time.sleep(0.005)

    def connect(self, patience: float, create: bool = False) -> sqlite3.Connection:
        """Return a connection that waits so many seconds for a lock."""
        return self._connect(f"file:{quote(self.location)}?mode={'rwc' if create else 'rw'}", patience)

    def _connect(self, address: str, patience: float) -> sqlite3.Connection:
        connection = sqlite3.connect(
            address,
            uri=True,
            timeout=patience,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute("PRAGMA foreign_keys = ON")
            # Debian turns it on: forgetting 100 KB would write 100 KB of zeros, on a disk that may be full.
            connection.execute("PRAGMA secure_delete = OFF")
            if self._on_connect is not None:
                self._on_connect(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def set_aside(self) -> None:
        """Move it away if it is damaged and nobody has it open; raises to say that it did."""
        aside = self._guard.set_aside(self.location, self.is_corrupt)
        if aside is not None:
            raise CatalogueUnavailableError(
                self.location,
                f"it was damaged and is kept in {aside}. Restore a backup, or rebuild it from the files with "
                "`ai-engine doctor --rebuild`",
            )

    def is_corrupt(self) -> bool:
        """Take a second look: read the whole structure. No other failure counts as damage."""
        try:
            connection = self.connect(READ_PATIENCE)
            try:
                return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")
            finally:
                connection.close()
        except sqlite3.Error as error:
            return is_damage(error)

    def identify(self) -> tuple[tuple[int, int], ...]:
        """Return what tells the file and its log from others of the same names."""
        file, log = os.stat(self.location), os.stat(self._log)
        return (file.st_dev, file.st_ino), (log.st_dev, log.st_ino)

    def allocated(self) -> int:
        """Return the bytes that it takes on the disk, its log included."""
        taken = 0
        for path in (self.location, f"{self.location}-wal"):
            with suppress(FileNotFoundError):
                taken += os.stat(path).st_blocks * 512
        return taken


def executor(connection: sqlite3.Connection) -> Callable[..., list[SqlRow]]:
    """Return what runs a statement over a connection."""

    def execute(statement: str, parameters: Mapping[str, Any] | None = None) -> list[SqlRow]:
        try:
            return connection.execute(statement, parameters or {}).fetchall()
        except sqlite3.OperationalError as error:
            if "Could not decode to UTF-8" not in str(error):
                raise
        except (sqlite3.ProgrammingError, sqlite3.InterfaceError, OverflowError, UnicodeEncodeError) as error:
            _refuse(parameters or {}, error)
        connection.text_factory = _tolerant
        try:
            return connection.execute(statement, parameters or {}).fetchall()
        finally:
            connection.text_factory = str

    return execute


def _refuse(parameters: Mapping[str, Any], error: Exception) -> NoReturn:
    """Raise InvalidInputError for the value that no column can hold; the driver's error if there is none."""
    for name, value in parameters.items():
        try:
            fits = value is None or isinstance(value, (float, bytes)) or _fits(value)
        except UnicodeEncodeError:
            fits = False
        if not fits:
            told = f"{value!r:.80} cannot be held by the database"
            raise InvalidInputError(name, f"{told}; give text or a number of 64 bits") from error
    raise error


def _fits(value: object) -> bool:
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return isinstance(value, str) and bool(value.encode() or True)


def _tolerant(text: bytes) -> str:
    """Read what another program wrote as text and is none."""
    return text.decode(errors="replace")


def _schema(connection: sqlite3.Connection) -> int:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'engine_meta'").fetchall():
        return 0
    return int(connection.execute("SELECT value FROM engine_meta WHERE key = 'schema'").fetchone()[0])


def _catalogue_id(connection: sqlite3.Connection) -> str:
    return str(connection.execute("SELECT value FROM engine_meta WHERE key = 'catalogue_id'").fetchone()[0])


def _is_refusal(error: sqlite3.Error | StorageError) -> bool:
    """Tell whether an error may be the disk's having no room: SQLite has several names for that."""
    if isinstance(error, sqlite3.Error):
        return code_of(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
    return isinstance(error, StorageFullError)


def _relocator(connection: sqlite3.Connection) -> Callable[[str, str], None]:
    def relocate(old: str, new: str) -> None:
        # Only for other programs: ours read the path within the directory.
        connection.execute(
            "UPDATE model_registry SET model_path = :new || substr(model_path, length(:old) + 1) "
            "WHERE substr(model_path, 1, length(:old) + 1) = :old || '/'",
            {"old": old, "new": new},
        )

    return relocate


def is_damage(error: BaseException) -> bool:
    """Tell whether an error says that the database's own bytes are damaged."""
    if isinstance(error, sqlite3.Error):
        return code_of(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    return isinstance(error, CatalogueCorruptedError)


def code_of(error: sqlite3.Error) -> int | None:
    """Return the primary error code."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
