"""The cookie of a session, and how often a client may ask, by a clock of the test's own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ai_engine.api.problems import RefusedError
from ai_engine.api.rates import Rates
from ai_engine.api.sessions import LIFETIME, Sessions, cookie_in
from ai_engine.domain.keys import ApiKey, digest_of, new_key
from ai_engine.domain.rights import Rights

KEY_ID, TEXT = new_key()
KEY = ApiKey(KEY_ID, "ops", digest_of(TEXT), Rights(frozenset()), datetime(2026, 1, 1, tzinfo=UTC), "root")


def test_a_session_lasts_as_long_as_it_says() -> None:
    sessions = Sessions()
    cookie = sessions.cookie(KEY, now=1000.0)
    session = sessions.read(cookie, now=1000.0 + LIFETIME - 1)
    assert session is not None
    assert session.key_id == KEY_ID
    assert sessions.read(cookie, now=1000.0 + LIFETIME) is None


def test_a_session_is_of_one_key_and_of_one_server() -> None:
    sessions = Sessions()
    session = sessions.read(sessions.cookie(KEY))
    assert session is not None
    assert session.is_of(KEY)
    assert not session.is_of(replace(KEY, digest=digest_of("another")))
    assert Sessions().read(sessions.cookie(KEY)) is None
    shared = bytes(range(32))
    assert Sessions(shared).read(Sessions(shared).cookie(KEY)) is not None


def test_no_two_sessions_have_one_token() -> None:
    sessions = Sessions()
    tokens = {found.token for _ in range(10) if (found := sessions.read(sessions.cookie(KEY)))}
    assert len(tokens) == 10


@pytest.mark.parametrize("cookie", ["", ".", "a.b.c.d.e", "ü", "....", "x" * 5000])
def test_nonsense_is_no_session(cookie: str) -> None:
    assert Sessions().read(cookie) is None


def test_no_secret_is_in_a_cookie() -> None:
    cookie = Sessions().cookie(KEY)
    assert TEXT not in cookie
    assert KEY.digest.hex() not in cookie


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (["ai_engine_session=a"], "a"),
        (["other=1", "x=y; ai_engine_session=b; z=1"], "b"),
        (["not_ai_engine_session=c"], None),
        (["ai_engine_session=\x00; ="], None),
        ([], None),
    ],
)
def test_the_cookie_is_found_among_others(headers: list[str], found: str | None) -> None:
    assert cookie_in(headers) == found


def refused(rates: Rates, client: str, now: float) -> int:
    """Return the seconds until the next request; 0 where this one is allowed."""
    try:
        rates.check(client, now)
    except RefusedError as error:
        return int(error.headers["Retry-After"])
    return 0


def test_who_waits_may_ask_again_and_saves_up_a_minute_at_most() -> None:
    rates = Rates(60)
    assert [refused(rates, "a", 0.0) for _ in range(61)] == [0] * 60 + [2]
    assert refused(rates, "a", 0.9) > 0
    assert refused(rates, "a", 1.0) == 0
    assert refused(rates, "b", 1.0) == 0  # another one's are its own
    assert [refused(rates, "a", 10_000.0) for _ in range(61)] == [0] * 60 + [2]


def test_who_may_never_ask_is_told_to_come_in_a_minute() -> None:
    assert refused(Rates(0), "a", 0.0) == 60
    assert refused(Rates(None), "a", 0.0) == 0
