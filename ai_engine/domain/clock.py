"""Time, as the database writes it: UTC, ``YYYY-MM-DD HH:MM:SS.ffffff``."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ai_engine.domain.errors import InvalidInputError

# What `to_text` writes, as far as it need not be parsed to be written otherwise.
_OURS = re.compile(
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8]) (?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}", re.ASCII
)


def now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)


def to_utc(moment: datetime) -> datetime:
    """Return `moment` in UTC; a naive one is taken for local time.

    Raises
    ------
    ValueError, OverflowError
        If it is a moment of pandas that is none (NaT), or lies outside of the years 1 to 9999.
    """
    if type(moment) is not datetime:  # that of pandas has an `astimezone` that refuses naive ones
        moment = datetime.fromisoformat(moment.isoformat())
    return moment.astimezone(UTC)


def checked(field: str, moment: object) -> datetime | None:
    """Return a moment that a caller gave, in UTC; None for None and for the NaT of pandas: not known.

    Raises
    ------
    InvalidInputError
        If it is no moment, or one that cannot be told in UTC.
    """
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        raise InvalidInputError(field, f"{moment!r} is not a datetime; give one, or None where it is unknown")
    if moment != moment:
        return None
    try:
        return to_utc(moment)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidInputError(field, f"{moment!r} cannot be told in UTC: {error}") from error


def to_text(moment: datetime) -> str:
    """Write a moment as the database holds it.

    >>> to_text(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02 03:04:05.000000'
    """
    return to_utc(moment).isoformat(" ", "microseconds").removesuffix("+00:00")


def from_text(text: str | None) -> datetime | None:
    """Read a moment that this or another program wrote; text without a zone is UTC, nonsense is None.

    >>> from_text("2026-01-02 03:04:05").isoformat()
    '2026-01-02T03:04:05+00:00'
    """
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def to_iso(moment: datetime | str | None) -> str | None:
    """Write a moment, or the database's text of one, as ISO 8601 in UTC.

    >>> to_iso("2026-01-02 03:04:05.000000")
    '2026-01-02T03:04:05Z'
    """
    if isinstance(moment, str) and _OURS.fullmatch(moment):
        whole = moment.removesuffix(".000000")
        return f"{whole[:10]}T{whole[11:]}Z"
    found = moment if isinstance(moment, datetime) else from_text(moment)
    return to_utc(found).isoformat().replace("+00:00", "Z") if found else None
