"""Public error codes are for ever: what was released stays, and what is new is written down."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Final

import ai_engine
from ai_engine.domain import errors
from ai_engine.domain.error_codes import CODES, code_of, every_code
from ai_engine.domain.errors import AIEngineError

RELEASED: Final = Path(__file__).parents[1] / "snapshots" / "error_codes.txt"


def test_no_released_code_is_missing_and_none_is_new() -> None:
    released = RELEASED.read_text().split()
    assert released == sorted(set(released)), "one code a line, in order, each once"
    known = every_code()
    assert set(released) - known == set(), "a released code is for ever: clients go by it"
    assert known - set(released) == set(), f"a new code is written down in {RELEASED.name}"


def test_every_error_has_a_code_of_its_own() -> None:
    classes = [
        kind
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, AIEngineError) and kind.__module__ == errors.__name__
    ]
    assert len(classes) > 20
    assert set(classes) == set(CODES)
    assert len(set(CODES.values())) == len(CODES)


def test_a_code_does_not_follow_the_name_of_its_class() -> None:
    renamed = type("Renamed", (errors.VersionExistsError,), {})
    assert code_of(renamed) == "version-exists"


def test_no_other_code_stands_in_the_package() -> None:
    """Every code that a refusal or a problem is made with is one of those; mypy sees to most of them."""
    known, found = every_code(), set()
    for path in sorted(Path(ai_engine.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("RefusedError", "problem")
                and len(node.args) > 1
                and isinstance(node.args[1], ast.Constant)
            ):
                found.add(node.args[1].value)
    assert len(found) > 12
    assert found <= known
