"""Versions side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from ai_engine.domain.answers import Comparison, MetricComparison
from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.performance import HIGHER_IS_BETTER, LOWER_IS_BETTER, NUMBERS
from ai_engine.domain.search import EVERYTHING

if TYPE_CHECKING:
    from ai_engine.registry.registry import Registry

# Versions that are compared at once.
MOST: Final = 50
# What a training tells beyond the columns of a measurement.
FROM_TRAINING: Final = ("baseline_mae", "skill")


def side_by_side(metrics: Mapping[str, Mapping[str, float | None]]) -> dict[str, MetricComparison]:
    """Return every metric with its value for each version, and the differences to the first version.

    Parameters
    ----------
    metrics : mapping
        For each version, first the one to compare with, its numbers by name; None is unknown.

    Returns
    -------
    dict
        For each metric ``values`` and ``differences`` by version, which way is ``better`` (``lower``,
        ``higher`` or None), and the ``best`` version, None where none is or where it does not apply.

    Examples
    --------
    >>> side_by_side({"1.0.0": {"mae": 3.0}, "1.0.1": {"mae": 2.5}})["mae"]["differences"]
    {'1.0.1': -0.5}
    """
    names = dict.fromkeys(name for numbers in metrics.values() for name in numbers)
    return {name: _compared(name, {v: numbers.get(name) for v, numbers in metrics.items()}) for name in names}


def _compared(name: str, values: Mapping[str, float | None]) -> MetricComparison:
    (_, base), *others = values.items()
    better = "lower" if name in LOWER_IS_BETTER else "higher" if name in HIGHER_IS_BETTER else None
    known = {version: value for version, value in values.items() if value is not None}
    best = None
    if better is not None and len(set(known.values())) > 1:
        best = (min if better == "lower" else max)(known, key=known.__getitem__)
    return {
        "values": dict(values),
        "differences": {
            version: None if base is None or value is None else value - base for version, value in others
        },
        "better": better,
        "best": best,
    }


def compare(registry: Registry, name: str, versions: Iterable[str]) -> Comparison:
    """Return the metrics of versions side by side, as ``GET /models/{name}/compare`` answers them.

    Raises
    ------
    InvalidInputError
        If there are fewer than two versions, or too many.
    VersionNotFoundError
        If there is no such version.
    """
    if isinstance(versions, str):
        raise InvalidInputError("versions", f"{versions!r} is one text; give a list of versions")
    wanted = list(dict.fromkeys(versions))
    if not 2 <= len(wanted) <= MOST:
        raise InvalidInputError(
            "versions", f"names {len(wanted)}; give 2 to {MOST} different ones, such as 1.0.0 and 1.0.1"
        )
    return {
        "model_name": name,
        "versions": wanted,
        "compared_with": wanted[0],
        "metrics": side_by_side(metrics_of(registry, name, wanted)),
    }


def metrics_of(registry: Registry, name: str, versions: Iterable[str]) -> dict[str, dict[str, float | None]]:
    """Return the newest measurement of each version, and what else its training told, by metric.

    Raises
    ------
    VersionNotFoundError
        If there is no such version.
    """
    wanted = list(versions)
    described, _, _ = registry.describe(name, search=EVERYTHING.of(None, *wanted))
    entries = {entry["version"]: entry for entry in described}
    found: dict[str, dict[str, float | None]] = {}
    for version in wanted:
        newest = registry.latest_performance(name, version)
        told = entries[version]["metadata"].get("performance_metrics") if version in entries else None
        trained = told if isinstance(told, Mapping) else {}
        found[version] = {
            **{number: getattr(newest, number, None) for number in NUMBERS},
            **(newest.metrics if newest is not None else {}),
            **{number: _number(trained.get(number)) for number in FROM_TRAINING},
        }
    return found


def _number(value: object) -> float | None:
    """Return a value that anybody may have put into the metadata, if it is a number."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
