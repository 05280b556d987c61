"""Values as plain JSON: what callers put into metadata, made storable or refused by name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date, datetime
from os import PathLike, fspath
from typing import Any

from ai_engine.domain import clock
from ai_engine.domain.errors import InvalidInputError

_MAX_DEPTH = 64


def to_json(field: str, value: Any) -> str:
    """Return `value` as JSON text.

    Numbers of numpy and the like become plain ones, moments become ISO 8601 in UTC, sets, tuples and arrays
    become lists, paths become text, and NaN and the infinities, which JSON does not have, become null.

    Raises
    ------
    InvalidInputError
        Naming the place of what cannot be stored.

    Examples
    --------
    >>> to_json("metadata", {"features": 15, "loss": float("nan")})
    '{"features": 15, "loss": null}'
    """
    return json.dumps(plain(field, value), allow_nan=False)


def plain(field: str, value: Any, depth: int = 0) -> Any:
    """Return `value` with everything in it of a type that JSON has."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(field, value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if depth > _MAX_DEPTH:
        raise InvalidInputError(field, f"is nested more than {_MAX_DEPTH} levels deep, or contains itself")
    if isinstance(value, Mapping):
        return {_key(field, key): plain(f"{field}.{key}", item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(f"{field}[{index}]", item, depth + 1) for index, item in enumerate(value)]
    if isinstance(value, datetime):
        return clock.to_iso(clock.checked(field, value))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, PathLike):
        return str(fspath(value))
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return plain(field, value.tolist(), depth + 1)
    raise InvalidInputError(
        field, f"is a {type(value).__name__}, which JSON cannot hold; give text, numbers, lists or dicts"
    )


def _key(field: str, key: Any) -> str:
    if isinstance(key, str):
        return _text(field, key)
    if isinstance(key, (bool, int, float)) or key is None or hasattr(key, "item"):
        return str(key)
    raise InvalidInputError(field, f"has the key {key!r}, a {type(key).__name__}; keys are text")


def _text(field: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInputError(
            field, f"{text!r} is not Unicode: it holds half of a surrogate pair"
        ) from None
    return str.__str__(text)
