"""Which versions are meant, and in which order.

A condition is true, false or unknown: what compares with a value that is not known is unknown, `not` leaves
it so, and only what is true is meant. That is the logic of SQL, so that a database and `matches` agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ai_engine.domain import clock
from ai_engine.domain.answers import VersionInfo
from ai_engine.domain.performance import NUMBERS

Value = str | int | float | bool


class Kind(Enum):
    """What a field holds."""

    TEXT = "text"
    NUMBER = "a number"
    MOMENT = "a moment"
    FLAG = "true or false"
    ANY = "whatever was saved there"


@dataclass(frozen=True, slots=True)
class Field:
    """What an entry tells of a version; `keys` leads to the value within `metadata`, or `metrics`."""

    name: str
    kind: Kind
    keys: tuple[str, ...] = ()


METADATA: Final = "metadata"
METRICS: Final = "metrics"
FIELDS: Mapping[str, Field] = {
    name: Field(name, kind)
    for kind, names in (
        (Kind.TEXT, ("name", "version", "model_type", "format", "digest", "python")),
        (Kind.FLAG, ("is_active", "pinned")),
        (Kind.MOMENT, ("created_at", "updated_at", "last_metric_update")),
        (Kind.NUMBER, ("size", "metric_count", "avg_accuracy", *NUMBERS)),
    )
    for name in names
}


@dataclass(frozen=True, slots=True)
class Compare:
    """A field against a value: one of ``= != < <= > >=``, or ``~`` for a pattern with ``*`` and ``?``."""

    field: Field
    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class Known:
    """Whether a field has a value; never unknown itself."""

    field: Field


@dataclass(frozen=True, slots=True)
class Not:
    """The contrary."""

    part: Condition


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one of some conditions, at least one."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of some conditions."""

    parts: tuple[Condition, ...]


Condition = Compare | Known | Not | AllOf | AnyOf


class Position(NamedTuple):
    """The last entry of a page: its value in the field of the order (None where unknown), and its `seq`."""

    value: str | int | float | None
    seq: int


@dataclass(frozen=True, slots=True)
class Order:
    """By the values of a field; those that are not known come last, either way.

    Within a name the newest version comes first, and the oldest first where names run backwards. Equal values
    of any other field are in the order of creation, the newest first where values run backwards.
    """

    field: Field = FIELDS["name"]
    descending: bool = False

    @property
    def newest_first(self) -> bool:
        """Whether of equal values the one that was created last comes first."""
        return self.descending != (self.field.name == "name")

    def position(self, entry: VersionInfo) -> Position:
        """Return where an entry stands."""
        return Position(value_of(self.field, entry), entry["seq"])


@dataclass(frozen=True, slots=True)
class Search:
    """Which versions, in which order; all of them, by name and newest first, where nothing is said."""

    condition: Condition | None = None
    order: Order = Order()

    @property
    def name(self) -> str | None:
        """The name that all of them have, where nothing else is asked."""
        match self.condition:
            case Compare(Field("name"), "=", str(name)):
                return name
        return None

    def of(self, name: str | None, *versions: str) -> Search:
        """Return the same search among the versions of one model, or among those of these numbers only."""
        parts: list[Condition] = []
        if name is not None:
            parts.append(Compare(FIELDS["name"], "=", name))
        if versions:
            parts.append(AnyOf(tuple(Compare(FIELDS["version"], "=", version) for version in versions)))
        if self.condition is not None:
            parts.append(self.condition)
        return Search(AllOf(tuple(parts)) if len(parts) > 1 else next(iter(parts), None), self.order)

    def among(self, patterns: Iterable[str]) -> Search:
        """Return the same search among the models whose names match one of some patterns."""
        names = AnyOf(tuple(Compare(FIELDS["name"], "~", pattern) for pattern in patterns))
        return Search(names if self.condition is None else AllOf((names, self.condition)), self.order)

    def matches(self, entry: VersionInfo) -> bool:
        """Tell whether a version is meant."""
        return self.condition is None or holds(self.condition, entry) is True


EVERYTHING = Search()


def value_of(field: Field, entry: VersionInfo) -> str | int | float | None:
    """Return what an entry has in a field; None where that is not known, or neither text nor a number."""
    if field.kind is Kind.NUMBER and field.keys:
        numbers = entry["performance"]
        found: Any = numbers[METRICS].get(field.keys[0]) if numbers else None
    elif field.keys:
        found = entry[METADATA]
        for key in field.keys:
            found = found.get(key) if isinstance(found, Mapping) else None
    elif field.name in NUMBERS:
        found = dict(entry["performance"] or {}).get(field.name)
    else:
        found = dict(entry)[field.name]
    if field.name == "created_at":
        moment = clock.from_text(found)
        return clock.to_text(moment) if moment else None
    return found if isinstance(found, (str, int, float)) else None


def holds(condition: Condition, entry: VersionInfo) -> bool | None:
    """Tell whether a condition is true of an entry; None for unknown."""
    match condition:
        case Compare(field, operator, value):
            return _compared(value_of(field, entry), operator, value)
        case Known(field):
            return value_of(field, entry) is not None
        case Not(part):
            found = holds(part, entry)
            return None if found is None else not found
        case AllOf(parts):
            return _all(holds(part, entry) for part in parts)
        case AnyOf(parts):
            found = _all(_opposite(holds(part, entry)) for part in parts)
            return _opposite(found)


def _all(found: Iterable[bool | None]) -> bool | None:
    seen = set(found)
    return False if False in seen else None if None in seen else True


def _opposite(found: bool | None) -> bool | None:
    return None if found is None else not found


def _compared(found: str | int | float | None, operator: str, value: Value) -> bool | None:
    if found is None:
        return None
    if isinstance(found, str) != isinstance(value, str):
        return operator == "!="
    match operator:
        case "=":
            return found == value
        case "!=":
            return found != value
        case "~":
            return fits(str(value), str(found))
        case "<":
            return found < value  # type: ignore[operator]  # both are text, or neither is
        case "<=":
            return found <= value  # type: ignore[operator]
        case ">":
            return found > value  # type: ignore[operator]
    return found >= value  # type: ignore[operator]


def fits(pattern: str, text: str) -> bool:
    """Tell whether text fits a pattern, in which ``*`` and ``?`` stand for any characters.

    >>> fits("cpu-*", "cpu-web"), fits("cpu", "cpu-web")
    (True, False)
    """
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    signs = {"*": ".*", "?": "."}
    return re.compile("".join(signs.get(sign, re.escape(sign)) for sign in pattern), re.DOTALL)
