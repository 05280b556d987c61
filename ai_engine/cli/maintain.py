"""The commands `doctor`, `backup` and `restore`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from ai_engine.cli.options import STORAGE, AsJson, with_settings
from ai_engine.cli.output import print_json, print_table
from ai_engine.domain.errors import InvalidInputError
from ai_engine.registry.doctor import Finding
from ai_engine.registry.json_views import findings_answer
from ai_engine.settings import Settings

Progress = Callable[[int, int], None]


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.command("doctor")(doctor)
    root.command("backup")(backup)
    root.command("restore")(restore)


@with_settings(*STORAGE)
def doctor(
    settings: Settings,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair whatever can be repaired without loss.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Rebuild a lost or damaged database from the files.")
    ] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Start with an empty database instead; the files are kept.")
    ] = False,
    sign: Annotated[
        bool,
        typer.Option(
            "--sign", help="Sign every version as it is, and make the signing key where there is none."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check that every version has its files, and every file its version.

    Exit code 0: nothing is wrong, or everything was repaired; 1: something is still wrong.
    """
    from ai_engine.registry.doctor import Doctor
    from ai_engine.wiring import actor, build_stores, signing_keys

    if rebuild and accept_loss:
        raise InvalidInputError(
            "--accept-loss", "cannot be combined with --rebuild: one restores what the other gives up"
        )
    if sign and settings.signing_key:
        signing_keys(settings, make=True)
    restored, lost = _rebuilt(settings, accept_loss) if rebuild or accept_loss else ([], [])
    signed: list[str] = []
    stores = build_stores(settings, must_exist=not (rebuild or accept_loss))
    try:
        if sign:
            with _progress("signing") as progress:
                signed = Doctor(stores).sign(actor(), progress)
        with _progress("checking") as progress:
            findings = Doctor(stores).examine(repair=repair or rebuild, progress=progress)
    finally:
        stores.catalogue.close()
    answer = findings_answer(findings, restored, lost, signed)
    if as_json:
        print_json(answer)
    else:
        for label in signed:
            print(f"signed {label}")
        _print_findings(findings, restored, lost)
    if not answer["healthy"]:
        raise typer.Exit(1)


def _rebuilt(settings: Settings, accept_loss: bool) -> tuple[list[str], list[str]]:
    """Replace a lost database; return the versions that were restored, and what could not be."""
    from ai_engine.recovery import recover

    done = recover(settings, from_files=not accept_loss)
    return done.versions, done.lost


def _print_findings(findings: list[Finding], restored: list[str], lost: list[str]) -> None:
    for label in restored:
        print(f"restored {label}")
    for problem in lost:
        print(f"not restored: {problem}")
    if not findings:
        print("healthy: every version has its files, and every file its version")
        return
    print_table(
        ("", "what", "where", "what is wrong"),
        [("repaired" if f.repaired else f.severity, f.kind, f.subject, f.detail) for f in findings],
    )


@with_settings(*STORAGE)
def backup(
    settings: Settings,
    target: Annotated[
        str, typer.Argument(help="A directory that is empty or does not exist.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Copy the whole registry, as it is at one moment, into a directory; others may go on writing."""
    from ai_engine.backup import back_up

    with _progress("copying") as progress:
        manifest = back_up(settings, target, progress)
    told = {"directory": os.path.abspath(target), "versions": manifest.versions, "bytes": manifest.size}
    _print(told, f"{manifest.versions} versions, {manifest.size:,} bytes, in {told['directory']}", as_json)


@with_settings(*STORAGE)
def restore(
    settings: Settings,
    source: Annotated[str, typer.Argument(help="The directory of a backup.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Restore a backup into an empty model directory, and verify every byte."""
    from ai_engine.backup import restore as restore_backup

    with _progress("checking") as progress:
        manifest, damage = restore_backup(source, settings, progress)
    told = {
        "directory": os.path.abspath(settings.model_dir),
        "versions": manifest.versions,
        "damage": [finding.as_dict() for finding in damage],
    }
    sentence = f"{manifest.versions} versions, all of them checked, in {told['directory']}"
    _print(told, sentence if not damage else f"damaged: {', '.join(f.subject for f in damage)}", as_json)
    if damage:
        raise typer.Exit(1)


def _print(told: dict[str, Any], sentence: str, as_json: bool) -> None:
    if as_json:
        print_json(told)
    else:
        print(sentence)


@contextmanager
def _progress(what: str) -> Iterator[Progress]:
    """Show a progress bar on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
