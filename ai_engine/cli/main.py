"""The command line `ai-engine`: its commands, and the table from errors to exit codes.

Nothing here imports a web framework or a numeric library; a command does so when it needs one.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated, Any, Final

import typer

from ai_engine.cli.output import printable
from ai_engine.domain import errors
from ai_engine.domain.error_codes import code_of
from ai_engine.domain.errors import AIEngineError
from ai_engine.registry.json_views import to_json
from ai_engine.version import __version__

# The first line whose class fits counts, so a class stands above its base. Everything else of ours is 1.
EXIT_CODES: Final[tuple[tuple[type[AIEngineError], int], ...]] = (
    (errors.ModelNotFoundError, 3),
    (errors.JobNotFoundError, 3),
    (errors.KeyNotFoundError, 3),
    (errors.ScheduleNotFoundError, 3),
    (errors.RegistryNotFoundError, 3),
    (errors.ConflictError, 4),
    (errors.StorageError, 5),
    (errors.ArtifactCorruptedError, 5),
    (errors.SigningKeyError, 5),
    (errors.CatalogueMismatchError, 5),
    (errors.NewerCatalogueError, 5),
    (errors.UnsafeDirectoryError, 5),
)
WRONG_USAGE: Final = 2
# What typer raises for it has no public name; this is the class that all of it derives from.
_WRONG_USAGE: Final[type[Exception]] = typer.BadParameter.__mro__[2]
ABOUT: Final = """Train, store and serve models.

Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 3 no such model, version, job, schedule,
key or registry; 4 conflict: it exists, is active, has ended, or nothing was active before; 5 the
storage cannot be used, or is degraded; 130 interrupted. An error is one line on standard error;
with --json, a JSON object with its code.

Settings come from AI_ENGINE_* variables too; an option counts before its variable.
"""


def commands(serving: bool = False) -> typer.Typer:
    """Return the commands; only `serve` where that is to start, as the others take long to import."""
    from ai_engine.cli import serve

    app = typer.Typer(
        help=ABOUT,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        invoke_without_command=True,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback()(_root)
    serve.register(app)
    if not serving:
        from ai_engine.cli import (
            audit,
            config,
            jobs,
            keys,
            maintain,
            models,
            report,
            schedules,
            train,
            worker,
        )

        for others in (
            *(train, worker, jobs, schedules, models, report),
            *(keys, audit, maintain, config),
        ):
            others.register(app)
    return app


def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        print(f"ai-engine {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command that the arguments name, and exit as EXIT_CODES says."""
    for stream in (sys.stdout, sys.stderr):  # a terminal that cannot write a sign gets its number
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run())


def run(arguments: list[str] | None = None) -> int:
    """Run a command; return its exit code. What went wrong is one line on standard error."""
    given = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in given
    command = commands(serving=given[:1] == ["serve"])
    try:
        # In this mode typer raises what it would tell in its own words, and returns the code of an Exit.
        code = command(arguments, prog_name="ai-engine", standalone_mode=False)
    except SystemExit as ended:  # of completion, and where nobody reads the output any more
        return ended.code if isinstance(ended.code, int) else 0
    except AIEngineError as error:
        return _tell(code_of(type(error)), str(error), exit_code(error), as_json)
    except _WRONG_USAGE as error:
        return _tell_usage(error, as_json)
    except typer.Abort:
        return _tell("interrupted", "it was not confirmed, and nothing was done", 1, as_json)
    return code if isinstance(code, int) else 0


def _tell_usage(error: Any, as_json: bool) -> int:
    """Print a usage error of typer's; return its exit code."""
    message = error.format_message()
    if message.startswith("Usage:"):  # a group without a command: what there is to say is its help
        print(message, file=sys.stderr)
        return WRONG_USAGE
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "ai-engine"
    said = f"{message[:1].lower()}{message[1:]}".rstrip(".").replace("\n", "; ")
    return _tell("usage", f"{said}. See `{path} --help`.", WRONG_USAGE, as_json)


def _tell(code: str, message: str, exit_with: int, as_json: bool) -> int:
    """Write an error to standard error, as a line for people or as JSON; return the exit code."""
    if as_json:
        told = {"error": {"code": code, "message": message, "exit_code": exit_with}}
        print(to_json(told), file=sys.stderr)
    else:
        print(f"error: {printable(message)}", file=sys.stderr)
    return exit_with


def exit_code(error: AIEngineError) -> int:
    """Return the exit code of an error.

    >>> exit_code(errors.ModelNotFoundError("cpu"))
    3
    """
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)
