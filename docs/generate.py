"""Write what the pages say of the code; with --check, only say whether it is as it would be written."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from ai_engine.api.instruments import Instruments
from ai_engine.api.problems import STATUS
from ai_engine.api.prometheus import exposition
from ai_engine.catalogue.sql.tables import ENGINE_TABLES, SEED_TABLES
from ai_engine.cli import main as cli
from ai_engine.cli.main import ABOUT, EXIT_CODES
from ai_engine.control_plane.doors import DOORS
from ai_engine.domain import errors
from ai_engine.domain import filters as language
from ai_engine.domain.error_codes import CODES, every_code
from ai_engine.domain.errors import AIEngineError
from ai_engine.domain.search import FIELDS, Kind
from ai_engine.jobs.workers import Workers
from ai_engine.registry.json_views import health_shape
from ai_engine.settings import ABOUT as SETTINGS
from ai_engine.settings import ORIGINAL, Settings, variable
from ai_engine.training.kinds import BUILT_IN
from ai_engine.wiring import open_registry

TARGET = Path(__file__).parent / "reference.md"
CONTROL_PLANE = Path(__file__).parent / "control-plane.md"
_DOORS = re.compile(r"(?<=<!-- doors: written by `make docs` -->\n).*?(?=<!-- /doors -->)", re.DOTALL)


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
        about += "".join(
            f" Else `{other}`{f', and `{below}` in it' if below else ''}."
            for other, below in ORIGINAL.get(name, ())
        )
        lines.append(f"| `{variable(name)}` | {'' if default is None else f'`{default}`'} | {about} |")
    return "\n".join(lines)


def error_table() -> str:
    """Return every error with what it means, its HTTP status and its exit code."""
    lines = ["| error | code | means | HTTP | exit code |", "|---|---|---|---|---|"]
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and issubclass(kind, AIEngineError):
            first = (kind.__doc__ or "").split("\n\n")[0].replace("\n", " ")
            status = next((status for base, status in STATUS if issubclass(kind, base)), 500)
            code = next((code for base, code in EXIT_CODES if issubclass(kind, base)), 1)
            public = CODES[kind]
            lines.append(f"| `{name}` | `{public}` | {' '.join(first.split())} | {status} | {code} |")
    others = ", ".join(f"`{one}`" for one in sorted(every_code() - set(CODES.values())))
    return "\n".join(
        [
            "A code is public and never changes: it ends the `type` of a problem "
            "(`urn:ai-engine:problem:…`), and is the `code` of an error that a command prints with "
            "`--json`.\n",
            *lines,
            f"\nOf requests and commands that are refused for their form: {others}.",
        ]
    )


def metrics() -> str:
    """Return every metric of a registry that is empty, but those of the process."""
    with TemporaryDirectory() as directory, open_registry(Settings(model_dir=directory)) as registry:
        text = exposition(
            Instruments(), registry, Workers(registry.queue, Settings()), health_shape(registry.health()), 1
        ).decode()
    lines = ["| metric | kind | what it tells |", "|---|---|---|"]
    for family in text_string_to_metric_families(text):
        if not family.name.startswith("process_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            lines.append(f"| `{name}` | {family.type} | {family.documentation} |")
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
            "## Metrics",
            "`GET /metrics`, as Prometheus text, with the usual `process_*` besides.",
            metrics(),
            "## Tables",
            tables(),
            "",
        ]
    )


def doors() -> str:
    """Return every door of the control plane: where it is, what it answers from, and which right it needs."""
    lines = ["", "| asked as | answered from | needs |", "|---|---|---|"]
    for door in DOORS:
        asked = [f"`{door.method} {door.path}`"] if door.path else []
        asked += [f"`{service}/{method}`" for service, method in door.pairs]
        lines.append(f"| {'<br>'.join(asked)} | {door.source} | `{door.scope}` |")
    return "\n".join([*lines, "", ""])


def pages() -> dict[Path, str]:
    """Return each page as the code says it."""
    told = doors()
    return {TARGET: reference(), CONTROL_PLANE: _DOORS.sub(lambda _: told, CONTROL_PLANE.read_text())}


def main() -> int:
    """Write the pages, or check them."""
    wanted = pages()
    if "--check" not in sys.argv:
        for page, text in wanted.items():
            page.write_text(text)
        return 0
    stale = [page for page, text in wanted.items() if not page.exists() or page.read_text() != text]
    for page in stale:
        print(f"{page.name} is not what the code says; run `make docs`", file=sys.stderr)
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
