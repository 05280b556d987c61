"""Print tables for people, or one JSON document for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ai_engine.registry.json_views import to_json

# Where every number that commands print is explained.
NUMBERS: Final = "docs/numbers.md"
# In a pipe nothing is cut: a table is as wide as what stands in it.
_UNBOUNDED: Final = 10_000


def print_json(content: Any) -> None:
    """Print one document (JSON values)."""
    print(to_json(content, indent=2))


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    right: Iterable[str] = (),
    title: str | None = None,
) -> None:
    """Print a table; `right` names the columns of numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    aligned = set(right)
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", show_edge=False, pad_edge=False)
    table.padding = (0, 1, 0, 0)
    for column in columns:
        table.add_column(column, justify="right" if column in aligned else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    width = None if sys.stdout.isatty() else _UNBOUNDED
    Console(file=sys.stdout, width=width, highlight=False).print(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """Print names and values, one on a line, without those that are unknown."""
    known = {name: printable(value) for name, value in facts.items() if value not in (None, "", [], {})}
    wide = max(map(len, known), default=0)
    for name, value in known.items():
        print(f"{name:<{wide}}  {value}")


def printable(value: object) -> str:
    """Return a value as one line without control characters.

    >>> printable("a\\x1b[2J"), printable(0.123456), printable(None)
    ('a\\\\x1b[2J', '0.1235', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(printable(one) for one in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{printable(key)} {printable(one)}" for key, one in value.items())
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in str(value))
