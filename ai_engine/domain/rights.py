"""What somebody may do: scopes, and the models that they are for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.search import fits

# A pattern that every name matches.
EVERY_MODEL: Final = "*"
_LONGEST_PATTERN: Final = 200
_MOST_PATTERNS: Final = 100


class Scope(StrEnum):
    """A kind of request. No scope includes another one, except that ``admin`` includes all."""

    READ = "read"
    PREDICT = "predict"
    TRAIN = "train"
    OPERATE = "operate"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Rights:
    """Scopes, and the models that they count for.

    Attributes
    ----------
    scopes : frozenset of Scope
        Kinds of requests.
    models : tuple of str
        Patterns of model names, in which ``*`` and ``?`` stand for any characters.
    """

    scopes: frozenset[Scope]
    models: tuple[str, ...] = (EVERY_MODEL,)

    def allow(self, *scopes: Scope) -> bool:
        """Tell whether one of some scopes is among these.

        >>> Rights(frozenset({Scope.READ})).allow(Scope.TRAIN)
        False
        >>> Rights(frozenset({Scope.ADMIN})).allow(Scope.TRAIN)
        True
        """
        return Scope.ADMIN in self.scopes or not self.scopes.isdisjoint(scopes)

    def cover(self, model: str) -> bool:
        """Tell whether a model is one of theirs.

        >>> rights = Rights(frozenset(), ("team-a-*",))
        >>> rights.cover("team-a-cpu"), rights.cover("team-b-cpu")
        (True, False)
        """
        return any(fits(pattern, model) for pattern in self.models)

    @property
    def cover_all(self) -> bool:
        """Whether every model is one of theirs."""
        return EVERY_MODEL in self.models


def checked_scopes(given: Iterable[str]) -> frozenset[Scope]:
    """Return scopes by their names.

    >>> sorted(checked_scopes(["train", "READ"]))
    [<Scope.READ: 'read'>, <Scope.TRAIN: 'train'>]

    Raises
    ------
    InvalidInputError
        If there is none, or one that does not exist.
    """
    names = [name.strip().lower() for name in given]
    known = tuple(Scope)
    for name in names:
        if name not in known:
            raise InvalidInputError("scope", f"{name!r} is none of {', '.join(known)}")
    if not names:
        raise InvalidInputError("scope", f"give at least one of {', '.join(known)}")
    return frozenset(Scope(name) for name in names)


def checked_patterns(given: Iterable[str]) -> tuple[str, ...]:
    """Return patterns of model names, each once; all names where none is given.

    Raises
    ------
    InvalidInputError
        If one is empty or too long, or there are too many.
    """
    patterns = tuple(dict.fromkeys(given)) or (EVERY_MODEL,)
    if len(patterns) > _MOST_PATTERNS:
        raise InvalidInputError("models", f"are {len(patterns)} patterns; give at most {_MOST_PATTERNS}")
    for pattern in patterns:
        if not pattern.strip() or len(pattern) > _LONGEST_PATTERN or not pattern.isprintable():
            raise InvalidInputError(
                "models",
                f"{pattern[:80]!r} is no pattern of names; give 1 to {_LONGEST_PATTERN} printable "
                "characters, such as team-a-*",
            )
    return patterns
