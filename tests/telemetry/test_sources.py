"""The files that a schedule trains on: which are meant, what is new in them, and what is never read."""

from __future__ import annotations

import gzip
import json
import os
import string
import tarfile
import tempfile
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ai_engine.domain.digests import digest_of
from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.schedules import Selection, Source, SourceFile
from ai_engine.telemetry import sources
from ai_engine.telemetry.arrow import columns_of
from ai_engine.telemetry.joining import joined
from ai_engine.telemetry.readers import read_columns
from ai_engine.telemetry.row_count import count_rows
from ai_engine.telemetry.rows_file import RowsFile
from ai_engine.telemetry.sources import (
    SourceReading,
    checked_pattern,
    content,
    examine,
    files_of,
    looks,
)

HEADER = b"timestamp,cpu\n"


def lines(count: int, start: int = 0) -> bytes:
    return b"".join(b"2026-01-01T00:00:00Z,%d\n" % number for number in range(start, start + count))


def names(directory: Path, pattern: str, files: Selection = Selection.NEWEST) -> list[str]:
    return [os.path.relpath(path, directory) for path in files_of(Source(f"{directory}/{pattern}", files))]


def made(directory: Path, *paths: str) -> None:
    for number, path in enumerate(paths):
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(path.encode())
        os.utime(directory / path, (number, number))


# -- which files ---------------------------------------------------------------------------------------------


def test_a_path_is_the_file_that_it_names_whatever_that_is_called(tmp_path: Path) -> None:
    made(tmp_path, "cpu[1]*.csv", "cpu1x.csv")
    assert names(tmp_path, "cpu[1]*.csv") == ["cpu[1]*.csv"]
    assert names(tmp_path, "cpu1x.csv", Selection.ALL) == ["cpu1x.csv"]


def test_of_a_pattern_the_file_that_was_changed_last(tmp_path: Path) -> None:
    made(tmp_path, "z.csv", "b/c.csv", "a.csv", "d.txt")
    assert names(tmp_path, "[!x-z]*.csv") == ["a.csv"]
    assert names(tmp_path, "*.csv") == ["a.csv"]
    assert names(tmp_path, "**/*.csv") == ["a.csv"]
    assert names(tmp_path, "[x-z].csv") == ["z.csv"]
    assert names(tmp_path, "**/*.csv", Selection.ALL) == ["a.csv", "b/c.csv", "z.csv"]
    assert names(tmp_path, "?.csv", Selection.ALL) == ["a.csv", "z.csv"]


def test_of_dates_the_latest_whichever_was_changed_last(tmp_path: Path) -> None:
    made(tmp_path, "cpu-2026-11-30.csv", "cpu-2026-12-01.csv", "cpu-2026-02-30.csv", "cpu-last.csv")
    made(tmp_path, "cpu-2025-12-31.csv")
    assert names(tmp_path, "cpu-{date}.csv") == ["cpu-2026-12-01.csv"]
    assert names(tmp_path, "cpu-{date}.csv", Selection.ALL) == [
        "cpu-2025-12-31.csv",
        "cpu-2026-11-30.csv",
        "cpu-2026-12-01.csv",
    ]


@pytest.mark.parametrize(
    ("pattern", "older", "newer"),
    [
        ("{date:%Y%m%d}-*.csv", "20261101-b.csv", "20261102-a.csv"),
        ("{date:%Y/%m/%d}/cpu.csv", "2025/12/31/cpu.csv", "2026/01/01/cpu.csv"),
        ("{date:%Y}/{date:%d.%m.%Y}.csv", "2026/30.01.2026.csv", "2026/02.02.2026.csv"),
        ("{date:%y%j%H%M%S}.csv", "26365235958.csv", "26365235959.csv"),
        ("v+(1)/{date}.csv", "v+(1)/2026-01-01.csv", "v+(1)/2026-01-02.csv"),
    ],
)
def test_a_date_may_be_spelled_in_any_way_of_digits(
    pattern: str, older: str, newer: str, tmp_path: Path
) -> None:
    made(tmp_path, newer, older, "2025/02.02.2026.csv", "other.csv")
    assert checked_pattern(pattern) == pattern
    assert names(tmp_path, pattern) == [newer]
    assert names(tmp_path, pattern, Selection.ALL) == [older, newer]


@settings(deadline=None)
@given(st.dates(), st.dates())
def test_of_two_dates_the_later_counts(one: object, other: object) -> None:
    parts = ["Y", "m", "d"]
    first, second = (str(date).split("-") for date in (one, other))
    found, also = sources._date(first, parts), sources._date(second, parts)
    assert found is not None
    assert also is not None
    assert (found < also) is (str(one) < str(other))


@pytest.mark.parametrize(
    "pattern", ["", "  ", None, 5, "a\0b", "{date:%B}.csv", "{date:}.csv", "{date:now}.csv", "{date.csv"]
)
def test_what_names_no_file_is_refused(pattern: object) -> None:
    with pytest.raises(InvalidInputError) as refused:
        checked_pattern(pattern)
    assert refused.value.field == "source"


@settings(deadline=None)
@given(st.text(string.printable, max_size=30) | st.text("[]!-^\\az&|~*{}/", max_size=12))
@example("[z-a]")
@example("[!]")
@example("[\\]")
@example("[--~~&&||]")
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    try:
        sources._compiled(checked_pattern(text))
    except InvalidInputError:
        return
    sources._as_glob(text)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "directory.csv").mkdir()
    for pattern in ("cpu.csv", "*.csv", "{date}.csv"):
        with pytest.raises(InvalidInputError, match="there is no file"):
            names(tmp_path, pattern)


def test_there_are_not_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "a.csv", "b.csv", "c.csv")
    monkeypatch.setattr(sources, "MOST_FILES", 3)
    assert len(names(tmp_path, "*.csv", Selection.ALL)) == 3
    monkeypatch.setattr(sources, "MOST_FILES", 2)
    with pytest.raises(InvalidInputError, match="more than 2 files"):
        names(tmp_path, "*.csv", Selection.ALL)


# -- what is never read --------------------------------------------------------------------------------------


def test_nothing_outside_of_the_directory_is_read(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    made(inside, "good.csv", "deep/good.csv")
    made(outside, "secret.csv")
    (inside / "link.csv").symlink_to(outside / "secret.csv")
    (inside / "way").symlink_to(outside)
    (inside / "home.csv").symlink_to(inside / "good.csv")
    (tmp_path / "inside2").mkdir()
    made(tmp_path, "inside2/secret.csv")

    def read(pattern: str, files: Selection = Selection.ALL) -> SourceReading:
        return examine(Source(f"{inside}/{pattern}", files, str(inside)), (), count=False)

    assert len(read("good.csv").files) == len(read("home.csv").files) == 1
    assert len(read("deep/*.csv").files) == 1
    for pattern in (
        *("link.csv", "*.csv", "way/secret.csv", "way/*.csv", "{date}/../../outside/secret.csv"),
        *("../outside/secret.csv", "../inside2/secret.csv", "*/../../outside/*.csv"),
    ):
        with pytest.raises(InvalidInputError, match="does not lie in"):
            read(pattern)
        with pytest.raises(InvalidInputError, match="does not lie in"):  # and before anything is opened
            files_of(Source(f"{inside}/{pattern}", Selection.ALL, str(inside)))


def test_a_link_that_is_put_in_the_place_of_a_file_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "inside"
    made(inside, "way/cpu.csv")
    made(tmp_path, "elsewhere/cpu.csv")
    real = os.open

    def swapped(path: str, *more: int) -> int:
        if path.endswith("cpu.csv"):
            (inside / "way").rename(inside / "old")
            (inside / "way").symlink_to(tmp_path / "elsewhere")
        return real(path, *more)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(InvalidInputError, match="does not lie in"):
        examine(Source(f"{inside}/way/cpu.csv", below=str(inside)), (), count=False)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with (
        pytest.raises(InvalidInputError, match="is not a file"),
        sources.opened(str(tmp_path / "pipe.csv"), None),
    ):
        pass
    with pytest.raises(InvalidInputError, match="cannot be read"), sources.opened(str(tmp_path / "no"), None):
        pass


# -- what is new ---------------------------------------------------------------------------------------------


def new_rows(path: Path, trained: tuple[SourceFile, ...]) -> tuple[int | None, tuple[SourceFile, ...]]:
    found = examine(Source(str(path)), trained, count=True)
    return found.new_rows, found.files


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(0, 50))
def test_rows_that_were_added_are_new(before: int, added: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "cpu.csv"
        path.write_bytes(HEADER + lines(before))
        count, trained = new_rows(path, ())
        assert count == before
        assert new_rows(path, trained)[0] == 0
        with path.open("ab") as file:
            file.write(lines(added))
        assert new_rows(path, trained)[0] == added


def test_all_rows_are_new_of_a_file_that_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "cpu.csv"
    path.write_bytes(HEADER + lines(10))
    _, trained = new_rows(path, ())
    path.write_bytes(HEADER + lines(12, start=50))
    assert new_rows(path, trained)[0] == 12
    path.write_bytes(HEADER + lines(10))
    assert new_rows(path, trained)[0] == 0
    path.write_bytes(HEADER + lines(4))
    assert new_rows(path, trained)[0] == 4


def test_all_rows_are_new_of_another_file(tmp_path: Path) -> None:
    for day, count in ((1, 10), (2, 3)):
        (tmp_path / f"2026-01-0{day}.csv").write_bytes(HEADER + lines(count))
    source = Source(f"{tmp_path}/{{date}}.csv", Selection.ALL)
    first = examine(Source(str(tmp_path / "2026-01-01.csv")), (), count=True)
    assert examine(source, first.files, count=True).new_rows == 3
    assert examine(source, first.files, count=False).new_rows is None


def test_a_file_that_is_written_anew_each_time_has_as_many_new_rows_as_it_has_more(tmp_path: Path) -> None:
    path = tmp_path / "cpu.parquet"

    def write(count: int) -> None:
        pq.write_table(pa.table({"cpu": list(range(count))}), path)

    write(10)
    count, trained = new_rows(path, ())
    assert count == 10
    write(14)
    assert new_rows(path, trained)[0] == 4
    write(8)
    assert new_rows(path, trained)[0] == 8


def test_a_file_that_grows_while_it_is_read_gives_the_rows_that_it_had(tmp_path: Path) -> None:
    path = tmp_path / "cpu.csv"
    path.write_bytes(HEADER + lines(3))
    source = Source(str(path))
    reading = examine(source, (), count=True)
    with path.open("ab") as file:
        file.write(lines(2))
    pieces, kind = content(source, reading)
    assert (b"".join(pieces), kind) == (HEADER + lines(3), "csv")
    path.write_bytes(b"something else, and as long as what was there before it, or longer" * 9)
    pieces, _ = content(source, reading)
    with pytest.raises(InvalidInputError, match="changed while it was read"):
        list(pieces)


def test_how_files_look_differs_once_one_is_another(tmp_path: Path) -> None:
    made(tmp_path, "cpu.csv")
    source = Source(f"{tmp_path}/*.csv", Selection.ALL)
    first = looks(source)
    assert looks(source) == first
    made(tmp_path, "memory.csv")
    assert looks(source) != first
    (tmp_path / "memory.csv").unlink()
    (tmp_path / "cpu.csv").write_bytes(b"longer than it was")
    assert looks(source) != first


# -- rows, as reading has them -------------------------------------------------------------------------------

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


def counted(data: bytes, name: str) -> int:
    return count_rows(BytesIO(data), len(data), name)


@settings(deadline=None)
@given(rows=st.lists(st.tuples(st.integers(), CELLS), min_size=1, max_size=20), packed=st.booleans())
def test_rows_of_csv_are_counted_as_they_are_read(
    rows: list[tuple[int, str]], packed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    quoted = "".join(f'{n % 10**9},"{text.replace(chr(34), chr(34) * 2)}"\n' for n, text in rows)
    data = f"n,text\n{quoted}".encode()
    name = "rows.csv"
    if packed:
        data, name = gzip.compress(data), "rows.csv.gz"
    path = tmp_path_factory.mktemp("rows") / name
    path.write_bytes(data)
    assert counted(data, name) == len(rows) == len(read_columns(RowsFile(str(path))))


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("ab"), st.integers(-9, 9), min_size=1), min_size=1))
def test_rows_of_json_are_counted_as_they_are_read(rows: list[dict[str, int]]) -> None:
    whole = json.dumps(rows).encode()
    assert counted(whole, "rows.json") == counted(whole, "rows") == len(rows)
    assert counted(json.dumps({"training_data": rows}).encode(), "rows.json") == len(rows)
    by_line = "".join(json.dumps(row) + "\n\n" for row in rows).encode()
    assert counted(by_line, "rows.jsonl") == counted(by_line, "rows.ndjson") == len(rows)


def test_rows_of_parquet_are_counted_packed_or_not(tmp_path: Path) -> None:
    pq.write_table(pa.table({"cpu": [1, 2, 3]}), tmp_path / "rows")
    data = (tmp_path / "rows").read_bytes()
    assert counted(data, "rows.parquet") == counted(data, "rows") == 3
    assert counted(gzip.compress(data), "rows.parquet.gz") == 3


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("rows.json", b"[1, 2"),
        ("rows.json", b'{"rows": 5}'),
        ("rows.parquet", b"PAR1 and no more"),
        ("rows.csv.gz", gzip.compress(b"n\n1\n", mtime=0)[:-9]),
    ],
)
def test_what_is_broken_is_said(name: str, data: bytes) -> None:
    with pytest.raises(InvalidInputError) as refused:
        counted(data, name)
    assert refused.value.field == "source"


def test_an_empty_file_has_no_rows() -> None:
    assert counted(b"", "rows.csv") == counted(b"", "rows.jsonl") == counted(b"n\n", "rows.csv") == 0


# -- several files as one table ------------------------------------------------------------------------------


def archived(tmp_path: Path, **files: bytes) -> RowsFile:
    """Return the archive that a source of these files comes to."""
    directory = tmp_path / "files"
    directory.mkdir()
    for name, data in files.items():
        (directory / name.replace("_", ".")).write_bytes(data)
    source = Source(f"{directory}/*", Selection.ALL)
    pieces, kind = content(source, examine(source, (), count=False))
    path = tmp_path / "archive"
    path.write_bytes(b"".join(pieces))
    with tarfile.open(path) as archive:
        assert len(archive.getnames()) == len(files)
    return RowsFile(str(path), kind)


def test_several_files_are_one_table(tmp_path: Path) -> None:
    packed = gzip.compress(b"n,word\n3,c\n")
    archive = archived(
        tmp_path, a_csv=b"n,word\n1,a\n2,b\n", b_csv_gz=packed, c_jsonl=b'{"n": 4, "late": 0.5}\n'
    )
    assert list(read_columns(archive)) == [
        {"n": 1, "word": "a", "late": None},
        {"n": 2, "word": "b", "late": None},
        {"n": 3, "word": "c", "late": None},
        {"n": 4, "word": None, "late": 0.5},
    ]


def test_a_broken_file_of_several_is_named(tmp_path: Path) -> None:
    archive = archived(tmp_path, a_csv=b"n\n1\n", b_json=b"[1, 2")
    with pytest.raises(InvalidInputError, match=r"b\.json"):
        read_columns(archive)


VALUES = st.one_of(
    st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=5),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5),
    st.lists(st.booleans(), min_size=1, max_size=5),
    st.lists(st.sampled_from(["a", "b", "é"]), min_size=1, max_size=5),
    st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=1, max_size=5),
)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("xy"), VALUES, min_size=1), min_size=1, max_size=4))
def test_a_table_of_tables_has_their_rows(parts: list[dict[str, list[object]]]) -> None:
    tables = []
    for part in parts:
        size = min(map(len, part.values()))
        tables.append(columns_of(pa.table({name: values[:size] for name, values in part.items()})))
    together = joined(tables, "rows")
    expected = [dict.fromkeys(together.names) | row for table in tables for row in table]
    assert list(together) == expected
    for row, wanted in zip(together, expected, strict=True):
        assert [type(cell) is bool for cell in row.values()] == [
            type(cell) is bool for cell in wanted.values()
        ]


def test_moments_are_joined_as_moments(tmp_path: Path) -> None:
    for day in (1, 2):
        pq.write_table(
            pa.table({"at": [datetime(2026, 1, day, tzinfo=UTC)], "n": [day]}), tmp_path / f"{day}.parquet"
        )
    source = Source(f"{tmp_path}/*.parquet", Selection.ALL)
    pieces, kind = content(source, examine(source, (), count=False))
    path = tmp_path / "archive"
    path.write_bytes(b"".join(pieces))
    assert [row["at"][:10] for row in read_columns(RowsFile(str(path), kind))] == ["2026-01-01", "2026-01-02"]


def test_the_bytes_of_one_file_are_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "cpu.csv").write_bytes(HEADER + lines(2))
    source = Source(str(tmp_path / "cpu.csv"))
    reading = examine(source, (), count=False)
    assert reading.files[0].digest == digest_of(HEADER + lines(2))
    assert b"".join(content(source, reading)[0]) == HEADER + lines(2)
