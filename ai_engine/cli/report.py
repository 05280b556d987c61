"""The command `ai-engine models report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ai_engine.cli.completion import model_versions
from ai_engine.cli.files import write_file
from ai_engine.cli.models import app as models
from ai_engine.cli.options import STORAGE, AsJson, Name, with_settings
from ai_engine.cli.output import NUMBERS, print_facts, print_json, print_table, printable
from ai_engine.reports.charts import TextTable
from ai_engine.reports.headlines import basis, headlines
from ai_engine.reports.page import Subject, page
from ai_engine.reports.sections import sections
from ai_engine.reports.stored import stored
from ai_engine.reports.text import printed, spelled
from ai_engine.settings import Settings
from ai_engine.wiring import open_registry

# Of a table, on a screen; the page and --json have all of it.
_ROWS: Final = 12


def register(_: typer.Typer) -> None:
    """Add the command to those of ``models``."""
    models.command()(report)


@with_settings(*STORAGE)
def report(
    settings: Settings,
    name: Name,
    version: Annotated[
        str | None,
        typer.Option(help="Default: the active one.", show_default=False, autocompletion=model_versions),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Write it as one HTML page that needs no other file.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what the training of a version understood, chose and measured."""
    with open_registry(settings, must_exist=True) as registry:
        subject, told = stored(registry, name, version)
    if html is not None:
        data = page(subject, told).encode()
        write_file("--html", html, data, force)
        if as_json:
            print_json(
                {
                    "model_name": name,
                    "version": subject.version,
                    "output": str(html),
                    "bytes": len(data),
                }
            )
        else:
            print(f"{name}@{subject.version}: the report is in {html}")
    elif as_json:
        print_json(told)
    else:
        _print_report(subject, told)


def _print_report(subject: Subject, told: dict[str, Any]) -> None:
    """Print a report (JSON values) for a person."""
    tiles = headlines(told, subject.kind)
    print_facts(
        {
            "model": subject.name,
            "version": f"{subject.version}{' (active)' if subject.active else ''}",
            "kind": spelled(subject.kind) if subject.kind else None,
            "fitted": list(subject.algorithms),
            "saved": subject.saved,
            **{tile.label: tile.text for tile in tiles},
        }
    )
    if sentence := basis(told):
        print(sentence)
    if not tiles:
        print("nothing was measured of this version")
    for section in sections(told):
        shown: list[TextTable] = []
        for figure in section.figures:
            # The same numbers may stand behind two pictures, and a forecast is for the eye.
            if figure.table in shown or section.key == "forecast":
                continue
            shown.append(figure.table)
            print()
            _print_table(f"{section.title}: {figure.title}", figure.table)
    print()
    print(f"what these numbers mean: {NUMBERS}, or the end of the page that --html FILE writes")


def _print_table(title: str, table: TextTable) -> None:
    numeric = [
        column
        for place, column in enumerate(table.columns)
        if any(isinstance(row[place], (int, float)) for row in table.rows)
    ]
    print(printable(title))
    print_table(
        [spelled(column) for column in table.columns],
        ([printed(cell) for cell in row] for row in table.rows[:_ROWS]),
        [spelled(column) for column in numeric],
    )
    if len(table.rows) > _ROWS:
        print(f"… and {len(table.rows) - _ROWS} more; --html and --json have them")
