"""JSON values of a report as what they should be; anybody may have written something else there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Json = Any  # a JSON value


def mapping(value: Json) -> Mapping[str, Json]:
    """Return an object; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def mappings(value: Json) -> list[Mapping[str, Json]]:
    """Return the objects in a list; none for anything else."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, (list, tuple)) else []


def number(value: Json) -> float | None:
    """Return a finite number; None for anything else.

    >>> number(1), number(True), number("1"), number(float("nan"))
    (1.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        real = float(value)
    except OverflowError:
        return None
    return real if math.isfinite(real) else None


def numbers(value: Json, count: int | None = None) -> tuple[float | None, ...]:
    """Return the entries of a list as numbers, padded or cut to `count`."""
    found = tuple(map(number, value)) if isinstance(value, (list, tuple)) else ()
    if count is None:
        return found
    return (*found, *(None,) * (count - len(found)))[:count]


def sized(value: Json) -> dict[str, float]:
    """Return the numbers of an object by name."""
    found = {str(name): number(one) for name, one in mapping(value).items()}
    return {name: one for name, one in found.items() if one is not None}


def rows_of(entries: Sequence[Mapping[str, Json]], columns: Sequence[str]) -> tuple[tuple[Json, ...], ...]:
    """Return the cells of entries, one row each."""
    return tuple(tuple(entry.get(column) for column in columns) for entry in entries)
