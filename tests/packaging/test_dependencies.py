"""Each package is declared where it is used, is used where it is declared, and is locked."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())
OURS: Final = frozenset(("ai_engine", "tests", "benchmarks", "examples", "docs"))
# Where the name in a package index is not that of the module.
CALLED: Final = {"sklearn": "scikit-learn", "yaml": "pyyaml"}
# Tools and types: what runs beside the code, and is not imported by it.
TOOLS: Final = frozenset(
    (
        "mypy",
        "pytest-timeout",
        "pytest-xdist",
        "ruff",
        "scipy-stubs",
        "setuptools",
        "types-psutil",
        "types-pyyaml",
    )
)


def declared(requirements: Iterable[Any]) -> dict[str, str]:
    """Return the packages that texts, or tables that include a group, ask for, with their lowest versions."""
    found: dict[str, str] = {}
    for one in requirements:
        if isinstance(one, dict):
            found |= declared(PROJECT["dependency-groups"][one["include-group"]])
        elif not one.startswith(PROJECT["project"]["name"]):
            name, lowest = one.split(">=")
            found[name] = lowest
    return found


CORE: Final = declared(PROJECT["project"]["dependencies"])
TRAIN: Final = declared(PROJECT["project"]["optional-dependencies"]["train"])
TEST: Final = declared(PROJECT["dependency-groups"]["test"])
DEV: Final = declared(PROJECT["dependency-groups"]["dev"])


def imported(*places: str) -> Iterator[tuple[str, str]]:
    """Yield what the modules below some places import, wherever in them, and from which file."""
    for place in places:
        for path in sorted((ROOT / place).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                names: list[str] = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module or ""]
                for name in names:
                    top = name.partition(".")[0]
                    if top not in sys.stdlib_module_names and top not in OURS:
                        yield CALLED.get(top, top.replace("_", "-")), str(path.relative_to(ROOT))


# Imported only for who gives a frame of theirs, and so has them.
BROUGHT: Final = {"pandas": "", "polars": ""}
PACKAGE: Final = sorted(set(imported("ai_engine")))


def test_what_the_package_imports_is_declared_where_it_is_used() -> None:
    for name, path in PACKAGE:
        allowed = CORE
        if path.startswith(("ai_engine/training/", "ai_engine/telemetry/", "ai_engine/control_plane/")):
            allowed = CORE | TRAIN | BROUGHT
        elif path.startswith("ai_engine/testing/"):  # for authors of backends, who have pytest
            allowed = CORE | TEST
        assert name in allowed, f"{path} imports {name}, which is not declared for it"


def test_what_the_others_import_is_declared() -> None:
    for name, path in imported("tests", "benchmarks", "examples", "docs"):
        assert name in CORE | TRAIN | DEV, f"{path} imports {name}, which is not declared"


def test_what_is_declared_is_used() -> None:
    here = {name for name, path in PACKAGE if not path.startswith("ai_engine/testing/")}
    assert CORE.keys() | TRAIN.keys() == here - BROUGHT.keys()
    elsewhere = {name for name, _ in imported("tests", "benchmarks", "examples", "docs")}
    assert DEV.keys() - TOOLS <= elsewhere


def test_an_extra_is_there_once_it_works() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert extras.keys() == {"train", "all"}
    assert extras["all"] == ["novacron-ai-engine[train]"]


@pytest.mark.parametrize("name", ["all", "lowest", "train"])
def test_a_lock_names_no_host_and_every_digest(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert not re.search(r"https?://|--index|--find-links|file:", text)
    names = re.findall(r"^([A-Za-z0-9_.-]+)==", text, re.MULTILINE)
    assert len(names) > 30
    assert len(re.findall(r"^[A-Za-z0-9_.-]+==[^\n]*\\\n +--hash=sha256:", text, re.MULTILINE)) == len(names)


def locked(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", text, re.MULTILINE))


def test_what_is_asked_for_is_locked() -> None:
    assert CORE.keys() | TRAIN.keys() | DEV.keys() <= locked("all").keys()


def test_the_lowest_versions_are_those_that_are_declared() -> None:
    # `make lowest` runs the tests with them; what is declared lower than that was never tried.
    lowest = locked("lowest")
    for name, version in (CORE | TRAIN | TEST).items():
        assert _numbers(lowest[name]) == _numbers(version), name


def _numbers(version: str) -> list[int]:
    found = [int(part) for part in version.split(".")]
    while found and found[-1] == 0:
        found.pop()
    return found


def test_ci_runs_the_lowest_versions() -> None:
    assert "\nmake lowest\n" in (ROOT / ".ci" / "run").read_text()
