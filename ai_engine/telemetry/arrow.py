"""Tables of Arrow, and what can become one, as columns."""

from __future__ import annotations

import math
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from ai_engine.telemetry.columns import Cells, Column, Columns, Moments, Numbers, Texts

if TYPE_CHECKING:
    import pyarrow as pa


def columns_of(table: pa.Table) -> Columns:
    """Return a table of Arrow as columns. Each column of the table is let go as soon as it was read."""
    found: dict[str, Column | str] = {}
    for position, name in enumerate(table.column_names):
        found[str(name)] = column_of(table.column(position))
    return Columns(found, table.num_rows)


def column_of(chunks: pa.ChunkedArray) -> Column:
    """Return a column of Arrow: numbers, text and moments as arrays, anything else cell by cell."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = chunks.type
    if pa.types.is_dictionary(kind):
        chunks = chunks.cast(kind.value_type)
        kind = chunks.type
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        chunks, kind = chunks.cast(pa.float64()), pa.float64()
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return _whole(chunks)
    if pa.types.is_floating(kind):
        return Numbers(np.asarray(chunks.cast(pa.float64()).to_numpy(), dtype=np.float64))
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        if pa.types.is_date(kind):
            chunks = chunks.cast(pa.timestamp("s"))
        per_second = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[chunks.type.unit]
        whole = _whole(chunks.cast(pa.int64()))
        return Moments(whole.floats() / per_second)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        encoded = chunks.cast(pa.large_string()).combine_chunks().dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
        return without_missing(Texts(codes.astype(np.int32), tuple(encoded.dictionary.to_pylist())))
    if pa.types.is_null(kind):
        return Numbers(np.full(len(chunks), np.nan))
    return Cells([plain(cell) for cell in chunks.to_pylist()])


def _whole(chunks: pa.ChunkedArray) -> Numbers:
    """Return whole numbers or booleans, exactly."""
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = None
    if chunks.null_count:
        missing = chunks.is_null().to_numpy()
        chunks = pc.fill_null(chunks, False if pa.types.is_boolean(chunks.type) else 0)
    values = chunks.to_numpy()
    if values.dtype.kind in "iu" and values.dtype.itemsize < 8:
        values = values.astype(np.int64)
    return Numbers(values, missing)


def without_missing(texts: Texts, *absent: str) -> Texts:
    """Return text in which an empty cell, and what is one of some words in lower case, is missing."""
    kept = [word for word in texts.words if word and word.lower() not in absent]
    if len(kept) == len(texts.words):
        return texts
    place = {word: number for number, word in enumerate(kept)}
    moved = np.array([place.get(word, -1) for word in texts.words] + [-1], dtype=np.int32)
    return Texts(moved[texts.codes], tuple(kept))


def plain(cell: Any) -> Any:
    """Return a cell of any library as JSON has it."""
    if cell is None or type(cell) in (str, int, bool):
        return cell
    if isinstance(cell, float):
        return None if math.isnan(cell) else float(cell)
    if isinstance(cell, (datetime, date)):
        return None if str(cell) == "NaT" else cell.isoformat()
    if isinstance(cell, Decimal):
        return float(cell)
    if hasattr(cell, "item") and getattr(cell, "shape", None) == ():  # a number of numpy
        return plain(cell.item())
    return None if str(cell) in ("NaT", "<NA>") else cell
