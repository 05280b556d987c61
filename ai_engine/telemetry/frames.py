"""Data frames of whichever library, as rows and back. None of the libraries is imported here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from ai_engine.domain.errors import InvalidInputError


def rows_of(data: Any) -> list[Any]:
    """Return the rows of a frame of pandas or polars, of an Arrow table, or of a list of objects.

    Missing cells are None, moments are ISO 8601 text, and numbers are those of Python. An index of pandas
    that holds moments becomes the column that it is called, or ``timestamp``.

    Raises
    ------
    InvalidInputError
        If it is none of these.
    """
    kind = library_of(data)
    if kind == "pandas":
        frame = data
        if str(getattr(frame.index, "inferred_type", "")) == "datetime64":
            frame = frame.rename_axis(index=frame.index.name or "timestamp").reset_index()
        return [{str(name): _plain(cell) for name, cell in row.items()} for row in frame.to_dict("records")]
    if kind == "polars":
        return [{name: _plain(cell) for name, cell in row.items()} for row in data.to_dicts()]
    if kind == "pyarrow":
        return [{name: _plain(cell) for name, cell in row.items()} for row in data.to_pylist()]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return [
            {name: _plain(cell) for name, cell in row.items()} if isinstance(row, Mapping) else row
            for row in data
        ]
    raise InvalidInputError(
        "data",
        f"is a {type(data).__name__}; give a path, a DataFrame of pandas or polars, an Arrow table, or a "
        "list of objects",
    )


def library_of(data: Any) -> str | None:
    """Return ``pandas``, ``polars`` or ``pyarrow`` for a frame of theirs; None for anything else."""
    library = type(data).__module__.partition(".")[0]
    wanted = {"pandas": "to_dict", "polars": "to_dicts", "pyarrow": "to_pylist"}.get(library)
    return library if wanted is not None and hasattr(data, wanted) and hasattr(data, "columns") else None


def frame_of(rows: list[dict[str, Any]], like: str) -> Any:
    """Return rows as a frame of a library that made the one that was given."""
    if like == "pandas":
        import pandas as pd

        return pd.DataFrame(rows)
    if like == "polars":
        import polars as pl  # type: ignore[import-not-found,unused-ignore]  # who gave a frame has it

        return pl.DataFrame(rows, infer_schema_length=None)
    import pyarrow as pa

    return pa.Table.from_pylist(rows)


def _plain(cell: Any) -> Any:
    """Return a cell as JSON has it."""
    if cell is None or type(cell) in (str, int, bool):
        return cell
    if isinstance(cell, float):
        return None if math.isnan(cell) else float(cell)
    if isinstance(cell, (datetime, date)):
        return None if str(cell) == "NaT" else cell.isoformat()
    if isinstance(cell, Decimal):
        return float(cell)
    if hasattr(cell, "item") and getattr(cell, "shape", None) == ():  # a number of numpy
        return _plain(cell.item())
    return None if str(cell) in ("NaT", "<NA>") else cell
