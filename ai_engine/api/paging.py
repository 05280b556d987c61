"""Page tokens: the last entry of a page, so that the next one starts behind it whatever was saved since."""

from __future__ import annotations

import base64
import json

from ai_engine.domain.errors import InvalidInputError

# What a 64-bit column holds.
_LARGEST = 2**63 - 1


def page_token(name: str, seq: int) -> str:
    """Return the token of the page that starts behind an entry.

    >>> read_token(page_token("cpu forecast", 7))
    ('cpu forecast', 7)
    """
    return base64.urlsafe_b64encode(json.dumps([name, seq]).encode()).decode().rstrip("=")


def read_token(token: str) -> tuple[str, int]:
    """Return the entry behind which a page starts. Raises InvalidInputError where no page gave the token."""
    try:
        padded = token + "=" * (-len(token) % 4)
        name, seq = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        name.encode()
        if type(seq) is int and 0 <= seq <= _LARGEST:
            return name, seq
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    raise InvalidInputError("page_token", "is not one; give a next_page_token as it was answered, or none")
