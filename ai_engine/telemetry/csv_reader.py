"""Read CSV, of whatever delimiter, quoting and decimal sign, as columns."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ai_engine.domain.errors import InvalidInputError
from ai_engine.telemetry.arrow import column_of, without_missing
from ai_engine.telemetry.columns import MAX_COLUMNS, Column, Columns, Numbers, Texts
from ai_engine.telemetry.recognition import GROUP_NAMES, TIME_NAMES

if TYPE_CHECKING:
    import pyarrow as pa

FIELD: Final = "data"
_SEMICOLON: Final = ";"  # as spreadsheets write it where the decimal sign is a comma
_DELIMITERS: Final = (",", _SEMICOLON, "\t", "|")
# How a cell without a number is written, in columns of numbers.
_MISSING: Final = ("", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "null", "NULL", "None", "none", "-")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_NO_NUMBER: Final = re.compile(r"[+-]?nan", re.ASCII | re.IGNORECASE)
_INFINITE: Final = re.compile(r"[+-]?inf(?:inity)?", re.ASCII | re.IGNORECASE)
_DECIMAL_COMMA: Final = re.compile(r"[+-]?[0-9]+,[0-9]+", re.ASCII)
_CONFLICT: Final = re.compile(r"In CSV column #([0-9]+)")
_SAMPLE: Final = 256 * 1024
_BLOCK: Final = 1024 * 1024
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


def read_csv(path: str, called: str, text_columns: Collection[str] = ()) -> Columns:
    """Return the columns of a file of CSV.

    A column in which every cell is a number, or missing, is one of numbers; one under a name that is usual
    for machines is text, whatever it looks like: 007 is not 7.

    Parameters
    ----------
    path : str
        The file.
    called : str
        What errors call it.
    text_columns : collection of str
        Others that are text.

    Raises
    ------
    InvalidInputError
        If it cannot be read, naming the line.
    """
    with open(path, "rb") as file:
        sample = file.read(_SAMPLE)
        file.seek(0)
        quotes, hexadecimal = 0, False
        while part := file.read(_BLOCK):
            # A quote that is never closed would take all that follows for one cell.
            quotes += part.count(b'"')
            hexadecimal = hexadecimal or b"0x" in part or b"0X" in part
    if sample[:2] in _UTF_16 or quotes % 2:
        return _by_line(path, called, text_columns)
    text = sample.decode("utf-8-sig", errors="ignore")
    delimiter, names = _head(called, text)
    wanted = {*text_columns, *(name for name in names if name.lower() in GROUP_NAMES)}
    commas = delimiter == _SEMICOLON and _has_commas(text)
    layout = _Layout(names, delimiter, commas, quotes > 0, hexadecimal)
    found = _by_block(path, called, layout, wanted)
    return _by_line(path, called, text_columns) if found is None else found


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a file is written; ``0x`` stands somewhere in a file that is hexadecimal."""

    names: list[str]
    delimiter: str
    commas: bool
    quoted: bool
    hexadecimal: bool


def _head(called: str, text: str) -> tuple[str, list[str]]:
    """Return the delimiter, and what the columns are called."""
    first = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        names = [name.strip() for name in next((line for line in lines if line), [])]
    except csv.Error as error:
        raise InvalidInputError(FIELD, f"{called}, line {lines.line_num}: {error}") from None
    if len(names) > MAX_COLUMNS:
        raise InvalidInputError(
            FIELD, f"{called} has more than {MAX_COLUMNS:,} columns; give at most so many of them"
        )
    if "" in names or len(set(names)) < len(names):
        shown = f"{names[:20]}{' and more' if len(names) > 20 else ''}"
        raise InvalidInputError(FIELD, f"{called}: every column needs a name of its own; it has {shown}")
    return delimiter, names


def _has_commas(text: str) -> bool:
    """Tell whether numbers between semicolons are written with a decimal comma."""
    cells = (cell.strip() for line in text.split("\n")[1:] for cell in line.split(_SEMICOLON))
    return any(_DECIMAL_COMMA.fullmatch(cell) for cell in cells)


def _by_block(path: str, called: str, layout: _Layout, text_columns: Collection[str]) -> Columns | None:
    """Return what Arrow reads; None where it cannot, and the line is to be found that is to blame."""
    import pyarrow as pa

    names = layout.names
    types = {name: pa.string() for name in names if name in text_columns}
    while True:
        try:
            table = _table(path, layout, types)
            break
        except pa.ArrowInvalid as error:
            # The type of a column is guessed from the first block; where a later one does not keep to it, the
            # column is read as text, and its type told by all of it.
            conflict = _CONFLICT.search(str(error))
            name = names[int(conflict.group(1))] if conflict is not None else None
            if name is None or name in types:
                return None
            types[name] = pa.string()
    found: dict[str, Column | str] = {}
    for name in names:
        column, kind = table.column(0), table.column(0).type
        table = table.remove_column(0)
        if pa.types.is_binary(kind):
            return None  # bytes that are no UTF-8
        moment = pa.types.is_timestamp(kind) and name.lower() in TIME_NAMES
        # 0x10 is an address or an identity, and no 16.
        address = layout.hexadecimal and pa.types.is_integer(kind)
        if address or (pa.types.is_temporal(kind) and not moment):
            column = _table(path, layout, {name: pa.string()}, only=name).column(0)
            kind = pa.string()
        if not pa.types.is_string(kind):
            found[name] = column_of(column)
            continue
        texts = column_of(_stripped(column))
        assert isinstance(texts, Texts)
        found[name] = texts if name in text_columns else _typed(texts, layout.delimiter, name, called)
    return Columns(found, len(next(iter(found.values()))))


def _table(path: str, layout: _Layout, types: dict[str, Any], only: str | None = None) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv as pc

    # Under names of ours: those of the file may have spaces around them.
    header = [str(number) for number in range(len(layout.names))]
    place = dict(zip(layout.names, header, strict=True))
    return pc.read_csv(
        pa.OSFile(path),
        read_options=pc.ReadOptions(column_names=header, skip_rows_after_names=1, block_size=_BLOCK),
        parse_options=pc.ParseOptions(delimiter=layout.delimiter, newlines_in_values=layout.quoted),
        convert_options=pc.ConvertOptions(
            column_types={place[name]: kind for name, kind in types.items()},
            null_values=list(_MISSING),
            true_values=[],
            false_values=[],
            decimal_point="," if layout.commas else ".",
            include_columns=None if only is None else [place[only]],
        ),
    )


def _stripped(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return pc.utf8_trim_whitespace(column)


def _by_line(path: str, called: str, text_columns: Collection[str]) -> Columns:
    """Return the columns, read line by line: slower, and a line that cannot be read is named."""
    with open(path, "rb") as file:
        text = _text(called, file.read())
    if not text.strip():
        raise InvalidInputError(FIELD, f"{called} is empty")
    delimiter, names = _head(called, text)
    codes: list[list[int]] = [[] for _ in names]
    words: list[dict[str, int]] = [{} for _ in names]
    for line in _lines(called, text, delimiter, len(names)):
        for cell, column, known in zip(line, codes, words, strict=True):
            column.append(known.setdefault(cell.strip(), len(known)))
    found: dict[str, Column | str] = {}
    for name, column, known in zip(names, codes, words, strict=True):
        texts = without_missing(Texts(np.array(column, dtype=np.int32), tuple(known)))
        is_text = name in text_columns or name.lower() in GROUP_NAMES
        found[name] = texts if is_text else _typed(texts, delimiter, name, called)
    return Columns(found, len(codes[0]))


def _text(called: str, data: bytes) -> str:
    # Spreadsheets write UTF-16 with a mark in front.
    encoding = "utf-16" if data[:2] in _UTF_16 else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            FIELD,
            f"{called} is not UTF-8 from byte {error.start} on; save it as UTF-8, or convert it with "
            "`iconv -f LATIN1 -t UTF-8`",
        ) from None


def _lines(called: str, text: str, delimiter: str, n_columns: int) -> Iterator[list[str]]:
    # Not `splitlines`: what it breaks at may stand in a cell.
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        next(line for line in lines if line)
        for line in lines:
            if line and len(line) != n_columns:
                raise InvalidInputError(
                    FIELD,
                    f"{called}, line {lines.line_num}: has {len(line)} cells, the header has {n_columns}",
                )
            if line:
                yield line
    except csv.Error as error:
        raise InvalidInputError(FIELD, f"{called}, line {lines.line_num}: {error}") from None


def _typed(texts: Texts, delimiter: str, name: str, called: str) -> Column:
    """Return text as numbers where every word is one or says that there is none."""
    found = [number_of(word, delimiter == _SEMICOLON) for word in texts.words]
    if [one for one in found if isinstance(one, str)] == [name] and len(found) > 1:
        row = int(np.flatnonzero(texts.codes == texts.words.index(name))[0])
        raise InvalidInputError(
            FIELD, f"{called} has its header once more, behind {row:,} rows; remove that line"
        )
    if any(isinstance(one, str) for one in found):
        spelled = map(str.lower, _MISSING) if name.lower() in TIME_NAMES else ("nan",)
        return without_missing(texts, *spelled)
    whole = any(isinstance(one, int) for one in found) and all(
        isinstance(one, (int, type(None))) for one in found
    )
    lookup = np.array([one or 0 for one in found] + [0], dtype=np.int64 if whole else np.float64)
    absent = np.array([one is None for one in found] + [True])
    missing = absent[texts.codes]
    return Numbers(lookup[texts.codes], missing if missing.any() else None)


def number_of(text: str, comma: bool = False) -> int | float | str | None:
    """Return a cell as a number or text; None where it says that there is none.

    >>> number_of("3"), number_of("1e-3"), number_of(""), number_of("2026-01-01"), number_of("1,5", True)
    (3, 0.001, None, '2026-01-01', 1.5)
    """
    if text in _MISSING or _NO_NUMBER.fullmatch(text):
        return None
    if _INFINITE.fullmatch(text):
        return float(text)  # whoever learns from it refuses it by its row
    if comma and _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text
