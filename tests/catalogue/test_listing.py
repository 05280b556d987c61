"""A search in the database finds what it means, in its order, whatever stands in the rows.

What it means is told by `Search.matches`, in a few lines of Python; the database says the same in SQL.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai_engine.domain.answers import VersionInfo
from ai_engine.domain.performance import REALS, ModelPerformance
from ai_engine.domain.search import (
    EVERYTHING,
    FIELDS,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Field,
    Kind,
    Known,
    Not,
    Order,
    Search,
    value_of,
)
from ai_engine.models import ModelManager

START = datetime(2026, 1, 1, tzinfo=UTC)
_TEXTS = ("", "a", "ab", "b[1]", "A", "é", "5", "x*y", "\U0001f600")
_NUMBERS = (-1, 0, 0.5, 1, 5, 2**60)
_VALUES = (*_TEXTS, *_NUMBERS, True, False, None, [1], {"b": 1}, {"b": "ab"}, {"b": None})
_KEYS = (("a",), ("a", "b"), ("k-1",), ("two words",))


def some(number: int) -> Any:
    return _VALUES[number % len(_VALUES)]


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelManager]:
    """Sixty versions of five models, of which some know this and some that."""
    with ModelManager(tmp_path_factory.mktemp("searched")) as manager:
        for i in range(60):
            name = ("a", "ab", "A", "b_1", "cpu forecast")[i % 5]
            numbers: dict[str, Any] = {n: (None, 0, 0.5, 1, -1)[(i + len(n)) % 5] for n in REALS}
            numbers |= {"training_samples": i, "feature_count": i % 2 or None}
            performance = ModelPerformance(**numbers, last_updated=START + timedelta(hours=i))
            manager.registry.save(
                name,
                i,
                version=f"1.{i}" if i % 2 else None,
                model_type=(None, "a", "ab")[i % 3],
                metadata={
                    "a": _VALUES[i % len(_VALUES)],
                    "k-1": _VALUES[(3 * i) % len(_VALUES)],
                    "two words": i,
                },
                activate=i % 7 < 3,
                performance=performance if i % 3 else None,
            )
        for entry in manager.get_model_info()["models"][::4]:
            manager.registry.pin(entry["name"], entry["version"])
        yield manager


fields = st.sampled_from([*FIELDS.values()]) | st.sampled_from(_KEYS).map(
    lambda keys: Field("metadata." + ".".join(keys), Kind.ANY, keys)
)
moments = st.integers(-1, 70).map(lambda hours: f"{START + timedelta(hours=hours):%Y-%m-%d %H:%M:%S.000000}")
patterns = st.lists(st.sampled_from(["*", "?", "a", "b", "[", "]", "A", "1", "_", "é"]), max_size=4).map(
    "".join
)
_ORDERED = ("=", "!=", "<", "<=", ">", ">=")


@st.composite
def comparisons(draw: st.DrawFn) -> Condition:
    field = draw(fields)
    if draw(st.integers(0, 5)) == 0:
        return Known(field)
    if field.kind is Kind.FLAG:
        return Compare(field, draw(st.sampled_from(("=", "!="))), draw(st.booleans()))
    if field.kind is Kind.NUMBER:
        return Compare(field, draw(st.sampled_from(_ORDERED)), draw(st.sampled_from(_NUMBERS)))
    if field.kind is Kind.MOMENT:
        return Compare(field, draw(st.sampled_from(_ORDERED)), draw(moments))
    if field.kind is Kind.ANY and draw(st.booleans()):
        number = draw(st.sampled_from(_NUMBERS) | st.booleans())
        ordered = ("=", "!=") if isinstance(number, bool) else _ORDERED
        return Compare(field, draw(st.sampled_from(ordered)), number)
    if draw(st.booleans()):
        return Compare(field, "~", draw(patterns))
    return Compare(field, draw(st.sampled_from(_ORDERED)), draw(st.sampled_from(_TEXTS)))


conditions = st.recursive(
    comparisons(),
    lambda parts: st.one_of(
        parts.map(Not),
        st.lists(parts, min_size=1, max_size=3).map(lambda found: AllOf(tuple(found))),
        st.lists(parts, min_size=1, max_size=3).map(lambda found: AnyOf(tuple(found))),
    ),
    max_leaves=6,
)
_sortable = fields.filter(lambda field: field.kind is not Kind.FLAG)
searches = st.builds(Search, st.none() | conditions, st.builds(Order, _sortable, st.booleans()))


def key(order: Order, entry: VersionInfo) -> tuple[Any, ...]:
    """Return where an entry stands among those whose value is known; numbers stand before text."""
    value = value_of(order.field, entry)
    return isinstance(value, str), value.encode() if isinstance(value, str) else value


def arranged(search: Search, entries: list[VersionInfo]) -> list[int]:
    """Return the seq of the entries that are meant, in the order that is."""
    meant = [entry for entry in entries if search.matches(entry)]
    meant.sort(key=lambda entry: entry["seq"], reverse=search.order.newest_first)
    known = [entry for entry in meant if value_of(search.order.field, entry) is not None]
    unknown = [entry for entry in meant if value_of(search.order.field, entry) is None]
    known.sort(key=lambda entry: key(search.order, entry), reverse=search.order.descending)
    return [entry["seq"] for entry in known + unknown]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(search=searches)
def test_the_database_finds_what_a_search_means(manager: ModelManager, search: Search) -> None:
    everything, _, _ = manager.registry.describe()
    entries, total, _ = manager.registry.describe(search=search)
    assert [entry["seq"] for entry in entries] == arranged(search, everything)
    assert total == len(entries)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(search=searches, size=st.integers(1, 20))
def test_pages_of_a_search_make_the_whole(manager: ModelManager, search: Search, size: int) -> None:
    whole, total, _ = manager.registry.describe(search=search)
    paged: list[VersionInfo] = []
    after = None
    while True:
        page, counted, _ = manager.registry.describe(search=search, limit=size, after=after)
        assert counted == total
        paged += page
        if len(page) < size:
            break
        after = search.order.position(page[-1])
    assert paged == whole


def test_what_others_wrote_into_metadata_hurts_no_search(tmp_path: Any) -> None:
    with ModelManager(tmp_path) as manager:
        for version in ("1.0.0", "1.0.1", "1.0.2", "1.0.3"):
            manager.save_model("cpu", version, metadata={"team": "ops"})
        with closing(sqlite3.connect(manager.db_path, isolation_level=None)) as other:
            for number, text in enumerate(("not JSON", '["team"]', '{"team": NaN}')):
                statement = "UPDATE model_registry SET metadata = ? WHERE version = ?"
                other.execute(statement, (text, f"1.0.{number}"))
        found = manager.get_model_info(where="metadata.team = 'ops'", sort="-metadata.team")
        assert [entry["version"] for entry in found["models"]] == ["1.0.3"]
        assert manager.get_model_info(where="metadata.team is null")["total"] == 3


def test_a_listing_waits_for_no_measurement(tmp_path: Any) -> None:
    """What was measured is counted and summed where it is written, in whichever order the moments come."""
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", 1)
        assert manager.get_model_info()["models"][0]["performance"] is None
        for hours, accuracy in ((5, 0.5), (3, None), (4, 1.0)):
            manager.update_performance(
                "cpu",
                "1.0.0",
                ModelPerformance(
                    hours / 10, None, None, None, None, accuracy, None, START + timedelta(hours=hours)
                ),
            )
        (entry,) = manager.get_model_info(where="mae < 0.45 and metric_count = 3")["models"]
        assert (entry["avg_accuracy"], entry["last_metric_update"]) == (0.75, "2026-01-01 05:00:00.000000")
        numbers = entry["performance"]
        assert numbers is not None
        assert (numbers["mae"], numbers["accuracy_score"]) == (0.4, 1.0)
        assert json.dumps(entry)


def test_everything_is_by_name_and_newest_first(manager: ModelManager) -> None:
    entries = manager.get_model_info()["models"]
    assert [e["seq"] for e in entries] == arranged(EVERYTHING, entries)
    assert [e["name"] for e in entries] == sorted(e["name"] for e in entries)
