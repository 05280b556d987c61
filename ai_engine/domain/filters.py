"""Searches as people write them.

    name ~ 'cpu*' and is_active and (mae < 0.5 or metadata.team = 'ops')

A filter compares fields of an entry with values: text in quotes, numbers, true and false; moments are text,
ISO 8601, in UTC where no zone is given. Comparisons are ``= != < <= > >=``, ``~`` and ``!~`` for a pattern
with ``*`` and ``?``, ``in ('a', 'b')``, ``is null`` and ``is not null``; they are joined by ``and``, ``or``,
``not`` and parentheses. A metric is the one that was measured last; ``metrics.auc`` is one that a caller
named. A sort is a field, with ``-`` in front of it for the highest first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

from ai_engine.domain import clock
from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.performance import NUMBERS, is_metric_name
from ai_engine.domain.search import (
    FIELDS,
    METADATA,
    METRICS,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Field,
    Kind,
    Known,
    Not,
    Order,
    Search,
    Value,
)

# A condition within a condition within …: a database's own limit is not far above.
_DEEPEST: Final = 50
_MOST_TERMS: Final = 200
LONGEST: Final = 4000

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<text>'(?:[^']|'')*')
      | (?P<word>[A-Za-z_]\w*(?:\.(?:[\w-]+|"[^"]*"))*)
      | (?P<sign><=|>=|!=|!~|[=<>~(),])
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.ASCII,
)
_SPACE: Final = re.compile(r"\s", re.ASCII)
_KEY: Final = re.compile(r"""\.(?:([\w-]+)|"([^"]*)")""", re.ASCII)
_COMPARISONS: Final = ("=", "!=", "<", "<=", ">", ">=", "~", "!~")
# What text can stand for: its order is that of letters, which is not that of numbers in a version.
_UNORDERED: Final = ("version", "digest")


def parse_search(where: str | None = None, sort: str | None = None) -> Search:
    """Return the search that a filter and a sort tell.

    >>> parse_search("mae < 0.5 and is_active", "-created_at").order.descending
    True

    Raises
    ------
    InvalidInputError
        Naming the place, and what could stand there.
    """
    for what, given in (("filter", where), ("sort", sort)):
        if given is not None and not isinstance(given, str):
            raise InvalidInputError(
                what, f"is a {type(given).__name__}; give text, such as 'mae < 0.5' or 'mae'"
            )
    condition = _Reader(where).condition() if where and where.strip() else None
    return Search(condition, _order(sort) if sort else Order())


def parse_field(text: str) -> Field:
    """Return the field of a name. Raises InvalidInputError where there is none."""
    return _field(text.strip(), lambda problem: InvalidInputError("field", problem))


def _order(sort: str) -> Order:
    text = sort.strip()
    name, descending = text.removeprefix("-"), text.startswith("-")
    field = _field(name, lambda problem: InvalidInputError("sort", problem))
    if field.kind is Kind.FLAG or field.name in _UNORDERED:
        raise InvalidInputError("sort", f"{name} has no order; sort by name, created_at or a number")
    return Order(field, descending)


def _field(text: str, error: Callable[[str], InvalidInputError]) -> Field:
    """Return the field of a name."""
    head, dot, _ = text.partition(".")
    if head == METADATA and dot:
        keys = tuple(plain or quoted for plain, quoted in _KEY.findall(text))
        if METADATA + "".join(f'."{key}"' for key in keys) == _quoted(text) and all(map(_is_plain, keys)):
            return Field(text, Kind.ANY, keys)
        raise error(f'{text!r} is no path into metadata; write metadata.key or metadata.key."another key"')
    if head == METRICS and dot:
        names = [plain or quoted for plain, quoted in _KEY.findall(text)]
        if len(names) == 1 and METRICS + f'."{names[0]}"' == _quoted(text) and is_metric_name(names[0]):
            return FIELDS[names[0]] if names[0] in NUMBERS else Field(text, Kind.NUMBER, (names[0],))
        raise error(f'{text!r} is no metric; write metrics.name or metrics."another name"')
    if text in FIELDS:
        return FIELDS[text]
    import difflib  # only who mistypes a name needs it

    near = difflib.get_close_matches(text, FIELDS, n=1, cutoff=0.5) if text != METADATA else []
    hint = (
        f"did you mean {near[0]}?"
        if near
        else f"there are {', '.join(FIELDS)}, metrics.<name> and metadata.<key>"
    )
    raise error(f"{text!r} is no field; {hint}")


def _quoted(text: str) -> str:
    """Spell every key of a path with quotes."""
    head, dot, rest = text.partition(".")
    rest = dot + rest
    return head + _KEY.sub(lambda found: f'."{found[1] or found[2]}"', rest)


def _is_plain(key: str) -> bool:
    """Tell whether JSON spells a key as it is."""
    return key.isascii() and key.isprintable() and "\\" not in key and key != ""


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


class _Reader:
    """Queries a filter from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._terms = 0
        if len(text) > LONGEST:
            raise InvalidInputError("filter", f"has {len(text)} characters; {LONGEST} are the most")
        self._tokens = self._split()
        self._next = 0

    def _split(self) -> list[_Token]:
        tokens: list[_Token] = []
        at = 0
        while not tokens or tokens[-1].kind != "end":
            found = _TOKEN.match(self._text, at)
            if found is None:
                raise self._unreadable(at)
            kind = str(found.lastgroup)
            tokens.append(_Token(kind, found[kind], found.start(kind)))
            at = found.end()
        return tokens

    def _unreadable(self, at: int) -> InvalidInputError:
        """Return what is wrong with the text behind what was read."""
        start = next(i for i in range(at, len(self._text)) if not _SPACE.fullmatch(self._text[i]))
        sign = self._text[start]
        known = {"'": "text without an end", '"': "text stands in single quotes"}
        return self._error(known.get(sign, f"{sign!r} means nothing here"), start)

    def _error(self, problem: str, start: int) -> InvalidInputError:
        return InvalidInputError("filter", f"{problem} (at character {start + 1} of {self._text!r})")

    def _unexpected(self, wanted: str) -> InvalidInputError:
        token = self._tokens[self._next]
        found = "it ends" if token.kind == "end" else f"{token.text!r} stands"
        return self._error(f"{found} where {wanted} is wanted", token.start)

    def _take(self, *texts: str) -> str | None:
        """Go over the next token if it is one of these, whatever its case."""
        token = self._tokens[self._next]
        if token.kind in ("word", "sign") and token.text.lower() in texts:
            self._next += 1
            return token.text.lower()
        return None

    def _demand(self, text: str) -> None:
        if not self._take(text):
            raise self._unexpected(repr(text))

    def condition(self) -> Condition:
        """Return the whole."""
        found = self._or(0)
        if self._tokens[self._next].kind != "end":
            raise self._unexpected("'and' or 'or'")
        return found

    def _or(self, depth: int) -> Condition:
        parts = [self._and(depth)]
        while self._take("or"):
            parts.append(self._and(depth))
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _and(self, depth: int) -> Condition:
        parts = [self._not(depth)]
        while self._take("and"):
            parts.append(self._not(depth))
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _not(self, depth: int) -> Condition:
        if depth > _DEEPEST:
            raise self._error(f"more than {_DEEPEST} conditions within one another", 0)
        if self._take("not"):
            return Not(self._not(depth + 1))
        if self._take("("):
            found = self._or(depth + 1)
            self._demand(")")
            return found
        return self._comparison()

    def _comparison(self) -> Condition:
        token = self._tokens[self._next]
        if token.kind != "word" or token.text.lower() in ("and", "or", "in", "is", "null", "true", "false"):
            raise self._unexpected("a field")
        self._count()
        self._next += 1
        field = _field(token.text, lambda problem: self._error(problem, token.start))
        if self._take("is"):
            unknown = not self._take("not")
            self._demand("null")
            return Not(Known(field)) if unknown else Known(field)
        if self._take("in"):
            return self._one_of(field)
        if self._take("not"):
            self._demand("in")
            return Not(self._one_of(field))
        operator = self._take(*_COMPARISONS)
        if operator is None:
            if field.kind is Kind.FLAG:
                return Compare(field, "=", True)
            raise self._unexpected(f"one of {' '.join(_COMPARISONS)}, 'in' or 'is'")
        return self._compare(field, operator)

    def _one_of(self, field: Field) -> Condition:
        self._demand("(")
        parts = [self._compare(field, "=")]
        while self._take(","):
            self._count()
            parts.append(self._compare(field, "="))
        self._demand(")")
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _count(self) -> None:
        self._terms += 1
        if self._terms > _MOST_TERMS:
            raise InvalidInputError("filter", f"compares more than {_MOST_TERMS} times")

    def _compare(self, field: Field, operator: str) -> Condition:
        token = self._tokens[self._next]
        value = self._value(field)
        problem = _misfit(field, operator, value)
        if problem:
            raise self._error(problem, token.start)
        if operator == "!~":
            return Not(Compare(field, "~", value))
        return Compare(field, operator, value)

    def _value(self, field: Field) -> Value:
        token = self._tokens[self._next]
        self._next += token.kind != "end"
        if token.kind == "text":
            text = token.text[1:-1].replace("''", "'")
            return self._moment(text, token) if field.kind is Kind.MOMENT else text
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "word" and token.text.lower() in ("true", "false"):
            return token.text.lower() == "true"
        self._next -= token.kind != "end"
        if self._take("null"):
            raise self._error("write 'is null' for what is not known", token.start)
        raise self._unexpected("a number, true, false or 'text in single quotes'")

    def _moment(self, text: str, token: _Token) -> str:
        moment = clock.from_text(text)
        if moment is not None:
            return clock.to_text(moment)
        example = datetime(2026, 1, 31).isoformat()
        raise self._error(f"{text!r} is no moment; write one as '2026-01-31' or '{example}Z'", token.start)


def _number(text: str) -> int | float:
    """Return a number that a database holds: beyond 64 bits the nearest float."""
    number: int | float = float(text)
    if re.fullmatch(r"[+-]?\d{1,19}", text) and -(2**63) <= int(text) < 2**63:
        number = int(text)
    return number


def _misfit(field: Field, operator: str, value: Value) -> str | None:
    """Tell why a field cannot be compared with a value so; None where it can."""
    fitting = {
        Kind.TEXT: isinstance(value, str),
        Kind.MOMENT: isinstance(value, str),
        Kind.NUMBER: not isinstance(value, (str, bool)),
        Kind.FLAG: isinstance(value, bool),
        Kind.ANY: True,
    }
    if operator in ("~", "!~"):
        if field.kind not in (Kind.TEXT, Kind.ANY) or not isinstance(value, str):
            return f"{operator} takes a field of text and a pattern, such as 'cpu*'"
    elif not fitting[field.kind]:
        what = {Kind.TEXT: "text; put it in single quotes", Kind.MOMENT: "a moment, such as '2026-01-31'"}
        return f"{field.name} is {what.get(field.kind, field.kind.value)}"
    elif operator not in ("=", "!=") and (field.kind is Kind.FLAG or isinstance(value, bool)):
        return "true and false have no order; use = or !="
    elif operator not in ("=", "!=") and field.name in _UNORDERED:
        return f"{field.name} has no order; compare created_at, or name the versions"
    if isinstance(value, str) and not _is_storable(value):
        return "text with characters that are none cannot be found"
    return None


def _is_storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
