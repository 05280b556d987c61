"""Columns under the names of whoever gives them, and under those that a model knows."""

from __future__ import annotations

from collections.abc import Mapping

from ai_engine.domain.errors import InvalidInputError
from ai_engine.telemetry.columns import Columns
from ai_engine.telemetry.presets import PRESETS


def renamed(table: Columns, preset: str | None, rename: Mapping[str, str]) -> tuple[Columns, dict[str, str]]:
    """Return a table under other names, and which of its columns were renamed.

    Parameters
    ----------
    table : Columns
        As it was given.
    preset : str or None
        One of PRESETS; of its names those count that are there.
    rename : mapping of str to str
        Given names to new ones; they count before the preset's.

    Raises
    ------
    InvalidInputError
        If a column to be renamed does not exist, or two would have one name.
    """
    for name in rename:
        if not table.has(name):
            listed = ", ".join(table.names[:20])
            raise InvalidInputError("rename", f"there is no column {name!r}; there are {listed}")
    known = {} if preset is None else PRESETS[preset]
    wanted = {name: new for name, new in known.items() if table.has(name)} | dict(rename)
    after = [wanted.get(name, name) for name in table.names]
    twice = next((name for name in after if after.count(name) > 1), None) if wanted else None
    if twice is not None:
        raise InvalidInputError("rename", f"two columns would be called {twice!r}; choose another name")
    return (table.with_columns({}, wanted) if wanted else table), wanted


def renamed_again(table: Columns, known: Mapping[str, str]) -> Columns:
    """Return a table with the columns renamed that were so in a training, where they have the old names."""
    wanted = {name: new for name, new in known.items() if table.has(name) and not table.has(new)}
    return table.with_columns({}, wanted) if wanted else table
