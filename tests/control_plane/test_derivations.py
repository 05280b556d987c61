"""What is derived from telemetry, without a server: on data whose truth is known, and on odd data."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_engine.control_plane.derivations.balance import fewest_nodes, spread_of
from ai_engine.control_plane.derivations.capacity import Policy, advice, full_use
from ai_engine.control_plane.derivations.fleet import forecasts, seasons_of
from ai_engine.control_plane.derivations.paths import links_of, widest_path
from ai_engine.control_plane.derivations.precopy import MOST_ROUNDS, pre_copy
from ai_engine.control_plane.derivations.series import (
    LEAST_POINTS,
    MOST_STEPS,
    forecast,
    steps_of,
    succession,
)
from ai_engine.control_plane.derivations.unusual import (
    BEFORE,
    LEAST_BEFORE,
    judge,
    limit_of,
    runs_of,
    score_of,
    severity_of,
)
from ai_engine.control_plane.derivations.windows import Places, measured
from ai_engine.control_plane.derivations.workload import dominant, workload_of
from ai_engine.control_plane.tracks import Track, tracks_of
from ai_engine.training.arrays import FloatArray
from tests.control_plane.samples import wave
from tests.training.tables import bitbrains

START = 1_700_000_000.0
VALUES = st.floats(-1e30, 1e30, allow_nan=False)


def track(values: Any, step: float | None = 300.0) -> Track:
    found: FloatArray = np.asarray(values, dtype=np.float64)
    return Track(
        "cpu_usage", found, None if step is None else START + step * np.arange(len(found), dtype=np.float64)
    )


# -- forecasts ----------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.lists(VALUES, min_size=0, max_size=60),
    st.integers(1, 40),
    st.sampled_from([None, 1.0, 60.0, 300.0, 3600.0, 90_000.0]),
)
def test_any_history_is_foretold_or_refused(values: list[float], steps: int, step: float | None) -> None:
    found = forecast(track(values, step), steps)
    if len(values) < LEAST_POINTS:
        assert found is None
        return
    assert found is not None
    assert len(found.expected) == len(found.lower) == len(found.upper) == steps
    for part in (found.expected, found.lower, found.upper):
        assert np.isfinite(part).all()
    assert (found.lower <= found.expected).all()
    assert (found.expected <= found.upper).all()
    assert 0 <= found.inside <= 1
    assert 0 <= found.near <= 1
    assert math.isfinite(found.skill)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1e-6, 0.01, 100.0, 1e9]))
def test_a_forecast_is_in_the_unit_of_its_history(seed: int, scale: float) -> None:
    values = np.array(wave(80, seed=seed))
    plain, scaled = forecast(track(values), 12), forecast(track(scale * values), 12)
    assert plain is not None
    assert scaled is not None
    assert scaled.expected == pytest.approx(scale * plain.expected, rel=1e-6)
    assert scaled.upper == pytest.approx(scale * plain.upper, rel=1e-6)
    assert scaled.inside == plain.inside


def test_nine_of_ten_values_to_come_are_inside_the_interval() -> None:
    inside, told = [], []
    for seed in range(30):
        values = wave(212, seed=seed, noise=2)
        found = forecast(track(values[:200]), 12)
        assert found is not None
        later = np.array(values[200:])
        inside.append(float(((found.lower <= later) & (later <= found.upper)).mean()))
        told.append(found.inside)
    assert 0.85 <= np.mean(inside) <= 0.99
    assert np.mean(told) == pytest.approx(np.mean(inside), abs=0.06)


def test_gaps_and_repeated_times_are_no_harm() -> None:
    whole = track(wave(200))
    assert whole.times is not None
    kept = np.r_[0:60, 63:120, 150:200]
    found = forecast(Track("cpu", whole.values[kept], whole.times[kept]), 12)
    full = forecast(whole, 12)
    assert found is not None
    assert full is not None
    assert found.expected == pytest.approx(full.expected, abs=3)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([1.0, 300.0, 3600.0, 3e6, 1e9]), min_size=1, max_size=30), st.integers(1, 20))
def test_points_at_any_times_are_answered(steps_: list[float], steps: int) -> None:
    """Lone points after gaps of weeks or decades, at the end or between."""
    times_ = START + np.cumsum([0.0, *steps_])
    one = Track("cpu", np.array(wave(len(times_))), times_)
    found = forecast(one, steps)
    assert found is not None
    assert np.isfinite(found.upper).all()
    assert len(judge(one).flags) == len(one)
    shown = workload_of(one)
    assert shown is None or math.isfinite(shown.rise)
    assert forecasts([one] * 4, steps)[0] is None or len(one) >= 24


def test_a_lone_point_after_weeks_does_not_hide_what_was_before() -> None:
    whole = track(wave(100))
    assert whole.times is not None
    late = Track("cpu", np.append(whole.values, 50.0), np.append(whole.times, whole.times[-1] + 30 * 86_400))
    found = workload_of(late)
    assert found is not None
    assert found.kind == "periodic"
    told = forecast(late, 12)
    assert told is not None
    assert told.skill > 0.5


def test_what_was_never_below_zero_is_not_foretold_below() -> None:
    values = np.random.default_rng(3).exponential(size=80)
    found, below = forecast(track(values), 12), forecast(track(values - 1e-9 - values.min()), 12)
    assert found is not None
    assert below is not None
    assert found.lower.min() == 0
    assert below.lower.min() < 0


def test_a_horizon_longer_than_the_history_is_as_uncertain_as_its_end() -> None:
    found = forecast(track(wave(20, noise=5)), 100)
    assert found is not None
    width = found.upper - found.lower
    assert found.measured_steps < 20
    assert (np.diff(width) >= -1e-9).all()
    assert width[-1] == width[found.measured_steps]


def test_a_million_points_are_three_weeks_of_minutes() -> None:
    values = np.tile(wave(1440, period=1440, noise=0.1), 700)
    found = forecast(track(values, 60.0), 30)
    assert found is not None
    truth = [50 + 20 * math.sin(2 * math.pi * i / 1440) for i in range(30)]
    assert found.expected == pytest.approx(truth, abs=1)


def test_real_telemetry_is_foretold_as_well_as_by_its_last_value(data: Path) -> None:
    ours = naive = 0.0
    for vm in (338, 269):
        values = np.array([row["cpu"] for row in bitbrains(data, vm, 3000)])
        for end in range(2000, 2900, 100):
            found = forecast(track(values[end - 1500 : end]), 12)
            assert found is not None
            later = values[end : end + 12]
            scale = np.abs(np.diff(values[:end])).mean()
            ours += float(np.abs(found.expected - later).mean() / scale)
            naive += float(np.abs(values[end - 1] - later).mean() / scale)
    assert ours < naive


@pytest.mark.parametrize(("minutes", "steps"), [(60, 12), (1, 1), (5, 1), (5.1, 2), (0.1, 1)])
def test_minutes_are_whole_steps_of_the_rhythm(minutes: float, steps: int) -> None:
    assert steps_of(track(wave(20)), minutes) == steps
    assert MOST_STEPS == 7 * 24 * 60


def test_of_two_points_one_error_is_known_and_no_interval_is_measured() -> None:
    found = forecast(track([40.0, 44.0]), 3)
    assert found is not None
    assert ((found.expected >= 40) & (found.expected <= 44)).all()
    assert (found.inside, found.checked, found.mae) == (0.0, 0, 4.0)
    assert (found.upper - found.lower > 8).all()
    assert forecast(track([40.0]), 3) is None
    measured = forecast(track([40.0, 44.0, 42.0, 43.0]), 1)
    assert measured is not None
    assert measured.checked > 0


def test_few_times_are_less_than_what_was_seen() -> None:
    assert succession(0, 0) == 0.5
    assert succession(1, 1) < succession(10, 10) < 1


# -- anomalies ----------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=60))
def test_any_points_are_judged(values: list[float]) -> None:
    found = judge(track(values))
    assert np.isfinite(found.multiples).all()
    assert found.judged == max(0, len(values) - LEAST_BEFORE)
    assert not found.flags[:LEAST_BEFORE].any()
    assert ((found.multiples > 1) == found.flags).all()


@pytest.mark.parametrize("count", [40, 210, 250, 700])
def test_what_follows_a_point_does_not_change_its_verdict(count: int) -> None:
    values = wave(count, noise=2)
    values[count // 2] = 200.0
    whole, part = judge(track(values)), judge(track(values[: count - 15]))
    assert whole.multiples[: count - 15] == pytest.approx(part.multiples, rel=1e-9)
    assert whole.flags[: count - 15].tolist() == part.flags.tolist()


@pytest.mark.parametrize("count", [30, 100, 400])
def test_a_spike_is_found_and_noise_is_not(count: int) -> None:
    hits = alarms = 0
    for seed in range(10):
        values = wave(count, height=0, noise=1, seed=seed)
        alarms += int(judge(track(values)).flags.sum())
        at = count - 5
        values[at] = 65.0
        hits += bool(judge(track(values)).flags[at])
    assert hits == 10
    assert alarms <= 0.01 * 10 * count + 1


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([50, 51, 49, 50, 95], [(4, 4)]),
        ([50, 51, 49, 50, 55], []),
        ([50, 51, 95], []),
        ([50, 51, 49, 50, 52, 48, 51, 50, 60], [(8, 8)]),
    ],
)
def test_of_few_points_only_what_is_far_out_is_unusual(
    values: list[float], found: list[tuple[int, int]]
) -> None:
    assert runs_of(judge(track(values)).flags) == found


def test_what_is_far_out_often_is_usual() -> None:
    values = np.array(wave(600, height=0))
    values[np.arange(600) % 30 >= 20] += 40
    assert judge(track(values)).flags[100:].mean() < 0.02
    values[500] += 200
    assert judge(track(values)).flags[500]


@pytest.mark.parametrize("value", [50.0, 0.0])
def test_a_metric_that_never_moved_is_unusual_once_it_does(value: float) -> None:
    values = np.full(40, value)
    values[30] = value + 1
    assert runs_of(judge(track(values)).flags) == [(30, 30)]
    assert not judge(track(np.full(40, value))).flags.any()


def test_more_sensitive_is_more_alarms() -> None:
    values = np.array(wave(300, noise=3))
    values[::25] += 18
    limits = [limit_of(sensitivity, 0.5) for sensitivity in (0.05, 0.5, 5.0)]
    counts = [int(judge(track(values), limit).flags.sum()) for limit in limits]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_the_longer_and_the_shorter_way_agree() -> None:
    values = np.array(wave(BEFORE + 40, noise=2))
    values[BEFORE + 20] = 150
    found = judge(track(values))
    assert found.flags[BEFORE + 20]
    assert found.usual[BEFORE] == pytest.approx(np.median(values[:BEFORE]))
    assert found.usual[BEFORE - 1] == pytest.approx(np.median(values[: BEFORE - 1]))


@given(st.floats(0, 1e9, allow_nan=False), st.floats(0, 1e9, allow_nan=False))
def test_scores_rise_with_the_multiple_and_stay_below_one(one: float, other: float) -> None:
    low, high = sorted((score_of(one), score_of(other)))
    assert 0 <= low <= high <= 1
    assert (score_of(min(one, other)), score_of(max(one, other))) == (low, high)
    assert (severity_of(score_of(one)) == "normal") == (score_of(one) < 0.2)


# -- workloads ----------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(VALUES, min_size=0, max_size=60), st.sampled_from([None, 60.0, 3600.0]))
def test_any_metric_is_some_workload(values: list[float], step: float | None) -> None:
    found = workload_of(track(values, step))
    assert (found is None) == (len(values) < 4)
    if found is not None:
        assert 0 <= found.certainty <= 1
        assert found.kind in ("idle", "steady", "periodic", "trending", "bursty")
        assert all(
            math.isfinite(value) for value in (found.mean, found.p05, found.p95, found.variation, found.rise)
        )


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (wave(200), "periodic"),
        (wave(200, height=0), "steady"),
        ([0.001] * 60 + [0.9] + [0.001] * 60, "idle"),
        ([0.1 * i + noise for i, noise in enumerate(wave(200, level=0, height=0))], "trending"),
        (list(np.random.default_rng(1).exponential(size=200)), "bursty"),
    ],
)
def test_a_workload_is_called_by_what_it_shows(values: list[float], kind: str) -> None:
    found = workload_of(track(values))
    assert found is not None
    assert found.kind == kind


def test_peaks_and_lows_are_where_the_waves_are() -> None:
    found = workload_of(track(wave(96, noise=0)))
    assert found is not None
    phases = [((at - START) / 300) % 24 for at in found.peaks]
    assert phases == [6, 6, 6]
    assert [((at - START) / 300) % 24 for at in found.lows] == [18, 18, 18]


def test_a_workload_is_named_by_what_it_uses_most() -> None:
    def named(**use: float) -> str:
        tracks = {
            f"{name}_usage": Track(f"{name}_usage", np.full(9, value), None) for name, value in use.items()
        }
        found = {name: workload_of(one) for name, one in tracks.items()}
        return dominant({name: one for name, one in found.items() if one is not None})

    assert named(cpu=0.9, memory=0.2) == "cpu_intensive"
    assert named(cpu=0.3, memory=0.25) == "balanced"
    assert named(cpu=0.3, io=0.9, network=0.1) == "io_intensive"
    assert named(cpu=30.0, memory=20.0) == "balanced"
    assert named(io=5e6) == "unknown"


# -- capacity, clusters, migrations, paths ------------------------------------------------------------------


@given(st.floats(0, 10), st.floats(0.05, 1.0))
def test_capacity_is_changed_outside_of_the_limits_only(peak: float, target: float) -> None:
    found = advice(peak, Policy(0.3, 0.8, target))
    if 0.3 <= peak <= 0.8:
        assert (found.action, found.factor) == ("maintain", 1.0)
    assert found.factor >= 0.1
    assert {"scale_up": found.factor > 1, "scale_down": found.factor < 1, "maintain": found.factor == 1}[
        found.action
    ]


@pytest.mark.parametrize(("number", "full"), [(0.0, 1), (1.5, 1), (1.51, 100), (150.0, 100)])
def test_the_unit_is_seen_by_size(number: float, full: float) -> None:
    assert full_use(number) == full
    with pytest.raises(ValueError, match="neither a share"):
        full_use(150.1)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.floats(0, 1), min_size=1), min_size=1, max_size=9))
def test_any_cluster_has_a_spread(samples: list[dict[str, float]]) -> None:
    found = spread_of("cpu", samples)
    assert found.lowest <= found.mean + 1e-9
    assert found.mean <= found.highest + 1e-9
    assert 0 < found.held < 1
    assert 1 <= fewest_nodes([{"cpu": use} for use in found.nodes.values()]) <= 5


@given(st.floats(1, 1e15), st.floats(0, 1e12), st.floats(1, 1e12), st.floats(1e-3, 10))
def test_a_migration_ends_and_says_whether_it_converges(
    size: float, dirty: float, width: float, limit: float
) -> None:
    found = pre_copy(size, dirty, width, limit)
    assert 1 <= found.rounds <= MOST_ROUNDS
    assert found.seconds >= size / width * (1 - 1e-9)
    assert found.converges == (found.downtime <= limit * (1 + 1e-9))
    assert found.sent >= size
    if found.ratio < 1:
        assert pre_copy(size, dirty / 2, width, limit).seconds <= found.seconds * (1 + 1e-9)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from("abcde"),
        st.dictionaries(st.sampled_from("abcde"), st.floats(0.1, 9), max_size=4),
        max_size=5,
    )
)
def test_no_path_is_wider_than_the_widest(links: dict[str, dict[str, float]]) -> None:
    def every(node: str, seen: tuple[str, ...], width: float) -> float:
        if node == "e":
            return width
        return max(
            (
                every(other, (*seen, other), min(width, w))
                for other, w in links.get(node, {}).items()
                if other not in seen
            ),
            default=0.0,
        )

    best = every("a", ("a",), float("inf"))
    found = widest_path(links, "a", "e")
    assert (found is None) == (best == 0)
    if found is not None:
        path, width = found
        assert width == best == min(links[one][two] for one, two in pairwise(path))


@pytest.mark.parametrize(
    "topology",
    [
        {"edges": [{"from": "a", "to": "b", "capacity": 3}]},
        {"connections": [{"src": "a", "dst": "b", "bandwidth_mbps": "3"}], "directed": False},
        {"a": {"neighbors": {"b": 3}}, "b": {"a": {"available_bandwidth": 3}}, "nodes": ["a", "b"]},
    ],
)
def test_a_topology_is_read_as_it_comes(topology: dict[str, Any]) -> None:
    assert links_of(topology) == {"a": {"b": 3.0}, "b": {"a": 3.0}}


# -- rows ---------------------------------------------------------------------------------------------------


def test_rows_of_several_machines_are_parted() -> None:
    rows = [{"vm_id": vm, "timestamp": i, "cpu": 10 * i + (vm == "b")} for i in range(5) for vm in "ab"]
    found = tracks_of(rows, machine="b")
    assert found.by_name["cpu"].values.tolist() == [1, 11, 21, 31, 41]
    assert found.notes == ("5 of the points are of another machine: left out",)


def test_of_points_of_one_moment_the_last_one_counts() -> None:
    found = tracks_of([{"timestamp": 5, "cpu": 1}, {"timestamp": 3, "cpu": 2}, {"timestamp": 5, "cpu": 3}])
    one = found.by_name["cpu"]
    assert one.times is not None
    assert (one.times.tolist(), one.values.tolist()) == ([3, 5], [2, 3])
    assert found.span == (3, 5)


def test_points_without_a_time_among_others_are_told() -> None:
    found = tracks_of(
        [{"timestamp": 5, "cpu": 1}, {"cpu": 2}, {"timestamp": "0001-01-01T00:00:00Z", "cpu": 3}]
    )
    assert len(found.by_name["cpu"]) == 1
    assert found.notes == ("2 of the points have no time where others have one: left out",)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["NaN", "1e999"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(
    st.lists(
        JSON | st.dictionaries(st.sampled_from(["timestamp", "value", "metadata", "cpu"]), JSON), max_size=8
    )
)
def test_any_rows_are_read(rows: list[Any]) -> None:
    for one in tracks_of(rows).by_name.values():
        assert np.isfinite(one.values).all()
        if one.times is not None:
            assert (np.diff(one.times) > 0).all()


# -- fleets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "period", "step"), [(120, 24, 300.0), (96, 24, 3600.0), (60, 17, 60.0)])
def test_many_series_are_foretold_as_well_as_each_alone(count: int, period: int, step: float) -> None:
    whole = [track(wave(count + 12, period=period, seed=seed), step) for seed in range(12)]
    known = [
        Track(one.name, one.values[:count], None if one.times is None else one.times[:count]) for one in whole
    ]
    together = forecasts(known, 12)
    ours = alone = naive = 0.0
    for one, given_, found in zip(whole, known, together, strict=True):
        single = forecast(given_, 12)
        assert found is not None
        assert single is not None
        later = one.values[count:]
        ours += float(np.abs(found.expected - later).mean())
        alone += float(np.abs(single.expected - later).mean())
        naive += float(np.abs(given_.values[-1] - later).mean())
        assert found.last == single.last
        assert 0 < found.inside <= 1
    assert ours < 1.3 * alone
    assert ours < 0.4 * naive


def test_the_season_of_each_series_is_its_own() -> None:
    values = np.stack([wave(120, period=period, noise=0.5) for period in (12, 20, 12)])
    assert seasons_of(values, 60.0).tolist() == [12, 20, 12]
    noise = np.random.default_rng(0).normal(size=(3, 400))
    assert (seasons_of(noise, 60.0) == 400).sum() >= 2
    assert seasons_of(noise, 3600.0).tolist() == [24, 24, 24]
    assert seasons_of(np.ones((2, 30)), 60.0).tolist() == [30, 30]


def test_series_with_gaps_or_without_company_are_left_to_be_foretold_alone() -> None:
    whole = [track(wave(60, seed=seed)) for seed in range(4)]
    assert whole[0].times is not None
    gap = Track("cpu", whole[0].values, np.where(np.arange(60) < 30, whole[0].times, whole[0].times + 5000))
    others = [gap, track(wave(59)), track(wave(60), None), track(wave(10))]
    found = forecasts([*whole, *others], 6)
    assert [one is None for one in found] == [False] * 4 + [True] * 4
    assert forecasts(whole[:3], 6) == [None] * 3
    assert forecasts([], 6) == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(VALUES, min_size=26, max_size=26), min_size=4, max_size=6), st.integers(1, 30))
def test_any_series_alike_are_foretold(series: list[list[float]], steps: int) -> None:
    for found in forecasts([track(values) for values in series], steps):
        assert found is not None
        assert np.isfinite(found.expected).all()
        assert (found.lower <= found.upper).all()


def test_errors_are_those_of_the_windows() -> None:
    """On a line that rises by one a step the last value is wrong by the step, and nothing is better."""
    found = forecast(track(np.arange(60.0)), 4)
    assert found is not None
    assert found.baseline_mae == pytest.approx(2.5)
    assert found.mae == pytest.approx(2.5, abs=0.6)
    assert found.checked <= 20 * 4


def test_an_interval_never_shrinks_with_the_step() -> None:
    """Errors of 10 up to three steps ahead, of 1 beyond: the wider interval holds for later steps too."""
    places = Places.of(60, 8, 20)
    shape = (1, len(places.origins), len(places.judged))
    seen = np.where(places.judged <= 3, 10.0, 1.0) * np.ones(shape)
    found = measured(np.zeros((*shape, 1)), seen, np.zeros((1, 8, 1)), places)
    assert found.width[0, 0] >= 10
    assert (np.diff(found.width[0]) >= 0).all()
    assert found.held.tolist() == found.checked.tolist()
    later = measured(np.zeros((*shape, 1)), seen[:, :, ::-1], np.zeros((1, 8, 1)), places)
    assert later.width[0, 0] < later.width[0, -1]


def test_a_formula_that_was_right_is_what_is_foretold() -> None:
    places = Places.of(60, 8, 20)
    shape = (1, len(places.origins), len(places.judged))
    right = np.random.default_rng(0).normal(size=shape)
    past = np.stack([np.zeros(shape), right, np.full(shape, np.nan)], axis=-1)
    now = np.tile([1.0, 2.0, 3.0], (1, 8, 1))
    found = measured(past, right, now, places)
    assert found.expected.tolist() == [[2.0] * 8]
    assert found.errors.max() == 0
    assert found.naive == pytest.approx(np.abs(right[:, -found.naive.shape[1] :]))
