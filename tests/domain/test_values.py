"""Versions, names, moments, numbers and JSON: what is taken, what becomes of it, what is refused by name."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_engine.domain import clock, names, versions
from ai_engine.domain.digests import digest_of, is_digest, matches
from ai_engine.domain.errors import InvalidInputError, InvalidNameError
from ai_engine.domain.json_values import to_json
from ai_engine.domain.performance import ModelPerformance, checked, counted, measured

numbers = st.lists(st.integers(0, 12) | st.integers(0, 10**40), min_size=1, max_size=3)


def written(parts: list[int]) -> str:
    return ".".join(map(str, parts))


def padded(parts: list[int]) -> tuple[int, ...]:
    return (*parts, 0, 0)[:3]


@given(one=numbers, other=numbers, created=st.tuples(st.integers(1, 999), st.integers(1, 999)))
def test_versions_compare_as_numbers(one: list[int], other: list[int], created: tuple[int, int]) -> None:
    keys = [versions.sort_key(written(parts), at) for parts, at in zip((one, other), created, strict=True)]
    assert (keys[0] < keys[1]) == (padded(one) < padded(other))
    assert (keys[0] == keys[1]) == (padded(one) == padded(other))
    assert versions.parse(written(one)) == padded(one)


@given(created=st.lists(st.integers(1, 10**12), min_size=2, max_size=2, unique=True), parts=numbers)
def test_other_versions_stand_below_in_the_order_of_creation(created: list[int], parts: list[int]) -> None:
    first, second = (versions.sort_key("nightly", at) for at in sorted(created))
    assert first < second < versions.sort_key(written(parts), 1)


@pytest.mark.parametrize("text", ["", "v1", "1.", ".1", "1.2.3.4", "1.-2", "١", "1" * 65, " 1", "1\n"])
def test_what_is_no_number_is_none(text: str) -> None:
    assert versions.parse(text) is None


@pytest.mark.parametrize(
    ("highest", "following"),
    [(None, "1.0.0"), ("nightly", "1.0.0"), ("1", "1.0.1"), ("1.2", "1.2.1"), ("1.2.9", "1.2.10")],
)
def test_the_next_patch(highest: str | None, following: str) -> None:
    assert versions.next_patch(highest) == following


def test_a_version_that_has_no_successor_says_so() -> None:
    longest = "1." + "9" * 59 + ".8"
    assert versions.next_patch(longest[:-1] + "7") == longest
    assert len(versions.next_patch("1." + "9" * 60 + ".8")) == names.MAX_VERSION
    with pytest.raises(InvalidNameError, match="no number can follow"):
        versions.next_patch("1." + "9" * 60 + ".9")


@pytest.mark.parametrize("length", [1, names.MAX_NAME])
def test_a_name_of_either_length_is_taken(length: int) -> None:
    assert names.check_name("n" * length) == "n" * length
    assert names.check_version("1" * min(length, names.MAX_VERSION))


@pytest.mark.parametrize(
    "name", ["", "n" * 201, "a/b", ".a", "-a", "a.", "a ", "é", "a\n", *sorted(names.RESERVED)]
)
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InvalidNameError):
        names.check_name(name)
    with pytest.raises(InvalidNameError):
        names.check_version("1" * 65)


@given(st.lists(st.text("aAbB. _-1", min_size=1, max_size=70), min_size=2, max_size=2, unique=True))
def test_two_names_are_never_one_file(pair: list[str]) -> None:
    files = [names.file_name(name, "1.0.0") for name in pair]
    assert files[0].lower() != files[1].lower()
    assert all(len(file) < 255 for file in files)
    assert names.is_file_of(files[0], pair[0], "1.0.0")
    assert not names.is_file_of(files[0], pair[1], "1.0.0")
    assert names.is_file_of(files[0].replace(".pkl", "~12.pkl"), pair[0], "1.0.0")
    assert not names.is_file_of(files[0].replace(".pkl", "~.pkl"), pair[0], "1.0.0")


moments = st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 30)) | st.sampled_from(
    [datetime(2024, 2, 29, 23, 59, 59), datetime(2026, 12, 31), datetime(2026, 1, 2, 3, 4, 5, 600)]
)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(moment=moments, zone=zones)
def test_a_moment_is_read_as_it_was_written(moment: datetime, zone: timezone) -> None:
    aware = moment.replace(tzinfo=zone)
    text = clock.to_text(aware)
    assert len(text) == len("2026-01-02 03:04:05.000000")
    assert clock.from_text(text) == clock.from_text(aware.isoformat()) == aware
    told = clock.to_iso(text)
    assert told == clock.to_iso(aware)
    assert told is not None
    assert told.endswith("Z")
    assert "+" not in told
    assert datetime.fromisoformat(told) == aware


def test_a_naive_moment_is_local_and_text_without_a_zone_is_utc() -> None:
    naive = datetime(2026, 1, 2, 3, 4, 5)
    assert clock.to_utc(naive) == naive.astimezone(UTC)
    assert clock.from_text("2026-01-02T03:04:05") == naive.replace(tzinfo=UTC)
    assert clock.from_text("2026-01-02T03:04:05+02:00") == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
    assert clock.from_text("yesterday") is clock.from_text(None) is None
    assert clock.to_iso("yesterday") is clock.to_iso(None) is None
    assert clock.checked("at", None) is None
    assert clock.now().tzinfo is UTC
    with pytest.raises(InvalidInputError, match="not a datetime"):
        clock.checked("at", "2026")
    with pytest.raises(InvalidInputError, match="cannot be told in UTC"):
        clock.checked("at", datetime.min.replace(tzinfo=timezone(timedelta(hours=1))))


class Odd(str):
    """Text that a caller's library made its own kind of."""

    def __str__(self) -> str:
        return "odd"


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ({"a": [1, 2.5, None, True, "x"]}, {"a": [1, 2.5, None, True, "x"]}),
        ([math.nan, math.inf, -math.inf], [None, None, None]),
        ((1, {2}, frozenset({3})), [1, [2], [3]]),
        ({1: 1, 2.5: 2, None: 3, False: 4}, {"1": 1, "2.5": 2, "None": 3, "False": 4}),
        ({np.int64(7): np.float32(0.5)}, {"7": 0.5}),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
        (date(2026, 1, 2), "2026-01-02"),
        (Path("/a/b"), "/a/b"),
        (Odd("even"), "even"),
    ],
)
def test_what_becomes_json(value: Any, stored: Any) -> None:
    assert json.loads(to_json("metadata", value)) == stored


def test_what_cannot_become_json_is_told_with_its_place() -> None:
    with pytest.raises(InvalidInputError, match=r"a\.b\[1\].*object"):
        to_json("a", {"b": [1, object()]})
    with pytest.raises(InvalidInputError, match="keys are text"):
        to_json("a", {(1, 2): 3})
    for odd in ("\ud800", {"\ud800": 1}):
        with pytest.raises(InvalidInputError, match="surrogate"):
            to_json("a", odd)
    deep: list[Any] = []
    for _ in range(64):
        deep = [deep]
    assert to_json("a", deep) == "[" * 65 + "]" * 65
    with pytest.raises(InvalidInputError, match="nested"):
        to_json("a", [deep])


@pytest.mark.parametrize("value", ["0.5", b"1", object(), 10**400, 1j])
def test_what_is_no_number_is_refused_by_its_name(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="mae"):
        measured("mae", value)
    with pytest.raises(InvalidInputError, match="feature_count"):
        counted("feature_count", value)


@pytest.mark.parametrize(
    ("value", "number"),
    [(None, None), (math.nan, None), (np.float64("nan"), None), (3, 3), (np.int8(3), 3), (3.0, 3)],
)
def test_a_number_is_a_float_or_counts(value: Any, number: int | None) -> None:
    assert counted("n", value) == measured("n", value) == number
    assert type(counted("n", value)) is type(number)
    assert number is None or type(measured("n", value)) is float


@pytest.mark.parametrize("whole", [2**63 - 1, -(2**63)])
def test_a_count_has_64_bits(whole: int) -> None:
    assert counted("n", whole) == whole
    with pytest.raises(InvalidInputError, match="64 bits"):
        counted("n", whole + (1 if whole > 0 else -1))
    with pytest.raises(InvalidInputError, match="whole number"):
        counted("n", 0.5)


def test_a_measurement_is_checked_field_by_field() -> None:
    given = ModelPerformance(1, 2, math.nan, 3, 4, 5, 6, datetime(2026, 1, 2), 7, None)
    moment = datetime(2026, 1, 2).astimezone(UTC)
    assert checked(given) == ModelPerformance(1.0, 2.0, None, 3.0, 4.0, 5.0, 6.0, moment, 7, None)


@given(parts=st.lists(st.binary(), max_size=4))
def test_a_digest_is_of_all_bytes_in_their_order(parts: list[bytes]) -> None:
    digest = digest_of(*parts)
    assert is_digest(digest)
    assert matches(b"".join(parts), digest)
    assert not matches(b"".join(parts) + b"\0", digest)
    assert not any(is_digest(odd) for odd in (digest[:-1], digest + "0", digest.upper(), "../" + digest))
