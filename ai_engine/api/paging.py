"""Page tokens: they encode the last entry of a page, so that later saves do not shift the next one."""

from __future__ import annotations

import base64
import json

from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.search import Position

# What a 64-bit column holds.
_LARGEST = 2**63 - 1


def page_token(position: Position, sort: str | None = None) -> str:
    """Return the token of the page that starts behind an entry, in the order of a sort.

    >>> read_token(page_token(Position("cpu forecast", 7)))
    Position(value='cpu forecast', seq=7)
    """
    parts = [*position] if sort is None else [*position, sort]
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def read_token(token: str, sort: str | None = None) -> Position:
    """Return the position that a token encodes. Raises InvalidInputError where it is none of this order."""
    try:
        padded = token + "=" * (-len(token) % 4)
        value, seq, *order = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, TypeError, RecursionError):
        raise _no_token() from None
    if order != ([] if sort is None else [sort]):
        raise InvalidInputError("page_token", "belongs to another sort; ask for the first page without it")
    if type(seq) is not int or not 0 <= seq <= _LARGEST or not _is_value(value, sort):
        raise _no_token()
    return Position(value, seq)


def _is_value(value: object, sort: str | None) -> bool:
    """Tell whether a value is one that a field may have."""
    if isinstance(value, str):
        return value.isascii() or value == value.encode(errors="replace").decode()
    if type(value) is int:
        return sort is not None and -_LARGEST <= value <= _LARGEST
    return sort is not None and (value is None or isinstance(value, (bool, float)))


def _no_token() -> InvalidInputError:
    return InvalidInputError(
        "page_token", "is no page token; give a next_page_token as it was answered, or none"
    )
