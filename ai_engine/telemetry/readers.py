"""Read rows from a file: CSV, JSON, JSON lines or Parquet, perhaps compressed with gzip."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ai_engine.domain.errors import InvalidInputError
from ai_engine.telemetry.frames import rows_of
from ai_engine.telemetry.recognition import GROUP_NAMES
from ai_engine.telemetry.rows_file import FORMATS, RowsFile

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
# An identity, whatever it looks like: 007 is not 7.
_TEXT_COLUMNS: Final = frozenset(GROUP_NAMES)
_FIELD: Final = "data"
_DECIMAL_COMMA: Final = re.compile(r"[+-]?[0-9]+,[0-9]+", re.ASCII)
# Where the body of a training has its rows.
BODY_FIELD: Final = "training_data"
# What a file may come to once it is unpacked: a few bytes of gzip may be any number of zeros.
MOST_BYTES: Final = 2 * 1024**3

Row = dict[str, Any]  # JSON values


def read_rows(file: RowsFile) -> list[Row]:
    """Return the rows of a file.

    Where its format is not told, its name does by ``.csv``, ``.json``, ``.jsonl`` or ``.parquet``, with
    ``.gz`` behind it or not; otherwise its first bytes do.

    Raises
    ------
    InvalidInputError
        If it cannot be read, naming the line.
    """
    data, source = _data(file), file.called
    ending = file.format or file.path.lower().removesuffix(".gz").rpartition(".")[2]
    if ending == "parquet" or data[:4] == b"PAR1":
        return _from_parquet(source, data)
    text = _text(source, data)
    if not text.strip():
        raise InvalidInputError(_FIELD, f"{source} is empty")
    match _format(ending, text):
        case "json":
            return _from_json(source, text)
        case "jsonl":
            return list(_from_lines(source, text))
        case _:
            return list(_from_csv(source, text))


def _data(file: RowsFile) -> bytes:
    try:
        data = sys.stdin.buffer.read() if file.path == "-" else Path(file.path).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidInputError(_FIELD, f"{file.called} cannot be read: {reason}") from None
    return _unpacked(file.called, data) if data[:2] == b"\x1f\x8b" else data


def _unpacked(source: str, data: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as file:
            found = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInputError(_FIELD, f"{source} is damaged: {error}") from None
    if len(found) > MOST_BYTES:
        raise InvalidInputError(
            _FIELD, f"{source} unpacks to more than {MOST_BYTES:,} bytes; give it in parts"
        )
    return found


def _text(source: str, data: bytes) -> str:
    # Spreadsheets write UTF-16 with a mark in front.
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            _FIELD,
            f"{source} is not UTF-8 from byte {error.start} on; save it as UTF-8, or convert it with "
            "`iconv -f LATIN1 -t UTF-8`",
        ) from None


def _from_parquet(source: str, data: bytes) -> list[Row]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InvalidInputError(
            _FIELD,
            f"{source} is Parquet, and pyarrow is not installed; install it with `pip install pyarrow`",
        ) from error
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        unpacked = sum(
            file.metadata.row_group(group).total_byte_size for group in range(file.metadata.num_row_groups)
        )
        if unpacked > MOST_BYTES:
            raise InvalidInputError(
                _FIELD, f"{source} unpacks to {unpacked:,} bytes; give it in parts of at most {MOST_BYTES:,}"
            )
        return rows_of(file.read())
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(_FIELD, f"{source} is no Parquet file that can be read: {error}") from None


def _format(ending: str, text: str) -> str:
    if ending in (*FORMATS, "ndjson"):
        return "jsonl" if ending == "ndjson" else ending
    return {"[": "json", "{": "jsonl"}.get(text.lstrip()[0], "csv")


def _parsed(source: str, text: str, line: int) -> Any:
    """Return the value of JSON text (any JSON value); `line` is where it starts."""
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        where = line + getattr(error, "lineno", 1) - 1
        raise InvalidInputError(
            _FIELD, f"{source}, line {where}: not JSON ({getattr(error, 'msg', error)})"
        ) from None


def _from_json(source: str, text: str) -> list[Row]:
    rows = _parsed(source, text, 1)
    if isinstance(rows, dict) and BODY_FIELD in rows:
        rows = rows[BODY_FIELD]
    if not isinstance(rows, list):
        raise InvalidInputError(_FIELD, f"{source} is JSON, but not a list of objects")
    return rows


def _from_lines(source: str, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            row = _parsed(source, line, number)
            if not isinstance(row, dict):
                raise InvalidInputError(_FIELD, f"{source}, line {number}: not an object")
            yield row


def _from_csv(source: str, text: str) -> Iterator[Row]:
    first = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max((",", ";", "\t"), key=first.count)
    # Not `splitlines`: what it breaks at may stand in a cell.
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    decimal_comma = delimiter == ";"
    try:
        header = next(line for line in lines if line)
        names = [name.strip() for name in header]
        if "" in names or len(set(names)) < len(names):
            raise InvalidInputError(_FIELD, f"{source}: every column needs a name of its own; it has {names}")
        for line in lines:
            if not line:
                continue
            if len(line) != len(names):
                raise InvalidInputError(
                    _FIELD,
                    f"{source}, line {lines.line_num}: has {len(line)} cells, the header has {len(names)}",
                )
            yield {
                name: cell or None if name.lower() in _TEXT_COLUMNS else _cell(cell.strip(), decimal_comma)
                for name, cell in zip(names, line, strict=True)
            }
    except csv.Error as error:
        raise InvalidInputError(_FIELD, f"{source}, line {lines.line_num}: {error}") from None


def _cell(text: str, decimal_comma: bool = False) -> int | float | str | None:
    """Return a cell as a number or text; None where it is empty or NaN.

    >>> _cell("3"), _cell("1e-3"), _cell(""), _cell("2026-01-01")
    (3, 0.001, None, '2026-01-01')
    """
    if not text or text.lower() == "nan":
        return None
    if decimal_comma and _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text
