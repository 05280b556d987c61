"""The commands of `ai-engine models`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from ai_engine.cli.completion import model_versions
from ai_engine.cli.files import write_file
from ai_engine.cli.options import (
    STORAGE,
    AsJson,
    Name,
    OptionalName,
    OptionalVersion,
    Version,
    with_settings,
)
from ai_engine.cli.output import NUMBERS, print_facts, print_json, print_table, printable
from ai_engine.domain.answers import Removed, VersionInfo
from ai_engine.domain.clock import to_iso
from ai_engine.domain.entities import PointerMove
from ai_engine.domain.errors import InvalidInputError, ModelNotFoundError
from ai_engine.domain.filters import parse_field, parse_search
from ai_engine.domain.retention import Policy
from ai_engine.domain.search import EVERYTHING
from ai_engine.registry.comparison import compare as compare_versions
from ai_engine.registry.json_views import clean_up_shape, entry_shape, performance_shape, run_shape
from ai_engine.settings import Settings
from ai_engine.wiring import open_registry

_NAMED_IN_ERRORS = 10
# A screen or two; a registry may hold a million.
_LISTED = 50

app = typer.Typer(
    help="List, compare, activate and delete versions.", rich_markup_mode=None, no_args_is_help=True
)


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app, name="models")


@app.command("list")
@with_settings(*STORAGE)
def list_(
    settings: Settings,
    name: OptionalName = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--filter",
            help='Only versions that match this filter, such as "is_active and (mae < 0.5 or '
            "metadata.team = 'ops')\".",
            show_default=False,
        ),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            help="By this field, such as mae; the highest first with - in front, as in --sort=-created_at. "
            "Default: by name, newest first.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many versions; 0: all.")] = _LISTED,
    everything: Annotated[bool, typer.Option("--all", help="List every version, as --limit 0 does.")] = False,
    as_json: AsJson = False,
) -> None:
    """List versions: the first 50, unless told otherwise."""
    search = parse_search(where, sort)
    most = None if everything or limit == 0 else limit
    with open_registry(settings, must_exist=True) as registry:
        entries, total, _ = registry.describe(name, most, search=search)
    if as_json:
        print_json({"models": [entry_shape(entry) for entry in entries], "total_models": total})
        return
    if not entries:
        if where is not None:
            print(f"no version matches the filter: {where}")
            return
        of_name = f"of a model {name!r} " if name else ""
        print(
            f"no version {of_name}in {os.path.abspath(settings.model_dir)} yet; `ai-engine train` makes one"
        )
        return
    print_table(
        ("model", "version", "active", "type", "mean error", "skill", "saved"),
        (_row(entry) for entry in entries),
        right=("mean error", "skill"),
    )
    if len(entries) < total:
        print(f"… and {total - len(entries)} more; --all lists every one of them, --filter some")


@app.command()
@with_settings(*STORAGE)
def index(
    settings: Settings,
    field: Annotated[str, typer.Argument(help="Such as metadata.team.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Create an index on a field, for quick filters on it; each save then takes a little longer."""
    wanted = parse_field(field)
    with open_registry(settings, must_exist=True) as registry:
        registry.index(wanted)
    if as_json:
        print_json({"field": wanted.name, "indexed": True})
    else:
        print(f"{wanted.name} is indexed")


def _row(entry: VersionInfo) -> tuple[object, ...]:
    """Return what the list tells of an entry of `Registry.describe`."""
    trained = _trained(entry)
    saved = str(entry_shape(entry)["created_at"] or "–")[:16].replace("T", " ")
    return (
        entry["name"],
        entry["version"],
        "●" if entry["is_active"] else "",
        entry["model_type"],
        None if entry["performance"] is None else entry["performance"]["mae"],
        trained.get("skill"),
        saved,
    )


def _trained(entry: VersionInfo) -> Mapping[str, Any]:
    """Return what a training measured of an entry; anybody may have written anything there."""
    told = entry["metadata"].get("performance_metrics")
    return told if isinstance(told, Mapping) else {}


@app.command()
@with_settings(*STORAGE)
def show(
    settings: Settings,
    name: Name,
    version: OptionalVersion = None,
    as_json: AsJson = False,
) -> None:
    """Show a version, its measurements and its training history."""
    with open_registry(settings, must_exist=True) as registry:
        found = registry.require(name, version)
        ((entry, *_), *_) = registry.describe(name, search=EVERYTHING.of(None, found.version))
        performances = registry.performances(name, found.version)
        runs = registry.runs(name, found.version)
    if as_json:
        print_json(
            entry_shape(entry)
            | {
                "history": [performance_shape(one) for one in performances],
                "training_history": [run_shape(one) for one in runs],
            }
        )
        return
    told = entry_shape(entry)
    hidden = ("metadata", "metric_count", "avg_accuracy", "last_metric_update", "performance", "pinned")
    print_facts({key: value for key, value in told.items() if key not in hidden})
    if performances:
        print()
        columns = ("mae", "mse", "r2", "accuracy_score", "confidence_score", "training_samples")
        print_table(
            ("measured", *columns),
            (
                (shape["last_updated"], *(shape[column] for column in columns))
                for shape in map(performance_shape, performances)
                if shape is not None
            ),
            right=columns,
        )
    if runs:
        print()
        print_table(
            ("trained", "rows", "score", "hyperparameters"),
            (
                (run["completed"], run["dataset_size"], run["validation_score"], run["hyperparameters"])
                for run in map(run_shape, runs)
            ),
            right=("rows", "score"),
        )
    print()
    detail = f"ai-engine models report {shlex.quote(name)} --version {shlex.quote(found.version)}"
    print(f"what these numbers mean: {NUMBERS}; in detail: {detail}")


@app.command()
@with_settings(*STORAGE)
def trainings(
    settings: Settings,
    name: Name,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """List the trainings of a model, the newest first, those that made no version among them."""
    with open_registry(settings, must_exist=True) as registry:
        runs = registry.runs(name)
        if not runs and not registry.versions(name):
            raise ModelNotFoundError(name)
    told = [run_shape(one) for one in runs[:limit]]
    if as_json:
        print_json({"model_name": name, "training_history": told})
        return
    print_table(
        ("started", "version", "outcome", "rows", "score", "host", "CPU seconds", "peak MB", "error"),
        [
            (
                one["started"],
                one["version"],
                one["outcome"],
                one["dataset_size"],
                one["validation_score"],
                one["host"],
                one["cpu_seconds"],
                None if one["peak_memory_bytes"] is None else round(one["peak_memory_bytes"] / 1e6),
                one["error"],
            )
            for one in told
        ],
        right=("rows", "score", "CPU seconds", "peak MB"),
    )


@app.command()
@with_settings(*STORAGE)
def compare(
    settings: Settings,
    name: Name,
    versions: Annotated[
        list[str],
        typer.Argument(help="Two or more versions.", show_default=False, autocompletion=model_versions),
    ],
    as_json: AsJson = False,
) -> None:
    """Put the metrics of versions side by side, with their differences to the first one."""
    if len(set(versions)) < 2:
        raise typer.BadParameter("give two different versions or more")
    with open_registry(settings, must_exist=True) as registry:
        registry.require(name, versions[0])
        answer = compare_versions(registry, name, versions)
    if as_json:
        print_json(answer)
        return
    wanted, metrics = answer["versions"], answer["metrics"]
    rows = []
    for metric, one in metrics.items():
        cells = [printable(one["values"][wanted[0]])]
        for version in wanted[1:]:
            difference = one["differences"][version]
            told = "" if difference is None else f" ({difference:+.3g})"
            cells.append(f"{printable(one['values'][version])}{told}")
        if any(value is not None for value in one["values"].values()):
            rows.append((metric, *cells, one["best"] or ""))
    print_table(("metric", *wanted, "best"), rows, right=wanted)


@app.command()
@with_settings(*STORAGE)
def activate(settings: Settings, name: Name, version: Version, as_json: AsJson = False) -> None:
    """Activate a version."""
    with open_registry(settings, must_exist=True) as registry:
        _print_moved(name, registry.activate(name, version), as_json)


@app.command()
@with_settings(*STORAGE)
def rollback(settings: Settings, name: Name, as_json: AsJson = False) -> None:
    """Activate the version that was active before."""
    with open_registry(settings, must_exist=True) as registry:
        _print_moved(name, registry.roll_back(name), as_json)


def _print_moved(name: str, move: PointerMove, as_json: bool) -> None:
    moved = asdict(move)
    if as_json:
        print_json({"model_name": name, **moved})
    else:
        before = moved["previous_version"]
        print(f"{name}: {moved['version']} is active now; before, it was {before or 'none'}")


@app.command()
@with_settings(*STORAGE)
def delete(settings: Settings, name: Name, version: Version, as_json: AsJson = False) -> None:
    """Delete a version and free its bytes. The active version cannot be deleted."""
    with open_registry(settings, must_exist=True) as registry:
        freed = registry.delete(name, version)
    if as_json:
        print_json({"model_name": name, "version": version, "freed_bytes": freed})
    else:
        print(f"{name} {version} is deleted")


@app.command()
@with_settings(*STORAGE)
def history(
    settings: Settings,
    name: Name,
    at: Annotated[
        datetime | None,
        typer.Option(help="Only the version that was active at this moment, in UTC.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show which version was active when, who activated it, and why."""
    with open_registry(settings, must_exist=True) as registry:
        if not registry.versions(name):
            raise ModelNotFoundError(name)
        moves = registry.activations(name)
        active = registry.active_at(name, at.replace(tzinfo=UTC)) if at is not None else None
    if at is not None:
        print_json({"version": active}) if as_json else print(
            active or "no version was active then, or none is recorded"
        )
        return
    told = [
        {
            "version": move.version,
            "activated_at": to_iso(move.activated_at),
            "actor": move.actor,
            "reason": move.reason,
        }
        for move in moves
    ]
    if as_json:
        print_json({"model_name": name, "history": told})
    else:
        print_table(("version", "active from", "by", "because"), (list(move.values()) for move in told))


@app.command()
@with_settings(*STORAGE)
def cleanup(
    settings: Settings,
    keep: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Keep this many of the highest versions of each model. Default, alone: 5.",
        ),
    ] = None,
    younger_than: Annotated[
        float | None, typer.Option(min=0.001, help="Keep versions that were saved within this many days.")
    ] = None,
    best: Annotated[
        int | None, typer.Option(min=1, help="Keep this many of the best versions of each model.")
    ] = None,
    by: Annotated[str, typer.Option(help="The metric that --best goes by.")] = "mae",
    keep_previous: Annotated[
        bool, typer.Option("--keep-previous", help="Keep the version that a rollback would return to.")
    ] = False,
    name: OptionalName = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete the versions that no option keeps, and free their bytes.

    The active version of each model and pinned versions are always kept.
    """
    if keep is younger_than is best is None:
        keep = 5
    within = None if younger_than is None else timedelta(days=younger_than)
    policy = Policy(keep, within, best, by, keep_previous, name)
    with open_registry(settings, must_exist=True) as registry:
        done = registry.clean_up(policy, dry_run=True)
        if done.dropped and not dry_run:
            _agree(clean_up_shape(done)["removed"], yes)
            done = registry.clean_up(policy)
    answer = clean_up_shape(done)
    if as_json:
        print_json({**answer, "dry_run": dry_run})
        return
    if answer["removed"]:
        print_table(("model", "version"), ([one["name"], one["version"]] for one in answer["removed"]))
    count = len(answer["removed"])
    told = f"{'would be ' if dry_run else ''}removed, {answer['freed_bytes']:,} bytes freed"
    print(f"{count} version{'' if count == 1 else 's'} {told}")


@app.command()
@with_settings(*STORAGE)
def pin(settings: Settings, name: Name, version: Version, as_json: AsJson = False) -> None:
    """Pin a version: clean-ups keep it."""
    _pin(settings, name, version, True, as_json)


@app.command()
@with_settings(*STORAGE)
def unpin(settings: Settings, name: Name, version: Version, as_json: AsJson = False) -> None:
    """Unpin a version: clean-ups may remove it again."""
    _pin(settings, name, version, False, as_json)


def _pin(settings: Settings, name: str, version: str, pinned: bool, as_json: bool) -> None:
    with open_registry(settings, must_exist=True) as registry:
        registry.pin(name, version, pinned=pinned)
    if as_json:
        print_json({"model_name": name, "version": version, "pinned": pinned})
    elif pinned:
        print(f"{name} {version} is pinned: clean-ups keep it")
    else:
        print(f"{name} {version} is not pinned: clean-ups may remove it")


def _agree(removed: list[Removed], yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInputError(
            "--yes", f"is required without a terminal: {len(removed)} versions would be deleted"
        )
    names = ", ".join(f"{one['name']}@{one['version']}" for one in removed[:5])
    more = f" and {len(removed) - 5} more" if len(removed) > 5 else ""
    typer.confirm(f"Delete {names}{more}? This cannot be undone.", abort=True, err=True)


@app.command()
@with_settings(*STORAGE)
def export(
    settings: Settings,
    name: Name,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.", show_default=False)],
    version: OptionalVersion = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a version as a plain pickle, which `pickle.load` reads where the packages of its classes are.

    Those of models that the engine trained are novacron-ai-engine, numpy and scikit-learn.
    """
    with open_registry(settings, must_exist=True) as registry:
        found = registry.require(name, version)
        data = registry.export(name, found.version)
    write_file("--output", output, data, force)
    if as_json:
        print_json({"model_name": name, "version": found.version, "output": str(output), "bytes": len(data)})
    else:
        print(f"{found.label}: {len(data)} bytes in {output}")
