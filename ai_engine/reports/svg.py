"""Charts as SVG for a page without scripts: classes for the colours, texts that a reader of screens finds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from ai_engine.reports.charts import Bar, BarChart, Chart, Line, LineChart, ReliabilityChart
from ai_engine.reports.text import decimal, percent

# Two stand side by side on a desk; one alone shrinks by a quarter on a telephone, and can still be read.
WIDTH: Final = 480
HEIGHT: Final = 250
LEFT: Final = 62
RIGHT: Final = 14
TOP: Final = 14
BOTTOM: Final = 40
ROW: Final = 26
LABELS: Final = 150
_LONGEST_LABEL: Final = 19
# What lies beyond is drawn at the edge: sums with it would leave the range of floats.
_FARTHEST: Final = 1e300


def drawn(chart: Chart, told: str) -> str:
    """Return a chart as an ``svg`` element; `told` is what it shows in a sentence."""
    if isinstance(chart, LineChart):
        height, parts = HEIGHT, _lines(chart)
    elif isinstance(chart, BarChart):
        height = TOP + ROW * len(chart.bars) + BOTTOM
        parts = _bars(chart, height)
    else:
        height, parts = HEIGHT, _reliability(chart)
    opened = _element('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">', WIDTH, height, told)
    return f"{opened}{''.join(parts)}</svg>"


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers that span a range, at most `most` steps apart.

    >>> ticks(0.0, 1.0), ticks(3.2, 17.9), ticks(5.0, 5.0)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.0, 5.0, 10.0, 15.0, 20.0], [4.0, 4.5, 5.0, 5.5, 6.0])
    """
    low, high = (min(max(end, -_FARTHEST), _FARTHEST) for end in (low, high))
    if high <= low:
        apart = abs(low) * 0.2 or 1.0
        return ticks(low - apart, low + apart, most)
    if not 1e-290 < high - low < 1e290 or high - low < 1e-9 * max(abs(low), abs(high)):
        return [low, high]  # no float lies between, or round ones would leave the range of floats
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) if size > 1e-9 else number * step for number in range(first, last + 1)]


def _element(template: str, *values: object) -> str:
    """Return markup with values in its places; names of others are text there, whatever is in them."""
    return template.format(*(escape(str(value)) for value in values))


class _Axis:
    """From values to places."""

    def __init__(self, marks: Sequence[float], start: float, end: float) -> None:
        self.marks = list(marks)
        self._low, self._high = self.marks[0], self.marks[-1]
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        # Halves: the difference of two floats may overflow.
        span = self._high / 2 - self._low / 2
        share = (value / 2 - self._low / 2) / span if span > 0 else 0.5
        return round(self._start + min(max(share, 0.0), 1.0) * (self._end - self._start), 1)


def _text(x: float, y: float, anchor: str, text: str, kind: str = "tick") -> str:
    return _element('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>', kind, x, y, anchor, text)


def _grid(x: _Axis, y: _Axis, x_label: str, y_label: str) -> list[str]:
    parts = []
    for mark in y.marks:
        parts.append(_element('<path class="grid" d="M{} {}H{}"/>', LEFT, y(mark), WIDTH - RIGHT))
        parts.append(_text(LEFT - 7, y(mark) + 4, "end", decimal(mark)))
    parts += [_text(x(mark), HEIGHT - BOTTOM + 17, "middle", decimal(mark)) for mark in x.marks]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, "middle", x_label, "axis"))
    parts.append(
        _element(
            '<text class="axis" transform="translate(12 {}) rotate(-90)" text-anchor="middle">{}</text>',
            (TOP + HEIGHT - BOTTOM) / 2,
            _cut(y_label, 30),
        )
    )
    return parts


def _lines(chart: LineChart) -> list[str]:
    places = [place for line in chart.lines for place in line.x]
    low, high, _ = chart.limits()
    y = _Axis(ticks(low, high), HEIGHT - BOTTOM, TOP)
    first, last = (min(places), max(places)) if places else (0.0, 1.0)
    inner = [mark for mark in ticks(first, last, 6) if first <= mark <= last] or [first]
    x = _Axis([first, last] if last > first else [first - 1, first + 1], LEFT + 4, WIDTH - RIGHT - 4)
    x.marks = inner
    parts = _grid(x, y, chart.x_label, chart.y_label)
    if chart.now is not None:
        parts.append(_element('<path class="now" d="M{} {}V{}"/>', x(chart.now), TOP, HEIGHT - BOTTOM))
    if chart.band is not None:
        edge = [
            (x(at), y(low_), y(high_))
            for at, low_, high_ in zip(chart.band.x, chart.band.lower, chart.band.upper, strict=True)
            if low_ is not None and high_ is not None
        ]
        if edge:
            upper = " ".join(f"{at},{top}" for at, _, top in edge)
            lower = " ".join(f"{at},{bottom}" for at, bottom, _ in reversed(edge))
            parts.append(_element('<polygon class="band" points="{} {}"/>', upper, lower))
    parts += [path for line in chart.lines for path in _path(line, x, y)]
    return parts


def _path(line: Line, x: _Axis, y: _Axis) -> list[str]:
    """Return the pieces of a line; a value without neighbours is a dot."""
    pieces: list[list[str]] = [[]]
    for at, value in zip(line.x, line.values, strict=True):
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{x(at)},{y(value)}")
    parts = []
    for piece in filter(None, pieces):
        if len(piece) == 1:
            cx, _, cy = piece[0].partition(",")
            parts.append(_element('<circle class="dot {}" cx="{}" cy="{}" r="3"/>', line.role, cx, cy))
        else:
            parts.append(_element('<polyline class="line {}" points="{}"/>', line.role, " ".join(piece)))
    return parts


def _bars(chart: BarChart, height: float) -> list[str]:
    ends = [bar.value for bar in chart.bars] + ([] if chart.reference is None else [chart.reference])
    marks = ticks(min(0.0, *ends), max(0.0, *ends), 4) if any(ends) else [0.0, 1.0]
    x = _Axis(marks, LABELS, WIDTH - RIGHT - 12)
    bottom = height - BOTTOM
    parts = []
    for mark in marks:
        parts.append(_element('<path class="grid" d="M{} {}V{}"/>', x(mark), TOP - 4, bottom))
        parts.append(_text(x(mark), bottom + 17, "middle", decimal(mark)))
    parts += [part for number, bar in enumerate(chart.bars) for part in _bar(bar, x, TOP + ROW * number)]
    parts.append(_element('<path class="zero" d="M{} {}V{}"/>', x(0.0), TOP - 4, bottom))
    if chart.reference is not None:
        parts.append(_element('<path class="now" d="M{} {}V{}"/>', x(chart.reference), TOP - 4, bottom))
    parts.append(_text((LABELS + WIDTH - RIGHT) / 2, height - 5, "middle", chart.x_label, "axis"))
    return parts


def _bar(bar: Bar, x: _Axis, top: float) -> list[str]:
    start, end = sorted((x(0.0), x(bar.value)))
    middle = top + ROW / 2
    parts = [
        _element(
            '<text class="label" x="{}" y="{}" text-anchor="end">{}<title>{}</title></text>',
            LABELS - 10,
            middle + 4,
            _cut(bar.label, _LONGEST_LABEL),
            bar.label,
        ),
        _element(
            '<rect class="bar {}" x="{}" y="{}" width="{}" height="{}" rx="2"><title>{}</title></rect>',
            bar.role,
            start,
            top + 5,
            max(round(end - start, 1), 1),
            ROW - 10,
            f"{bar.label}: {decimal(bar.value)}",
        ),
    ]
    if bar.spread > 0:
        parts.append(
            _element(
                '<path class="spread" d="M{} {}H{}"/>',
                x(bar.value - bar.spread),
                middle,
                x(bar.value + bar.spread),
            )
        )
    return parts


def _reliability(chart: ReliabilityChart) -> list[str]:
    marks = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    x, y = _Axis(marks, LEFT + 4, WIDTH - RIGHT - 4), _Axis(marks, HEIGHT - BOTTOM, TOP)
    parts = _grid(x, y, "probability of the answer", "share of right answers")
    parts.append(_element('<path class="line baseline" d="M{} {}L{} {}"/>', x(0.0), y(0.0), x(1.0), y(1.0)))
    most = max((count for _, _, count in chart.points), default=1)
    if len(chart.points) > 1:
        line = " ".join(f"{x(predicted)},{y(observed)}" for predicted, observed, _ in chart.points)
        parts.append(_element('<polyline class="line model" points="{}"/>', line))
    for predicted, observed, count in chart.points:
        parts.append(
            _element(
                '<circle class="dot model" cx="{}" cy="{}" r="{}"><title>{}</title></circle>',
                x(predicted),
                y(observed),
                round(3 + 6 * math.sqrt(count / most), 1),
                f"{count:,} answers with {percent(predicted)}: {percent(observed)} right",
            )
        )
    return parts


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
