"""A search as a statement: what it asks of the rows, in which order, from which place on.

A page is a range of an index, or two or three: a single condition with OR, for what stands behind the last
entry, would read everything before it. What follows within a name or a value comes first, then what lies
behind it, and at the end what has no value.
"""

from __future__ import annotations

from typing import Any

from ai_engine.catalogue.sql import statements
from ai_engine.catalogue.sql.dialect import Dialect
from ai_engine.domain.performance import NUMBERS
from ai_engine.domain.search import (
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Field,
    Kind,
    Known,
    Not,
    Order,
    Position,
    Search,
)

_COLUMNS = {
    **{name: f"e.{name}" for name in ("name", "version", "model_type", "format", "digest", "python", "size")},
    **{name: f"e.{name}" for name in ("created_at", "metric_count", "last_metric_update", *NUMBERS)},
    "updated_at": "r.updated_at",
    "avg_accuracy": statements.AVERAGE,
}
_FLAGS = {
    "pinned": "e.pinned = 1",
    "is_active": "e.seq IN (SELECT active FROM engine_models WHERE active IS NOT NULL)",
}
_INDEXED = frozenset(("name", "version", "model_type", "digest", "created_at", "mae", "r2", "accuracy_score"))
_OPERATORS = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
# The least text: in the order of values every number stands before it.
_LEAST_TEXT = "''"
_LAST_CODE, _SURROGATES, _BEHIND_SURROGATES = 0x10FFFF, 0xD800, 0xE000

Statement = tuple[str, dict[str, Any]]  # parameters by name


def page(
    dialect: Dialect,
    search: Search,
    limit: int | None,
    after: Position | None,
    source: str = statements.DESCRIBE,
) -> Statement:
    """Return the statement for the versions of a search that stand behind a position."""
    clauses = _Clauses(dialect, search)
    parts = clauses.parts(after)
    at_most = "" if limit is None else " LIMIT :limit"
    parameters = clauses.parameters if limit is None else {**clauses.parameters, "limit": limit}
    selects = [
        f"{source}{_where(clauses.condition, part)} ORDER BY {order}{at_most}" for part, order in parts
    ]
    if len(selects) == 1:
        return selects[0], parameters
    union = " UNION ALL ".join(f"SELECT * FROM ({select}) AS part" for select in selects)
    return f"{union}{at_most}", parameters


def count(dialect: Dialect, search: Search) -> Statement:
    """Return the statement that counts the versions of a search."""
    clauses = _Clauses(dialect, search)
    # An index that holds all that is asked answers alone, as long as nothing is joined.
    source = statements.DESCRIBE_FROM if "r." in clauses.condition else "FROM engine_versions e"
    return f"SELECT COUNT(*) {source}{_where(clauses.condition)}", clauses.parameters


def count_models(dialect: Dialect, search: Search) -> Statement:
    """Return the statement that counts the models of a search."""
    clauses = _Clauses(dialect, search)
    return f"SELECT COUNT(*) {statements.MODELS_FROM}{_where(clauses.condition)}", clauses.parameters


def index(dialect: Dialect, field: Field) -> list[str]:
    """Return the statements that index a field; none for those that the schema indexes, and for flags."""
    if field.name in _FLAGS or field.name in _INDEXED:
        return []
    name = "engine_search_" + field.name.replace('"', '""')
    if field.keys and field.kind is Kind.NUMBER:
        table, column = "engine_versions", dialect.json_value("metrics", field.keys)
    elif field.keys:
        table, column = "model_registry", dialect.json_value("metadata", field.keys)
    else:
        alias, _, _ = _COLUMNS[field.name].partition(".")
        table = "model_registry" if alias == "r" else "engine_versions"
        column = _COLUMNS[field.name].replace(f"{alias}.", "")
    made = [f'CREATE INDEX IF NOT EXISTS "{name}" ON {table} ({column})']
    if table == "model_registry":  # what is found there leads to our row by its id
        made.append("CREATE INDEX IF NOT EXISTS engine_versions_model ON engine_versions (model_id)")
    return made


def _where(*conditions: str) -> str:
    known = [condition for condition in conditions if condition]
    return f" WHERE ({') AND ('.join(known)})" if known else ""


class _Clauses:
    """The conditions of a search as SQL, and their parameters."""

    def __init__(self, dialect: Dialect, search: Search) -> None:
        self._dialect = dialect
        self.parameters: dict[str, Any] = {}
        self.condition = self._of(search.condition) if search.condition else ""
        self._order = search.order

    def parts(self, after: Position | None) -> list[tuple[str, str]]:
        """Return what is left of an order behind a position: conditions, each with its own ORDER BY."""
        order = self._order
        column = column_of(self._dialect, order.field)
        way = " DESC" if order.descending else ""
        seq_way = " DESC" if order.newest_first else ""
        whole = f"{column}{way}, e.seq{seq_way}"
        known, unknown = f"{column} IS NOT NULL", f"{column} IS NULL"
        behind = "<" if order.newest_first else ">"
        last = [] if order == Order() or order.field.name == "name" else [(unknown, f"e.seq{seq_way}")]
        if after is None:
            return [(known if last else "", whole), *last]
        seq = f"e.seq {behind} {self._put(after.seq)}"
        if after.value is None:
            return [(f"{unknown} AND {seq}", f"e.seq{seq_way}")]
        value = self._put(after.value)
        return [
            (f"{column} = {value} AND {seq}", f"e.seq{seq_way}"),
            (f"{column} {'<' if order.descending else '>'} {value}", whole),
            *last,
        ]

    def _put(self, value: object) -> str:
        """Make a value a parameter and return how the statement calls it."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"

    def _of(self, condition: Condition) -> str:
        match condition:
            case Compare(field, operator, value):
                return self._compare(field, operator, value)
            case Known(field):
                return "1 = 1" if field.name in _FLAGS else f"{column_of(self._dialect, field)} IS NOT NULL"
            case Not(part):
                return f"NOT ({self._of(part)})"
            case AllOf(parts):
                return " AND ".join(f"({self._of(part)})" for part in parts)
            case AnyOf(parts):
                return " OR ".join(f"({self._of(part)})" for part in parts)

    def _compare(self, field: Field, operator: str, value: Any) -> str:
        if field.name in _FLAGS:
            return f"{'NOT ' if value != (operator == '=') else ''}({_FLAGS[field.name]})"
        column = column_of(self._dialect, field)
        if operator == "~":
            return self._like(column, value)
        compared = f"{column} {_OPERATORS[operator]} {self._put(value)}"
        if not field.keys or operator in ("=", "!="):
            return compared
        # Of values of any kind, only those of the kind that is asked for.
        return f"{compared} AND {column} {'>=' if isinstance(value, str) else '<'} {_LEAST_TEXT}"

    def _like(self, column: str, pattern: str) -> str:
        """Match a pattern; what it begins with is a range, which an index finds."""
        start = pattern[: min((pattern.find(sign) % (len(pattern) + 1) for sign in "*?"), default=0)]
        clauses = [self._dialect.matches(column, self._put(self._dialect.pattern(pattern)))]
        clauses.append(f"{column} >= {self._put(start)}")
        end = _behind(start)
        if end is not None:
            clauses.append(f"{column} < {self._put(end)}")
        return " AND ".join(clauses)


def column_of(dialect: Dialect, field: Field) -> str:
    """Return the expression for the value of a field; NULL where it has none."""
    if not field.keys:
        return _COLUMNS[field.name]
    return dialect.json_value("e.metrics" if field.kind is Kind.NUMBER else "r.metadata", field.keys)


def _behind(start: str) -> str | None:
    """Return the least text that is above every text that begins so; None where there is none.

    >>> _behind("cpu")
    'cpv'
    """
    for end in range(len(start), 0, -1):
        code = ord(start[end - 1]) + 1
        if code <= _LAST_CODE:
            return start[: end - 1] + chr(_BEHIND_SURROGATES if code == _SURROGATES else code)
    return None
