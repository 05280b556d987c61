"""A report as one HTML page that needs nothing else: no script, no other file, no network."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ai_engine.reports.charts import BarChart, Figure, LineChart, Section
from ai_engine.reports.glossary import TERMS, Term
from ai_engine.reports.headlines import basis, headlines
from ai_engine.reports.sections import sections
from ai_engine.reports.svg import drawn
from ai_engine.reports.text import printed, spelled
from ai_engine.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

# Measures that a section explains by the way, beside its own term.
_BESIDE = {
    "by_horizon": ("skill", "coverage"),
    "by_group": ("skill", "mase"),
    "calibration": ("interval_score", "scaled_interval_score", "expected_error"),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """The version that a report is of.

    Attributes
    ----------
    kind : str or None
        The model type.
    algorithms : tuple of str
    saved : str or None
        When it was saved; ISO 8601.
    active : bool
    """

    name: str
    version: str
    kind: str | None
    algorithms: tuple[str, ...]
    saved: str | None
    active: bool


def page(subject: Subject, report: Mapping[str, Any], home: str | None = None) -> str:
    """Return the page of a report.

    Parameters
    ----------
    subject : Subject
    report : mapping
        As `ai_engine.training.report` makes it (JSON values).
    home : str, optional
        The address of the page of all models, where there is one to lead back to.
    """
    shown = sections(report)
    tiles = headlines(report, subject.kind)
    return (
        _templates()
        .get_template("report.html")
        .render(
            subject=subject,
            kind=spelled(subject.kind) if subject.kind else "",
            algorithms=", ".join(subject.algorithms),
            tiles=tiles,
            basis=basis(report),
            sections=shown,
            terms=_terms(shown, [tile.key for tile in tiles]),
            meaning={key: term.meaning for key, term in TERMS.items()},
            picture=_picture,
            legend=_legend,
            printed=printed,
            spelled=spelled,
            style=_style(),
            policy=_policy(),
            home=home,
            version=__version__,
        )
    )


def policy() -> str:
    """Return the Content-Security-Policy under which the page is to be served."""
    return f"{_policy()}; frame-ancestors 'none'"


@cache
def _style() -> str:
    return (files("ai_engine.reports") / "templates" / "report.css").read_text()


@cache
def _policy() -> str:
    """Allow the page's own style, known by its digest, and nothing else."""
    digest = b64encode(sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )


@cache
def _templates() -> Environment:
    """Return the templates. They are loaded at first use, as the library takes long to import."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("ai_engine.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _terms(shown: list[Section], tiles: list[str]) -> list[Term]:
    """Return what the page explains at its end: what it shows and does not explain in its place."""
    keys = [*tiles, *(key for section in shown for key in _BESIDE.get(section.key, ()))]
    return [TERMS[key] for key in dict.fromkeys(keys) if key in TERMS]


def _picture(figure: Figure) -> str:
    assert figure.chart is not None  # the template asks before
    return drawn(figure.chart, f"{figure.title}. {figure.note}".strip())


def _legend(figure: Figure) -> list[tuple[str, str]]:
    """Return the role and the label of what is drawn, where more than one thing is."""
    if isinstance(figure.chart, LineChart):
        lines = {line.label: line.role for line in figure.chart.lines if line.label != "known before"}
        found = [(role, label) for label, role in lines.items()]
        if figure.chart.band is not None:
            edge = ", cut at the edge" if figure.chart.limits()[2] else ""
            found.append(("band", figure.chart.band.label + edge))
        return found
    if isinstance(figure.chart, BarChart) and any(bar.role == "marked" for bar in figure.chart.bars):
        return [("marked", "taken")]
    return []
