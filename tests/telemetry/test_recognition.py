"""Which columns say when and where, under whichever names, in whichever unit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_engine import InvalidInputError
from ai_engine.telemetry.reading import Source
from ai_engine.telemetry.recognition import GROUP_NAMES, TIME_NAMES, recognise

START = datetime(2026, 1, 1, tzinfo=UTC)
SCALES = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def rows(time: str, group: str | None = None, unit: str = "s", count: int = 5) -> list[dict[str, Any]]:
    found = []
    for number in range(count):
        moment = START + timedelta(minutes=5 * number)
        at = moment.isoformat() if unit == "iso8601" else int(moment.timestamp()) * SCALES[unit]
        found.append({time: at, **({group: "a"} if group else {}), "cpu": number})
    return found


@pytest.mark.parametrize("unit", [*SCALES, "iso8601"])
@pytest.mark.parametrize("name", [*TIME_NAMES, "Timestamp", "TIME"])
def test_a_time_of_any_usual_name_and_unit_is_taken(name: str, unit: str) -> None:
    found, source = recognise(rows(name, unit=unit))
    assert source == Source(name, None, unit)
    moments = [row["timestamp"] for row in found]
    if unit == "iso8601":
        assert moments[0] == START.isoformat()
    else:
        assert moments == [(START + timedelta(minutes=5 * n)).timestamp() for n in range(5)]
    assert [set(row) for row in found] == [{"timestamp", "cpu"}] * 5


@pytest.mark.parametrize("name", [*GROUP_NAMES, "VM_ID", "Instance"])
def test_a_machine_of_any_usual_name_is_taken(name: str) -> None:
    found, source = recognise(rows("ts", name))
    assert source.group_column == name
    assert {row["vm_id"] for row in found} == {"a"}


def test_what_only_may_be_a_machine_is_a_category_where_rows_are_no_series() -> None:
    _, source = recognise(rows("ts", "host"), series=False)
    assert source.group_column is None
    assert recognise(rows("ts", "VM_ID"), series=False)[1].group_column == "VM_ID"


@pytest.mark.parametrize("cell", [0.0, 12, 631_151_999, "soon", True, "12:30", 5e9])
def test_a_column_that_does_not_show_itself_as_the_time_is_none(cell: object) -> None:
    given_rows = [{"time": cell, "cpu": 1}, {"time": cell, "cpu": 2}]
    found, source = recognise(given_rows)
    assert source == Source(None, None, None)
    assert found == given_rows


def test_the_column_called_timestamp_is_believed() -> None:
    found, source = recognise([{"timestamp": 0, "cpu": 1}, {"timestamp": 300, "cpu": 2}])
    assert source == Source("timestamp", None, "s")
    assert [row["timestamp"] for row in found] == [0, 300]


def test_a_named_column_is_believed_and_has_to_be_there() -> None:
    given_rows = [{"when": 1_767_225_600_000, "who": "x", "time": "2026-01-01", "cpu": 1}]
    found, source = recognise(given_rows, "when", "who")
    assert source == Source("when", "who", "ms")
    assert found == [{"timestamp": 1_767_225_600.0, "vm_id": "x", "time": "2026-01-01", "cpu": 1}]
    for wrong in ({"time_column": "then"}, {"group_column": "whom"}):
        with pytest.raises(InvalidInputError, match="there is no column"):
            recognise(given_rows, **wrong)  # type: ignore[arg-type]  # one of them
    with pytest.raises(InvalidInputError, match="is the time"):
        recognise(given_rows, "when", "when")


def test_a_column_that_has_our_name_by_accident_goes() -> None:
    found, _ = recognise([{"timestamp": "x", "clock": "2026-01-01", "cpu": 1}], "clock")
    assert found == [{"timestamp": "2026-01-01", "cpu": 1}]


def test_mixed_units_are_refused_with_the_row() -> None:
    mixed = rows("ts", unit="ms")
    mixed[3]["ts"] //= 1000
    with pytest.raises(InvalidInputError, match=r"training_data\[3\].ts.*another unit"):
        recognise(mixed)
    mixed[3]["ts"] = "yesterday"
    with pytest.raises(InvalidInputError, match=r"there is no column|no epoch"):
        recognise(mixed, "ts")


def test_missing_times_stay_missing() -> None:
    given_rows = rows("ts", unit="ms")
    given_rows[1]["ts"] = None
    given_rows[2]["ts"] = ""
    given_rows[3]["ts"] = float("nan")
    found, _ = recognise(given_rows, "ts")
    assert [row["timestamp"] for row in found][1:4] == [None, None, None]


@given(
    st.lists(
        st.one_of(st.none(), st.integers(), st.text(), st.dictionaries(st.text(max_size=5), st.text())),
        max_size=20,
    )
)
def test_whatever_comes_is_handed_on_or_refused(odd: list[object]) -> None:
    try:
        found, _ = recognise(odd)
    except InvalidInputError:
        return
    assert len(found) == len(odd)
