"""Moments as Go programs write them: any zone, nine decimals, and the year 1 for a time that is not set."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, Final

# What ``time.Time{}`` is written as, and what a zone can make of it.
_UNSET: Final = ("0001-01-0", "0000-12-31")
# An epoch above is in ms, then in µs, then in ns: in seconds 1e11 is the year 5138.
_UNITS: Final = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
_EARLIEST, _LATEST = -62_135_596_800.0, 253_402_300_799.0


def moment(given: Any) -> float | None:
    """Return a moment (any JSON value) in seconds of the epoch; None where it is not set or none.

    Text is ISO 8601, UTC where it has no zone; a number is an epoch in s, ms, µs or ns, by its size.

    Examples
    --------
    >>> moment("2026-01-01T05:30:00.123456789+05:30")
    1767225600.123456
    >>> moment("0001-01-01T00:00:00Z") is None
    True
    >>> moment(1767225600000)
    1767225600.0
    """
    if isinstance(given, str):
        text = given.strip()
        if not text or text.startswith(_UNSET):
            return None
        try:
            found = datetime.fromisoformat(text.upper())
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    if type(given) in (int, float) and 0 <= given < _UNITS[-1][0]:
        return float(given)  # seconds since 1970, as nearly all are
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return None
    try:
        seconds = float(given)
    except OverflowError:
        return None
    for least, unit in _UNITS:
        if abs(seconds) >= least:
            seconds /= unit
            break
    return seconds if math.isfinite(seconds) and _EARLIEST < seconds < _LATEST else None


def stamp(seconds: float) -> str:
    """Return a moment as RFC 3339 in UTC.

    >>> stamp(1767225600.5)
    '2026-01-01T00:00:00.500000Z'
    """
    bounded = min(max(seconds, _EARLIEST), _LATEST)
    return datetime.fromtimestamp(bounded, UTC).isoformat().replace("+00:00", "Z")
