"""The files that a schedule trains on: which there are now, and what has come to them since the last time.

What a pattern names is looked up anew each time. A file is read up to the size that it has when it is opened,
so one that is appended to meanwhile gives the rows that it had.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import stat
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import IO, Final

from ai_engine.domain.digests import named
from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.schedules import Selection, Source, SourceFile
from ai_engine.telemetry.row_count import count_rows
from ai_engine.telemetry.rows_file import ARCHIVE, GZIP, ending_of, format_of

FIELD: Final = "source"
# More would be a pattern that names a whole disk, and each is a row of what is remembered.
MOST_FILES: Final = 1000
_BLOCK: Final = 1024 * 1024
_DATE: Final = re.compile(r"\{date(?::([^{}]*))?\}")
_DAY: Final = "%Y-%m-%d"
# What stands for a part of a moment, and how it looks; names of months are of a language, and do not sort.
_PARTS: Final = {"Y": r"\d{4}", "y": r"\d{2}", "j": r"\d{3}", **dict.fromkeys("mdHMS", r"\d{2}")}
_PART: Final = re.compile(r"%(.?)", re.DOTALL)
_WILD: Final = re.compile(r"\*\*/?|\*|\?|\[!?\]?[^\]/]*\]")


@dataclass(frozen=True, slots=True)
class SourceReading:
    """A source as it is now.

    Attributes
    ----------
    files : tuple of SourceFile
        What is to be trained on, the oldest first.
    new_rows : int or None
        How many rows have come since the last training; None where nobody counted.
    """

    files: tuple[SourceFile, ...]
    new_rows: int | None


# The path, the size, the moment and the number of a file: what differs once it is another one.
Looks = tuple[tuple[str, int, int, int], ...]


def checked_pattern(pattern: object) -> str:
    """Return the path or pattern of a source.

    Raises
    ------
    InvalidInputError
        If it is none, or its ``{date}`` cannot be read.
    """
    if not isinstance(pattern, str) or not pattern.strip() or "\0" in pattern:
        raise InvalidInputError(FIELD, f"give the path of a file, or a pattern of such, not {pattern!r:.80}")
    for match in _DATE.finditer(pattern):
        spelled = _spelling(match)
        parts = _PART.findall(spelled)
        if not parts or any(part not in _PARTS for part in parts):
            raise InvalidInputError(
                FIELD,
                f"{match.group(0)} is no date of digits; spell it with %Y %y %m %d %j %H %M %S, such as "
                "{date:%Y%m%d}, or leave it as {date} for 2026-01-31",
            )
    if "{date" in _DATE.sub("", pattern):
        raise InvalidInputError(FIELD, f"{pattern!r:.200} has a {{date…}} without its closing brace")
    return pattern


def looks(source: Source) -> Looks:
    """Return how the files of a source look, which tells whether to read them anew; reads none.

    Raises
    ------
    InvalidInputError
        If there is none, there are too many, or one lies where nothing is to be read.
    """
    found = []
    for path in files_of(source):
        try:
            seen = os.stat(path)
        except OSError as error:
            raise _unreadable(path, error) from None
        found.append((path, seen.st_size, seen.st_mtime_ns, seen.st_ino))
    return tuple(found)


def files_of(source: Source) -> list[str]:
    """Return the paths that are meant now, the oldest first.

    The newest is the one whose name has the latest ``{date}``; where the pattern has none, the one that was
    changed last.

    Raises
    ------
    InvalidInputError
        If there is none, there are too many, or one lies where nothing is to be read.
    """
    if source.below is not None and not lies_within(source.pattern, source.below):
        raise _outside(source.pattern, source.below)
    dated = _matching(source.pattern)
    if not dated:
        raise InvalidInputError(FIELD, f"there is no file {source.pattern}")
    if len(dated) > MOST_FILES:
        raise InvalidInputError(
            FIELD, f"{source.pattern} names more than {MOST_FILES:,} files; name fewer, or join them"
        )
    for path, _ in dated:
        if source.below is not None and not _within(path, source.below):
            raise _outside(path, source.below)
    if any(date is not None for _, date in dated):
        dated.sort(key=lambda one: (one[1] or datetime.min, one[0]))
    elif source.files is Selection.NEWEST and len(dated) > 1:
        dated.sort(key=lambda one: (_changed(one[0]), one[0]))
    paths = [path for path, _ in dated]
    return paths[-1:] if source.files is Selection.NEWEST else paths


def examine(source: Source, trained: Sequence[SourceFile], count: bool) -> SourceReading:
    """Return a source as it is now, compared with what was trained on; reads every file once.

    A file that still begins as it did has as many new rows as it has more. All rows are new of a file that
    was not trained on, or that begins otherwise: it was replaced. Of one that is written anew as a whole each
    time (JSON, Parquet, anything compressed), those are that it has more, or all where it has not more.

    Parameters
    ----------
    trained : sequence of SourceFile
        The files as they were at the last training.
    count : bool
        Whether rows are to be counted.

    Raises
    ------
    InvalidInputError
        If a file cannot be read, and see `files_of`.
    """
    known = {file.path: file for file in trained}
    files, new = [], 0
    for path in files_of(source):
        before = known.get(path)
        with opened(path, source.below) as (file, size):
            digest, start = _digests(file, size, before.size if before is not None else 0)
            rows = count_rows(file, size, path) if count else None
            appendable = _is_appendable(file, path)
        files.append(SourceFile(path, size, named(digest), rows))
        if before is None or rows is None:
            new += rows or 0
        elif named(digest) != before.digest:
            more = rows - (before.rows or 0)
            grown = named(start) == before.digest or not appendable
            new += more if grown and more > 0 and before.rows is not None else rows
    return SourceReading(tuple(files), new if count else None)


def content(source: Source, reading: SourceReading) -> tuple[Iterator[bytes], str]:
    """Return the bytes to train on, piece by piece, and their format: one file as it is, or an archive.

    Raises
    ------
    InvalidInputError
        While they are read, if a file cannot be, or is not what it was when it was examined.
    """
    if len(reading.files) == 1:
        (file,) = reading.files
        return _pieces(file, source.below), ending_of(file.path)
    return _archived(reading.files, source.below), ARCHIVE


@contextmanager
def opened(path: str, below: str | None) -> Iterator[tuple[IO[bytes], int]]:
    """Give a file and its size; nothing but a file is opened, and nothing outside of `below`.

    Raises
    ------
    InvalidInputError
        If it cannot be read.
    """
    try:
        # Not to be kept waiting by a pipe, and not led elsewhere by a link that is put in the place just now.
        number = os.open(os.path.realpath(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, error) from None
    with open(number, "rb") as file:
        seen = os.fstat(number)
        if not stat.S_ISREG(seen.st_mode):
            raise InvalidInputError(FIELD, f"{path} is not a file")
        if below is not None and not _within(_name_of(number, path), below):
            raise _outside(path, below)
        try:
            yield file, seen.st_size
        except OSError as error:
            if isinstance(error, InvalidInputError) or error.filename is not None:
                raise
            raise _unreadable(path, error) from None


def _name_of(number: int, path: str) -> str:
    """Return where an open file is, as the system tells it; where it does not, its path."""
    there = f"/proc/self/fd/{number}"
    return there if os.path.lexists(there) else path


def _pieces(file: SourceFile, below: str | None) -> Iterator[bytes]:
    digest, left = sha256(), file.size
    with opened(file.path, below) as (content, _):
        while left and (piece := content.read(min(left, _BLOCK))):
            digest.update(piece)
            left -= len(piece)
            yield piece
    if named(digest.hexdigest()) != file.digest:
        raise InvalidInputError(
            FIELD,
            f"{file.path} was changed while it was read; write it aside, and rename it when whole",
        )


def _archived(files: Sequence[SourceFile], below: str | None) -> Iterator[bytes]:
    for file in files:
        header = tarfile.TarInfo(file.path.lstrip("/"))
        header.size = file.size
        yield header.tobuf(tarfile.PAX_FORMAT)
        yield from _pieces(file, below)
        yield bytes(-file.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _digests(file: IO[bytes], size: int, first: int) -> tuple[str, str]:
    """Return the digests (hex) of a file up to a size, and of its first bytes, as many as it once had."""
    digest, start, read = sha256(), sha256(), 0
    while read < size:
        edge = first if read < first else size
        piece = file.read(min(edge - read, size - read, _BLOCK))
        if not piece:
            break
        digest.update(piece)
        read += len(piece)
        if read <= first:
            start = digest.copy()
    file.seek(0)
    return digest.hexdigest(), start.hexdigest()


def _is_appendable(file: IO[bytes], path: str) -> bool:
    """Tell whether rows are added to a file at its end, and not by writing it anew."""
    file.seek(0)
    start = file.read(4096)
    return start[:2] != GZIP and format_of(ending_of(path), start) in ("csv", "jsonl")


# -- patterns ------------------------------------------------------------------------------------------------


def _matching(pattern: str) -> list[tuple[str, datetime | None]]:
    """Return the files that a pattern names, by path, each with the date in its name."""
    if os.path.isfile(pattern):  # whatever its name looks like
        return [(pattern, None)]
    if not (_DATE.search(pattern) or glob.has_magic(pattern)):
        return []
    fitting, spellings = _compiled(pattern)
    found = []
    for path in sorted(glob.glob(_as_glob(pattern), recursive=True)):
        match = fitting.fullmatch(path)
        if match is None or not os.path.isfile(path):
            continue
        date = _date(match.groups(), spellings) if spellings else None
        if date is not None or not spellings:
            found.append((path, date))
        if len(found) > MOST_FILES:
            break
    return found


def _spelling(match: re.Match[str]) -> str:
    return _DAY if match.group(1) is None else match.group(1)


def _as_glob(pattern: str) -> str:
    return _DATE.sub(lambda match: re.sub(r"%.", "*", _spelling(match)), pattern)


def _compiled(pattern: str) -> tuple[re.Pattern[str], list[str]]:
    """Return what a path has to look like, with a group for each part of a date, and those parts."""
    expression, parts, at = "", list[str](), 0
    for match in _DATE.finditer(pattern):
        expression += _wild(pattern[at : match.start()])
        spelled, place = _spelling(match), 0
        for part in _PART.finditer(spelled):
            expression += f"{re.escape(spelled[place : part.start()])}({_PARTS[part.group(1)]})"
            parts.append(part.group(1))
            place = part.end()
        expression += re.escape(spelled[place:])
        at = match.end()
    return re.compile(expression + _wild(pattern[at:]), re.ASCII | re.DOTALL), parts


def _wild(text: str) -> str:
    """Return the expression of a piece of a shell's pattern."""
    expression, at = "", 0
    for match in _WILD.finditer(text):
        expression += re.escape(text[at : match.start()])
        sign = match.group(0)
        if sign.startswith("**"):
            expression += ".*"
        elif sign in "*?":
            expression += {"*": "[^/]*", "?": "[^/]"}[sign]
        else:
            expression += fnmatch.translate(sign).removeprefix("(?s:")[:-3]  # up to its `)` and end
        at = match.end()
    return expression + re.escape(text[at:])


def _date(groups: Sequence[str], parts: Sequence[str]) -> datetime | None:
    """Return the moment that the parts of a name tell; None where they contradict each other, or are none."""
    told: dict[str, str] = {}
    for part, text in zip(parts, groups, strict=True):
        if told.setdefault(part, text) != text:
            return None
    try:
        return datetime.strptime(" ".join(told.values()), " ".join(f"%{part}" for part in told))
    except ValueError:
        return None


def _fixed_part(pattern: str) -> str:
    """Return the directory in which everything lies that a pattern may name."""
    wild = min(
        (match.start() for match in (_DATE.search(pattern), _WILD.search(pattern)) if match), default=-1
    )
    return pattern if wild < 0 else os.path.dirname(pattern[:wild]) or "/"


def lies_within(pattern: str, directory: str) -> bool:
    """Tell whether nothing that a pattern names lies outside of a directory, wherever links lead now."""
    return _within(_fixed_part(pattern), directory) and ".." not in pattern.split("/")


def _within(path: str, directory: str) -> bool:
    """Tell whether a path lies in a directory, wherever links lead."""
    real, top = os.path.realpath(path), os.path.realpath(directory)
    return os.path.commonpath((real, top)) == top


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _outside(path: str, below: str) -> InvalidInputError:
    return InvalidInputError(
        FIELD, f"{path} does not lie in {below}, and nothing else is read for this schedule"
    )


def _unreadable(path: str, error: OSError) -> InvalidInputError:
    return InvalidInputError(FIELD, f"{path} cannot be read: {error.strerror or error}")
