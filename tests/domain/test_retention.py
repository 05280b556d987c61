"""Which versions a policy drops: any rule keeps, the best and the highest are what they are called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_engine.domain.entities import Artifact, ModelId, ModelVersion, Place
from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.performance import REALS
from ai_engine.domain.retention import Candidate, Policy, to_drop
from ai_engine.domain.versions import sort_key

NOW = datetime(2026, 1, 10, tzinfo=UTC)
NOTHING = Artifact(Place.ROW, None, "pickle", None)


def candidate(seq: int, number: str | None = None, name: str = "cpu", **more: Any) -> Candidate:
    version = ModelVersion(
        ModelId(f"{name}#{seq}"), name, number or f"1.0.{seq}", seq, more.pop("active", False), "", NOTHING
    )
    told: dict[str, Any] = {"created_at": NOW, "pinned": False, "measured": None, "previous": False}
    return Candidate(version, **{**told, **more})


def dropped(candidates: list[Candidate], policy: Policy) -> list[int]:
    return [version.seq for version in to_drop(candidates, policy, NOW)]


def test_the_highest_stay_whatever_their_order_and_lowest_go_first() -> None:
    of = [candidate(seq, number) for seq, number in enumerate(["1.10.0", "nightly", "1.9.0", "2.0", "1.2.0"])]
    assert dropped(of, Policy(keep_versions=1)) == [1, 4, 2, 0]
    assert dropped(of, Policy(keep_versions=4)) == [1]
    assert dropped(of, Policy(keep_versions=9)) == []


def test_each_model_keeps_its_own() -> None:
    of = [candidate(seq, name=name) for seq, name in enumerate(["a", "b", "a", "b", "c"])]
    assert sorted(dropped(of, Policy(keep_versions=1))) == [0, 1]


def test_what_is_active_pinned_or_previous_stays() -> None:
    of = [candidate(1, active=True), candidate(2, pinned=True), candidate(3, previous=True)]
    of += [candidate(4), candidate(5)]
    assert dropped(of, Policy(keep_versions=1)) == [3, 4]
    assert dropped(of, Policy(keep_versions=1, keep_previous=True)) == [4]


def test_what_is_younger_stays_to_the_moment() -> None:
    day, tick = timedelta(days=1), timedelta(microseconds=1)
    ages = [NOW - day - tick, NOW - day, NOW - day + tick, None]
    of = [candidate(seq, created_at=at) for seq, at in enumerate(ages)]
    assert dropped(of, Policy(younger_than=day)) == [0, 1]


@pytest.mark.parametrize("metric", REALS)
def test_the_best_stay(metric: str) -> None:
    of = [candidate(seq, measured=value) for seq, value in enumerate([0.5, None, 0.25, 0.75])]
    better_high = metric in ("r2", "accuracy_score", "confidence_score")
    assert dropped(of, Policy(best=1, metric=metric)) == ([0, 1, 2] if better_high else [0, 1, 3])
    assert dropped(of, Policy(best=3, metric=metric)) == [1]


versions = st.lists(
    st.tuples(
        st.sampled_from(["1.0", "1.2", "2.0.1", "x", "y", "0.9"]),
        st.integers(0, 4),
        st.none() | st.integers(0, 3),
        *(st.booleans(),) * 3,
    ),
    max_size=8,
)


@given(versions, st.none() | st.integers(1, 4), st.none() | st.integers(1, 4), st.none() | st.integers(1, 3))
def test_a_version_goes_where_no_rule_keeps_it(
    drawn: list[Any], keep: int | None, days: int | None, best: int | None
) -> None:
    if keep is days is best is None:
        return
    of = [
        candidate(
            seq,
            number,
            created_at=NOW - timedelta(days=age),
            measured=measured,
            active=active,
            pinned=pinned,
            previous=previous,
        )
        for seq, (number, age, measured, active, pinned, previous) in enumerate(drawn)
    ]
    younger = None if days is None else timedelta(days=days)
    policy = Policy(keep_versions=keep, younger_than=younger, best=best, keep_previous=True)
    ranked = sorted(of, key=lambda c: (sort_key(c.version.version, c.version.seq), c.version.seq))
    good = sorted((c.measured, c.version.seq) for c in of if c.measured is not None)
    stays = {c.version.seq for c in of if c.version.is_active or c.pinned or c.previous}
    stays |= {c.version.seq for c in ranked[-keep:]} if keep else set()
    stays |= {c.version.seq for c in of if days and c.created_at and NOW - c.created_at < timedelta(days)}
    stays |= {seq for _, seq in good[: best or 0]}
    assert dropped(of, policy) == [c.version.seq for c in ranked if c.version.seq not in stays]


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"keep_versions": 0},
        {"best": 0},
        {"keep_versions": True},
        {"best": 1.5},
        {"younger_than": timedelta(0)},
        {"best": 1, "metric": "speed"},
        {"keep_previous": True},
    ],
)
def test_a_policy_that_says_nothing_sensible_is_refused(odd: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        Policy(**odd)
    Policy(keep_versions=1, best=1, younger_than=timedelta(microseconds=1))  # the least of each
