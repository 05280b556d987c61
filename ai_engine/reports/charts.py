"""What a report shows, as data: sections of figures, each a picture with the same numbers as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

Cell = Any  # a JSON value; `text.printed` writes it

# What a line is of, which decides how it is drawn.
MODEL: Final = "model"
SEEN: Final = "seen"
BASELINE: Final = "baseline"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart; `values` has one entry for each x, None where there is none."""

    label: str
    role: str
    x: tuple[float, ...]
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Band:
    """The area between two lines."""

    label: str
    x: tuple[float, ...]
    lower: tuple[float | None, ...]
    upper: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class LineChart:
    """Lines over one axis.

    Attributes
    ----------
    x_label, y_label : str
        What the axes are of, with the unit.
    now : float or None
        An x at which something begins.
    includes : tuple of float
        What the axis of y has to show, too.
    """

    lines: tuple[Line, ...]
    x_label: str
    y_label: str
    band: Band | None = None
    now: float | None = None
    includes: tuple[float, ...] = ()

    def limits(self) -> tuple[float, float, bool]:
        """Return the lowest and the highest value that the lines need, and whether the band is cut there.

        A band may be a hundred times as wide as what it is around, which nobody would see any more: it gets
        as much again on either side.
        """
        known = [value for line in self.lines for value in line.values if value is not None]
        known += self.includes
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        if self.band is None:
            return low, high, False
        room = high - low or abs(high) or 1.0
        ends = [value for value in (*self.band.lower, *self.band.upper) if value is not None]
        below, above = min([low, *ends]), max([high, *ends])
        cut = below < low - room or above > high + room
        return max(below, low - room), min(above, high + room), cut


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: its label, its length, how far it may be off, and how it stands out.

    `role` is ``plain``, ``marked`` or ``bad``.
    """

    label: str
    value: float
    spread: float = 0.0
    role: str = "plain"


@dataclass(frozen=True, slots=True)
class BarChart:
    """Bars from 0, one below the other; `reference` is drawn across all of them."""

    bars: tuple[Bar, ...]
    x_label: str
    reference: float | None = None


@dataclass(frozen=True, slots=True)
class ReliabilityChart:
    """Points of (predicted probability, observed share, how many rows); on the diagonal both agree."""

    points: tuple[tuple[float, float, int], ...]


Chart = LineChart | BarChart | ReliabilityChart


@dataclass(frozen=True, slots=True)
class TextTable:
    """Rows of cells under named columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture, if there is something to draw, and the same as a table."""

    title: str
    table: TextTable
    chart: Chart | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Figures that answer one question; `key` is the part of the report, and of the glossary."""

    key: str
    title: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Headline:
    """A number that sums the version up: its text, what it is, how to read it, and how it is to look.

    The `verdict` is ``good``, ``same`` or ``bad``; empty where there is none.
    """

    key: str
    label: str
    text: str
    about: str
    verdict: str = ""
