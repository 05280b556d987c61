"""Check the Host and the Origin of a request: is it meant for this server, and sent by no other site's page?

A page in somebody's browser can send requests to a server on the same machine. Its name for us gives it away
(DNS rebinding), or its ``Origin`` does.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from ai_engine.api.headers import values_of
from ai_engine.api.methods import READING
from ai_engine.api.problems import RefusedError
from ai_engine.api.service import Service
from ai_engine.settings import Settings, host_names, is_address, is_loopback

_OURS: Final = frozenset(("localhost", "127.0.0.1", "[::1]"))
_EVERYWHERE: Final = frozenset(("0.0.0.0", "::", ""))
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@\s]+)(?::([0-9]{1,5}))?", re.ASCII)
_PORTS: Final = {"http": "80", "https": "443"}


class KnownHosts:
    """ASGI middleware that refuses requests under a foreign name, and changes by pages of other sites.

    Parameters
    ----------
    app : ASGIApp
        What is behind it.
    hosts : collection of str
        Names of this server besides the usual ones and those of the settings.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app, self._hosts = app, frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on. Raises RefusedError where its sender is not to be trusted."""
        if scope["type"] == "http":
            service: Service = scope["app"].state.service
            allowed = self._hosts | host_names(service.settings)
            host = values_of(scope, b"host")
            guarded = service.settings.no_auth or service.is_guarded(scope)
            _check_reached(scope, guarded)
            _check_host(host, scope, service.settings, allowed, guarded)
            _check_origin(values_of(scope, b"origin"), host[0], scope, allowed)
        await self._app(scope, receive, send)


def _check_reached(scope: Scope, guarded: bool) -> None:
    """Refuse requests from the network unless it was said who may do what."""
    # Whoever starts the application tells it no address, but every connection has one that it came in on.
    address = _address(scope.get("server"))
    if address is None or guarded or is_loopback(address):
        return
    raise RefusedError(
        403,
        "not-opened",
        f"the server was reached at {address}, as other machines may reach it, and there are no keys yet to "
        "tell who may do what. Make one with `ai-engine keys create`, use http://127.0.0.1 on its own "
        "machine, or start it with AI_ENGINE_NO_AUTH=1 (--no-auth) if everybody who reaches it may do all",
    )


def _check_host(
    given: list[str], scope: Scope, settings: Settings, allowed: Collection[str], guarded: bool
) -> None:
    name = _name(given[0]) if len(given) == 1 else None
    listened_on = settings.host.lower()
    if name is not None and (
        name in _OURS
        or name in allowed
        or name in (listened_on, f"[{listened_on}]")
        # A page can point a name of its own at us, but not an address.
        or ((listened_on in _EVERYWHERE or guarded) and is_address(name.strip("[]")))
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
    return host if is_address(host) else None


def _in_process(scope: Scope) -> str | None:
    """Return the host of a request inside one process, as test clients send it."""
    server, client = scope.get("server"), scope.get("client")
    if not (server and client) or _address(server) or _address(client):
        return None
    return str(server[0]).lower()


def _name(host: str) -> str | None:
    """Return a Host header's name without its port; None where it is no host.

    >>> _name("Localhost:8000"), _name("[::1]:80"), _name("a@b")
    ('localhost', '[::1]', None)
    """
    match = _HOST.fullmatch(host)
    return match.group(1).lower() if match else None


def _check_origin(origins: list[str], host: str, scope: Scope, allowed: Collection[str]) -> None:
    if scope["method"] in READING or not origins:
        return
    # In front of an allowed name there may be one who speaks TLS for us and does not say so.
    if len(origins) == 1 and (_site(origins[0], scope["scheme"], host) or _site_name(origins[0]) in allowed):
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
