"""Refuse query parameters that a call does not take."""

from __future__ import annotations

from fastapi import Request

from ai_engine.domain.errors import InvalidInputError


def refuse_unknown(request: Request, *known: str) -> None:
    """Refuse a request that carries any other parameter than the known ones.

    Raises
    ------
    InvalidInputError
        If there is one; the first in the alphabet is named.
    """
    unknown = set(request.query_params) - set(known)
    if unknown:
        use = f"use {' and '.join(known)}" if known else "this call takes none"
        raise InvalidInputError(min(unknown), f"is not a parameter; {use}")
