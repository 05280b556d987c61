"""Rows out of files."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_engine.domain.errors import InvalidInputError
from ai_engine.telemetry import csv_reader, json_lines, readers
from ai_engine.telemetry.columns import MAX_COLUMNS, Cells, Column, Moments, Numbers, Texts
from ai_engine.telemetry.csv_reader import number_of
from ai_engine.telemetry.readers import read_columns
from ai_engine.telemetry.rows_file import RowsFile

ROWS = [{"day": "2026-01-01", "cpu": 1.5, "n": 3}, {"day": "2026-01-02", "cpu": None, "n": -4}]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "day,cpu,n\n2026-01-01,1.5,3\n2026-01-02,,-4\n"),
        ("a.csv", "\ufeffday;cpu;n\r\n2026-01-01;1.5;3\r\n\r\n2026-01-02; NaN ;-4"),
        ("a.txt", '"day"\tcpu\tn\n2026-01-01\t1.5\t3\n2026-01-02\t""\t-4\n'),
        (
            "a.json",
            '[{"day":"2026-01-01","cpu":1.5,"n":3},\n{"day":"2026-01-02","cpu":NaN,"n":-4}]',
        ),
        ("a", ' [{"day":"2026-01-01","cpu":1.5,"n":3},{"day":"2026-01-02","cpu":null,"n":-4}]'),
        (
            "a.jsonl",
            '{"day":"2026-01-01","cpu":1.5,"n":3}\n\n{"day":"2026-01-02","cpu":null,"n":-4}\n',
        ),
        ("a", '{"day":"2026-01-01","cpu":1.5,"n":3}\r\n{"day":"2026-01-02","cpu":null,"n":-4}'),
    ],
)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert read_columns(RowsFile(str(tmp_path / name))) == ROWS


def test_what_names_a_machine_stays_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("vm_id,cpu\n007,007\n")
    assert read_columns(RowsFile(str(tmp_path / "a.csv"))) == [{"vm_id": "007", "cpu": 7}]


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"a,b\n1,2\n3\n", "line 3: has 1 cells, the header has 2"),
        ("a.csv", b"a,a\n1,2\n", "every column needs a name of its own"),
        ("a.csv", b"a,\n1,2\n", "every column needs a name of its own"),
        ("a.csv", b'a\n"1\n', "line 2"),
        ("a.csv", b"a\n\xff\n", "is not UTF-8 from byte 2"),
        ("a.json", b"{}", "not a list of objects"),
        ("a.json", b"[1,\n2", "line 2: not JSON"),
        ("a.json", b"[" * 100_000, "line 1: not JSON"),
        ("a.jsonl", b'{"a": 1}\n{"a": \n', "line 2: not JSON"),
        ("a.jsonl", b"[1]\n", "line 1: not an object"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InvalidInputError, match=told):
        read_columns(RowsFile(str(tmp_path / name)))


@pytest.mark.parametrize("source", ["/no/such/file.csv", "/", "a\x00b"])
def test_what_is_no_file_is_told(source: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_columns(RowsFile(source))


@given(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**17), 10**17)))
def test_every_number_comes_back(number: float) -> None:
    assert number_of(repr(number)) == number


@given(st.text())
def test_a_cell_is_infinite_only_where_it_says_so(text: str) -> None:
    cell: Any = number_of(text)
    assert cell is None or isinstance(cell, str) or abs(cell) < float("inf") or "inf" in text.lower()


NUMBERS = st.one_of(
    st.integers(-(10**17), 10**17).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(
        ["", "NA", "nan", "NaN", "null", "-", " 7 ", "+5", ".5", "5.", "1e3", "1E-3", "007", "0"]
    ),
)
WORDS = st.one_of(
    NUMBERS,
    st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=6),
    st.sampled_from(
        ["true", "FALSE", "2026-01-01", "2026-01-01T00:00:00Z", "10:00:00", "inf", "0x10", "0X1F", "1_0"]
    ),
)


@given(
    table=st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.lists(st.one_of(NUMBERS, WORDS), min_size=width, max_size=width), min_size=1, max_size=12
        )
    ),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    repeated=st.sampled_from([1, 1, 300]),
)
@settings(max_examples=300, deadline=None)
def test_blocks_and_lines_read_the_same(table: list[list[str]], delimiter: str, repeated: int) -> None:
    """Whatever is written: the quick way gives what reading line by line does, or leaves it to that."""
    names = ["cpu", "host", "note", "timestamp"][: len(table[0])]
    if len(names) == 1:
        delimiter = ","  # which nothing in the header tells
    text = io.StringIO(newline="")
    lines = csv.writer(text, delimiter=delimiter)
    lines.writerow(names)
    lines.writerows(table * repeated)
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(text.getvalue().encode())
        file.flush()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(csv_reader, "_BLOCK", 512)
            quick = csv_reader.read_csv(file.name, "it")
            slow = csv_reader._by_line(file.name, "it", ())
    assert quick.names == slow.names == tuple(names)
    for name in names:
        one, other = quick.column(name), slow.column(name)
        if isinstance(one, Moments):
            told = [None if cell is None else datetime.fromisoformat(cell) for cell in other.cells()]
            assert [None if cell is None else datetime.fromisoformat(cell) for cell in one.cells()] == [
                None if cell is None else cell if cell.tzinfo else cell.replace(tzinfo=UTC) for cell in told
            ]
        else:
            assert type(one) is type(other), (name, one.cells(), other.cells())
            assert one.cells() == other.cells()


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2"], Numbers),
        (["1", "2.5"], Numbers),
        (["1", ""], Numbers),
        (["0"] * 2000 + ["0.5"], Numbers),  # the type of the first block does not hold
        (["0"] * 2000 + ["a"], Texts),
        (["true", "false"], Texts),
        (["2026-01-01", "2026-01-02"], Texts),
        (["10:00", "11:00"], Texts),
    ],
)
def test_a_column_is_what_all_of_its_cells_are(
    tmp_path: Path, cells: list[str], kind: type[Column], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_reader, "_BLOCK", 1024)
    (tmp_path / "a.csv").write_text("other,cell\n" + "".join(f"1,{cell}\n" for cell in cells))
    found = read_columns(RowsFile(str(tmp_path / "a.csv")))
    assert type(found.column("cell")) is kind
    assert len(found) == len(cells)
    assert found.column("other").cells() == [1] * len(cells)


def test_a_named_machine_is_text_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("tenant,cpu\n007,1\n7,2\n")
    file = RowsFile(str(tmp_path / "a.csv"))
    assert read_columns(file, ("tenant",)).column("tenant").cells() == ["007", "7"]
    assert read_columns(file).column("tenant").cells() == [7, 7]


@pytest.mark.parametrize("name", ["timestamp", "Time", "ts"])
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_moments_are_read_as_such(tmp_path: Path, name: str, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    told = ["2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"]
    if ending == "csv":
        path.write_text(f"{name},cpu\n{told[0]},1\n{told[1]},2\n")
    elif ending == "jsonl":
        path.write_text("\n".join(json.dumps({name: one, "cpu": 1}) for one in told))
    else:
        moments = pa.array([datetime.fromisoformat(one) for one in told])
        pq.write_table(pa.table({name: moments, "cpu": [1, 2]}), path)
    column = read_columns(RowsFile(str(path))).column(name)
    seconds = [1_767_225_600.0, 1_767_225_900.0]
    if isinstance(column, Moments):
        assert column.seconds.tolist() == seconds
    else:
        assert [datetime.fromisoformat(cell).timestamp() for cell in column.cells()] == seconds


@pytest.mark.parametrize(("count", "refused"), [(MAX_COLUMNS, False), (MAX_COLUMNS + 1, True)])
def test_so_many_columns_are_taken_and_no_more(tmp_path: Path, count: int, refused: bool) -> None:
    names = [f"c{number}" for number in range(count)]
    (tmp_path / "a.csv").write_text(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    pq.write_table(pa.table({name: [1] for name in names}), tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text(json.dumps(dict.fromkeys(names, 1)))
    for file in ("a.csv", "a.parquet", "a.jsonl"):
        if refused:
            with pytest.raises(InvalidInputError, match=r"(more than 1,000|1,001) columns"):
                read_columns(RowsFile(str(tmp_path / file)))
        else:
            assert len(read_columns(RowsFile(str(tmp_path / file))).names) == count


def test_a_parquet_file_that_claims_too_many_cells_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column that does not vary takes a few bytes, however many rows it has."""
    pq.write_table(pa.table({"cpu": [1.0] * 1_001}), tmp_path / "a.parquet")
    monkeypatch.setattr(readers, "MAX_CELLS", 1_000)
    with pytest.raises(InvalidInputError, match="1,001 rows; at most"):
        read_columns(RowsFile(str(tmp_path / "a.parquet")))
    monkeypatch.setattr(readers, "MAX_CELLS", 1_001)
    assert len(read_columns(RowsFile(str(tmp_path / "a.parquet")))) == 1_001


def test_lines_of_several_types_are_read_one_by_one(tmp_path: Path) -> None:
    rows = [{"a": 1, "b": "x"}, {"a": "one", "b": None}, {"c": [1]}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = read_columns(RowsFile(str(tmp_path / "a.jsonl")))
    assert isinstance(found.column("a"), Cells)
    assert found.column("a").cells() == [1, "one", None]


def test_lines_whose_keys_all_differ_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    lines = [json.dumps({f"c{number}": 1}) for number in range(20_000)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with pytest.raises(InvalidInputError, match="1,001 columns and 1,001 rows"):
        read_columns(RowsFile(str(tmp_path / "a.jsonl")))


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-5, 5),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(["2026-01-01", "2026-01-01T00:00:00Z", "nan"]),
    st.lists(st.integers(0, 3), max_size=2),
)


@given(
    st.lists(st.dictionaries(st.sampled_from(["a", "b", "note", "c.d"]), CELLS), min_size=1, max_size=8),
    st.sampled_from([1, 40]),
)
@settings(max_examples=300, deadline=None)
def test_lines_of_json_are_what_was_written(rows: list[dict[str, Any]], repeated: int) -> None:
    written = rows * repeated
    names = dict.fromkeys(name for row in written for name in row)
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write("\n".join(map(json.dumps, written)).encode())
        file.flush()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(json_lines, "_SAMPLE", 64)
            found = read_columns(RowsFile(file.name))
    assert len(found) == len(written)
    for name in names:
        expected = [None if row.get(name) == "" else row.get(name) for row in written]
        cells = [None if cell == "" else cell for cell in found.column(name).cells()]
        assert cells == expected, name
        if all(isinstance(cell, (bool, int, type(None))) for cell in expected):
            assert list(map(type, cells)) == list(map(type, expected))


@pytest.mark.parametrize(
    ("late", "kind"), [(0.5, float), (7, int), (2**60, int), (True, int), ("x", int)], ids=str
)
def test_whole_numbers_stay_whole_where_all_are(tmp_path: Path, late: Any, kind: type) -> None:
    rows = [{"n": number % 3, "other": number} for number in range(3000)] + [{"n": late, "other": 2**52}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = read_columns(RowsFile(str(tmp_path / "a.jsonl")))
    assert found.column("n").cells()[-1] == late
    assert type(found.column("n").cells()[0]) is kind
    assert found.column("other").cells() == [row["other"] for row in rows]
    assert type(found.column("other").cells()[0]) is int


def test_a_header_that_stands_twice_is_told_with_its_row(tmp_path: Path) -> None:
    table = "t,cpu\n" + "1,2\n" * 5
    (tmp_path / "a.csv").write_text(table * 2)
    with pytest.raises(InvalidInputError, match="header once more, behind 5 rows"):
        read_columns(RowsFile(str(tmp_path / "a.csv")))
