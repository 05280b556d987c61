"""Methods of requests."""

from __future__ import annotations

from typing import Final

# They change nothing.
READING: Final = frozenset(("GET", "HEAD", "OPTIONS"))
