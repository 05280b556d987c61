"""Who sends a request, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ai_engine.domain.rights import Rights, Scope


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who may do something.

    Attributes
    ----------
    name : str
        As it is written down with every change.
    key_id : str or None
        The key by which they are known.
    """

    name: str
    rights: Rights
    key_id: str | None = None


# What may be done where nobody has to say who they are.
EVERYTHING: Final = Rights(frozenset({Scope.ADMIN}))
# Who may do nothing but what needs no right.
NOBODY: Final = Principal("nobody", Rights(frozenset(), ()))
