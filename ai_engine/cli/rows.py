"""Read rows from a file: CSV, JSON or JSON lines."""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ai_engine.domain.errors import InvalidInputError

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
# An identity, whatever it looks like: 007 is not 7.
_TEXT_COLUMNS: Final = frozenset(("vm_id",))
_FIELD: Final = "--data"

Row = dict[str, Any]  # JSON values


def read_rows(source: str) -> list[Row]:
    """Return the rows of a file, or of standard input for ``-``.

    The file's name tells its format by ``.csv``, ``.json`` or ``.jsonl``; otherwise its first character does.

    Raises
    ------
    InvalidInputError
        If it cannot be read, naming the line.
    """
    text = _text(source)
    if not text.strip():
        raise InvalidInputError(_FIELD, f"{source} is empty")
    match _format(source, text):
        case "json":
            return _from_json(source, text)
        case "jsonl":
            return list(_from_lines(source, text))
        case _:
            return list(_from_csv(source, text))


def _text(source: str) -> str:
    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidInputError(_FIELD, f"{source} cannot be read: {reason}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(_FIELD, f"{source} is not UTF-8 from byte {error.start} on") from None


def _format(source: str, text: str) -> str:
    ending = source.rpartition(".")[2].lower()
    if ending in ("csv", "json", "jsonl"):
        return ending
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
    lines = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
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
                name: cell or None if name in _TEXT_COLUMNS else _cell(cell.strip())
                for name, cell in zip(names, line, strict=True)
            }
    except csv.Error as error:
        raise InvalidInputError(_FIELD, f"{source}, line {lines.line_num}: {error}") from None


def _cell(text: str) -> int | float | str | None:
    """Return a cell as a number or text; None where it is empty or NaN.

    >>> _cell("3"), _cell("1e-3"), _cell(""), _cell("2026-01-01")
    (3, 0.001, None, '2026-01-01')
    """
    if not text or text.lower() == "nan":
        return None
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text
