"""The command `serve`: the engine over HTTP."""

from __future__ import annotations

import socket
import sys
from typing import Final

import typer

from ai_engine.access.networks import parse_networks
from ai_engine.cli.options import QUEUE, SERVING, STORAGE, TRAINING, WORKING, AsJson, with_settings
from ai_engine.domain.errors import InvalidInputError
from ai_engine.registry.json_views import to_json
from ai_engine.settings import Settings, check_reach, host_names, variable

# By name: the application stands above the commands.
_APPLICATION: Final = "ai_engine.app:build"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


@with_settings(*SERVING, *STORAGE, *TRAINING, *WORKING, *QUEUE, log_level="info")
def serve(
    settings: Settings,
    as_json: AsJson = False,
) -> None:
    """Serve the REST API and the dashboard until SIGINT or SIGTERM; port 0 takes a free one."""
    host_names(settings)  # a name that is none is told before anything is opened
    from uvicorn.importer import import_from_string

    from ai_engine.cli.server import Server
    from ai_engine.wiring import keys_exist, open_registry, upkeep

    check_reach(settings, lambda: keys_exist(settings))
    certificate = _certificate(settings)
    parse_networks(variable("open_to"), settings.open_to)
    listening = _listen(settings)

    def ready() -> None:
        url = _url(settings, listening)
        if as_json:
            print(to_json({"url": url}))
        else:
            print(f"NovaCron AI Engine: {url}  (dashboard {url}/, API {url}/docs, Ctrl-C ends it)")
        sys.stdout.flush()

    with listening, open_registry(settings) as registry, upkeep(registry, settings):
        app = import_from_string(_APPLICATION)(registry, settings)
        Server(app, settings.request_timeout, ready, certificate, settings.trusted_proxies).run(
            sockets=[listening]
        )


def _certificate(settings: Settings) -> tuple[str, str] | None:
    """Return the files of the certificate and of its key; None for HTTP. Raises InvalidInputError."""
    if not settings.tls_cert and not settings.tls_key:
        return None
    if not settings.tls_cert or not settings.tls_key:
        raise InvalidInputError("--tls-cert and --tls-key", "belong together; give both files, or none")
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key)
    except OSError as error:  # an ssl.SSLError is one
        raise InvalidInputError(
            "--tls-cert and --tls-key",
            f"{settings.tls_cert} and {settings.tls_key} cannot be used: {error.strerror or error}",
        ) from None
    return settings.tls_cert, settings.tls_key


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
        # Inherited by every connection: without it an answer waits up to 40 ms for the last one's receipt.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidInputError(
            "--host and --port",
            f"{settings.host}:{settings.port} cannot be listened on: {reason}. `--port 0` takes a free one",
        ) from None


def _url(settings: Settings, listening: socket.socket) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{'https' if settings.tls_cert else 'http'}://{host}:{listening.getsockname()[1]}"
