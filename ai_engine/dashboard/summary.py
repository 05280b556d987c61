"""Summaries of models, formatted for the dashboard."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ai_engine.dashboard.charts import Sparkline, sparkline
from ai_engine.domain.clock import from_text
from ai_engine.domain.performance import NUMBERS
from ai_engine.domain.rights import Rights
from ai_engine.domain.search import EVERYTHING
from ai_engine.registry.registry import Registry
from ai_engine.reports.text import against, decimal, is_same, percent, score

# A page is read by a person: more would be scrolled past, and would take longer than a blink to gather.
MODELS_A_PAGE: Final = 48
# Of these the trend is drawn.
_NEWEST: Final = 20
# Kinds whose `accuracy_score` is no share of right rows.
_OF_NUMBERS: Final = ("resource_prediction", "workload_prediction", "migration_prediction", "regression")


@dataclass(frozen=True, slots=True)
class Number:
    """A metric as it is shown: its label, its text, its meaning, and whether it is bad."""

    label: str
    text: str
    meaning: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """One model.

    Attributes
    ----------
    active : str or None
        Its active version.
    trained : str or None
        When the newest version was saved; ISO 8601.
    """

    name: str
    kind: str
    active: str | None
    newest: str | None
    versions: int
    algorithms: str
    saved: str | None
    saved_iso: str | None
    numbers: list[Number]
    trend: Sparkline | None


@dataclass(frozen=True, slots=True)
class Overview:
    """A page of models; `following` is the name behind which the next page starts, if there is one."""

    models: list[Model]
    total_models: int
    total_versions: int
    following: str | None
    paged: bool


def overview(registry: Registry, rights: Rights, after: str | None = None) -> Overview:
    """Return a page of the models that somebody may see, from behind a name on, and the totals. Blocks."""
    names = [name for name in registry.names() if rights.cover(name)]
    start = 0 if after is None else bisect_right(names, after)
    shown = names[start : start + MODELS_A_PAGE]
    more = start + MODELS_A_PAGE < len(names)
    actives = registry.actives()
    seen = EVERYTHING if rights.cover_all else EVERYTHING.among(rights.models)
    _, total_versions, _ = registry.describe(limit=1, search=seen)
    return Overview(
        models=[_model(registry, name, actives.get(name)) for name in shown],
        total_models=len(names),
        total_versions=max(total_versions, len(names)),
        following=shown[-1] if more and shown else None,
        paged=start > 0,
    )


def _model(registry: Registry, name: str, active: str | None) -> Model:
    entries, total, _ = registry.describe(name, _NEWEST)
    newest: Mapping[str, Any] = entries[0] if entries else {}
    shown: Mapping[str, Any] = next((entry for entry in entries if entry["version"] == active), newest)
    version = active or shown.get("version")
    saved = from_text(newest.get("created_at"))
    return Model(
        name=name,
        kind=_spelled(newest.get("model_type")),
        active=active,
        newest=newest.get("version"),
        versions=max(total, len(registry.versions(name)) if not entries else 0),
        algorithms=", ".join(_spelled(one) for one in shown.get("algorithms", [])),
        saved=f"{saved:%Y-%m-%d %H:%M} UTC" if saved else None,
        saved_iso=saved.isoformat() if saved else None,
        numbers=_numbers(_measures(registry, name, version, shown), shown.get("model_type")),
        trend=_trend(entries, active),
    )


def _spelled(word: object) -> str:
    return str(word).replace("_", " ") if word else ""


def _measures(
    registry: Registry, name: str, version: str | None, entry: Mapping[str, Any]
) -> dict[str, float]:
    """Return all known metrics of a version; `entry` is one of `Registry.describe`."""
    if "performance" in entry:
        measured = {number: (entry["performance"] or {}).get(number) for number in NUMBERS}
    else:  # of a model that is kept in memory only there is no entry
        newest = registry.latest_performance(name, version) if version is not None else None
        measured = {number: getattr(newest, number, None) for number in NUMBERS}
    known = {number: float(value) for number, value in measured.items() if value is not None}
    return _trained(entry) | known


def _trained(entry: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics in an entry's metadata; they may have been written by any program."""
    metadata = entry.get("metadata")
    told = metadata.get("performance_metrics") if isinstance(metadata, Mapping) else None
    if not isinstance(told, Mapping):
        return {}
    return {
        str(name): float(value)
        for name, value in told.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _numbers(measured: Mapping[str, float], kind: str | None) -> list[Number]:
    of_numbers = kind in _OF_NUMBERS
    accuracy = (
        (
            "within 10 % of the range",
            "Share of held-out values that were predicted to within a tenth of the range",
        )
        if of_numbers
        else ("accuracy", "Share of correct rows")
    )
    found = []
    if (skill := measured.get("skill")) is not None:
        found.append(
            Number(
                "against the baseline",
                against(skill),
                "The mean error compared with that of a baseline, on held-out rows",
                bad=skill < 0 and not is_same(skill),
            )
        )
    if (mae := measured.get("mae")) is not None:
        found.append(Number("mean error", decimal(mae), "Mean absolute error, in the unit of the target"))
    if (r2 := measured.get("r2")) is not None:
        found.append(Number("R²", score(r2), "Share of the variance that is explained; 1 is perfect"))
    for name, label, meaning in (
        ("accuracy_score", *accuracy),
        ("confidence_score", "inside the 90 % interval", "Share of held-out values inside their interval"),
    ):
        if name in measured:
            found.append(Number(label, percent(measured[name]), meaning))
    return found[:4]


def _trend(entries: Sequence[Mapping[str, Any]], active: str | None) -> Sparkline | None:
    """Return the mean error of the newest versions (entries of `Registry.describe`) as a line."""
    errors = [(entry["version"], (entry["performance"] or {}).get("mae")) for entry in reversed(entries)]
    return sparkline([(version, error) for version, error in errors if error is not None], active)
