"""A search in a catalogue finds what it means, in its order, whatever stands in the rows.

What it means is told by `Search.matches`, in a few lines of Python; a database says the same in its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai_engine.catalogue.protocol import Catalogue
from ai_engine.domain.answers import VersionInfo
from ai_engine.domain.performance import REALS, ModelPerformance
from ai_engine.domain.search import EVERYTHING, Order, Search, value_of
from ai_engine.testing.catalogue_contract import insert, new
from ai_engine.testing.strategies import METRICS, START, VALUES, searches

AnyInfo = TypeVar("AnyInfo", bound=VersionInfo)
SETTINGS = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


def fill(catalogue: Catalogue) -> None:
    """Make sixty versions of five models, of which some know this and some that."""
    with catalogue.write() as work:
        for i in range(60):
            numbers: dict[str, Any] = {n: (None, 0, 0.5, 1, -1)[(i + len(n)) % 5] for n in REALS}
            numbers |= {"training_samples": i, "feature_count": i % 2 or None}
            metrics = {name: (None, i, 0.5)[(i + len(name)) % 3] for name in METRICS[: i % 4]}
            moment = START + timedelta(hours=i)
            version = replace(
                new(("a", "ab", "A", "b_1", "cpu forecast")[i % 5], activate=i % 7 < 3),
                version=f"1.{i}" if i % 2 else None,
                model_type=(None, "a", "ab")[i % 3],
                metadata={
                    "a": VALUES[i % len(VALUES)],
                    "k-1": VALUES[(3 * i) % len(VALUES)],
                    "two words": i,
                },
                created_at=moment,
                performance=ModelPerformance(**numbers, last_updated=moment, metrics=metrics)
                if i % 3
                else None,
            )
            added = insert(work, version, b"x")
            work.pin(added, i % 4 == 0)


def arranged(search: Search, entries: Iterable[AnyInfo]) -> list[AnyInfo]:
    """Return the entries that are meant, in the order that is; numbers stand before text."""
    order = search.order
    meant = [entry for entry in entries if search.matches(entry)]
    meant.sort(key=lambda entry: entry["seq"], reverse=order.newest_first)
    known = [entry for entry in meant if value_of(order.field, entry) is not None]
    unknown = [entry for entry in meant if value_of(order.field, entry) is None]
    known.sort(key=lambda entry: _place(order, entry), reverse=order.descending)
    return known + unknown


def _place(order: Order, entry: VersionInfo) -> tuple[Any, ...]:
    value = value_of(order.field, entry)
    return isinstance(value, str), value.encode() if isinstance(value, str) else value


class SearchContract:
    """Give it a fixture `open_catalogue`: a callable that opens the same empty catalogue, each time anew."""

    @SETTINGS
    @given(search=searches)
    def test_what_is_meant_is_found(self, open_catalogue: Callable[[], Catalogue], search: Search) -> None:
        """Versions and models, and counted."""
        catalogue = _filled(open_catalogue)
        with catalogue.read() as snapshot:
            expected = arranged(search, snapshot.describe(EVERYTHING, None, None))
            assert snapshot.describe(search, None, None) == expected
            assert snapshot.count(search) == len(expected)
            models = arranged(search, snapshot.models(EVERYTHING, None, None))
            assert snapshot.models(search, None, None) == models
            assert snapshot.count_models(search) == len(models)

    @SETTINGS
    @given(search=searches, size=st.integers(1, 20))
    def test_pages_make_the_whole(
        self, open_catalogue: Callable[[], Catalogue], search: Search, size: int
    ) -> None:
        """Each begins behind the last entry of the one before."""
        catalogue = _filled(open_catalogue)
        with catalogue.read() as snapshot:
            whole, paged = snapshot.describe(search, None, None), list[VersionInfo]()
            while page := snapshot.describe(
                search, size, search.order.position(paged[-1]) if paged else None
            ):
                assert len(page) <= size
                paged += page
            assert paged == whole


def _filled(open_catalogue: Callable[[], Catalogue]) -> Catalogue:
    """Return a catalogue that is filled the first time."""
    catalogue = open_catalogue()
    with catalogue.read() as snapshot:
        is_empty = not snapshot.count()
    if is_empty:
        fill(catalogue)
    return catalogue
