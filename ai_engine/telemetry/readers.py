"""Read rows from a file: CSV, JSON, JSON lines or Parquet, perhaps compressed with gzip."""

from __future__ import annotations

import errno
import gzip
import json
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import IO, Any, Final

from ai_engine.domain.errors import InvalidInputError, MissingDependencyError
from ai_engine.telemetry.arrow import column_of, columns_of
from ai_engine.telemetry.columns import MAX_CELLS, MAX_COLUMNS, Column, Columns, too_many
from ai_engine.telemetry.csv_reader import FIELD, read_csv
from ai_engine.telemetry.joining import joined
from ai_engine.telemetry.json_lines import read_json_lines
from ai_engine.telemetry.rows_file import ARCHIVE, GZIP, RowsFile, ending_of, format_of

# What a file may come to once it is unpacked: a few bytes of gzip may be any number of zeros.
MOST_BYTES: Final = 2 * 1024**3
# Where the body of a training has its rows.
BODY_FIELD: Final = "training_data"
_BLOCK: Final = 8 * 1024 * 1024


def read_columns(file: RowsFile, text_columns: Collection[str] = ()) -> Columns:
    """Return the table in a file.

    Where its format is not told, its name does by ``.csv``, ``.json``, ``.jsonl`` or ``.parquet``, with
    ``.gz`` behind it or not; otherwise its first bytes do.

    Parameters
    ----------
    file : RowsFile
        The file.
    text_columns : collection of str
        Columns of CSV that are text, whatever they look like.

    Raises
    ------
    InvalidInputError
        If it cannot be read, naming the line.
    MissingDependencyError
        If pyarrow is not installed.
    """
    try:
        import pyarrow  # noqa: F401  # so that what is missing is said before anything is read
    except ImportError:
        raise MissingDependencyError("pyarrow", "train") from None
    try:
        with _unpacked(file) as path:
            return _read(path, file, text_columns)
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidInputError):
            raise
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        raise InvalidInputError(FIELD, f"{file.called} cannot be read: {reason}") from None


def _read(path: str, file: RowsFile, text_columns: Collection[str]) -> Columns:
    with open(path, "rb") as opened:
        start = opened.read(4096)
    if file.format == ARCHIVE:
        return _from_archive(path, text_columns)
    kind = format_of(file.format or ending_of(file.path), start)
    if os.path.getsize(path) == 0 and kind != "parquet":
        raise InvalidInputError(FIELD, f"{file.called} is empty")
    match kind:
        case "parquet":
            return _from_parquet(file.called, path)
        case "json":
            return _from_json(file.called, path)
        case "jsonl":
            return read_json_lines(path, file.called)
        case _:
            return read_csv(path, file.called, text_columns)


def _from_archive(path: str, text_columns: Collection[str]) -> Columns:
    """Return the rows of every file in an archive, one table below the other."""
    tables = []
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is None:
                continue
            with tempfile.NamedTemporaryFile() as kept:
                shutil.copyfileobj(content, kept, _BLOCK)
                kept.flush()
                one = RowsFile(kept.name, ending_of(member.name) or None, member.name)
                with _unpacked(one) as plain:
                    tables.append(_read(plain, one, text_columns))
    if not tables:
        raise InvalidInputError(FIELD, "the archive holds no file")
    return joined(tables, FIELD)


@contextmanager
def _unpacked(file: RowsFile) -> Iterator[str]:
    """Yield the path of a file, or of what it holds where it is compressed."""
    with open(file.path, "rb") as opened:
        packed = opened.read(2) == GZIP
    if not packed:
        yield file.path
        return
    with tempfile.NamedTemporaryFile() as plain:
        try:
            with gzip.open(file.path) as stream:
                _copy(stream, plain, file.called)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InvalidInputError(FIELD, f"{file.called} is damaged: {error}") from None
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise InvalidInputError(
                FIELD, f"{file.called} cannot be unpacked: {error.strerror} in {tempfile.gettempdir()}"
            ) from None
        plain.flush()
        yield plain.name


def _copy(source: gzip.GzipFile, target: IO[bytes], called: str) -> None:
    """Copy what is unpacked, up to the most that is taken."""
    left = MOST_BYTES
    while data := source.read(_BLOCK):
        left -= len(data)
        if left < 0:
            raise InvalidInputError(
                FIELD, f"{called} unpacks to more than {MOST_BYTES:,} bytes; give it in parts"
            )
        target.write(data)


def _from_parquet(called: str, path: str) -> Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pa.memory_map(path) as source:
            file = pq.ParquetFile(source)
            _check_size(called, file)
            names = file.schema_arrow.names
            nested = len(names) < file.metadata.num_columns or any("." in name for name in names)
            if nested or len(set(names)) < len(names):
                return columns_of(file.read())
            # One after the other, so that no column is in memory twice.
            found: dict[str, Column | str] = {
                name: column_of(file.read(columns=[name]).column(0)) for name in names
            }
            return Columns(found, file.metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(FIELD, f"{called} is no Parquet file that can be read: {error}") from None


def _check_size(called: str, file: Any) -> None:
    """Refuse a Parquet file (pyarrow has no types) that holds more than is read: a few bytes may say so."""
    metadata = file.metadata
    groups = range(metadata.num_row_groups)
    unpacked = sum(metadata.row_group(group).total_byte_size for group in groups)
    if unpacked > MOST_BYTES:
        raise InvalidInputError(
            FIELD, f"{called} unpacks to {unpacked:,} bytes; give it in parts of at most {MOST_BYTES:,}"
        )
    if metadata.num_columns > MAX_COLUMNS or metadata.num_columns * metadata.num_rows > MAX_CELLS:
        raise too_many(FIELD, metadata.num_columns, metadata.num_rows)


def _from_json(called: str, path: str) -> Columns:
    try:
        rows = json.loads(_text(called, path), parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        if isinstance(error, InvalidInputError):
            raise
        where = getattr(error, "lineno", 1)
        raise InvalidInputError(
            FIELD, f"{called}, line {where}: not JSON ({getattr(error, 'msg', error)})"
        ) from None
    if isinstance(rows, dict) and BODY_FIELD in rows:
        rows = rows[BODY_FIELD]
    if not isinstance(rows, list):
        raise InvalidInputError(FIELD, f"{called} is JSON, but not a list of objects")
    return Columns.of(rows)


def _text(called: str, path: str) -> str:
    with open(path, "rb") as file:
        data = file.read()
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            FIELD, f"{called} is not UTF-8 from byte {error.start} on; save it as UTF-8"
        ) from None
