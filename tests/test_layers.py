"""Each layer imports what stands to its left; third-party packages stay in their adapters."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ai_engine

PACKAGE = Path(ai_engine.__file__).parent

# Left to right; modules of one group never import each other.
ORDER = [
    {"version", "domain", "settings", "logs"},
    {"files"},
    {"catalogue", "artifacts", "directory", "formats", "telemetry"},
    {"registry", "access"},
    {"wiring", "backup", "recovery"},
    {"training"},
    {"reports", "jobs"},
    {"models"},
    {"api", "dashboard", "control_plane", "cli"},
    {"app"},
]
# Edges within a group, or to the right, each with its reason.
ALLOWED = {
    ("settings", "domain"),  # a bad setting is an error of ours
    ("backup", "wiring"),  # a backup builds stores of its own
    ("recovery", "wiring"),  # and so does a recovery
    ("training", "wiring"),  # the child process opens a registry for itself
    ("testing", "*"),  # for authors of backends; nothing imports it
}
THIRD_PARTY = {
    "domain": set(),
    "settings": set(),
    "registry": set(),
    "access": {"cryptography"},
    "catalogue": set(),
    "files": set(),
    "artifacts": set(),
    "directory": set(),
    "formats": set(),
    "wiring": set(),
    "models": set(),
    "backup": set(),
    "recovery": set(),
    "telemetry": {"numpy", "pyarrow", "pandas", "polars"},
    "jobs": set(),
    "training": {"numpy", "sklearn", "scipy", "joblib", "threadpoolctl"},
    "api": {
        "fastapi",
        "starlette",
        "pydantic",
        "pydantic_core",
        "prometheus_client",
        "jinja2",
        "anyio",
        "psutil",
    },
    "reports": {"jinja2"},
    "dashboard": {"fastapi", "starlette", "jinja2", "anyio"},
    "control_plane": {"fastapi", "starlette", "anyio", "numpy"},
    "cli": {"typer", "click", "rich", "uvicorn", "fastapi"},
    "app": {"fastapi", "starlette"},
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Yield what a module imports when it runs; what only the type checker sees does not count."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        # Before the walk that yields: it looks at what is below a node before the node itself.
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body.clear()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rank(name: str) -> int:
    return next(index for index, group in enumerate(ORDER) if name in group)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_stands_to_its_left(path: Path) -> None:
    here = layer(path)
    if here in ("__init__", "__main__"):
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "ai_engine" or len(parts) < 2 or parts[1] in ("__version__", "version"):
            continue
        there = parts[1]
        if there == here or (here, there) in ALLOWED or (here, "*") in ALLOWED:
            continue
        assert there != "testing", f"{path} imports {name}"
        assert rank(there) < rank(here), f"{here} imports {name}, which does not stand to its left"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_third_party_package_stays_in_its_layer(path: Path) -> None:
    here = layer(path)
    allowed = THIRD_PARTY.get(here)
    if allowed is None:
        return
    found = {name.split(".")[0] for name in imports(path)} - set(sys.stdlib_module_names) - {"ai_engine"}
    assert found <= allowed, f"{here} may import {sorted(allowed) or 'the standard library only'}"


def test_no_cycle() -> None:
    names = {path: ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in modules()}
    known = {name.removesuffix(".__init__") for name in names.values()}
    graph = {
        name.removesuffix(".__init__"): {found for found in imports(path) if found in known}
        for path, name in names.items()
    }
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"a cycle: {' -> '.join((*trail[trail.index(module) :], module))}"
        if module not in done:
            for found in graph[module] - {module}:
                visit(found, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())
