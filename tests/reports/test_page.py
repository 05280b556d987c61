"""The page of a report: all that was measured, whatever it is, and nothing that a browser would run."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from ai_engine.reports.charts import Band, Bar, BarChart, Line, LineChart, ReliabilityChart
from ai_engine.reports.glossary import TERMS
from ai_engine.reports.headlines import basis, headlines
from ai_engine.reports.page import Subject, page, policy
from ai_engine.reports.sections import sections
from ai_engine.reports.svg import HEIGHT, WIDTH, drawn, ticks
from ai_engine.training.report import PARTS, report_of

SUBJECT = Subject("cpu", "1.0.0", "regression", ("Ridge",), "2026-01-02T03:04:05Z", True)
EVIL = "<script>alert(1)</script>\" onload='x' {0} {{ 7*7 }}"
WINDOW = {
    "shown": "usual window of the machine",
    "group": "vm-1",
    "origin": "2026-01-01T00:00:00Z",
    "interval_seconds": 300.0,
    "past_steps": [-1, 0],
    "past": [1.0, 2.0],
    "steps": [1, 2],
    "observed": [2.0, None],
    "centre": [2.5, 3.0],
    "lower": [1.0, 1.0],
    "upper": [4.0, 5.0],
}
STEP = {"from_step": 1, "to_step": 1, "mae": 1.0, "baseline_mae": 2.0, "skill": 0.5, "coverage": 0.9}
GROUP = {"group": "vm-1", "mae": 3.0, "baseline_mae": 2.0, "skill": -0.5, "mase": None, "rows": 7}
FULL: dict[str, Any] = {
    "data": {"time_column": "t", "ignored": [{"column": "c", "why": "text"}], "period": {"from": "a"}},
    "split": {"method": "time", "refit": True},
    "leaderboard": {"cpu": {"ridge": 1.0, "median": 2.0}},
    "metrics": {"mae": 1.5, "skill": 0.25, "baseline": "median", "baseline_mae": 2.0, "mse": None},
    "by_target": {"cpu": {"mae": 1.0}, "mem": {"mae": 2.0}},
    "by_horizon": {"cpu": [STEP, STEP | {"from_step": 2, "to_step": 4}]},
    "by_group": {"cpu": {"groups": 1, "worse_than_baseline": 1, "named": [GROUP], "unnamed": 0}},
    "calibration": {
        "intervals": {"cpu": {"nominal": 0.9, "observed": 0.8}},
        "reliability": {"cpu": {"bins": [{"predicted": 0.7, "observed": 0.5, "count": 3}]}},
    },
    "forecast": {"cpu": [WINDOW]},
    "importance": {"cpu": {"measure": "growth", "rows": 9, "columns": [{"column": "mem", "increase": 1.0}]}},
    "worst": {"cpu": [{"row": 3, "observed": 1.0, "predicted": 2.0}]},
}


class Tags(HTMLParser):
    """What elements and attributes a page has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(text: str) -> Tags:
    """Return the tags of a page that is well formed, needs nothing else and runs nothing."""
    tags = Tags(text)
    assert tags.open == []
    assert not {"script", "img", "iframe", "object"} & tags.tags
    assert not {"style", "onload", "onclick", "src"} & tags.attributes
    assert "nan" not in re.findall(r'(?:points|d|x|y|cx|cy|width)="([^"]*)"', text)
    return tags


def test_a_full_report_shows_every_part_once_with_a_table_behind_each_picture() -> None:
    text = page(SUBJECT, FULL)
    tags = checked(text)
    for key in PARTS:
        if key != "metrics":  # these stand at the top
            assert text.count(f'<section id="{key}">') == 1
    assert {"svg", "table"} <= tags.tags
    assert text.count("<svg") == text.count("<details")
    assert "25 % better" in text
    assert "than the baseline (median)" in text
    assert "1 in all, 1 worse than the baseline" in text
    assert policy().startswith("default-src 'none'; style-src 'sha256-")


@pytest.mark.parametrize("metadata", [{}, {"split": 7, "reading": [], "candidates": "x"}])
def test_a_version_that_no_training_made_has_a_page(metadata: dict[str, Any]) -> None:
    report = report_of(metadata, None, None)
    assert tuple(report) == PARTS
    assert all(report[part] is None for part in PARTS if part != "leaderboard")
    text = page(Subject("x", "1", None, (), None, False), report)
    checked(text)
    assert "Nothing was measured of this version" in text


def test_names_of_others_are_text() -> None:
    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                (EVIL if key in ("cpu", "ridge", "time_column") else key): replaced(one)
                for key, one in value.items()
            }
        if isinstance(value, list):
            return [replaced(one) for one in value]
        return EVIL if isinstance(value, str) else value

    text = page(Subject(EVIL, EVIL, EVIL, (EVIL,), EVIL, True), replaced(FULL), home=EVIL)
    checked(text)
    assert "<script" not in text
    assert "49" not in re.sub(r"[\d.,]+\d", "", text)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("cpu", "named", "bins", "columns", "steps", "past", "intervals", "reliability"),
                    *("to_step", "mae", "skill", "observed", "predicted", "increase", "count", "spread"),
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.fixed_dictionaries(dict.fromkeys(PARTS, anything)))
def test_whatever_somebody_wrote_there_is_a_page(report: dict[str, Any]) -> None:
    checked(page(SUBJECT, report))


@pytest.mark.parametrize("part", [part for part in PARTS if part not in ("metrics", "data", "split")])
def test_parts_are_independent(part: str) -> None:
    alone = dict.fromkeys(PARTS) | {part: FULL[part]}
    assert [section.key for section in sections(alone)] == [part]
    without = FULL | {part: None}
    assert part not in [section.key for section in sections(without)]


def test_a_worse_version_says_so() -> None:
    (first, *_) = headlines({"metrics": {"skill": -0.5, "mae": 1.0}}, "regression")
    assert (first.text, first.label, first.verdict) == ("50 % worse", "than the baseline", "bad")
    (first, *_) = headlines({"metrics": {"skill": 0.004}}, "regression")
    assert (first.text, first.label) == ("the same", "as the baseline")
    assert basis({"metrics": {"skill": 0.5}}) == ""


@pytest.mark.parametrize(
    ("kind", "label"), [("regression", "within 10 % of the range"), ("classification", "right rows")]
)
def test_a_share_within_a_range_is_never_called_accuracy(kind: str, label: str) -> None:
    (one,) = headlines({"metrics": {"accuracy_score": 0.75}}, kind)
    assert (one.label, one.text) == (label, "75 %")


# -- pictures ------------------------------------------------------------------------------------------------

values = st.none() | st.floats(allow_nan=False, allow_infinity=False)
finite = st.floats(allow_nan=False, allow_infinity=False)


def places(svg: str) -> list[tuple[float, float]]:
    return [
        (float(x), float(y))
        for points in re.findall(r'points="([^"]*)"', svg)
        for x, _, y in (point.partition(",") for point in points.split())
    ]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(finite, values), min_size=1, max_size=6))
def test_every_line_stays_in_its_box(points: list[tuple[float, float | None]]) -> None:
    x, y = zip(*sorted(points, key=lambda one: one[0]), strict=True)
    svg = drawn(LineChart((Line("l", "model", x, y),), "x", "y"), "told")
    for across, down in places(svg):
        assert 0 <= across <= WIDTH
        assert 0 <= down <= HEIGHT


@settings(max_examples=200, deadline=None)
@given(st.lists(finite, min_size=1, max_size=5), st.none() | finite)
def test_every_bar_stays_in_its_box(lengths: list[float], reference: float | None) -> None:
    bars = tuple(Bar(str(number), value, spread=1.0) for number, value in enumerate(lengths))
    svg = drawn(BarChart(bars, "x", reference), "told")
    for start, width in re.findall(r'<rect class="[^"]*" x="([^"]*)" y="[^"]*" width="([^"]*)"', svg):
        assert 0 <= float(start) <= WIDTH
        assert 0 < float(width) <= WIDTH


def test_a_gap_breaks_a_line_and_a_value_alone_is_a_dot() -> None:
    line = Line("l", "seen", (0.0, 1.0, 2.0, 3.0), (1.0, 2.0, None, 3.0))
    svg = drawn(LineChart((line,), "x", "y"), "told")
    assert svg.count("<polyline") == 1
    assert svg.count("<circle") == 1


@pytest.mark.parametrize(("upper", "cut"), [(4.0, False), (4.1, True), (1000.0, True)])
def test_an_interval_leaves_what_came_to_be_seen(upper: float, cut: bool) -> None:
    """Of lines from 0 to 2 it shows as much again on either side, and says where it is cut."""
    line = Line("came", "seen", (0.0, 1.0), (0.0, 2.0))
    chart = LineChart((line,), "x", "y", band=Band("90 % interval", (0.0, 1.0), (0.0, -1.0), (1.0, upper)))
    assert chart.limits() == (-1.0, min(upper, 4.0), cut)
    windows = {"cpu": [WINDOW | {"upper": [4.0, 1000.0 if cut else 5.0]}]}
    text = page(SUBJECT, dict.fromkeys(PARTS) | {"forecast": windows})
    assert ("90 % interval, cut at the edge" in text) is cut


def test_larger_dots_are_of_more_rows() -> None:
    svg = drawn(ReliabilityChart(((0.5, 0.5, 1), (0.9, 1.0, 100))), "told")
    few, many = map(float, re.findall(r' r="([^"]*)"', svg))
    assert few < many


@given(finite, finite)
def test_ticks_span_the_range_and_are_few(one: float, other: float) -> None:
    low, high = sorted((one, other))
    found = ticks(low, high)
    assert 2 <= len(found) <= 12
    assert found == sorted(found)
    if (
        0 < high - low < 1e300
        and math.isfinite(high - low)
        and (high - low) > 1e-6 * max(abs(low), abs(high))
    ):
        slack = 1e-6 * (high - low)
        assert found[0] <= low + slack
        assert found[-1] >= high - slack


def test_every_term_has_two_sentences() -> None:
    for term in TERMS.values():
        sentences = [one for one in re.split(r"(?<=[.)])\s+(?=[A-Z0-9])", term.meaning) if one]
        assert 2 <= len(sentences) <= 3, term.key
        assert term.meaning.endswith(".")


@pytest.mark.parametrize(
    ("skill", "text", "verdict"),
    [
        (0.0049, "the same", "same"),
        (-0.0049, "the same", "same"),
        (0.006, "1 % better", "good"),
        (-0.006, "1 % worse", "bad"),
        (0.9999, "over 99 % better", "good"),
    ],
)
def test_what_is_as_good_as_its_baseline_looks_neither_good_nor_bad(
    skill: float, text: str, verdict: str
) -> None:
    first, *rest = headlines({"metrics": {"skill": skill, "r2": 0.99971}}, "regression")
    assert (first.text, first.verdict) == (text, verdict)
    assert [one.text for one in rest] == ["over 0.999"]
