"""The chart of the README: cost against the number of versions, and memory against processes.

``python -m benchmarks.chart`` draws ``docs/pictures/performance.svg`` from the results, and the same as PNG
where there is a chromium to render it.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measure import REPOSITORY, RESULTS, amount

PICTURES = REPOSITORY / "docs" / "pictures"
WIDTH, HEIGHT = 1200, 560
_INK, _QUIET, _GRID = "#1f2933", "#5f6b7a", "#e4e8ee"
_TOP, _BOTTOM = 118, 470
# Of Okabe and Ito, which people with any kind of colour vision can tell apart.
_BLUE, _ORANGE, _GREEN, _PURPLE = "#0072b2", "#d55e00", "#00875f", "#a3478a"
_LABEL_HEIGHT = 32


@dataclass(frozen=True)
class Line:
    """A line of the left panel: what it is called, its colour, and its figures by number of versions."""

    name: str
    colour: str
    points: list[tuple[int, float]]
    limit: list[tuple[int, float]]


def svg() -> str:
    """Return the picture."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="Inter, Helvetica, Arial, Liberation Sans, sans-serif">',
        "<title>Cost against the number of versions, and memory against processes</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="14" fill="#ffffff"/>',
        *_versions(),
        *_memory(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _figures(question: str) -> dict[str, Any]:
    """Return the figures of a question by their keys (JSON values)."""
    document = json.loads((RESULTS / f"{question}.json").read_text())
    return {figure["key"]: figure for figure in document["figures"]}


# -- the left panel ------------------------------------------------------------------------------------------


def _line(name: str, colour: str, question: str, prefix: str) -> Line:
    found = [f for key, f in _figures(question).items() if key.startswith(prefix) and f["at"] is not None]
    return Line(
        name,
        colour,
        [(f["at"], f["ours"]["median"]) for f in found],
        [(f["at"], f["raw"]["median"]) for f in found if f["raw"]],
    )


def _versions() -> Iterator[str]:
    lines = [
        _line("process start to answer", _PURPLE, "start", "spawn_"),
        _line("a page of 100 versions", _GREEN, "listing", "one_"),
        _line("save a small model, durably", _BLUE, "save_small", "p50_"),
        _line("find the active version", _ORANGE, "listing", "find_"),
    ]
    lines.sort(key=lambda line: -line.points[-1][1])
    left, right = 96, 560
    places = sorted({max(at, 10) for line in lines for at, _ in line.points})
    step = (right - left) / (len(places) - 1)
    low, high = -6, 0

    def x(at: int) -> float:
        return left + 14 + places.index(max(at, 10)) * (step - 8)

    def y(seconds: float) -> float:
        return _BOTTOM - (math.log10(seconds) - low) / (high - low) * (_BOTTOM - _TOP)

    yield _heading(40, "The same cost, however many versions there are", "median time of one call")
    for power in range(low, high + 1):
        at = y(10.0**power)
        yield f'<line x1="{left}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}" stroke="{_GRID}"/>'
        yield _text(left - 12, at + 4.5, amount(10.0**power, "s"), "end", _QUIET)
    for place in places:
        label = "up to 10" if place == 10 else f"{place:,}"
        yield _text(x(place), _BOTTOM + 26, label, "middle", _QUIET)
    yield _text((left + right) / 2, _BOTTOM + 52, "versions in the registry", "middle", _QUIET)
    labels = _apart([y(line.points[-1][1]) for line in lines])
    for line, label_at in zip(lines, labels, strict=True):
        if line.name.startswith("save"):
            yield _path([(x(at), y(value)) for at, value in line.limit], line.colour, dashed=True)
        yield _path([(x(at), y(value)) for at, value in line.points], line.colour)
        for at, value in line.points:
            yield f'<circle cx="{x(at):.1f}" cy="{y(value):.1f}" r="4.5" fill="{line.colour}"/>'
        last = amount(line.points[-1][1], "s")
        yield _text(right + 10, label_at, line.name, "start", line.colour, 14, "600")
        yield _text(right + 10, label_at + 16, last, "start", _QUIET)
    yield f'<line x1="{left}" y1="96" x2="{left + 30}" y2="96" {_stroke(_BLUE, dashed=True)}/>'
    yield _text(left + 38, 100.5, "a durable save by hand: file, directory, one row", "start", _QUIET)


def _apart(wanted: Sequence[float]) -> list[float]:
    """Return the places for labels, from above to below, so that none covers another."""
    placed: list[float] = []
    for at in wanted:
        placed.append(max(at, placed[-1] + _LABEL_HEIGHT + 4) if placed else at)
    return placed


# -- the right panel -----------------------------------------------------------------------------------------


def _memory() -> Iterator[str]:
    found = [f for key, f in _figures("load_large").items() if key.startswith("copies_")]
    points: list[tuple[int, float]] = [(f["at"], f["ours"]["median"]) for f in found]
    left, right, most = 850, 1160, max(at for at, _ in points)

    def x(at: float) -> float:
        return left + 18 + (at - 1) / (most - 1) * (right - left - 36)

    def y(copies: float) -> float:
        return _BOTTOM - copies / most * (_BOTTOM - _TOP)

    yield _heading(790, "One copy, however many processes", "memory for the same 200 MB model")
    for copies in range(0, most + 1, 2):
        yield f'<line x1="{left}" y1="{y(copies):.1f}" x2="{right}" y2="{y(copies):.1f}" stroke="{_GRID}"/>'
        size = f"{copies * 200 / 1000:g} GB" if copies else "0"
        yield _text(left - 10, y(copies) + 4.5, size, "end", _QUIET)
    for at, _ in points:
        yield _text(x(at), _BOTTOM + 26, str(at), "middle", _QUIET)
    yield _text((left + right) / 2, _BOTTOM + 52, "processes that have it loaded", "middle", _QUIET)
    yield _path([(x(1), y(1)), (x(most), y(most))], _QUIET, dashed=True)
    yield _text(x(5.85), y(6.2), "a copy in each", "end", _QUIET, 14)
    yield _path([(x(at), y(copies)) for at, copies in points], _BLUE)
    for at, copied in points:
        yield f'<circle cx="{x(at):.1f}" cy="{y(copied):.1f}" r="4.5" fill="{_BLUE}"/>'
    last = points[-1][1]
    yield _text(
        right - 18, y(last) - 16, f"mapped: {last:.2f} copies in {most} processes", "end", _BLUE, 14, "600"
    )


# -- strokes -------------------------------------------------------------------------------------------------


def _heading(x: float, title: str, below: str) -> str:
    return "\n".join((_text(x, 44, title, "start", _INK, 20, "600"), _text(x, 68, below, "start", _QUIET)))


def _text(
    x: float, y: float, words: str, anchor: str, colour: str, size: int = 13, weight: str = "400"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}" '
        f'font-weight="{weight}">{escape(words)}</text>'
    )


def _stroke(colour: str, dashed: bool = False) -> str:
    dash = 'stroke-width="1.8" stroke-dasharray="5 5" opacity="0.75"' if dashed else 'stroke-width="2.8"'
    return f'fill="none" stroke="{colour}" stroke-linecap="round" stroke-linejoin="round" {dash}'


def _path(points: Sequence[tuple[float, float]], colour: str, dashed: bool = False) -> str:
    steps = " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path d="M{steps}" {_stroke(colour, dashed)}/>'


def draw(directory: Path = PICTURES) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    picture = directory / "performance.svg"
    picture.write_text(svg())
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        print("There is no chromium to make the PNG with; the SVG is drawn.")
        return
    with TemporaryDirectory() as profile:
        subprocess.run(
            [
                browser,
                *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                f"--user-data-dir={profile}",
                f"--window-size={WIDTH},{HEIGHT}",
                "--force-device-scale-factor=2",
                "--default-background-color=00000000",
                f"--screenshot={picture.with_suffix('.png')}",
                picture.as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )


if __name__ == "__main__":
    draw()
