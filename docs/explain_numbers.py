"""Write docs/numbers.md and its picture from the code; with --check, only say whether they are so."""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from ai_engine.api.report_schemas import ReportReply
from ai_engine.reports.charts import BASELINE, MODEL, SEEN, Band, Bar, BarChart, Line, LineChart
from ai_engine.reports.glossary import TERMS, Term
from ai_engine.reports.svg import HEIGHT, WIDTH, drawn
from ai_engine.reports.text import decimal, percent
from ai_engine.training.calibration import intervals_told
from ai_engine.training.evaluation import measure_numbers
from ai_engine.training.report import PARTS

PAGE = Path(__file__).parent / "numbers.md"
PICTURE = Path(__file__).parent / "pictures" / "numbers.svg"
# One forecast of twelve steps, made up so that every number of the picture can be checked by hand.
PAST = (41, 43, 46, 44, 47, 50, 49, 52, 51, 50)
CAME = (52, 55, 57, 54, 59, 63, 60, 66, 64, 61, 70, 66)
FORECAST = (52, 53, 55, 56, 58, 60, 61, 62, 63, 63, 64, 64)
HALF_WIDTH = (3, 3.5, 4, 4, 4.5, 4.5, 5, 5, 5, 5.5, 5.5, 5.5)
TRAINING_RANGE = 60.0
_STYLE = (
    "text{font:12px Inter,Helvetica,Arial,'Liberation Sans',sans-serif;fill:#5f6b7a}"
    ".head{font-size:16px;font-weight:600;fill:#1f2933}.said{font-size:13px}.label{fill:#1f2933}"
    ".grid{stroke:#e4e8ee;fill:none}.zero,.now{stroke:#5f6b7a;fill:none}.now{stroke-dasharray:3 3}"
    ".line{fill:none;stroke-width:2.4;stroke-linejoin:round}.line.model{stroke:#0072b2}"
    ".line.seen{stroke:#1f2933;stroke-width:1.8}.line.baseline{stroke:#d55e00;stroke-dasharray:5 4}"
    ".band{fill:#0072b2;opacity:.16}.bar.plain{fill:#d55e00}.bar.marked{fill:#0072b2}"
)


def picture() -> str:
    """Return the picture: a forecast with its interval, and what its errors come to beside the baseline's."""
    came, forecast = np.array(CAME, dtype=float), np.array(FORECAST, dtype=float)
    lower, upper = forecast - HALF_WIDTH, forecast + HALF_WIDTH
    baseline = np.full(len(came), float(PAST[-1]))
    told = measure_numbers(came, forecast, lower, upper, baseline, TRAINING_RANGE)
    interval = intervals_told(came, lower, upper, baseline)
    assert told.mae is not None
    assert told.baseline_mae is not None
    assert told.skill is not None
    assert told.confidence_score is not None
    assert told.accuracy_score is not None
    ahead = tuple(float(step) for step in range(len(CAME) + 1))
    joint = (float(PAST[-1]),)
    lines = LineChart(
        lines=(
            Line("before", SEEN, tuple(float(n - len(PAST) + 1) for n in range(len(PAST))), PAST),
            Line("came", SEEN, ahead, joint + CAME),
            Line("baseline", BASELINE, ahead, joint + tuple(baseline.tolist())),
            Line("forecast", MODEL, ahead, joint + FORECAST),
        ),
        band=Band("interval", ahead, joint + tuple(lower.tolist()), joint + tuple(upper.tolist())),
        x_label="steps ahead",
        y_label="CPU, %",
        now=0.0,
    )
    bars = BarChart(
        (Bar("baseline's error", told.baseline_mae), Bar("mean error", told.mae, role="marked")),
        "CPU, % points",
    )
    said = (
        f"skill = 1 − {decimal(told.mae)} / {decimal(told.baseline_mae)} = {decimal(told.skill)}: "
        f"{percent(told.skill)} of the baseline's error is gone.",
        f"inside the 90 % interval: {percent(told.confidence_score)} of what came.",
        f"within 10 % of the range ({decimal(TRAINING_RANGE)} points in training): "
        f"{percent(told.accuracy_score)}.",
        f"interval score: {decimal(interval['interval_score'])} points, or "
        f"{decimal(interval['scaled_interval_score'])} times the baseline's error.",
    )
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="1040" height="340" '
        'viewBox="0 0 1040 340" role="img">',
        f"<title>A forecast and what its numbers come to</title><style>{_STYLE}</style>",
        '<rect width="1040" height="340" rx="14" fill="#ffffff"/>',
        '<text class="head" x="34" y="38">A forecast (blue), what came (black), the baseline (dashed)</text>',
        f'<svg x="20" y="56" width="{WIDTH}" height="{HEIGHT}">{drawn(lines, "A forecast")}</svg>',
        '<text class="head" x="544" y="38">What its numbers come to</text>',
        f'<svg x="524" y="56" width="{WIDTH}" height="110">{drawn(bars, "Two errors")}</svg>',
        *(
            f'<text class="said" x="544" y="{206 + 27 * number}">{sentence}</text>'
            for number, sentence in enumerate(said)
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def page() -> str:
    """Return the page: every number in two sentences."""
    at_a_glance = [term for term in TERMS.values() if term.key not in (*PARTS, *_WITHIN)]
    lines = [
        "# What do these numbers mean?",
        "",
        "Every number is measured on rows that the fit never saw, or it is null. Where the kept object was",
        "fitted once more on all rows, the numbers are those of before.",
        "",
        "![A forecast, its interval, and what the errors come to](pictures/numbers.svg)",
        "",
        "## Of a version",
        "",
        "What `performance_metrics`, the command line and the dashboard tell.",
        "",
        *_listed(at_a_glance),
        "## Of its report",
        "",
        "The parts of `GET /models/{name}/versions/{version}/report`, of `ai-engine models report` and of",
        "`train(…).report`; a part that a kind does not measure is null.",
        "",
    ]
    for part in PARTS:
        lines += _listed([TERMS[part]])
        keys = list(dict.fromkeys(_keys(ReportReply.model_fields[part].annotation)))
        if part not in ("data", "split", "metrics", "by_target") and keys:
            lines += [f"Keys: {', '.join(f'`{key}`' for key in keys)}.", ""]
    lines += ["## Within it", "", *_listed([TERMS[key] for key in _WITHIN])]
    return "\n".join(lines).rstrip() + "\n"


_WITHIN = (
    *("mase", "coverage", "mean_width", "interval_score", "scaled_interval_score", "expected_error"),
    "average_precision",
)


def _listed(terms: list[Term]) -> list[str]:
    return [line for term in terms for line in (f"**{term.label}** (`{term.key}`). {term.meaning}", "")]


def _keys(annotation: object) -> Iterator[str]:
    """Yield the keys of the objects that a part of the report is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield field.alias or name
            yield from _keys(field.annotation)
    for one in typing.get_args(annotation):
        yield from _keys(one)


def main() -> None:
    """Write both, or compare them with what is there."""
    made = {PAGE: page(), PICTURE: picture()}
    if "--check" in sys.argv:
        stale = [path.name for path, text in made.items() if not path.exists() or path.read_text() != text]
        if stale:
            raise SystemExit(f"{' and '.join(stale)} differ from what the code says; run `make docs`")
        return
    for path, text in made.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
