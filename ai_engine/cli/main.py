"""`ai-engine`: the commands together, and the one table from an error to an exit code.

Nothing here imports a web framework or a numeric library; a command does so when it needs one.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated, Final

import typer

from ai_engine.domain import errors
from ai_engine.domain.errors import AIEngineError
from ai_engine.version import __version__

# The first line whose class fits counts, so a class stands above its base. Everything else of ours is 1.
EXIT_CODES: Final[tuple[tuple[type[AIEngineError], int], ...]] = (
    (errors.ModelNotFoundError, 3),
    (errors.RegistryNotFoundError, 3),
    (errors.ConflictError, 4),
    (errors.StorageError, 5),
    (errors.ArtifactCorruptedError, 5),
    (errors.CatalogueMismatchError, 5),
    (errors.NewerCatalogueError, 5),
    (errors.UnsafeDirectoryError, 5),
)
ABOUT: Final = """Train, keep and serve models that never forget what they learned.

Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 3 no such model, version or registry; 4 conflict: it
exists, is active, or nothing was active before; 5 the storage cannot be used, or is degraded;
130 interrupted.

Settings come from AI_ENGINE_* variables too; an option counts before its variable.
"""


def commands(serving: bool = False) -> typer.Typer:
    """Return the commands; for a server that starts only its own, as the others take their time to load."""
    from ai_engine.cli import serve

    app = typer.Typer(
        help=ABOUT,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        no_args_is_help=True,
        invoke_without_command=True,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback()(_root)
    serve.register(app)
    if not serving:
        from ai_engine.cli import maintain, models, train

        for others in (train, models, maintain):
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
    """Run a command; return its exit code. What went wrong is one sentence on standard error."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        commands(serving=given[:1] == ["serve"])(arguments)
    except SystemExit as ended:  # typer ends every command so, and has told of wrong usage
        return ended.code if isinstance(ended.code, int) else 0
    except AIEngineError as error:
        print(f"ai-engine: {error}", file=sys.stderr)
        return exit_code(error)
    return 0


def exit_code(error: AIEngineError) -> int:
    """Return the exit code that tells an error to scripts.

    >>> exit_code(errors.ModelNotFoundError("cpu"))
    3
    """
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)
