"""Locks that an interrupt cannot leave behind."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import Protocol


class Lock(Protocol):
    """A lock of the standard library."""

    def acquire(self) -> bool:
        """Wait for it."""

    def release(self) -> None:
        """Let it go."""


class Hold:
    """A lock that is held until it is released, or until nobody refers to this object any more.

    A `with` is not enough: an exception that a trace function raises at its end, or a signal handler between
    two lines, comes before the lock is released.

    Parameters
    ----------
    lock : Lock or RLock
        Waited for.
    """

    _lock: Lock | None = None

    def __init__(self, lock: Lock) -> None:
        # In one line, between whose parts no interrupt comes; so is the release.
        self._lock = lock if lock.acquire() else None

    def release(self) -> None:
        """Release the lock; once more does nothing."""
        if self._lock is not None:
            self._lock = self._lock.release()  # type: ignore[func-returns-value]  # None

    def __del__(self) -> None:
        self.release()


def let_go(trace: TracebackType | None) -> None:
    """Give back what the frames of an exception hold, before it is handed on.

    Of a block whose end was interrupted nothing ran that gives back; it runs once nobody refers to the block
    any more, and the exception does.
    """
    while trace is not None:
        with suppress(RuntimeError):  # still running: it is the one who asks
            trace.tb_frame.clear()
        trace = trace.tb_next
