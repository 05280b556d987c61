"""Write docs/reference.md from the code; with --check, only say whether it is as it would be written."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from ai_engine.api.problems import STATUS
from ai_engine.catalogue.sql.tables import ENGINE_TABLES, SEED_TABLES
from ai_engine.cli import main as cli
from ai_engine.cli.main import ABOUT, EXIT_CODES
from ai_engine.domain import errors
from ai_engine.domain import filters as language
from ai_engine.domain.errors import AIEngineError
from ai_engine.domain.search import FIELDS, Kind
from ai_engine.settings import ABOUT as SETTINGS
from ai_engine.settings import Settings, variable
from ai_engine.training.kinds import BUILT_IN

TARGET = Path(__file__).parent / "reference.md"


def commands() -> str:
    """Return the help of every command."""
    lines = [ABOUT.strip()]
    app = cli.commands()
    for path in _paths(typer.main.get_command(app), ()):
        shown = CliRunner().invoke(app, [*path, "--help"], prog_name="ai-engine", terminal_width=100)
        text = "\n".join(line.rstrip() for line in shown.output.strip().splitlines())
        lines.append(f"### `ai-engine {' '.join(path)}`\n\n```\n{text}\n```")
    return "\n\n".join(lines)


def _paths(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command below one, of whichever class typer makes its commands."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path
        return
    for name, child in below.items():
        yield from _paths(child, (*path, name))


def filters() -> str:
    """Return the language of filters, and the fields that they may name."""
    of_kind: dict[Kind, list[str]] = {}
    for name, field in FIELDS.items():
        of_kind.setdefault(field.kind, []).append(f"`{name}`")
    rows = [f"| {kind.value} | {' '.join(names)} |" for kind, names in of_kind.items()]
    return "\n".join(
        [
            f"{inspect.cleandoc(str(language.__doc__))}\n",
            "The same everywhere: `models list --filter --sort`, `GET /models/info?filter=&sort=`, "
            "`ModelManager.get_model_info(where=, sort=)`.\n",
            "| holds | fields |",
            "|---|---|",
            *rows,
            f'| {Kind.ANY.value} | `metadata.key`, `metadata.key."another key"` |',
        ]
    )


def kinds() -> str:
    """Return every kind of training that the engine has, with what it may be told."""
    lines = [
        "What `model_type` can be. Other packages can add to it: [how](recipes.md).\n",
        "| model_type | tells | model | targets | hyperparameters |",
        "|---|---|---|---|---|",
    ]
    for kind in BUILT_IN.values():
        if kind.recipe is None:
            lines.append(f"| `{kind.name}` | planned: {kind.about} | `{kind.default_name}` | | |")
            continue
        model = f"`{kind.default_name}`" if kind.default_name else "has to be named"
        most = "any number" if kind.most_targets is None else f"{kind.most_targets}"
        told = [
            f"`{name}`: {setting.allowed}"
            + ("" if setting.default is None else f"; default {setting.default}")
            for name, setting in kind.settings.items()
        ]
        targets = most if kind.needs_target else f"{most}, or none"
        lines.append(f"| `{kind.name}` | {kind.about} | {model} | {targets} | {'<br>'.join(told)} |")
    return "\n".join(lines)


def settings() -> str:
    """Return every setting with its variable, its default and what it does."""
    lines = ["| variable | default | what it does |", "|---|---|---|"]
    defaults = Settings()
    for name, about in SETTINGS.items():
        default = getattr(defaults, name)
        lines.append(f"| `{variable(name)}` | {'' if default is None else f'`{default}`'} | {about} |")
    return "\n".join(lines)


def error_table() -> str:
    """Return every error with what it means, its HTTP status and its exit code."""
    lines = ["| error | means | HTTP | exit code |", "|---|---|---|---|"]
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and issubclass(kind, AIEngineError):
            first = (kind.__doc__ or "").split("\n\n")[0].replace("\n", " ")
            status = next((status for base, status in STATUS if issubclass(kind, base)), 500)
            code = next((code for base, code in EXIT_CODES if issubclass(kind, base)), 1)
            lines.append(f"| `{name}` | {' '.join(first.split())} | {status} | {code} |")
    return "\n".join(lines)


def tables() -> str:
    """Return the tables of the database."""
    seed = "\n".join(inspect.cleandoc(table) + ";" for table in SEED_TABLES)
    ours = "\n".join(inspect.cleandoc(table) + ";" for table in ENGINE_TABLES)
    return f"The original's, to the letter:\n\n```sql\n{seed}\n```\n\nOurs:\n\n```sql\n{ours}\n```"


def reference() -> str:
    """Return the whole page."""
    return "\n\n".join(
        [
            "# Reference",
            "Generated from the code by `make docs`.",
            "## Commands",
            commands(),
            "## Filters",
            filters(),
            "## Kinds of training",
            kinds(),
            "## Settings",
            settings(),
            "## Errors",
            error_table(),
            "## Tables",
            tables(),
            "",
        ]
    )


def main() -> int:
    """Write the page, or check it."""
    wanted = reference()
    if "--check" not in sys.argv:
        TARGET.write_text(wanted)
        return 0
    if TARGET.exists() and TARGET.read_text() == wanted:
        return 0
    print(f"{TARGET.name} is not what the code says; run `make docs`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
