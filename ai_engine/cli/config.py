"""`config`: the settings that a command would run with."""

from __future__ import annotations

from collections.abc import Mapping

import typer

from ai_engine.cli.options import QUEUE, SERVING, STORAGE, TRAINING, WORKING, AsJson, with_settings
from ai_engine.cli.output import print_json, print_table
from ai_engine.settings import ABOUT, Settings, variable, without_secrets

app = typer.Typer(help="Show the settings.", rich_markup_mode=None, no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app, name="config")


@app.callback()
def _group() -> None:  # with it, a group of one command stays a group
    pass


@app.command()
@with_settings(*STORAGE, *TRAINING, *WORKING, *QUEUE, *SERVING)
def show(settings: Settings, sources: Mapping[str, str], as_json: AsJson = False) -> None:
    """Show every setting, its value and where that comes from: a flag, the environment or the default.

    Passwords in URLs are hidden. Nothing is opened.
    """
    values = {name: _shown(getattr(settings, name)) for name in ABOUT}
    if as_json:
        print_json(
            {
                "settings": {
                    name: {"value": value, "source": sources[name], "variable": variable(name)}
                    for name, value in values.items()
                }
            }
        )
        return
    print_table(
        ("setting", "value", "from", "variable"),
        ((name, _whole(value), sources[name], variable(name)) for name, value in values.items()),
    )


def _whole(value: object) -> object:
    """Return a number that has no fraction without one: 8000000 and not 8e+06."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _shown(value: object) -> object:
    return without_secrets(value) if isinstance(value, str) else value
