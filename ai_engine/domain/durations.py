"""Spans of time as people write them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from ai_engine.domain.errors import InvalidInputError

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DURATION: Final = re.compile(r"([0-9]{1,9})\s*([smhdw])", re.ASCII | re.IGNORECASE)
_LONGEST: Final = timedelta(days=100 * 366)


def parse_duration(what: str, text: str) -> timedelta:
    """Return a span of time, at least a second and at most a hundred years.

    >>> parse_duration("--expires", "30d").days
    30

    Raises
    ------
    InvalidInputError
        Naming `what`, if it is none.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is not None:
        seconds = int(match.group(1)) * _UNITS[match.group(2).lower()]
        if 0 < seconds <= _LONGEST.total_seconds():
            return timedelta(seconds=seconds)
    raise InvalidInputError(what, f"{text[:40]!r} is no span of time; give 30d, 12h, 90m, 45s or 2w")
