"""How many statements a call sends to the database, and how the database goes about them.

Statements are caught where SQLite runs them, with their values in place, and its plan for each is read.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime

import pytest

from ai_engine.catalogue.sqlite.file import DatabaseFile, Guard
from ai_engine.domain.filters import parse_field
from ai_engine.domain.search import Position
from ai_engine.models import ModelManager, ModelPerformance

MEASURED = ModelPerformance(0.1, 0.2, 0.3, 1.0, 0.1, 0.9, 0.8, datetime.now(), 10, 2)
Caught = list[str]
CONNECTIONS: list[sqlite3.Connection] = []


@pytest.fixture(scope="module")
def statements() -> Iterator[Caught]:
    """Every statement that any connection has run, oldest first."""
    caught: Caught = []
    make = DatabaseFile.__init__

    def watched(file: DatabaseFile, location: str, guard: Guard, _: object = None) -> None:
        def trace(connection: sqlite3.Connection) -> None:
            connection.set_trace_callback(caught.append)
            CONNECTIONS.append(connection)

        make(file, location, guard, trace)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(DatabaseFile, "__init__", watched)
        yield caught
    CONNECTIONS.clear()


@pytest.fixture(scope="module")
def manager(statements: Caught, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelManager]:
    """Thirty versions of three models, measured; each connection has been used once."""
    with ModelManager(tmp_path_factory.mktemp("guard")) as manager:
        for number in range(10):
            for name in ("a", "b", "c"):
                manager.save_model(name, [name, number])
                manager.update_performance(name, f"1.0.{number}", MEASURED)
        yield manager


CALLS: list[tuple[str, Callable[[ModelManager], object], int]] = [
    ("save", lambda m: m.save_model("a", "new"), 12),
    ("metric", lambda m: m.update_performance("a", "1.0.1", MEASURED), 8),
    ("activate", lambda m: m.activate("a", "1.0.1"), 10),
    # Nobody has committed since, which is seen without asking, so the answers are known.
    ("load again", lambda m: m.get_model("c"), 0),
    ("find again", lambda m: m.registry.find("c"), 0),
    ("active", lambda m: m.active_models["a"], 6),
    ("page", lambda m: m.registry.describe("a", 10), 4),
    ("list", lambda m: m.get_model_info(), 5),
    ("list again", lambda m: m.get_model_info(), 3),
    ("history", lambda m: m.metric_history("a", "1.0.1"), 7),
]


@pytest.mark.parametrize(("call", "most"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS])
def test_statements_of_a_call(
    manager: ModelManager, statements: Caught, call: Callable[[ModelManager], object], most: int
) -> None:
    manager.get_model("c")  # takes note of what the call before this one committed
    statements.clear()
    call(manager)
    assert len(statements) <= most, "\n".join(statements)
    assert bool(statements) == bool(most)


def test_a_batch_of_metrics_is_one_transaction_and_one_statement_each(
    manager: ModelManager, statements: Caught
) -> None:
    statements.clear()
    manager.registry.record("c", "1.0.0", *[MEASURED] * 100)
    assert statements.count("COMMIT") <= 2  # of the look for the version, and of the measurements
    assert len(statements) <= 100 + 7


# -- plans -------------------------------------------------------------------------------------------------

READS = [
    ("a version", lambda m: m.registry.find("b", "1.0.3")),
    ("the active one", lambda m: m.registry.find("b")),
    ("a page of one name", lambda m: m.registry.describe("b", 10)),
    ("the next page of one name", lambda m: m.registry.describe("b", 10, Position("b", 30))),
    ("a page of all", lambda m: m.registry.describe(None, 10)),
    ("the next page of all", lambda m: m.registry.describe(None, 10, Position("b", 30))),
    ("a save", lambda m: m.save_model("b", "new")),
    ("a metric", lambda m: m.update_performance("b", "1.0.3", MEASURED)),
    ("an activation", lambda m: m.activate("b", "1.0.3")),
]
# Tables of a row a version, or more; a model has but one row in engine_models.
_LARGE = (
    "model_registry|engine_versions|engine_blobs|performance_metrics|training_history|engine_moves|[ermv]"
)
_FULL_SCAN = re.compile(rf"^SCAN ({_LARGE})$")


def slow_steps(manager: ModelManager, caught: Caught) -> list[str]:
    """Return the steps of the plans that take longer the more versions there are."""
    return [step for step in plan(manager, caught) if _FULL_SCAN.match(step) or "ORDER BY" in step]


def plan(manager: ModelManager, caught: Caught) -> list[str]:
    """Return the steps by which the database runs statements."""
    database = sqlite3.connect(manager.db_path)
    try:
        steps = [
            str(row[3])
            for statement in caught
            if statement.split(None, 1)[0] in ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")
            for row in database.execute(f"EXPLAIN QUERY PLAN {statement}")
        ]
    finally:
        database.close()
    assert steps
    return steps


@pytest.mark.parametrize(("what", "call"), READS)
def test_no_table_is_read_through_and_nothing_is_sorted(
    manager: ModelManager, statements: Caught, what: str, call: Callable[[ModelManager], object]
) -> None:
    statements.clear()
    call(manager)
    assert slow_steps(manager, statements) == []


SEARCHES = [
    ("name ~ 'b*'", None, "engine_versions_order (name>? AND name<?)"),
    ("name = 'b' and (mae < 0.5 or metadata.team = 'ops')", None, "engine_versions_order (name=?)"),
    ("name = 'b' and version = '1.0.3'", None, "sqlite_autoindex_engine_versions_1 (name=? AND version=?)"),
    ("model_type = 'linear'", None, "engine_versions_type (model_type=?)"),
    ("created_at > '2026-01-31'", "-created_at", "engine_versions_created (created_at>?)"),
    ("mae < 0.5", "mae", "engine_versions_mae (mae>? AND mae<?)"),
    ("r2 > 0.9 and metadata.team = 'ops'", "-r2", "engine_versions_r2 (r2>?)"),
    ("accuracy_score >= 0.9", "-accuracy_score", "engine_versions_accuracy (accuracy_score>?)"),
    # Nothing asked, only an order: what is known by its index, then the rest as it was made.
    (None, "mae", "engine_versions_mae (mae>?)"),
    (None, "-created_at", "engine_versions_created (created_at>?)"),
]


@pytest.mark.parametrize(("where", "sort", "index"), SEARCHES)
def test_a_search_reads_a_range_of_an_index(
    manager: ModelManager, statements: Caught, where: str | None, sort: str | None, index: str
) -> None:
    statements.clear()
    manager.get_model_info(where=where, sort=sort, limit=10)
    steps = plan(manager, [statement for statement in statements if "SELECT e.seq" in statement])
    assert any(index in step for step in steps), steps
    assert not any("TEMP B-TREE" in step for step in steps), steps


def test_the_active_versions_are_found_by_their_pointers(manager: ModelManager, statements: Caught) -> None:
    statements.clear()
    manager.get_model_info(where="is_active and metadata.team = 'ops'", limit=10)
    steps = plan(manager, statements)
    assert "SEARCH e USING INTEGER PRIMARY KEY (rowid=?)" in steps
    assert not any(_FULL_SCAN.match(step) for step in steps), steps


@pytest.mark.parametrize("field", ["metadata.team", 'metadata.a."b c"', "size", "updated_at", "avg_accuracy"])
def test_any_field_can_have_an_index(manager: ModelManager, statements: Caught, field: str) -> None:
    manager.registry.index(parse_field(field))
    manager.registry.index(parse_field(field))
    statements.clear()
    value = "'2026-01-31'" if field == "updated_at" else "7"
    manager.get_model_info(where=f"{field} = {value}")
    steps = plan(manager, [statement for statement in statements if "SELECT e.seq" in statement])
    assert any("SEARCH" in step and "engine_search_" in step for step in steps), steps
    assert not any(_FULL_SCAN.match(step) for step in steps), steps


def test_an_index_alone_counts_what_is_found(manager: ModelManager, statements: Caught) -> None:
    statements.clear()
    manager.get_model_info(where="mae < 0.5", limit=1)
    (step,) = plan(manager, [statement for statement in statements if "COUNT(*)" in statement])
    assert step == "SEARCH e USING COVERING INDEX engine_versions_mae (mae<?)"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM model_registry WHERE metadata = '{}'",
        "SELECT * FROM engine_versions e ORDER BY e.place LIMIT 10",
        "SELECT * FROM engine_versions e WHERE e.python = '3.11'",
    ],
)
def test_the_guard_sees_a_slow_statement(manager: ModelManager, statement: str) -> None:
    assert slow_steps(manager, [statement])


def test_a_page_costs_the_same_wherever_it_is(manager: ModelManager) -> None:
    """Count the steps of SQLite's machine, which do not depend on the computer."""
    for number in range(200):
        manager.save_model("b", [number], activate=False)
    steps = {
        "first": _machine_steps(manager, lambda m: m.registry.describe(None, 10)),
        "of a long one": _machine_steps(manager, lambda m: m.registry.describe("b", 10)),
        "inside": _machine_steps(manager, lambda m: m.registry.describe(None, 10, Position("b", 150))),
    }
    assert max(steps.values()) < 2 * min(steps.values()), steps


def _machine_steps(manager: ModelManager, call: Callable[[ModelManager], object]) -> int:
    """Return the virtual machine's instructions for a call, in tens."""
    count = 0

    def counted() -> int:
        nonlocal count
        count += 1
        return 0

    call(manager)
    _watch(counted)
    call(manager)
    _watch(None)
    assert count
    return count


def _watch(handler: Callable[[], int] | None) -> None:
    """Have every connection that is open call this for each tenth instruction."""
    for connection in CONNECTIONS:
        with suppress(sqlite3.ProgrammingError):  # closed meanwhile
            connection.set_progress_handler(handler, 10)
