"""Filters and sorts as people write them: what is read, and what is said of what cannot be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.filters import parse_search
from ai_engine.domain.search import FIELDS, AllOf, AnyOf, Compare, Field, Kind, Known, Not, Order, Search


def a(name: str, operator: str, value: str | float | bool) -> Compare:
    return Compare(FIELDS[name], operator, value)


TEAM = Field("metadata.team", Kind.ANY, ("team",))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("mae < 0.5", a("mae", "<", 0.5)),
        ("mae<-.5e-3", a("mae", "<", -0.0005)),
        ("size >= 1048576", a("size", ">=", 1048576)),
        ("name = 'it''s'", a("name", "=", "it's")),
        ("name ~ 'cpu*'", a("name", "~", "cpu*")),
        ("name !~ 'cpu*'", Not(a("name", "~", "cpu*"))),
        ("is_active", a("is_active", "=", True)),
        ("NOT pinned", Not(a("pinned", "=", True))),
        ("pinned = FALSE", a("pinned", "=", False)),
        ("mae IS NULL", Not(Known(FIELDS["mae"]))),
        ("mae is not null", Known(FIELDS["mae"])),
        ("name in ('a', 'b')", AnyOf((a("name", "=", "a"), a("name", "=", "b")))),
        ("name in ('a')", a("name", "=", "a")),
        ("name not in ('a')", Not(a("name", "=", "a"))),
        ("metadata.team = 'ops'", Compare(TEAM, "=", "ops")),
        ("metadata.team = 7", Compare(TEAM, "=", 7)),
        ("metadata.team = true", Compare(TEAM, "=", True)),
        (
            'metadata.a-1."b c" is null',
            Not(Known(Field('metadata.a-1."b c"', Kind.ANY, ("a-1", "b c")))),
        ),
        # `and` binds closer than `or`, `not` closer than both.
        (
            "pinned or not is_active and mae < 1",
            AnyOf((a("pinned", "=", True), AllOf((Not(a("is_active", "=", True)), a("mae", "<", 1))))),
        ),
        (
            "(pinned or is_active) and mae < 1",
            AllOf((AnyOf((a("pinned", "=", True), a("is_active", "=", True))), a("mae", "<", 1))),
        ),
        # Moments are UTC where they do not say otherwise.
        ("created_at > '2026-01-31'", a("created_at", ">", "2026-01-31 00:00:00.000000")),
        ("created_at > '2026-01-31T12:00:00+02:00'", a("created_at", ">", "2026-01-31 10:00:00.000000")),
        # What 64 bits do not hold is the nearest float.
        ("size < 99999999999999999999", a("size", "<", 1e20)),
    ],
)  # fmt: skip
def test_what_a_filter_means(text: str, meant: object) -> None:
    assert parse_search(text).condition == meant
    assert parse_search(f"  {text}\n").condition == meant


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("mae", Order(FIELDS["mae"])),
        ("-created_at", Order(FIELDS["created_at"], descending=True)),
        ("metadata.team", Order(TEAM)),
        ("name", Order()),
        (None, Order()),
        ("", Order()),
    ],
)
def test_what_a_sort_means(sort: str | None, order: Order) -> None:
    assert parse_search(sort=sort) == Search(order=order)


@pytest.mark.parametrize("text", [None, "", "  \n"])
def test_no_filter_means_everything(text: str | None) -> None:
    assert parse_search(text) == Search()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("pined", "'pined' is no field; did you mean pinned? (at character 1 of"),
        ("zzz < 1", "'zzz' is no field; there are name, version,"),
        ("mae < 'low'", "mae is a number (at character 7 "),
        ("mae < true", "mae is a number"),
        ("name = 5", "name is text; put it in single quotes"),
        ('name = "cpu"', "text stands in single quotes (at character 8 "),
        ("name = 'cpu", "text without an end (at character 8 "),
        ("name = cpu", "'cpu' stands where a number, true, false or 'text in single quotes' is wanted"),
        ("is_active > true", "true and false have no order; use = or !="),
        ("is_active = 1", "is_active is true or false"),
        ("version > '1.0.0'", "version has no order"),
        ("mae ~ '1*'", "~ takes a field of text and a pattern"),
        ("metadata.n ~ 5", "~ takes a field of text and a pattern"),
        ("created_at > 'yesterday'", "'yesterday' is no moment; write one as '2026-01-31'"),
        ("created_at > '0001-01-01T00:00:00+09:00'", "is no moment"),
        ("created_at > 1700000000", "created_at is a moment, such as '2026-01-31'"),
        ("mae = null", "write 'is null' for what is not known"),
        ("mae", "it ends where one of = != < <= > >= ~ !~, 'in' or 'is' is wanted (at character 4 "),
        ("mae <", "it ends where a number, true, false"),
        ("mae < 1 mse < 1", "'mse' stands where 'and' or 'or' is wanted (at character 9 "),
        ("(mae < 1", "it ends where ')' is wanted"),
        ("mae < 1)", "')' stands where 'and' or 'or' is wanted"),
        ("and", "'and' stands where a field is wanted"),
        ("name in ()", "')' stands where a number"),
        ("mae < 1; drop table", "';' means nothing here (at character 8 "),
        ("metadata = 'x'", "'metadata' is no field; there are name,"),
        ('metadata."" = 1', "is no path into metadata"),
        ("metadata.\"é\" = 1", "is no path into metadata"),
        ("metadata.\"a\\\" = 1", "is no path into metadata"),
        ("name = '\udcff'", "characters that are none"),
        ("(" * 100 + "pinned" + ")" * 100, "more than 50 conditions within one another"),
        ("not " * 100 + "pinned", "more than 50 conditions within one another"),
        (" or ".join(["pinned"] * 201), "compares more than 200 times"),
        (f"size in ({','.join('1' * 300)})", "compares more than 200 times"),
        ("x" * 5000, "has 5000 characters; 4000 are the most"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        parse_search(text)
    assert str(raised.value).startswith("filter: ")
    assert problem in str(raised.value)


@pytest.mark.parametrize("sort", ["is_active", "version", "digest", "--mae", "mae desc", "metadata.", "é"])
def test_a_sort_that_has_no_order_is_refused(sort: str) -> None:
    with pytest.raises(InvalidInputError, match=r"^sort: "):
        parse_search(sort=sort)


_PIECES = [
    *"mae name metadata.a is_active < = !~ ~ ( ) , ' '' 1e9 - and or not in is null true . é [ '*'".split(),
    *('"', " ", "\x00"),
]


@given(st.lists(st.sampled_from(_PIECES) | st.text(max_size=3), max_size=12).map("".join))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    try:
        found = parse_search(text)
    except InvalidInputError:
        return
    assert isinstance(found, Search)


def test_a_filter_may_be_so_long_and_no_longer() -> None:
    terms = " or ".join(["mae < 1"] * 200)
    assert parse_search(terms, None).condition is not None
    with pytest.raises(InvalidInputError, match="more than 200 times"):
        parse_search(f"{terms} or mae < 1", None)
    text = "name = 'cpu'"
    assert parse_search(text.ljust(4000), None) == parse_search(text, None)
    with pytest.raises(InvalidInputError, match="4001 characters"):
        parse_search(text.ljust(4001), None)
