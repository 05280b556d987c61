"""The connections to one SQLite file: who uses which, and what becomes of them when a process forks.

A connection is in a slot, and whoever uses it holds the slot's lock. So to have all locks is to know that
nobody uses any, which is what closing and forking ask for. An interrupt may come at any line, so nothing is
given back by a line of code alone: a slot that nobody refers to closes its connection.

Before a fork every connection is closed, and reopened on both sides when next needed. A child that opens the
file while it inherits SQLite's idea of which locks are held holds none in truth.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet, ref

from ai_engine.catalogue.sqlite.wal_index import HEADER, WalIndex, forget_gone
from ai_engine.domain.locks import Hold

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

_MAX_IDLE = 8


class Closable(Protocol):
    """What is held for as long as a database is open."""

    def close(self) -> None:
        """Let go of it."""


class Slot:
    """A place for a connection.

    Attributes
    ----------
    lock : Lock
        Whoever holds it may use the connection.
    connection : Connection or None
        None before the first use, and while a transaction has taken it out.
    """

    connection: sqlite3.Connection | None = None

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._mine = threading.local()

    def hold(self) -> Hold:
        """Take the lock for this thread."""
        hold = Hold(self.lock)
        self._mine.hold = ref(hold)  # before it is taken: a signal handler may run in between
        hold.acquire()
        self._mine.hold = ref(hold)  # again: one that ran while this waited has noted its own
        return hold

    @property
    def is_held_here(self) -> bool:
        """Whether it is this thread that holds the lock."""
        noted: ref[Hold] | None = getattr(self._mine, "hold", None)
        hold = None if noted is None else noted()
        return hold is not None and hold.is_held

    def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def __del__(self) -> None:
        self.close()


class Opening:
    """One opening of the file.

    Attributes
    ----------
    stamp : int
        The part of the catalogue's stamp that tells this opening from those before.
    catalogue_id : str
        What the database says of itself.
    writer, watch : Slot
        That of the process's one writer, and that of the connection that tells whether others have written.
    files : tuple or None
        What tells the database and its log from others of the same names.
    frozen : tuple or None
        Of a file that is read without its log: how it looked. Whatever differs from that is not seen.
    readable, copy : str, TemporaryDirectory or None
        Of such a file: how SQLite is told to read it, and the copy that it reads, if it does.
    refusal : str or None
        Why nothing can be written; None where it can.
    index : WalIndex or None
        By which it is seen that nobody has committed, where that can be seen.
    is_ended : bool
        Whether its connections are closed for good.
    """

    def __init__(self, stamp: int, catalogue_id: str, watch: sqlite3.Connection, hold: Closable) -> None:
        self.stamp, self.catalogue_id, self._hold = stamp, catalogue_id, hold
        self.watch, self.writer = Slot(), Slot()
        self.watch.connection = watch
        self.files: tuple[tuple[int, int], ...] | None = None
        self.frozen: tuple[object, ...] | None = None
        self.readable: str | None = None
        self.copy: TemporaryDirectory[str] | None = None
        self.refusal: str | None = None
        self.is_ended = False
        self.index: WalIndex | None = None
        self._seen: tuple[bytes, int] = (b"", 0)
        self._making = threading.Lock()
        self._idle: list[Slot] = []
        self._slots: WeakSet[Slot] = WeakSet((self.watch, self.writer))

    def unchanged(self) -> int | None:
        """Return the stamp that was noted last, if it is seen that nobody has committed since."""
        index = self.index
        if index is not None and index.view is not None:
            header, stamp = self._seen
            if index.view[HEADER] == header:
                return stamp
        return None

    def header(self) -> bytes:
        """Return what changes with every commit; nothing where that cannot be seen."""
        return b"" if self.index is None or self.index.view is None else self.index.view[HEADER]

    def note(self, header: bytes, stamp: int) -> None:
        """Remember the stamp that was asked for after the header was looked at."""
        self._seen = header, stamp

    def take(self) -> Slot:
        """Return a slot for a reader, which nobody else is given until it is given back."""
        with suppress(IndexError):
            return self._idle.pop()
        slot = Slot()
        hold = Hold(self._making).acquire()
        try:
            self._slots.add(slot)
        finally:
            hold.release()
        return slot

    def give_back(self, slot: Slot) -> None:
        """Let others have a slot whose connection is in order."""
        if len(self._idle) < _MAX_IDLE:
            self._idle.append(slot)

    def acquire_all(self, timeout: float) -> tuple[list[Hold], bool]:
        """Wait until nobody uses a connection; return what is held now, and whether that is every lock."""
        give_up = time.monotonic() + timeout
        held, complete = [Hold(self._making).acquire()], True  # nobody gets a new slot
        for slot in (self.writer, *(self._slots - {self.writer})):
            hold = Hold(slot.lock)
            if not slot.is_held_here:
                held.append(hold.acquire(max(0.0, give_up - time.monotonic())))
            complete = complete and hold.is_held
        return held, complete

    def release(self) -> None:
        """Note no longer that the file is open, for whoever finds it damaged and moves it away."""
        self._hold.close()

    def end(self) -> None:
        """Close every connection. The caller has all locks."""
        self.is_ended = True
        self._idle.clear()
        for slot in tuple(self._slots):
            slot.close()
        self.index = None
        forget_gone()
        self._remove_copy()
        self.release()

    def _remove_copy(self) -> None:
        if self.copy is not None:
            self.copy.cleanup()

    def __del__(self) -> None:
        self._remove_copy()


class Forkable(Protocol):
    """What has connections."""

    def before_fork(self) -> None:
        """Close every connection, and let nobody open one until the fork is done."""

    def after_fork(self, in_child: bool) -> None:
        """Let everybody go on; in the child, whose other threads are gone, with fresh locks."""


_FORKABLE: WeakSet[Forkable] = WeakSet()
_ONE_AT_A_TIME = threading.Lock()  # two threads that fork would wait for each other's connections
_PREPARED: list[Forkable] = []


def close_before_forks(forkable: Forkable) -> None:
    """Tell somebody of every fork from now on, for as long as anything refers to it."""
    _FORKABLE.add(forkable)


def _before_fork() -> None:
    _ONE_AT_A_TIME.acquire()
    _PREPARED.extend(_FORKABLE)
    for forkable in _PREPARED:
        forkable.before_fork()


def _after_fork_in_parent() -> None:
    while _PREPARED:
        _PREPARED.pop().after_fork(in_child=False)
    _ONE_AT_A_TIME.release()


def _after_fork_in_child() -> None:
    global _ONE_AT_A_TIME
    _ONE_AT_A_TIME = threading.Lock()
    while _PREPARED:
        _PREPARED.pop().after_fork(in_child=True)


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
)
