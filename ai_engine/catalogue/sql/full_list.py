"""The rows of the full list as they were last read, for as long as nobody has committed anything."""

from __future__ import annotations

from collections.abc import Callable

from ai_engine.catalogue.sql.rows import SqlRow

# Some 1.3 KB each, half of what the entries take that a caller is given of them.
_MOST = 20_000


class FullList:
    """What an answer is made of anew each time, without reading what has not changed.

    To read 10,000 rows takes twice as long as to make their entries.
    """

    def __init__(self) -> None:
        self._kept: tuple[int | None, list[SqlRow]] = (None, [])

    def rows(self, stamp: int | None, read: Callable[[], list[SqlRow]]) -> list[SqlRow]:
        """Return all rows, of which nobody changes the list.

        Parameters
        ----------
        stamp : int or None
            A number that differs once anybody has committed, as it was before the transaction began in which
            the rows are read: they are as new as that, or newer, and then read again. None where it is not
            known.
        read : callable
            Queries the rows, where they may have changed.
        """
        of, rows = self._kept
        if stamp is None or stamp != of:
            self._kept = (None, [])
            rows = read()
            if len(rows) <= _MOST:
                self._kept = (stamp, rows)
        return rows
