from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.table import in_time_order, iso_utc, read_table, without_missing

from .tables import Row


def test_numbers_booleans_and_holes_become_columns() -> None:
    table = read_table([{"cpu": 1, "up": True}, {"cpu": None}, {"cpu": math.nan, "up": False, "late": 2.5}])
    np.testing.assert_equal(table.numbers["cpu"], [1.0, np.nan, np.nan])
    np.testing.assert_equal(table.numbers["up"], [1.0, np.nan, 0.0])
    np.testing.assert_equal(table.numbers["late"], [np.nan, np.nan, 2.5])
    assert table.timestamps is None


def test_text_that_spells_numbers_is_read_and_reported() -> None:
    table = read_table([{"cpu": "12.5", "mem": 1}, {"cpu": "", "mem": "2"}, {"cpu": "1e3", "mem": 3}])
    np.testing.assert_equal(table.numbers["cpu"], [12.5, np.nan, 1000.0])
    np.testing.assert_equal(table.numbers["mem"], [1.0, 2.0, 3.0])
    assert table.cleaning == {"numeric_text_cells": 3}


def test_text_throughout_is_a_column_of_text() -> None:
    table = read_table([{"cpu": 1, "host": "a"}, {"cpu": 2, "host": None}, {"cpu": 3, "host": "7"}])
    assert table.texts == {"host": ["a", None, "7"]}
    assert list(table.numbers) == ["cpu"]


@pytest.mark.parametrize(
    ("rows", "field", "says"),
    [
        ([{"cpu": 1}, 5], "training_data[1]", "number"),
        ([{"cpu": 1}, None], "training_data[1]", "null"),
        ([[1, 2]], "training_data[0]", "list"),
        ([{"cpu": 1}, {"cpu": "high"}], "training_data[1].cpu", "'high'"),
        ([{"cpu": "1"}, {"cpu": "2"}, {"cpu": "oops"}], "training_data[2].cpu", "'oops'"),
        ([{"cpu": 1}, {"cpu": "nan"}], "training_data[1].cpu", "'nan'"),
        ([{"cpu": 1}, {"cpu": "1_000"}], "training_data[1].cpu", "'1_000'"),
        ([{"cpu": 1}, {"cpu": [1]}], "training_data[1].cpu", "list"),
        ([{"cpu": {"value": 1}}], "training_data[0].cpu", "object"),
        ([{"cpu": 1}, {"cpu": math.inf}], "training_data[1].cpu", "infinite"),
        ([{"cpu": 1}, {"cpu": -math.inf}], "training_data[1].cpu", "infinite"),
        ([{"cpu": 1}, {"cpu": 1e31}], "training_data[1].cpu", "1e+31"),
        ([{"cpu": 1}, {"cpu": 10**400}], "training_data[1].cpu", "too large"),
        ([{"timestamp": 1_700_000_000_000}], "training_data[0].timestamp", "milliseconds?"),
        ([{"timestamp": "1700000000000"}], "training_data[0].timestamp", "milliseconds?"),
        ([{"timestamp": "yesterday"}], "training_data[0].timestamp", "ISO 8601"),
        ([{"timestamp": True}], "training_data[0].timestamp", "boolean"),
        ([{"timestamp": -1e12}], "training_data[0].timestamp", "year 1"),
        ([{"vm_id": 1.5}], "training_data[0].vm_id", "whole number"),
        ([{"vm_id": ["a"]}], "training_data[0].vm_id", "list"),
        ([{f"c{i}": 1} for i in range(1001)], "training_data", "1,000 columns"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_name(rows: list[Any], field: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=r".") as refusal:
        read_table(rows)
    assert refusal.value.field == field
    assert says in refusal.value.problem


def test_a_refusal_does_not_repeat_a_whole_document() -> None:
    with pytest.raises(InvalidInputError) as refusal:
        read_table([{"cpu": 1}, {"cpu": "x" * 10_000}])
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    "spelling",
    ["2023-11-14T22:13:20Z", "2023-11-14T23:13:20+01:00", "2023-11-14 22:13:20", 1_700_000_000, "1700000000"],
)
def test_timestamps_are_utc_however_spelled(spelling: str | int) -> None:
    table = read_table([{"timestamp": spelling, "cpu": 1}])
    assert table.timestamps is not None
    assert table.timestamps.tolist() == [1_700_000_000.0]
    assert iso_utc(table.timestamps[0]) == "2023-11-14T22:13:20Z"


def test_rows_are_sorted_in_each_vm_and_the_last_of_a_moment_counts() -> None:
    rows: list[Row] = [
        {"timestamp": 600, "vm_id": "a", "cpu": 3},
        {"timestamp": 300, "vm_id": "b", "cpu": 9},
        {"timestamp": 300, "vm_id": "a", "cpu": 1},
        {"timestamp": 300, "vm_id": "a", "cpu": 2},
        {"timestamp": None, "vm_id": "a", "cpu": 4},
    ]
    table = in_time_order(read_table(rows))
    assert [table.vm_ids[code] for code in table.vm_codes] == ["a", "a", "b"]
    assert table.numbers["cpu"].tolist() == [2.0, 3.0, 9.0]
    assert table.row_numbers.tolist() == [3, 0, 1]
    assert table.cleaning == {
        "rows_without_timestamp_dropped": 1,
        "rows_out_of_order_sorted": 1,
        "duplicate_timestamps_dropped": 1,
    }


def test_rows_without_a_target_are_dropped_and_counted() -> None:
    table = without_missing(read_table([{"cpu": 1}, {"cpu": None}, {"cpu": 3}]), "cpu")
    assert table.numbers["cpu"].tolist() == [1.0, 3.0]
    assert table.cleaning == {"rows_without_target_dropped": 1}


CELLS = st.one_of(st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.floats(-1e9, 1e9))
ROWS = st.lists(
    st.fixed_dictionaries(
        {"timestamp": st.integers(0, 50), "vm_id": st.sampled_from(["a", "b", 3, None])},
        optional={"cpu": CELLS},
    ),
    min_size=1,
    max_size=60,
)


@given(ROWS)
def test_cleaning_keeps_the_last_of_each_moment_and_accounts_for_the_rest(rows: list[Row]) -> None:
    table = in_time_order(read_table(rows))
    expected = {(row["vm_id"], row["timestamp"]): row.get("cpu") for row in rows}
    assert table.timestamps is not None
    found = {
        (table.vm_ids[code], moment): value
        for code, moment, value in zip(
            table.vm_codes, table.timestamps, table.numbers.get("cpu", []), strict=False
        )
    }
    if "cpu" in table.numbers:
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_equal(found[key], np.nan if value is None else float(value))
    assert len(table) + table.cleaning.get("duplicate_timestamps_dropped", 0) == len(rows)
    keys = list(zip(table.vm_codes.tolist(), table.timestamps.tolist(), strict=True))
    assert keys == sorted(set(keys))


@given(st.permutations(range(12)))
def test_the_order_of_rows_does_not_matter_where_there_is_time(order: list[int]) -> None:
    rows: list[Row] = [{"timestamp": 60 * i, "cpu": i} for i in range(12)]
    table = in_time_order(read_table([rows[i] for i in order]))
    assert table.numbers["cpu"].tolist() == list(range(12))


def test_a_million_cells_are_read_in_seconds() -> None:
    from time import perf_counter

    rows = [{"timestamp": 1_700_000_000 + i, "a": 1.5, "b": i, "c": None, "d": 0.25} for i in range(200_000)]
    started = perf_counter()
    table = read_table(rows)
    # 0.2 s on the machine that it was written on; the bound is for a slow one under load.
    assert perf_counter() - started < 5
    assert len(table) == 200_000
