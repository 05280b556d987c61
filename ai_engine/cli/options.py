"""Options that many commands have, and the settings that they stand for."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import typer

from ai_engine.cli.completion import model_names, model_versions
from ai_engine.logs import configure
from ai_engine.settings import ABOUT, CHOICES, from_environment, kind, origins, variable

STORAGE: Final = ("model_dir", "database_url", "artifact_url", "journal_dir", "lock_timeout", "signing_key")
TRAINING: Final = ("training_timeout",)
QUEUE: Final = ("queue",)
WORKING: Final = ("workers", "training_memory")
SERVING: Final = (
    *("host", "port", "allowed_hosts", "no_auth", "open_to", "public_metrics", "trusted_proxies"),
    *("tls_cert", "tls_key"),
    *("max_body_bytes", "max_upload_bytes", "max_requests", "rate_limit", "request_timeout"),
    *("verify_rate", "cleanup_keep", "cleanup_every", "metrics_models", "sources", "resource_models"),
)
LOGGING: Final = ("log_level", "log_format")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
Name = Annotated[
    str, typer.Argument(help="The model's name.", show_default=False, autocompletion=model_names)
]
JobId = Annotated[str, typer.Argument(help="The job's id.", show_default=False)]
OptionalName = Annotated[
    str | None,
    typer.Option("--name", help="Only this model.", show_default=False, autocompletion=model_names),
]
Version = Annotated[
    str, typer.Argument(help="The version.", show_default=False, autocompletion=model_versions)
]
OptionalVersion = Annotated[
    str | None,
    typer.Argument(help="Default: the active one.", show_default=False, autocompletion=model_versions),
]


def with_settings(
    *chosen: str, log_level: str = "warning"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command an option for each of these settings and for its log, and all of them as `settings`.

    A command with a parameter `sources` is told where each setting comes from, too.

    `log_level` is the least level that the command logs where nobody sets another.
    """
    names = (*chosen, *LOGGING)
    kinds = {name: kind(name) for name in names}

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(**given: Any) -> Any:
            typed = {name: given.pop(name) for name in names}
            settings = from_environment(**typed)
            configure(settings.log_level or log_level, settings.log_format)
            if "sources" in own.parameters:
                given["sources"] = origins(**typed)
            return command(settings=settings, **given)

        own = inspect.signature(command, eval_str=True)
        options = [_option(name, kinds[name]) for name in names]
        kept = [
            parameter
            for parameter in own.parameters.values()
            if parameter.name not in ("settings", "sources")
        ]
        run.__signature__ = own.replace(parameters=[*kept, *options])  # type: ignore[attr-defined]  # typer asks for it
        run.__annotations__ = {}
        return run

    return decorate


def _option(name: str, kind: type) -> inspect.Parameter:
    if name in CHOICES:
        kind = Literal[CHOICES[name]]  # type: ignore[assignment]  # one of them, for typer
    numeric = kind in (int, float)
    flag, about = f"--{name.replace('_', '-')}", f"{ABOUT[name]} [{variable(name)}]"
    given = (
        typer.Option(flag, help=about, show_default=False)
        if kind is bool or name in CHOICES
        else typer.Option(
            flag,
            help=about,
            show_default=False,
            metavar="NUMBER" if numeric else "TEXT",
            min=0 if numeric else None,
        )
    )
    annotation = Annotated[kind | None, given]  # type: ignore[valid-type]  # chosen at run time
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
