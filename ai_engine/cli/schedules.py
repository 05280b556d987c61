"""The commands `schedules …`: models that are trained again by themselves."""

from __future__ import annotations

import os
from typing import Annotated, Final

import typer

from ai_engine.cli.options import QUEUE, STORAGE, AsJson, Name, with_settings
from ai_engine.cli.output import print_facts, print_json, print_table
from ai_engine.cli.training_options import (
    GroupColumn,
    Horizon,
    Hyperparameters,
    Preset,
    Rename,
    Target,
    TimeColumn,
    ValidationSplit,
    fields,
)
from ai_engine.domain.answers import ScheduleAnswer
from ai_engine.domain.schedules import Selection, told_interval
from ai_engine.settings import Settings
from ai_engine.training.kinds import BUILT_IN

app = typer.Typer(
    help="Have models trained again by themselves.", rich_markup_mode=None, no_args_is_help=True
)
_ACTIVATE: Final = ("if_better", "always", "never", "unless_worse")
_MEANT: Final[dict[str, bool | str]] = {"never": False, "unless_worse": True}


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app, name="schedules")


@app.command("list")
@with_settings(*STORAGE)
def list_schedules(settings: Settings, as_json: AsJson = False) -> None:
    """List the schedules, and what came of the last time that each was due."""
    from ai_engine.jobs.shapes import schedule_shape
    from ai_engine.wiring import open_registry

    with open_registry(settings, must_exist=True) as registry:
        found = [schedule_shape(schedule) for schedule in registry.schedules.page()]
    if as_json:
        print_json({"schedules": found})
        return
    print_table(
        ("model", "when", "next", "last", "at", "version", "because"),
        [
            (
                one["model_name"],
                _when(one),
                one["next_at"],
                one["last"] and one["last"]["outcome"],
                one["last"] and one["last"]["at"],
                one["last"] and one["last"]["version"],
                one["last"] and one["last"]["reason"],
            )
            for one in found
        ],
    )


@app.command()
@with_settings(*STORAGE)
def show(settings: Settings, name: Name, as_json: AsJson = False) -> None:
    """Show when a model is trained again, from which files, and what came of the last time."""
    from ai_engine.jobs.shapes import schedule_shape
    from ai_engine.wiring import open_registry

    with open_registry(settings, must_exist=True) as registry:
        _tell(schedule_shape(registry.schedules.get(name)), as_json)


@app.command("set")
@with_settings(*STORAGE)
def set_schedule(
    settings: Settings,
    name: Name,
    source: Annotated[
        str,
        typer.Option(
            help="A file as `train` reads it, or a pattern in quotes, such as 'data/{date}.csv' or "
            "'exports/*.parquet'; {date:%Y%m%d} is a date of another form.",
            show_default=False,
        ),
    ],
    every: Annotated[
        str | None, typer.Option(help="How often: 90s, 45m, 6h, 30d, 2w.", show_default=False)
    ] = None,
    rows: Annotated[
        int | None, typer.Option(help="Train once so many new rows have come.", min=1, show_default=False)
    ] = None,
    files: Annotated[
        str, typer.Option(help="newest: the file of the latest date or change; all: all that fit.")
    ] = Selection.NEWEST.value,
    model_type: Annotated[
        str | None,
        typer.Option(
            help=f"One of {', '.join(BUILT_IN)}, or what an installed package adds. Default: that of the "
            "newest version.",
            show_default=False,
        ),
    ] = None,
    target: Target = None,
    time: TimeColumn = None,
    group: GroupColumn = None,
    rename: Rename = None,
    preset: Preset = None,
    validation_split: ValidationSplit = 0.2,
    horizon: Horizon = None,
    set_: Hyperparameters = None,
    activate: Annotated[
        str,
        typer.Option(
            help="When a new version becomes active: if_better, always, never, or unless_worse than its "
            "baseline, as `train` does."
        ),
    ] = "if_better",
    as_json: AsJson = False,
) -> None:
    """Have a model trained again: every so often, or once enough new rows have come to its source.

    Whoever runs workers asks for the trainings: `ai-engine serve` or `ai-engine worker`.
    """
    from ai_engine.jobs.schedules import new_schedule
    from ai_engine.jobs.shapes import schedule_shape
    from ai_engine.wiring import open_registry

    if activate not in _ACTIVATE:
        raise typer.BadParameter(f"--activate is one of {', '.join(_ACTIVATE)}, not {activate!r}")
    meant = _MEANT.get(activate, activate)
    asked = fields(model_type, target, time, group, rename, preset, validation_split, horizon, set_, meant)
    given = {**asked, "source": os.path.abspath(source), "every": every, "rows": rows, "files": files}
    with open_registry(settings) as registry:
        schedule = registry.schedules.put(new_schedule(registry, name, given))
    _tell(schedule_shape(schedule), as_json)


@app.command()
@with_settings(*STORAGE)
def remove(settings: Settings, name: Name, as_json: AsJson = False) -> None:
    """Forget a schedule. The model stays, and a training that was asked for goes on."""
    from ai_engine.wiring import open_registry

    with open_registry(settings, must_exist=True) as registry:
        registry.schedules.remove(name)
    if as_json:
        print_json({"model_name": name, "removed": True})
    else:
        print(f"{name} is not trained again by itself any more")


@app.command()
@with_settings(*STORAGE, *QUEUE)
def run(settings: Settings, name: Name, as_json: AsJson = False) -> None:
    """Ask for a training now, as the schedule says, whatever has come to its source."""
    from ai_engine.jobs.schedules import run_now
    from ai_engine.wiring import open_registry

    with open_registry(settings, must_exist=True) as registry:
        job = run_now(registry, settings, name)
    if as_json:
        print_json({"job_id": job.job_id, "status": job.status.value})
    else:
        print(f"job {job.job_id} waits for a worker; follow it with `ai-engine jobs follow {job.job_id}`")


def _when(one: ScheduleAnswer) -> str:
    """Return when a model is trained again, as a few words."""
    every = None if one["every_seconds"] is None else f"every {told_interval(one['every_seconds'])}"
    rows = None if one["rows"] is None else f"{one['rows']} new rows"
    return " or ".join(part for part in (every, rows) if part)


def _tell(one: ScheduleAnswer, as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    last = one["last"]
    activate = one["training"].get("activate")
    print_facts(
        {
            "model": one["model_name"],
            "type": one["model_type"],
            "source": one["source"],
            "files": one["files"],
            "when": _when(one),
            "next": one["next_at"] or "when the rows have come",
            "activate": next((told for told, meant in _MEANT.items() if meant is activate), activate),
            "last": last and last["outcome"],
            "at": last and last["at"],
            "version": last and last["version"],
            "active": last and last["active"],
            "because": last and last["reason"],
            "job": last and last["job_id"],
            "warning": one["warning"],
        }
    )
