"""Read JSON lines as columns, bounded whatever keys the lines have."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ai_engine.domain.errors import InvalidInputError
from ai_engine.telemetry.arrow import columns_of
from ai_engine.telemetry.columns import MAX_CELLS, MAX_COLUMNS, Cells, Column, Columns, Numbers, too_many
from ai_engine.telemetry.recognition import TIME_NAMES

if TYPE_CHECKING:
    import pyarrow as pa

FIELD: Final = "data"
_BLOCK: Final = 8 * 1024 * 1024
_SAMPLE: Final = 64 * 1024
# Up to here every whole number is one of float64, too.
_EXACT: Final = 2**53


def read_json_lines(path: str, called: str) -> Columns:
    """Return the columns of a file of JSON lines; `called` is what errors call it.

    Raises
    ------
    InvalidInputError
        If it cannot be read, naming the line, or has too many different keys.
    """
    import pyarrow as pa

    with open(path, "rb") as file:
        sample = file.read(_SAMPLE + 1)
    first = sample if len(sample) <= _SAMPLE else sample[: sample.rfind(b"\n") + 1]
    if not first or len(_names(first)) > MAX_COLUMNS:
        return _by_line(path, called)
    try:
        return _by_block(path, first)
    except pa.ArrowException:  # values of several types under one name, a key that comes late, a broken line
        return _by_line(path, called)


def _names(sample: bytes) -> set[str]:
    """Return the keys of the first lines; none of what is no object."""
    names: set[str] = set()
    for line in sample.splitlines():
        try:
            names.update(json.loads(line))
        except (ValueError, TypeError, RecursionError):
            continue
    return names


def _by_block(path: str, sample: bytes) -> Columns:
    """Return what Arrow reads of the keys of the first lines; raises where there are others.

    Were it left to find the keys itself, each new one would cost a cell in every row: 200 kB of them took
    10 GB.
    """
    import pyarrow as pa
    import pyarrow.json as pj

    schema = pj.read_json(io.BytesIO(sample)).schema
    for number, field in enumerate(schema):
        if pa.types.is_temporal(field.type) and field.name.lower() not in TIME_NAMES:
            schema = schema.set(number, pa.field(field.name, pa.string()))
        elif pa.types.is_null(field.type):
            schema = schema.set(number, pa.field(field.name, pa.int64()))  # or what it turns out to be
    try:
        return _exact(columns_of(_table(path, schema)))
    except pa.ArrowInvalid:
        # Numbers that are whole in the first lines need not stay so.
        whole = [field.name for field in schema if pa.types.is_integer(field.type)]
        if not whole:
            raise
    floats = {name: pa.float64() for name in whole}
    wider = pa.schema([pa.field(field.name, floats.get(field.name, field.type)) for field in schema])
    found = _exact(columns_of(_table(path, wider)))
    return found.with_columns({name: _whole_again(found.column(name)) for name in whole}, {})


def _table(path: str, schema: pa.Schema) -> pa.Table:
    import pyarrow.json as pj

    options = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    return pj.read_json(path, pj.ReadOptions(block_size=_BLOCK), options)


def _exact(table: Columns) -> Columns:
    """Return a table, or raise where whole numbers may have become floats that are not the same."""
    import pyarrow as pa

    for name in table.names:
        column = table.column(name)
        floats = column.values if isinstance(column, Numbers) and column.values.dtype.kind == "f" else None
        if floats is not None and (np.abs(floats) >= _EXACT).any():
            raise pa.ArrowInvalid(name)
    return table


def _whole_again(column: Column) -> Column:
    """Return numbers that were read as floats as whole numbers, where all are."""
    assert isinstance(column, Numbers)
    values, given = column.floats(), column.given()
    if (values[given] != np.trunc(values[given])).any():
        return column
    return Numbers(np.where(given, values, 0).astype(np.int64), None if given.all() else ~given)


def _by_line(path: str, called: str) -> Columns:
    """Return the columns, read line by line: slower, and a line that cannot be read is named."""
    columns: dict[str, list[Any]] = {}  # JSON values
    count = 0
    with open(path, "rb") as file:
        mark = file.read(2)
    encoding = "utf-16" if mark in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    with open(path, encoding=encoding, newline="\n") as lines:
        try:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                for name, cell in parsed(called, line, number).items():
                    cells = columns.setdefault(name, [])
                    cells.extend([None] * (count - len(cells)))
                    cells.append(cell)
                count += 1
                if len(columns) > MAX_COLUMNS or len(columns) * count > MAX_CELLS:
                    raise too_many(FIELD, len(columns), count)
        except UnicodeDecodeError as error:
            raise InvalidInputError(
                FIELD, f"{called} is not UTF-8 from byte {error.start} on; save it as UTF-8"
            ) from None
    if not count:
        raise InvalidInputError(FIELD, f"{called} is empty")
    for cells in columns.values():
        cells.extend([None] * (count - len(cells)))
    return Columns({name: Cells(cells) for name, cells in columns.items()}, count)


def parsed(called: str, line: str, number: int) -> dict[str, Any]:
    """Return the object (JSON values) of a line. Raises InvalidInputError where it is none."""
    try:
        row = json.loads(line, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(
            FIELD, f"{called}, line {number}: not JSON ({getattr(error, 'msg', error)})"
        ) from None
    if not isinstance(row, dict):
        raise InvalidInputError(FIELD, f"{called}, line {number}: not an object")
    return row
