"""What is usual of a metric, as a request tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from ai_engine.control_plane.given import Given, number_of
from ai_engine.control_plane.tracks import tracks_of
from ai_engine.training.arrays import FloatArray

_MIDDLES: Final = ("mean", "avg", "average", "median")


_SPREADS: Final = ("std", "stddev", "std_dev", "sigma", "spread")


class Baseline:
    """A baseline as it was given, and what of it says what is usual."""

    def __init__(self, given: Mapping[str, float], usual: Mapping[str, tuple[float, float]]) -> None:
        self.given, self.usual = given, usual


def baseline_of(given: Given, metric: str) -> Baseline:
    """Return a baseline: ``{mean, std}`` of the metric, ``{cpu: {mean, std}}``, or ``{cpu, cpu_std}``."""
    numbers = {
        name: number for name, value in given.fields.items() if (number := number_of(value)) is not None
    }
    usual: dict[str, tuple[float, float]] = {}
    middle, spread = first_of(numbers, _MIDDLES), first_of(numbers, _SPREADS)
    if middle is not None and spread is not None and spread > 0:
        usual[metric] = middle, spread
    for name, value in given.fields.items():
        if isinstance(value, Mapping):
            inner = {key: number for key, one in value.items() if (number := number_of(one)) is not None}
            middle, spread = first_of(inner, _MIDDLES), first_of(inner, _SPREADS)
            numbers |= {f"{name}_{key}": one for key, one in inner.items()}
        else:
            middle = numbers.get(name)
            spread = first_of(numbers, [f"{name}_{ending}" for ending in _SPREADS])
        if middle is not None and spread is not None and spread > 0:
            usual[name] = middle, spread
    return Baseline(numbers, usual)


def first_of(numbers: Mapping[str, float], names: Sequence[str]) -> float | None:
    """Return the first of some names that has a number."""
    return next((numbers[name] for name in names if name in numbers), None)


def metric_of(value: Any) -> tuple[FloatArray | None, tuple[float, float] | None]:
    """Return the numbers of a metric (any JSON value), and what is usual where that is told."""
    if isinstance(value, list):
        track = tracks_of(value).by_name.get("value")
        return (None if track is None else track.values), None
    if isinstance(value, Mapping):
        usual = baseline_of(Given(value), "value").usual.get("value")
        current = first_of(
            {k: n for k, v in value.items() if (n := number_of(v)) is not None}, ("current", "value")
        )
        listed = next((value[key] for key in ("history", "values") if isinstance(value.get(key), list)), None)
        if listed is not None:
            track = tracks_of(listed).by_name.get("value")
            series = np.empty(0) if track is None else track.values
            if current is not None:
                series = np.append(series, current)
            return (series if len(series) else None), usual
        return (None if current is None else np.array([current])), usual
    number = number_of(value)
    return (None if number is None else np.array([number])), None
