"""What an operator can set. The environment is read once, by entry points; nothing else reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ai_engine.domain.errors import InvalidInputError

DEFAULT_MODEL_DIR = "/tmp/novacron_models"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a process; ABOUT says what each one does, `variable` what it is called outside."""

    model_dir: str = DEFAULT_MODEL_DIR
    database_url: str | None = None
    artifact_url: str | None = None
    cluster_url: str | None = None
    journal_dir: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    max_body_bytes: int = 64 * 1024 * 1024
    request_timeout: float = 30.0
    training_timeout: float = 3600.0
    verify_rate: float = 8e6
    cleanup_keep: int | None = None
    cleanup_every: float = 86400.0


ABOUT = {
    "model_dir": "Directory of the models.",
    "database_url": "The catalogue, as `sqlite:///path`. Default: model_registry.db in the model directory.",
    "artifact_url": "Directory of the artifacts. Default: the model directory.",
    "cluster_url": "A training cluster. Default: train on this machine.",
    "journal_dir": "Where changes wait while the database is down. Default: in the model directory.",
    "host": "Address that `serve` listens on.",
    "port": "Port that `serve` listens on.",
    "max_body_bytes": "Largest request body, in bytes.",
    "request_timeout": "Seconds for a client to send a head or 64 KiB of a body, or to take 64 KiB; 0: any.",
    "training_timeout": "Seconds after which a training is ended.",
    "verify_rate": "Bytes a second at which `serve` re-reads artifacts to find rot; 0: never.",
    "cleanup_keep": "Versions of each model that `serve` keeps when it cleans up. Default: no clean-up.",
    "cleanup_every": "Seconds between two clean-ups of `serve`.",
}


def variable(name: str) -> str:
    """Return the environment variable of a setting.

    >>> variable("model_dir")
    'AI_ENGINE_MODEL_DIR'
    """
    return f"AI_ENGINE_{name.upper()}"


def from_environment(environment: Mapping[str, str] = os.environ, **given: Any) -> Settings:
    """Return the settings of the environment; those in `given` that are not None count before it.

    Raises
    ------
    InvalidInputError
        If a variable is not of its setting's type; it is named.
    """
    values: dict[str, Any] = {}
    for setting in fields(Settings):
        text = environment.get(variable(setting.name))
        if given.get(setting.name) is not None:
            values[setting.name] = given[setting.name]
        elif text:
            values[setting.name] = _parsed(variable(setting.name), text, kind(setting.name))
    return Settings(**values)


def kind(name: str) -> type:
    """Return the type of a setting's value.

    >>> kind("port"), kind("cleanup_keep"), kind("model_dir")
    (<class 'int'>, <class 'int'>, <class 'str'>)
    """
    if name == "cleanup_keep":
        return int
    default = getattr(Settings(), name)
    return type(default) if isinstance(default, (int, float)) else str


def _parsed(name: str, text: str, wanted: type) -> Any:
    if wanted is str:
        return text
    try:
        return wanted(text)
    except ValueError:
        raise InvalidInputError(name, f"{text!r} is not a number") from None
