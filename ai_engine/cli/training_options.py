"""Options that say what to train, of every command that has something trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from ai_engine.domain.errors import InvalidInputError
from ai_engine.telemetry.presets import PRESETS

Target = Annotated[
    list[str] | None, typer.Option(help="Column to predict; may be given again.", show_default=False)
]
TimeColumn = Annotated[
    str | None, typer.Option("--time-column", help="The column that says when.", show_default=False)
]
GroupColumn = Annotated[
    str | None,
    typer.Option("--group-column", help="The column that says of which machine.", show_default=False),
]
Rename = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN=NAME", help="Another name for a column; may be given again."),
]
Preset = Annotated[
    str | None,
    typer.Option(help=f"Whose names of columns are known: {', '.join(PRESETS)}.", show_default=False),
]
ValidationSplit = Annotated[float, typer.Option(help="Share of the rows to measure on.")]
Horizon = Annotated[int | None, typer.Option(help="Steps that a forecast reaches.", show_default=False)]
Hyperparameters = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A hyperparameter; may be given again."),
]


def fields(
    model_type: str | None,
    target: Sequence[str] | None,
    time: str | None,
    group: str | None,
    rename: Sequence[str] | None,
    preset: str | None,
    validation_split: float,
    horizon: int | None,
    set_: Sequence[str] | None,
    activate: bool | str,
) -> dict[str, Any]:
    """Return what these options ask for, as the fields of a training (JSON values).

    Raises
    ------
    InvalidInputError
        If ``--rename`` or ``--set`` has no equals sign.
    """
    hyperparameters = _assignments(set_ or [])
    if horizon is not None:
        hyperparameters["horizon"] = horizon
    return {
        "model_type": model_type,
        "target_columns": target or None,
        "time_column": time,
        "group_column": group,
        "rename": dict(_pair(text, "--rename", "COLUMN=NAME") for text in rename or []),
        "preset": preset,
        "validation_split": validation_split,
        "hyperparameters": hyperparameters,
        "activate": activate,
    }


def _assignments(given: Sequence[str]) -> dict[str, Any]:
    """Return ``NAME=VALUE`` texts as JSON values; a value that is not JSON is text."""
    found: dict[str, Any] = {}
    for text in given:
        name, value = _pair(text, "--set", "NAME=VALUE")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _pair(text: str, option: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise InvalidInputError(option, f"{text!r} is not of the form {form}")
    return name, value
