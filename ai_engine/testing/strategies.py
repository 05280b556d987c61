"""What is drawn at random to try a catalogue: searches of every kind, over values of every kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from ai_engine.domain.search import (
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
)

START = datetime(2026, 1, 1, tzinfo=UTC)
TEXTS = ("", "a", "ab", "b[1]", "A", "é", "5", "x*y", "\U0001f600")
NUMBERS = (-1, 0, 0.5, 1, 5, 2**60)
VALUES = (*TEXTS, *NUMBERS, True, False, None, [1], {"b": 1}, {"b": "ab"}, {"b": None})
KEYS = (("a",), ("a", "b"), ("k-1",), ("two words",))
METRICS = ("auc", "p 99", "it's")

fields = (
    st.sampled_from([*FIELDS.values()])
    | st.sampled_from(KEYS).map(lambda keys: Field("metadata." + ".".join(keys), Kind.ANY, keys))
    | st.sampled_from(METRICS).map(lambda name: Field(f"metrics.{name}", Kind.NUMBER, (name,)))
)
moments = st.integers(-1, 70).map(lambda hours: f"{START + timedelta(hours=hours):%Y-%m-%d %H:%M:%S.000000}")
patterns = st.lists(st.sampled_from(["*", "?", "a", "b", "[", "]", "A", "1", "_", "é"]), max_size=4).map(
    "".join
)
_ORDERED = ("=", "!=", "<", "<=", ">", ">=")


@st.composite
def comparisons(draw: st.DrawFn) -> Condition:
    """Draw a comparison that the filter language could tell."""
    field = draw(fields)
    if draw(st.integers(0, 5)) == 0:
        return Known(field)
    if field.kind is Kind.FLAG:
        return Compare(field, draw(st.sampled_from(("=", "!="))), draw(st.booleans()))
    if field.kind is Kind.NUMBER:
        return Compare(field, draw(st.sampled_from(_ORDERED)), draw(st.sampled_from(NUMBERS)))
    if field.kind is Kind.MOMENT:
        return Compare(field, draw(st.sampled_from(_ORDERED)), draw(moments))
    if field.kind is Kind.ANY and draw(st.booleans()):
        number = draw(st.sampled_from(NUMBERS) | st.booleans())
        ordered = ("=", "!=") if isinstance(number, bool) else _ORDERED
        return Compare(field, draw(st.sampled_from(ordered)), number)
    if draw(st.booleans()):
        return Compare(field, "~", draw(patterns))
    return Compare(field, draw(st.sampled_from(_ORDERED)), draw(st.sampled_from(TEXTS)))


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
