"""Frames of whichever library become rows, and rows become frames."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ai_engine import InvalidInputError
from ai_engine.telemetry import readers
from ai_engine.telemetry.frames import columns_from, frame_of, library_of
from ai_engine.telemetry.readers import read_columns
from ai_engine.telemetry.rows_file import RowsFile

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_frame_of_pandas_becomes_rows() -> None:
    frame = pd.DataFrame(
        {
            "at": pd.to_datetime([MOMENT, None]),
            "cpu": np.array([1.5, np.nan], dtype=np.float32),
            "n": pd.array([1, None], dtype="Int64"),
            "host": ["a", None],
            "on": [True, False],
        }
    )
    assert columns_from(frame) == [
        {"at": "2026-01-01T00:00:00+00:00", "cpu": 1.5, "n": 1, "host": "a", "on": True},
        {"at": None, "cpu": None, "n": None, "host": None, "on": False},
    ]


@pytest.mark.parametrize(("name", "column"), [(None, "timestamp"), ("when", "when")])
def test_an_index_of_moments_is_a_column(name: str | None, column: str) -> None:
    frame = pd.DataFrame({"cpu": [1]}, index=pd.DatetimeIndex([MOMENT], name=name))
    assert columns_from(frame) == [{column: "2026-01-01T00:00:00+00:00", "cpu": 1}]


def test_an_arrow_table_and_rows_of_numpy_become_rows() -> None:
    table = pa.table({"t": [MOMENT, None], "cpu": [1, None]})
    assert columns_from(table) == [{"t": "2026-01-01T00:00:00+00:00", "cpu": 1}, {"t": None, "cpu": None}]
    odd = [{"a": np.float64("nan"), "b": np.int8(3), "c": Decimal("1.5"), "d": MOMENT}]
    assert columns_from(odd) == [{"a": None, "b": 3, "c": 1.5, "d": "2026-01-01T00:00:00+00:00"}]


@pytest.mark.parametrize("data", [None, 7, "rows", b"rows", {"cpu": [1]}, object()])
def test_anything_else_is_refused(data: object) -> None:
    with pytest.raises(InvalidInputError, match="give a path, a DataFrame"):
        columns_from(data)
    assert library_of(data) is None


def test_rows_become_a_frame_like_the_one_that_was_given() -> None:
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert frame_of(rows, "pandas").to_dict("records") == rows
    assert frame_of(rows, "pyarrow").to_pylist() == rows


def test_files_of_every_format_hold_the_same_rows(tmp_path: Path) -> None:
    rows = [{"t": 1, "cpu": 1.5, "host": "a"}, {"t": 2, "cpu": None, "host": "b"}]
    csv = "t,cpu,host\n1,1.5,a\n2,,b\n"
    (tmp_path / "a.csv").write_text(csv)
    (tmp_path / "semicolons.csv").write_text("t;cpu;host\n1;1,5;a\n2;;b\n")
    (tmp_path / "excel.csv").write_text(csv, encoding="utf-16")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(csv.encode()))
    (tmp_path / "unnamed").write_bytes(gzip.compress(csv.encode()))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    (tmp_path / "parquet_without_its_name").write_bytes((tmp_path / "a.parquet").read_bytes())
    for file in sorted(tmp_path.iterdir()):
        assert read_columns(RowsFile(str(file))) == rows, file.name


def test_a_cell_may_hold_what_breaks_lines_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('host,note\na,"one\u2028two\x0bthree"\n', encoding="utf-8")
    assert read_columns(RowsFile(str(tmp_path / "a.csv"))) == [{"host": "a", "note": "one\u2028two\x0bthree"}]


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.csv", "t,host\n1,\xe9\n".encode("latin-1"), "not UTF-8"),
        ("a.csv.gz", b"\x1f\x8bnot gzip at all", "is damaged"),
        ("a.csv.gz", gzip.compress(b"t,cpu\n1,2\n", mtime=0)[:-6], "is damaged"),
        ("a.parquet", b"PAR1 and then something else PAR1", "no Parquet file"),
        ("a.parquet", b"", "no Parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InvalidInputError, match=told):
        read_columns(RowsFile(str(tmp_path / name)))


@pytest.mark.parametrize(("most", "refused"), [(9_999, True), (10_000, False)])
def test_what_unpacks_to_too_much_is_refused(
    tmp_path: Path, most: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "MOST_BYTES", most)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"t,cpu\n" + b"1,2\n" * 2_498 + b"  "))
    if refused:
        with pytest.raises(InvalidInputError, match="in parts"):
            read_columns(RowsFile(str(tmp_path / "a.csv.gz")))
    else:
        with pytest.raises(InvalidInputError, match="has 1 cells"):  # it was read to the last line
            read_columns(RowsFile(str(tmp_path / "a.csv.gz")))
