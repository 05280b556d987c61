"""Who may come in: the checks that every request passes before anything of it is read.

A page in somebody's browser can send requests to a server on the same machine. Its name for us gives it away
(DNS rebinding), or its ``Origin`` does.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ai_engine.api.json_response import Answer
from ai_engine.api.problems import UNEXPECTED, RefusedError, not_started, of_refusal, problem, stopping
from ai_engine.api.service import Service
from ai_engine.domain.errors import AIEngineError
from ai_engine.settings import Settings, host_names, is_loopback

log = logging.getLogger(__name__)
access = logging.getLogger("ai_engine.access")

_OURS: Final = frozenset(("localhost", "127.0.0.1", "[::1]"))
_EVERYWHERE: Final = frozenset(("0.0.0.0", "::", ""))
_READING: Final = frozenset(("GET", "HEAD", "OPTIONS"))
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@\s]+)(?::([0-9]{1,5}))?", re.ASCII)
# Room for a name and a version of the longest kind, and for where another application mounts this one.
_LONGEST_PATH: Final = 3000
_PORTS: Final = {"http": "80", "https": "443"}

_HEADERS: Final = tuple(
    (name.encode(), value.encode())
    for name, value in {
        "content-security-policy": (
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
            "form-action 'none'; frame-ancestors 'none'"
        ),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
    }.items()
)


class Gate:
    """ASGI middleware: refuses strangers and floods, adds the security headers, and catches what nobody did.

    Parameters
    ----------
    app : ASGIApp
        What is behind it.
    service : callable
        Returns the running service, and starts it where it is not.
    hosts : collection of str
        Names for us besides the usual ones.
    """

    def __init__(
        self, app: ASGIApp, service: Callable[[], Awaitable[Service]], hosts: Collection[str]
    ) -> None:
        self._app, self._service, self._hosts = app, service, frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever it is."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def seal(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                present = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(header for header in _HEADERS if header[0] not in present),
                    *([] if b"cache-control" in present else [(b"cache-control", b"no-store")]),
                ]
                _log_access(scope, message["status"])
            await send(message)

        try:
            settings = (await self._service()).settings
            headers = _headers(scope)
            allowed = self._hosts | host_names(settings)
            _check_reached(scope, settings)
            _check_host(headers.get("host", []), scope, settings, allowed)
            _check_origin(headers, scope, allowed)
            _check_path(scope["path"])
            _check_length(headers.get("content-length", []), settings.max_body_bytes)
            await self._app(scope, _bounded(receive, settings.max_body_bytes), seal)
        except RefusedError as error:
            if started:
                raise
            await of_refusal(error)(scope, receive, seal)
        except AIEngineError as error:  # it was not running, and could not be started
            if started:
                raise
            log.error("the service cannot be started: %s", error)
            alive = scope["path"].removeprefix(scope.get("root_path", "")) == "/health/live"
            answer = Answer({"status": "alive"}) if alive else not_started(error)
            await answer(scope, receive, seal)
        except asyncio.CancelledError:  # a server that is to end has waited long enough for its answers
            service = getattr(scope["app"].state, "service", None)
            if started or service is None or not service.trainings.stopping:
                raise
            await of_refusal(stopping())(scope, receive, seal)
        except ClientDisconnect:
            log.info("%s %s: the client went away", scope["method"], ascii(scope["path"]))
        except Exception:
            log.exception("%s %s failed", scope["method"], ascii(scope["path"]))
            if started:
                raise
            await problem(500, "unexpected", UNEXPECTED)(scope, receive, seal)


def _check_reached(scope: Scope, settings: Settings) -> None:
    """Refuse what other machines may have sent, unless somebody said that they may."""
    # Whoever starts the application tells it no address, but every connection has one that it came in on.
    address = _address(scope.get("server"))
    if address is None or settings.no_auth or is_loopback(address):
        return
    raise RefusedError(
        403,
        "not-opened",
        f"the server was reached at {address}, as other machines may reach it, and there are no keys yet to "
        "tell who may do what. Use http://127.0.0.1 on its own machine, or start it with AI_ENGINE_NO_AUTH=1 "
        "(--no-auth) if everybody who reaches it may do anything",
    )


def _check_host(given: list[str], scope: Scope, settings: Settings, allowed: Collection[str]) -> None:
    name = _name(given[0]) if len(given) == 1 else None
    listened_on = settings.host.lower()
    if name is not None and (
        name in _OURS
        or name in allowed
        or name in (listened_on, f"[{listened_on}]")
        # A page can point a name of its own at us, but not an address.
        or ((listened_on in _EVERYWHERE or settings.no_auth) and _is_address(name.strip("[]")))
        or name == _in_process(scope)
    ):
        return
    raise RefusedError(
        403,
        "foreign-host",
        f"the Host {', '.join(given)[:80]!r} is not a name of this server; use the address that it printed "
        "when it started, or name it in AI_ENGINE_ALLOWED_HOSTS (--allowed-hosts); several by commas",
    )


def _address(end: Sequence[Any] | None) -> str | None:  # (host or path, port or None), as ASGI has it
    """Return the IP address of one end of a connection, where it has one."""
    host = str(end[0]).partition("%")[0] if end else ""
    return host if _is_address(host) else None


def _in_process(scope: Scope) -> str | None:
    """Return the name under which a program asks an application that it holds itself, as test clients do."""
    server, client = scope.get("server"), scope.get("client")
    if not (server and client) or _address(server) or _address(client):
        return None
    return str(server[0]).lower()


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _name(host: str) -> str | None:
    """Return a Host header's name without its port; None where it is no host.

    >>> _name("Localhost:8000"), _name("[::1]:80"), _name("a@b")
    ('localhost', '[::1]', None)
    """
    match = _HOST.fullmatch(host)
    return match.group(1).lower() if match else None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _check_origin(headers: dict[str, list[str]], scope: Scope, allowed: Collection[str]) -> None:
    origins = headers.get("origin", [])
    if scope["method"] in _READING or not origins:
        return
    # In front of an allowed name there may be one who speaks TLS for us and does not say so.
    if len(origins) == 1 and (
        _site(origins[0], scope["scheme"], headers["host"][0]) or _site_name(origins[0]) in allowed
    ):
        return
    raise RefusedError(
        403,
        "foreign-origin",
        f"a page of {origins[0][:80]!r} may not change anything here; send the request from a program, "
        "without an Origin header, or give the page's host to AI_ENGINE_ALLOWED_HOSTS if it is this server's",
    )


def _site(origin: str, scheme: str, host: str) -> bool:
    """Tell whether a page of `origin` was served by `scheme` under the name `host`.

    >>> _site("http://localhost:8000", "http", "localhost:8000"), _site("null", "http", "localhost:8000")
    (True, False)
    """
    found, port = _split(origin), _PORTS.get(scheme)
    if found is None or port is None or found.scheme != scheme:
        return False
    return _with_port(found.netloc, port) == _with_port(host, port)


def _site_name(origin: str) -> str | None:
    found = _split(origin)
    return _name(found.netloc) if found is not None and found.scheme in _PORTS else None


def _split(origin: str) -> SplitResult | None:
    try:
        return urlsplit(origin)
    except ValueError:
        return None


def _with_port(host: str, port: str) -> str | None:
    match = _HOST.fullmatch(host)
    return f"{match.group(1).lower()}:{match.group(2) or port}" if match else None


def _check_path(path: str) -> None:
    # Names may hold slashes, so the routes try every way to cut a path in two: 60,000 characters of
    # "/versions/" took 1.3 seconds of the one thread that answers everybody.
    if len(path) > _LONGEST_PATH:
        raise RefusedError(
            422,
            "path-too-long",
            f"the path has {len(path)} characters, and {_LONGEST_PATH} are the most; shorten the name in it",
        )


def _too_large(most: int) -> RefusedError:
    return RefusedError(
        413,
        "body-too-large",
        f"the body is larger than {most} bytes; send fewer rows, or raise AI_ENGINE_MAX_BODY_BYTES",
    )


def _check_length(given: list[str], most: int) -> None:
    for length in given:
        if not (length.isascii() and length.isdigit()):
            raise RefusedError(400, "bad-content-length", f"Content-Length {length[:40]!r} is not a number")
        if len(length) > 18 or int(length) > most:
            raise _too_large(most)


def _bounded(receive: Receive, most: int) -> Receive:
    """Count the body while it comes in: what is sent in chunks declares no length."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise _too_large(most)
        return message

    return counted


def _log_access(scope: Scope, status: int) -> None:
    if access.isEnabledFor(logging.INFO):
        client = (scope.get("client") or ("-",))[0]
        access.info("%s %s %s %d", client, scope["method"], ascii(scope["path"])[1:-1], status)
