"""Rows out of files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_engine.domain.errors import InvalidInputError
from ai_engine.telemetry.readers import _cell, read_rows
from ai_engine.telemetry.rows_file import RowsFile

ROWS = [{"timestamp": "2026-01-01", "cpu": 1.5, "n": 3}, {"timestamp": "2026-01-02", "cpu": None, "n": -4}]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "timestamp,cpu,n\n2026-01-01,1.5,3\n2026-01-02,,-4\n"),
        ("a.csv", "\ufefftimestamp;cpu;n\r\n2026-01-01;1.5;3\r\n\r\n2026-01-02; NaN ;-4"),
        ("a.txt", '"timestamp"\tcpu\tn\n2026-01-01\t1.5\t3\n2026-01-02\t""\t-4\n'),
        (
            "a.json",
            '[{"timestamp":"2026-01-01","cpu":1.5,"n":3},\n{"timestamp":"2026-01-02","cpu":NaN,"n":-4}]',
        ),
        ("a", ' [{"timestamp":"2026-01-01","cpu":1.5,"n":3},{"timestamp":"2026-01-02","cpu":null,"n":-4}]'),
        (
            "a.jsonl",
            '{"timestamp":"2026-01-01","cpu":1.5,"n":3}\n\n{"timestamp":"2026-01-02","cpu":null,"n":-4}\n',
        ),
        ("a", '{"timestamp":"2026-01-01","cpu":1.5,"n":3}\r\n{"timestamp":"2026-01-02","cpu":null,"n":-4}'),
    ],
)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert read_rows(RowsFile(str(tmp_path / name))) == ROWS


def test_standard_input_is_a_file_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"cpu\n1\n")))
    assert read_rows(RowsFile("-")) == [{"cpu": 1}]


def test_what_names_a_machine_stays_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("vm_id,cpu\n007,007\n")
    assert read_rows(RowsFile(str(tmp_path / "a.csv"))) == [{"vm_id": "007", "cpu": 7}]


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
        read_rows(RowsFile(str(tmp_path / name)))


@pytest.mark.parametrize("source", ["/no/such/file.csv", "/", "a\x00b"])
def test_what_is_no_file_is_told(source: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_rows(RowsFile(source))


@given(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**17), 10**17)))
def test_every_number_comes_back(number: float) -> None:
    assert _cell(repr(number)) == number


@given(st.text())
def test_no_cell_is_an_infinity(text: str) -> None:
    cell: Any = _cell(text)
    assert cell is None or isinstance(cell, str) or abs(cell) < float("inf")
