"""The commands `schedules …`: models that are trained again by themselves."""

from __future__ import annotations

import os
from typing import Annotated, Any, Final

import typer

from ai_engine.cli.options import QUEUE, STORAGE, AsJson, Name, with_settings
from ai_engine.cli.output import print_facts, print_json, print_table
from ai_engine.cli.train import assignments, pair
from ai_engine.domain.answers import ScheduleAnswer
from ai_engine.domain.schedules import Selection, told_interval
from ai_engine.settings import Settings
from ai_engine.telemetry.presets import PRESETS
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
    target: Annotated[
        list[str] | None, typer.Option(help="Column to predict; may be given again.", show_default=False)
    ] = None,
    time: Annotated[
        str | None, typer.Option("--time-column", help="The column that says when.", show_default=False)
    ] = None,
    group: Annotated[
        str | None,
        typer.Option("--group-column", help="The column that says of which machine.", show_default=False),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=NAME", help="Another name for a column; may be given again."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help=f"Whose names of columns are known: {', '.join(PRESETS)}.", show_default=False),
    ] = None,
    validation_split: Annotated[float, typer.Option(help="Share of the rows to measure on.")] = 0.2,
    horizon: Annotated[
        int | None, typer.Option(help="Steps that a forecast reaches.", show_default=False)
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A hyperparameter; may be given again."),
    ] = None,
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
    hyperparameters = assignments(set_ or [])
    if horizon is not None:
        hyperparameters["horizon"] = horizon
    given: dict[str, Any] = {  # JSON values
        "source": os.path.abspath(source),
        "every": every,
        "rows": rows,
        "files": files,
        "model_type": model_type,
        "target_columns": target or None,
        "time_column": time,
        "group_column": group,
        "rename": dict(pair(text, "--rename", "COLUMN=NAME") for text in rename or []),
        "preset": preset,
        "validation_split": validation_split,
        "hyperparameters": hyperparameters,
        "activate": _MEANT.get(activate, activate),
    }
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
