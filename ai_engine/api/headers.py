"""Read the header fields of a request as the server hands them over."""

from __future__ import annotations

from starlette.types import Scope


def values_of(scope: Scope, name: bytes) -> list[str]:
    """Return every value of a header field, in the order in which they came; `name` in lower case.

    >>> values_of({"headers": [(b"host", b"localhost"), (b"accept", b"*/*")]}, b"host")
    ['localhost']
    """
    return [value.decode("latin-1") for field, value in scope["headers"] if field == name]
