from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_engine.training.arrays import FloatArray
from ai_engine.training.features import FeatureSpace
from ai_engine.training.grid import Clock, Series, context_of, median_interval, series_of, stretches
from ai_engine.training.season import season_steps
from ai_engine.training.table import in_time_order, read_table
from ai_engine.training.windows import volatility, windows_of

from .tables import START, waves


def a_series(values: FloatArray, others: FloatArray) -> Series:
    return Series(Clock(float(START), 300.0, timed=True), values, np.ones(len(values), dtype=bool), others)


@given(
    seed=st.integers(0, 1000),
    origin=st.integers(0, 399),
    season=st.sampled_from([None, 2, 5, 24, 150]),
    levels=st.booleans(),
    horizon=st.sampled_from([1, 12, 40]),
)
@settings(deadline=None)
def test_changing_the_future_changes_no_feature(
    seed: int, origin: int, season: int | None, levels: bool, horizon: int
) -> None:
    draw = np.random.default_rng(seed)
    values, others = draw.normal(size=400), draw.normal(size=(400, 2))
    others[: int(draw.integers(0, 400)), 0] = np.nan
    altered, others_altered = values.copy(), others.copy()
    altered[origin + 1 :] = 1e6 * draw.normal(size=399 - origin)
    others_altered[origin + 1 :] = 1e6
    space = FeatureSpace(season, horizon, 2, levels)
    steps = np.arange(1, horizon + 1)
    origins = np.full(horizon, origin)
    before = space.rows(a_series(values, others), origins, steps)
    after = space.rows(a_series(altered, others_altered), origins, steps)
    np.testing.assert_array_equal(before, after)
    assert np.isfinite(before).all()
    assert before.shape == (horizon, space.n_features)


@given(seed=st.integers(0, 1000), season=st.sampled_from([None, 7, 100]))
@settings(deadline=None)
def test_a_context_of_the_reach_says_as_much_as_the_whole_history(seed: int, season: int | None) -> None:
    draw = np.random.default_rng(seed)
    values, others = draw.normal(size=900), draw.normal(size=(900, 1))
    space = FeatureSpace(season, 12, 1)
    steps = np.arange(1, 13)
    whole = space.rows(a_series(values, others), np.full(12, 899), steps)
    recent = Series(
        Clock(float(START) + 300.0 * (900 - space.reach), 300.0, timed=True),
        values[-space.reach :],
        np.ones(space.reach, dtype=bool),
        others[-space.reach :],
    )
    np.testing.assert_array_equal(whole, space.rows(recent, np.full(12, space.reach - 1), steps))


@given(seed=st.integers(0, 200), origin=st.integers(0, 99))
def test_volatility_does_not_know_the_future(seed: int, origin: int) -> None:
    values = np.random.default_rng(seed).normal(size=100)
    altered = values.copy()
    altered[origin + 1 :] = 1e9
    one, two = (a_series(given, np.empty((100, 0))) for given in (values, altered))
    at = np.array([origin])
    assert volatility(one, at) == volatility(two, at)


def test_gaps_of_three_are_filled_and_longer_ones_split() -> None:
    rows = waves(60)
    kept = [row for i, row in enumerate(rows) if i not in {10, 11, 12, 30, 31, 32, 33}]
    table = in_time_order(read_table(kept))
    (first, second) = stretches(table, median_interval(table), ("cpu", "mem"))
    (one,), (two,) = series_of(first, "cpu", ("mem",)), series_of(second, "cpu", ("mem",))
    assert (len(one), len(two)) == (30, 26)
    assert np.flatnonzero(~one.observed).tolist() == [10, 11, 12]
    assert one.values[11] == pytest.approx((rows[9]["cpu"] + rows[13]["cpu"]) / 2)
    # What goes beside the target is carried forward: a line would be drawn towards the future.
    assert one.others[11, 0] == rows[9]["mem"]


def test_a_gap_of_a_century_costs_no_memory() -> None:
    rows = [*waves(50), {"timestamp": 99_999_999_999, "cpu": 1.0, "mem": 1.0}]
    table = in_time_order(read_table(rows))
    assert [len(one.cells["cpu"]) for one in stretches(table, median_interval(table), ("cpu",))] == [50, 1]


def test_windows_lie_where_they_are_told() -> None:
    table = in_time_order(read_table(waves(100)))
    (stretch,) = stretches(table, 300.0, ("cpu",))
    runs = series_of(stretch, "cpu", ())
    cut = START + 300.0 * 80
    (before,) = windows_of(runs, 12, before=cut).origins
    (after,) = windows_of(runs, 12, after=cut).origins
    assert before.max() + 12 == 79
    assert after.min() + 1 == 80
    assert after.max() + 12 == 99


def test_no_window_starts_from_a_value_that_was_filled() -> None:
    rows = [row for i, row in enumerate(waves(60)) if i not in {20, 21}]
    table = in_time_order(read_table(rows))
    (stretch,) = stretches(table, 300.0, ("cpu",))
    windows = windows_of(series_of(stretch, "cpu", ()), 5)
    assert not {20, 21} & set(windows.origins[0].tolist())
    # Slot 20 is seen from 15 to 19, slot 21 from 16 to 19: not from 20, which was filled.
    assert np.isnan(windows.observed()).sum() == 9


def test_a_context_ends_at_its_last_row_even_if_the_target_is_missing_there() -> None:
    rows = [
        *waves(10)[:-2],
        *({"timestamp": row["timestamp"], "cpu": None, "mem": 1.0} for row in waves(10)[-2:]),
    ]
    table = in_time_order(read_table(rows))
    (stretch,) = stretches(table, 300.0, ("cpu", "mem"))
    context = context_of(stretch, "cpu", ("mem",), 5)
    assert context is not None
    assert len(context) == 5
    assert context.values[-3:].tolist() == [rows[7]["cpu"]] * 3


@pytest.mark.parametrize(("interval", "season"), [(300.0, 288), (3600.0, 24), (None, 48)])
def test_the_season_is_the_day_or_what_repeats(interval: float | None, season: int) -> None:
    period = 48 if interval is None else season
    values = np.sin(2 * np.pi * np.arange(1200) / period) + 0.1 * np.random.default_rng(0).normal(size=1200)
    assert season_steps([values], interval) == season
