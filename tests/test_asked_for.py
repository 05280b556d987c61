"""`docs/asked-for.md` names code and tests that exist, and leaves out nothing that was asked for."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.asked_for.minimal_persistence_test import COLUMNS
from tests.snapshots import openapi

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = (ROOT / "docs" / "asked-for.md").read_text()
CODE: Final = sorted(set(re.findall(r"`(ai_engine[\w.]*:[\w.]+)`", PAGE)))
TESTS: Final = sorted(set(re.findall(r"`(tests/[\w/]+\.py::\w+)`", PAGE)))
METHODS: Final = (
    *("__init__", "save_model", "register_model", "update_performance", "save_training_history"),
    *("get_model_info", "cleanup_old_models", "_init_database", "_load_from_database"),
    "_save_performance_to_db",
)
ENDPOINTS: Final = (
    *("GET /models/info", "POST /train", "GET /models/{model_name}/versions"),
    *("GET /models/performance/{model_name}", "POST /models/cleanup"),
)


@pytest.mark.parametrize("reference", CODE)
def test_the_code_exists(reference: str) -> None:
    module, _, path = reference.partition(":")
    found: object = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)


@cache
def functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("reference", TESTS)
def test_the_test_exists(reference: str) -> None:
    path, _, name = reference.partition("::")
    assert name in functions(path)


def rows() -> list[list[str]]:
    """Return the cells of every row below a head that ends with code and test."""
    found, inside = [], False
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if cells[-2:] == ["code", "test"]:
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|---"):
            found.append(cells)
    return found


def test_every_claim_stands_beside_code_and_a_test() -> None:
    assert len(rows()) > 50
    for *_, code, test in rows():
        assert code.strip("`") in CODE, code
        assert test.strip("` |") in TESTS, test


def test_every_table_column_method_and_endpoint_is_there() -> None:
    claims = [cells[0] for cells in rows()]
    for table, columns in COLUMNS.items():
        part = PAGE[PAGE.index(f"`{table}`") :]
        for column in columns:
            assert f"`{column}`" in part, f"{table}.{column}"
    for method in METHODS:
        assert f"`{method}()`" in claims
    for endpoint in ENDPOINTS:
        assert f"`{endpoint}`" in claims


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_the_endpoints_are_served(endpoint: str) -> None:
    method, _, path = endpoint.partition(" ")
    assert method.lower() in openapi()["paths"][path]


def test_the_examples_are_there_under_the_names_that_they_were_given() -> None:
    for name in (
        *("test_model_persistence", "simple_persistence_test", "minimal_persistence_test"),
        "verify_api_models_endpoint",
    ):
        assert f"`{name}.py`" in PAGE
        assert any(one.startswith("test_") for one in functions(f"tests/asked_for/{name}.py"))
