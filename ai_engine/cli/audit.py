"""The commands `audit …`: who changed what, and whether that was altered."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from ai_engine.cli.options import STORAGE, AsJson, with_settings
from ai_engine.cli.output import print_facts, print_json, print_table
from ai_engine.domain.audit import AuditHead
from ai_engine.domain.errors import InvalidInputError
from ai_engine.settings import Settings

app = typer.Typer(help="See who changed what.", rich_markup_mode=None, no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app, name="audit")


@app.command()
@with_settings(*STORAGE)
def show(
    settings: Settings,
    model: Annotated[str | None, typer.Option(help="Only this one's.", show_default=False)] = None,
    action: Annotated[
        str | None, typer.Option(help="Only these, such as activate.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """Show who changed what, the newest first."""
    from ai_engine.registry.json_views import audit_shape
    from ai_engine.wiring import open_registry

    with open_registry(settings, must_exist=True) as registry, registry.catalogue.read() as snapshot:
        entries = [audit_shape(entry) for entry in snapshot.audit.page(limit, None, model, action)]
    if as_json:
        print_json({"entries": entries})
        return
    print_table(
        ("entry", "at", "who", "did", "model", "version", "outcome", "detail"),
        [
            (
                one["seq"],
                one["at"],
                one["actor"],
                one["action"],
                one["model"],
                one["version"],
                one["outcome"],
                ", ".join(f"{name}: {value}" for name, value in one["detail"].items() if value is not None),
            )
            for one in entries
        ],
        right=("entry",),
    )


@app.command()
@with_settings(*STORAGE)
def verify(
    settings: Settings,
    head: Annotated[
        str | None,
        typer.Option(
            help="An entry that a server's log told, NUMBER:DIGEST: shows whether the end was cut off.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that no entry was altered, removed or put between others; exit code 1 where one was."""
    from ai_engine.access.auditing import verify as verified
    from ai_engine.wiring import open_registry, signing_keys

    known = None if head is None else _head(head)
    with open_registry(settings, must_exist=True) as registry:
        keys = {key.public for key in signing_keys(settings)}
        verdict = verified(registry.catalogue, keys or None, known)
    if as_json:
        print_json(
            {
                "entries": verdict.entries,
                "head": str(verdict.head),
                "sealed": None if verdict.sealed is None else str(verdict.sealed),
                "problems": list(verdict.problems),
            }
        )
    else:
        print_facts({"entries": verdict.entries, "newest": verdict.head, "signed": verdict.sealed or "never"})
        for problem in verdict.problems:
            print(f"problem: {problem}")
        if not verdict.problems:
            print("No entry was altered, removed or put between others.")
    if verdict.problems:
        raise typer.Exit(1)


def _head(text: str) -> AuditHead:
    match = re.fullmatch(r"([0-9]{1,15}):([0-9a-f]{64})", text.strip(), re.ASCII)
    if match is None:
        raise InvalidInputError(
            "--head", f"{text[:80]!r} is not of the form NUMBER:DIGEST, as a log tells it"
        )
    return AuditHead(int(match.group(1)), match.group(2))
