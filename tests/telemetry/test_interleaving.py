"""Rows of several machines that look like one are refused; one machine's, however dirty, are not."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_engine import InvalidInputError
from ai_engine.telemetry.interleaving import check_one_machine

Rows = list[dict[str, Any]]


def series(count: int, start: float = 1.7e9, step: float = 300.0, jitter: float = 0.0) -> Rows:
    draw = random.Random(count)
    return [
        {"timestamp": start + step * n + draw.uniform(-jitter, jitter), "cpu": n + 1} for n in range(count)
    ]


def interleaved(machines: int, count: int, offset: float) -> Rows:
    rows = [row | {"host": f"h{m}"} for m in range(machines) for row in series(count, 1.7e9 + offset * m)]
    return sorted(rows, key=lambda row: float(row["timestamp"]))


@pytest.mark.parametrize("machines", [2, 3, 10])
@pytest.mark.parametrize("offset", [0.0, 7.0])
def test_several_machines_are_refused_with_the_column_that_may_name_them(
    machines: int, offset: float
) -> None:
    with pytest.raises(InvalidInputError, match=r"several machines.*'host'.*group_column"):
        check_one_machine(interleaved(machines, 100, offset), "time")


def test_machines_one_behind_the_other_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="goes back at row 100"):
        check_one_machine(series(100) + series(100, 1.7e9 + 7), "time")


@pytest.mark.parametrize(("against", "refused"), [(19, False), (20, False), (21, True)])
def test_rows_that_contradict_each_other_up_to_a_share_are_one_machines(against: int, refused: bool) -> None:
    rows = series(100 - against)
    rows += [row | {"cpu": row["cpu"] + 1000} for row in rows[:against]]
    rows.sort(key=lambda row: float(row["timestamp"]))
    if refused:
        with pytest.raises(InvalidInputError, match="21 of 100 rows say something else"):
            check_one_machine(rows, "time")
    else:
        check_one_machine(rows, "time")


@pytest.mark.parametrize("second", [{}, {"cpu": 0}, {"cpu": None}])
def test_a_row_that_is_told_twice_is_one_machines(second: dict[str, Any]) -> None:
    rows = [row | more for row in series(100) for more in ({}, second)]
    check_one_machine(rows, "time")


@pytest.mark.parametrize("jitter", [0.0, 3.0, 100.0])
def test_one_machine_is_taken_whatever_its_order_and_gaps(jitter: float) -> None:
    rows = series(300, jitter=jitter)
    del rows[100:150]
    check_one_machine(rows, "time")
    check_one_machine(rows[::-1], "time")
    random.Random(1).shuffle(rows)
    check_one_machine(rows, "time")
    check_one_machine([{"cpu": 1}] * 20, None)


@pytest.mark.parametrize(("count", "refused"), [(5, False), (6, True)])
def test_a_handful_of_rows_is_not_judged(count: int, refused: bool) -> None:
    rows = interleaved(2, count, 0.0)
    if refused:
        with pytest.raises(InvalidInputError):
            check_one_machine(rows, "time")
    else:
        check_one_machine(rows, "time")


@given(st.integers(12, 200), st.sampled_from([1.0, 60.0, 300.0]), st.integers(0, 5))
def test_a_series_with_any_holes_is_one_machine(count: int, step: float, holes: int) -> None:
    rows = series(count, step=step)
    draw = random.Random(count)
    for _ in range(holes):
        if len(rows) > 12:
            del rows[draw.randrange(len(rows))]
    check_one_machine(rows, "time")
