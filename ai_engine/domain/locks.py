"""Locks that an interrupt cannot leave behind."""

from __future__ import annotations

from contextlib import suppress
from itertools import starmap
from types import TracebackType
from typing import Protocol


class Lock(Protocol):
    """A lock of the standard library."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Wait for it; tell whether it is held now."""

    def release(self) -> None:
        """Let it go."""


class Hold:
    """A lock that is held until it is released, or until nobody refers to this object any more.

    A `with` is not enough: an exception that a trace function raises at its end comes before the lock is
    released. Nor is a call whose answer is stored: a signal handler runs between the two, and then nobody
    knows that the lock was taken. So the lock is taken, and that it was is noted, within one call in C, and
    so is the release.

    Parameters
    ----------
    lock : Lock or RLock
        Taken by `acquire`.
    """

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._taken: list[bool | None] = []

    @property
    def is_held(self) -> bool:
        """Whether the lock was taken and not yet released."""
        return bool(self._taken)

    def acquire(self, timeout: float = -1) -> Hold:
        """Wait for the lock, for some seconds or as long as it takes; `is_held` of what is returned tells."""
        self._taken.extend(filter(None, starmap(self._lock.acquire, ((True, timeout),))))
        return self

    def release(self) -> None:
        """Release the lock; once more does nothing."""
        self._taken[:] = filter(None, starmap(self._lock.release, _ONCE[: len(self._taken)]))

    def __del__(self) -> None:
        if hasattr(self, "_taken"):
            self.release()


# The arguments of one call, which has none.
_ONCE: tuple[tuple[()], ...] = ((),)


def let_go(trace: TracebackType | None) -> None:
    """Give back what the frames of an exception hold, before it is handed on.

    Of a block whose end was interrupted nothing ran that gives back; it runs once nobody refers to the block
    any more, and the exception does.
    """
    while trace is not None:
        with suppress(RuntimeError):  # still running: it is the one who asks
            trace.tb_frame.clear()
        trace = trace.tb_next
