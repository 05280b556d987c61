"""What databases spell differently: the few expressions that no statement can avoid.

Everything else is written so that SQLite and PostgreSQL run it as it stands: parameters have names, which an
adapter spells as its driver wants; an optional one is ``column = COALESCE(:name, column)``; a limit that
there is not is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Dialect(Protocol):
    """How a database spells an expression."""

    def number(self, column: str) -> str:
        """Return a column of which other programs may have written anything; NULL where it is no number."""

    def matches(self, column: str, pattern: str) -> str:
        """Compare a column with a parameter, a pattern in which ``*`` and ``?`` stand for any characters."""

    def pattern(self, text: str) -> str:
        """Return a pattern as the parameter of `matches`."""

    def json_value(self, document: str, keys: Sequence[str]) -> str:
        """Return a text or number within a JSON column; NULL for what is neither, and where it is no JSON."""

    @property
    def now(self) -> str:
        """Return the moment by the database's clock, as the tables have moments."""

    def later(self, seconds: str) -> str:
        """Return the moment so many seconds from now, a parameter, which may be negative."""


class SqliteDialect:
    """See Dialect."""

    def number(self, column: str) -> str:
        """See Dialect."""
        return f"CASE WHEN typeof({column}) IN ('real', 'integer') THEN {column} END"

    def matches(self, column: str, pattern: str) -> str:
        """See Dialect."""
        return f"{column} GLOB {pattern}"

    def pattern(self, text: str) -> str:
        """See Dialect."""
        return text.replace("[", "[[]")

    def json_value(self, document: str, keys: Sequence[str]) -> str:
        """See Dialect."""
        path = "$" + "".join(f'."{key}"' for key in keys).replace("'", "''")
        checked = f"CASE WHEN json_valid({document}) THEN {document} END"
        return (
            f"CASE WHEN json_type({checked}, '{path}') NOT IN ('object', 'array') "
            f"THEN json_extract({checked}, '{path}') END"
        )

    @property
    def now(self) -> str:
        """See Dialect."""
        return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"

    def later(self, seconds: str) -> str:
        """See Dialect."""
        return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', {seconds} || ' seconds')"


SQLITE = SqliteDialect()
