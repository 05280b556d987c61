"""The rows of the full list as they were last read, for as long as nobody has committed anything."""

from __future__ import annotations

from collections.abc import Callable

from ai_engine.catalogue.rows import Row

# Some 1.3 KB each, half of what the entries take that a caller is given of them.
_MOST = 20_000


class FullList:
    """What an answer is made of anew each time, without reading what has not changed.

    To read 10,000 rows takes twice as long as to make their entries.
    """

    def __init__(self) -> None:
        self._kept: tuple[int | None, list[Row]] = (None, [])

    def rows(self, stamp: Callable[[], int | None], read: Callable[[], list[Row]]) -> list[Row]:
        """Return all rows, of which nobody changes the list.

        Parameters
        ----------
        stamp : callable
            Returns a number that differs once anybody has committed; None where that is not known.
        read : callable
            Reads the rows, where they may have changed.
        """
        # Before they are read: a commit in between makes them newer than it, and they are read again.
        present = stamp()
        of, rows = self._kept
        if present is None or present != of:
            self._kept = (None, [])
            rows = read()
            if len(rows) <= _MOST:
                self._kept = (present, rows)
        return rows
