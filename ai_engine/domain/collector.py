"""Python's garbage collector, held back while a long answer is built."""

from __future__ import annotations

import gc
import os
from weakref import WeakSet


class Uncollected:
    """The collector is off until this is released, or until nobody refers to it any more.

    The collector runs after so many new objects, and walks those that there are: of an answer that is being
    built it finds nothing to free, again and again. Where it was off before, it stays so.

    Of threads whose times overlap, the first one switches it off and on; what another one builds after that
    is walked as usual.

    Examples
    --------
    >>> uncollected = Uncollected()
    >>> gc.isenabled()
    False
    >>> uncollected.release()
    >>> gc.isenabled()
    True
    """

    _was_on: bool | None = False

    def __init__(self) -> None:
        _LIVE.add(self)
        self._was_on = gc.isenabled()
        gc.disable()

    def release(self) -> None:
        """Let the collector be as it was; once more does nothing."""
        if self._was_on:
            self._was_on = gc.enable()  # type: ignore[func-returns-value]  # None; in one line: see locks.Hold

    def __del__(self) -> None:
        self.release()


_LIVE: WeakSet[Uncollected] = WeakSet()


def _after_fork_in_child() -> None:
    """Switch it on again where it was another thread that had it off: that one is not here."""
    for uncollected in tuple(_LIVE):
        uncollected.release()


os.register_at_fork(after_in_child=_after_fork_in_child)
