"""Data frames of whichever library, as columns and back. None of the libraries is imported here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ai_engine.domain.errors import InvalidInputError
from ai_engine.telemetry.arrow import columns_of, plain
from ai_engine.telemetry.columns import Columns


def columns_from(data: Any) -> Columns:
    """Return a frame of pandas or polars, a table of Arrow, or a list of objects as columns.

    Anything that speaks Arrow's C stream (``__arrow_c_stream__``) is a frame. An index of pandas that holds
    moments becomes the column that it is called, or ``timestamp``.

    Raises
    ------
    InvalidInputError
        If it is none of these, or a row of a list is no object.
    MissingDependencyError
        If pyarrow is not installed.
    """
    library = library_of(data)
    if library == "pandas":
        return _from_pandas(data)
    if library is not None or hasattr(data, "__arrow_c_stream__"):
        import pyarrow as pa

        return columns_of(data if isinstance(data, pa.Table) else pa.table(data))
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        rows = [
            {name: plain(cell) for name, cell in row.items()} if isinstance(row, Mapping) else row
            for row in data
        ]
        return Columns.of(rows, "data")
    raise InvalidInputError(
        "data",
        f"is a {type(data).__name__}; give a path, a DataFrame of pandas or polars, an Arrow table, or a "
        "list of objects",
    )


def _from_pandas(frame: Any) -> Columns:
    import pyarrow as pa

    if str(getattr(frame.index, "inferred_type", "")) == "datetime64":
        frame = frame.rename_axis(index=frame.index.name or "timestamp").reset_index()
    try:
        return columns_of(pa.Table.from_pandas(frame, preserve_index=False))
    except pa.ArrowException:  # a column of objects of several kinds
        rows = frame.to_dict("records")
        return Columns.of([{str(name): plain(cell) for name, cell in row.items()} for row in rows], "data")


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
