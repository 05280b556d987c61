"""The commands `train` and `predict`."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from typing import Annotated, Final

import typer

from ai_engine.cli.completion import model_versions
from ai_engine.cli.options import QUEUE, STORAGE, TRAINING, AsJson, Name, with_settings
from ai_engine.cli.output import NUMBERS, print_facts, print_json, print_table
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
from ai_engine.domain.errors import InvalidInputError
from ai_engine.settings import Settings
from ai_engine.telemetry.rows_file import RowsFile
from ai_engine.training.kinds import BUILT_IN
from ai_engine.training.progress import Progress
from ai_engine.training.request import TrainingRequest
from ai_engine.training.results import TrainingResult

Data = Annotated[
    str,
    typer.Option(
        help="A .csv, .json, .jsonl or .parquet file (.gz too), or - for standard input.", show_default=False
    ),
]
# Storage that took the version but may lose it is not a success that a script may rely on.
NOT_PERSISTED: Final = 5
# Kinds whose `accuracy_score` is a share of right rows; of numbers it is one within a tenth of their range.
_OF_CLASSES: Final = ("classification", "anomaly_detection")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(train)
    app.command()(predict)


@with_settings(*STORAGE, *TRAINING, *QUEUE)
def train(
    settings: Settings,
    model_type: Annotated[
        str,
        typer.Option(
            help=f"One of {', '.join(BUILT_IN)}, or what an installed package adds.", show_default=False
        ),
    ],
    data: Data,
    name: Annotated[
        str | None, typer.Option(help="Default: the name of the model type, where it has one.")
    ] = None,
    target: Target = None,
    time: TimeColumn = None,
    group: GroupColumn = None,
    rename: Rename = None,
    preset: Preset = None,
    validation_split: ValidationSplit = 0.2,
    horizon: Horizon = None,
    set_: Hyperparameters = None,
    no_activate: Annotated[
        bool, typer.Option("--no-activate", help="Do not activate the new version.")
    ] = False,
    if_better: Annotated[
        bool, typer.Option("--if-better", help="Activate only if its error is smaller than the active one's.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Leave it to a worker, and print the id of the job at once.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model on rows, measure it on held-out rows, and save it as a new version."""
    if no_activate and if_better:
        raise typer.BadParameter("give --no-activate or --if-better, not both")
    activate = "if_better" if if_better else not no_activate
    asked = fields(model_type, target, time, group, rename, preset, validation_split, horizon, set_, activate)
    request = TrainingRequest.from_mapping({**asked, "name": name})
    if detach:
        with _file_of(data) as rows:
            _leave(settings, request, rows, as_json)
        return
    from ai_engine.training.child import train_in_child

    with _file_of(data) as rows, training_progress() as progress:
        result = train_in_child(asdict(settings), request, rows, progress, settings.training_timeout)
    if as_json:
        print_json(result.to_mapping())
    else:
        print_trained(result)
    if not result.persisted:
        raise typer.Exit(NOT_PERSISTED)


def _leave(settings: Settings, request: TrainingRequest, rows: RowsFile, as_json: bool) -> None:
    """Enqueue a training."""
    from ai_engine.jobs.submission import submit_file
    from ai_engine.wiring import open_registry

    with open_registry(settings) as registry:
        job = submit_file(registry.queue, settings, request, rows)
    if as_json:
        print_json({"job_id": job.job_id, "status": job.status.value})
        return
    print(f"job {job.job_id} waits for a worker; follow it with `ai-engine jobs follow {job.job_id}`")


@contextmanager
def _file_of(data: str) -> Iterator[RowsFile]:
    """Yield a file that another process can read: a pipe, as standard input is, is written into one first."""
    if data != "-" and (os.path.isfile(data) or not os.path.exists(data)):
        yield RowsFile(os.path.abspath(data), label=data)
        return
    with tempfile.NamedTemporaryFile() as kept:
        try:
            with sys.stdin.buffer if data == "-" else open(data, "rb") as pipe:
                shutil.copyfileobj(pipe, kept)
        except OSError as error:
            raise InvalidInputError("data", f"{data} cannot be read: {error.strerror}") from None
        kept.flush()
        yield RowsFile(kept.name, label="standard input" if data == "-" else data)


@contextmanager
def training_progress() -> Iterator[Progress]:
    """Show the progress of a training on a terminal."""
    if not sys.stderr.isatty():
        yield _ignore
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TextColumn("{task.description}"))
    with Bars(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("starting", total=1.0)
        yield lambda fraction, message: bars.update(bar, completed=fraction, description=message)


def _ignore(fraction: float, message: str) -> None:  # the shape of Progress
    """Show no progress."""


def print_trained(result: TrainingResult) -> None:
    """Print what a training made."""
    metrics = result.performance_metrics
    overall = metrics.overall
    print(*result.reading.sentences(), sep="\n")
    print_facts(
        {
            "model": result.name,
            "version": f"{result.version}{' (active)' if result.active else ' (not active)'}",
            "fitted": list(result.algorithms),
            "rows to fit": metrics.training_samples,
            "rows to measure": metrics.validation_samples,
            "mean error": overall.mae,
            "baseline error": overall.baseline_mae,
            "baseline": metrics.baseline,
            "skill": overall.skill,
            "R²": overall.r2,
            ("accuracy" if result.kind in _OF_CLASSES else "within 10 % of range"): overall.accuracy_score,
            "in interval": overall.confidence_score,
            "seconds": metrics.training_time,
            "active because": result.activation_reason,
        }
    )
    report = f"ai-engine models report {shlex.quote(result.name)} --version {shlex.quote(result.version)}"
    print(f"what these numbers mean: {NUMBERS}; in detail: {report}")


@with_settings(*STORAGE)
def predict(
    settings: Settings,
    name: Name,
    data: Data,
    version: Annotated[
        str | None,
        typer.Option(help="Default: the active one.", show_default=False, autocompletion=model_versions),
    ] = None,
    horizon: Annotated[int | None, typer.Option(help="Steps ahead, for forecasts.", min=1)] = None,
    candidates: Annotated[
        str | None,
        typer.Option(
            help="A file of the hosts that a migration may go to, with a column host: they are ranked.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Predict from rows with a stored version."""
    from ai_engine.training.extras import require_training_packages

    require_training_packages()
    from ai_engine.telemetry.readers import read_columns  # needs them, and so do some of these
    from ai_engine.training.calls import reading_of
    from ai_engine.training.prediction import predict as predictions
    from ai_engine.training.ranking import rank
    from ai_engine.wiring import open_registry

    with ExitStack() as opened:
        registry = opened.enter_context(open_registry(settings, must_exist=True))
        found = registry.require(name, version)
        reading = partial(reading_of, registry, name, found.version)
        machine = reading().get("group_column")
        rows = read_columns(opened.enter_context(_file_of(data)), () if machine is None else (machine,))
        model = registry.load(name, found.version)
        if candidates is None:
            told = {"predictions": predictions(model, rows, horizon, reading)}
        else:
            hosts = read_columns(opened.enter_context(_file_of(candidates)))
            ranked = rank(model, list(rows), list(hosts), horizon, reading)
            told = {"predictions": ranked.predictions, "ranking": ranked.ranking}
    if as_json:
        print_json({"model_name": name, "version": found.version, **told})
        return
    for entries in told.values():
        columns = list(dict.fromkeys(c for row in entries for c, cell in row.items() if cell is not None))
        numbers = [c for c in columns if any(isinstance(row.get(c), (int, float)) for row in entries)]
        print_table(columns, ([_cell(row.get(column)) for column in columns] for row in entries), numbers)


def _cell(value: object) -> object:
    """Return reasons as one text: they hold commas."""
    if isinstance(value, list) and value and isinstance(value[0], str):
        return "; ".join(map(str, value))
    return value
