"""Count the rows of a file as reading it would, without making a table of them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from typing import IO, Any, Final

from ai_engine.domain.errors import InvalidInputError, MissingDependencyError
from ai_engine.telemetry.rows_file import GZIP, ending_of, format_of

FIELD: Final = "source"
_BODY: Final = "training_data"
_BLOCK: Final = 1024 * 1024


class _Head(io.RawIOBase):
    """The first bytes of a file, as a file."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # what supports the buffer protocol has no type yet
        piece = self._file.read(min(self._left, len(buffer)))
        buffer[: len(piece)] = piece
        self._left -= len(piece)
        return len(piece)


def count_rows(file: IO[bytes], size: int, path: str) -> int:
    """Return how many rows the first bytes of a file hold.

    Parameters
    ----------
    file : binary file
        It is read from its beginning, and can be sought.
    size : int
        How many bytes count.
    path : str
        Its name, which tells the format.

    Raises
    ------
    InvalidInputError
        If they are not of their format.
    MissingDependencyError
        If they are Parquet, and pyarrow is not installed.
    """
    file.seek(0)
    start = file.read(4)
    file.seek(0)
    try:
        if start[:2] != GZIP and format_of(ending_of(path), start) == "parquet":
            return _parquet(file)  # whose last bytes alone are read
        plain = io.BufferedReader(_Head(file, size), _BLOCK)
        if start[:2] != GZIP:
            return _count(plain, path)
        return _count(io.BufferedReader(gzip.GzipFile(fileobj=plain), _BLOCK), path)
    except (ValueError, csv.Error, EOFError, gzip.BadGzipFile, zlib.error, RecursionError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(FIELD, f"the rows of {path} cannot be counted: {error}") from None


def _count(content: io.BufferedReader[Any], path: str) -> int:
    start = content.peek(4096)[:4096]
    match format_of(ending_of(path), start):
        case "parquet":
            return _parquet(io.BytesIO(content.read()))
        case "json":
            told = json.loads(content.read())
            rows = told.get(_BODY) if isinstance(told, dict) else told
            if not isinstance(rows, list):
                raise InvalidInputError(FIELD, f"{path} is JSON, but not a list of objects")
            return len(rows)
        case "jsonl":
            return sum(1 for line in content if line.strip())
        case _:
            # The header is no row, and neither is an empty line.
            return max(0, sum(1 for record in csv.reader(_lines(content, start)) if record) - 1)


def _lines(content: io.BufferedReader[Any], start: bytes) -> Iterator[str]:
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = io.TextIOWrapper(content, encoding, errors="replace", newline="")
    yield from text
    text.detach()  # the file is its owner's to close


def _parquet(file: IO[bytes]) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingDependencyError("pyarrow", "train") from None
    try:
        return int(pq.ParquetFile(file).metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(FIELD, f"it is no Parquet file that can be read: {error}") from None
