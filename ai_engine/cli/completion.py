"""Shell completion of model names and versions: quick, and silent about errors."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

import typer

from ai_engine.settings import from_environment

# More are not read, and a shell asks before it shows as many.
_MOST: Final = 200


def model_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the models whose names begin with what is typed."""
    from ai_engine.catalogue.sqlite.glance import names

    return _offered(ctx, lambda path: names(path, incomplete, _MOST))


def model_versions(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the versions that begin with what is typed, of the model before them; newest first."""
    from ai_engine.catalogue.sqlite.glance import versions

    name = ctx.params.get("name")
    typed = ctx.params.get("versions") or ()  # of a command that takes several
    if not name:
        return []
    return [
        one for one in _offered(ctx, lambda path: versions(path, name, incomplete, _MOST)) if one not in typed
    ]


def _offered(ctx: typer.Context, look: Callable[[str], list[str]]) -> list[str]:
    from ai_engine.wiring import database_path

    try:
        typed = ctx.params
        settings = from_environment(model_dir=typed.get("model_dir"), database_url=typed.get("database_url"))
        found = look(database_path(settings))
    except Exception:  # noqa: BLE001  # between two keys there is nobody to tell, and nowhere to
        return []
    # bash splits what it inserts at spaces; the other shells quote it.
    escape = "COMP_WORDS" in os.environ
    return [one.replace(" ", "\\ ") if escape else one for one in found if _is_harmless(one)]


def _is_harmless(word: str) -> bool:
    """Tell whether a shell takes a word as it is; the original software's names may be anything."""
    return word.isascii() and all(sign.isalnum() or sign in " ._-+" for sign in word)
