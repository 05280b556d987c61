"""Spans of time as people write them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from ai_engine.domain.errors import InvalidInputError

# Seconds, the smallest unit first.
UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?) ?([smhdw])", re.ASCII)
_LONGEST: Final = timedelta(days=100 * 366)


def seconds_in(text: str) -> float | None:
    """Return the seconds of a span of time such as ``6h`` or ``1.5 d``; None where it is none.

    >>> seconds_in("6h"), seconds_in("soon")
    (21600.0, None)
    """
    match = _DURATION.fullmatch(text.strip().lower())
    return None if match is None else float(match.group(1)) * UNITS[match.group(2)]


def parse_duration(what: str, text: str) -> timedelta:
    """Return a span of time, at least a second and at most a hundred years.

    >>> parse_duration("--expires", "30d").days
    30

    Raises
    ------
    InvalidInputError
        Naming `what`, if it is none.
    """
    seconds = seconds_in(text)
    if seconds is None or not 1 <= seconds <= _LONGEST.total_seconds():
        raise InvalidInputError(what, f"{text[:40]!r} is no span of time; give 30d, 12h, 90m, 45s or 2w")
    return timedelta(seconds=seconds)
