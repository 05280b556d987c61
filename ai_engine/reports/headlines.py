"""The few numbers that sum a version up, and how to read each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ai_engine.reports.charts import Headline
from ai_engine.reports.glossary import TERMS
from ai_engine.reports.text import against, decimal, is_same, percent, score, spelled
from ai_engine.reports.values import mapping, number

# Kinds whose `accuracy_score` is a share of right rows; of numbers it is one within a tenth of their range.
_OF_CLASSES: Final = ("classification", "anomaly_detection")
_SHARES: Final = ("accuracy_score", "confidence_score", "precision", "recall", "f1", "flagged_share")
# Told elsewhere on the page, or of no use at a glance.
_LEFT_OUT: Final = (
    *("mse", "feature_count", "baseline", "baseline_mae", "prediction_time", "last_updated"),
    *("training_time", "training_samples", "validation_samples"),
)
MOST: Final = 8
# Of which 1 is perfect.
_SCORES: Final = ("r2", "average_precision")


def headlines(report: Mapping[str, Any], kind: str | None) -> list[Headline]:
    """Return the measures of a report that are known, the most telling ones first."""
    metrics = mapping(report.get("metrics"))
    found = []
    skill, baseline = number(metrics.get("skill")), metrics.get("baseline")
    if skill is not None:
        beside = "the baseline" if baseline is None else f"the baseline ({spelled(baseline)})"
        found.append(
            Headline(
                "skill",
                f"{'as' if is_same(skill) else 'than'} {beside}",
                against(skill),
                "Its error against the simple answer's",
                "same" if is_same(skill) else "good" if skill > 0 else "bad",
            )
        )
    mae, baseline_mae = number(metrics.get("mae")), number(metrics.get("baseline_mae"))
    if mae is not None:
        about = "" if baseline_mae is None else f"The baseline's is {decimal(baseline_mae)}"
        found.append(Headline("mae", "mean error", decimal(mae), about))
    for name in ("confidence_score", "accuracy_score", "r2", *metrics):
        value = number(metrics.get(name))
        if value is None or name in _LEFT_OUT or any(one.key == name for one in found):
            continue
        text = percent(value) if name in _SHARES else score(value) if name in _SCORES else decimal(value)
        found.append(Headline(name, _label(name, kind), text, ""))
    return found[:MOST]


def basis(report: Mapping[str, Any]) -> str:
    """Return what the measures rest on, in a sentence; empty where no training made them."""
    metrics = mapping(report.get("metrics"))
    held_out, fitted, seconds = (
        number(metrics.get(name)) for name in ("validation_samples", "training_samples", "training_time")
    )
    if held_out is None or fitted is None:
        return ""
    took = "" if seconds is None else f" It took {decimal(seconds)} s."
    return (
        f"Measured on {held_out:,.0f} rows that were held out: the fit that these numbers are of learned "
        f"from {fitted:,.0f} others and never saw them.{took}"
    )


def _label(name: str, kind: str | None) -> str:
    if name == "accuracy_score":
        return "right rows" if kind in _OF_CLASSES else "within 10 % of the range"
    return TERMS[name].label if name in TERMS else spelled(name)
