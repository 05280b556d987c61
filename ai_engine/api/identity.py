"""Tell who sends a request: by a key, by a session, or by an address that needs neither."""

from __future__ import annotations

from hmac import compare_digest
from typing import Final
from urllib.parse import quote

from anyio import to_thread
from starlette.responses import RedirectResponse
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from ai_engine.access.keyring import WrongKeyError
from ai_engine.access.principals import EVERYTHING, NOBODY, Principal
from ai_engine.api.headers import values_of
from ai_engine.api.methods import READING
from ai_engine.api.paths import path_of, root_of
from ai_engine.api.problems import RefusedError
from ai_engine.api.rights import PRINCIPAL, right_of
from ai_engine.api.service import Service
from ai_engine.api.sessions import TOKEN_HEADER, cookie_in
from ai_engine.domain.keys import ApiKey

# Where a request carries its session.
SESSION: Final = "ai_engine.session"
# What checks the token of its form by itself, as it is in the body.
_FORMS: Final = frozenset(("/sign-in", "/sign-out"))
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="NovaCron AI Engine"'}


class Identified:
    """ASGI middleware that tells who sends a request, and refuses whom nobody knows.

    What they may do is asked where the endpoint is known: `rights.authorize`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. Raises RefusedError."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        service: Service = scope["app"].state.service
        address = address_of(scope) or "unknown"
        if not service.is_guarded(scope):
            scope[PRINCIPAL] = Principal(f"{address} over HTTP", EVERYTHING)
            service.rates.check(address)
            await self._app(scope, receive, send)
            return
        try:
            scope[PRINCIPAL], key = await _identified(scope, service)
        except RefusedError as error:
            if _is_open(scope):
                scope[PRINCIPAL], key = NOBODY, None
            elif error.status == 401 and _is_page(scope):
                await _to_sign_in(scope)(scope, receive, send)
                return
            else:
                raise
        service.rates.check(address if key is None else key.key_id)
        await self._app(scope, receive, send)
        if key is not None and service.keyring.used(key):
            await to_thread.run_sync(service.keyring.note_use, key)


async def _identified(scope: Scope, service: Service) -> tuple[Principal, ApiKey | None]:
    """Return who sends a request, and their key. Raises RefusedError."""
    given = values_of(scope, b"authorization")
    if given:
        scheme, _, text = given[0].partition(" ")
        if len(given) > 1 or scheme.lower() != "bearer":
            raise RefusedError(
                401,
                "no-key",
                "send one header Authorization: Bearer KEY, with a key of this server",
                _CHALLENGE,
            )
        key = await _key(service, text.strip())
        return _holder(key, address_of(scope)), key
    session = service.sessions.read(cookie_in(values_of(scope, b"cookie")) or "")
    if session is not None:
        found = await to_thread.run_sync(service.keyring.get, session.key_id)
        if found is not None and session.is_of(found) and service.keyring.is_valid(found):
            scope[SESSION] = session
            _check_token(scope, session.token)
            return _holder(found, address_of(scope)), found
    address = address_of(scope)
    rights = service.networks.rights(address)
    if rights is not None:
        return Principal(f"{address} over HTTP", rights), None
    raise RefusedError(
        401,
        "no-key",
        "this server answers with a key only: send Authorization: Bearer KEY. Whoever runs it makes one with "
        "`ai-engine keys create NAME --scope read`",
        _CHALLENGE,
    )


async def _key(service: Service, text: str) -> ApiKey:
    try:
        key = service.keyring.known(text)
        return key if key is not None else await to_thread.run_sync(service.keyring.find, text)
    except WrongKeyError as error:
        raise RefusedError(401, "wrong-key", f"the key opens nothing: {error}", _CHALLENGE) from None


def _holder(key: ApiKey, address: str | None) -> Principal:
    return Principal(
        f"{key.name} ({key.key_id}) from {address or 'unknown'} over HTTP", key.rights, key.key_id
    )


def _check_token(scope: Scope, token: str) -> None:
    """Refuse a change that the session's own page did not send. Raises RefusedError."""
    if scope["method"] in READING or path_of(scope) in _FORMS:
        return
    given = values_of(scope, TOKEN_HEADER.lower().encode())
    if len(given) != 1 or not compare_digest(given[0].encode(), token.encode()):
        raise RefusedError(
            403,
            "foreign-form",
            f"a change in a session needs the header {TOKEN_HEADER}, as the page that was signed in has it; "
            "load the page again",
        )


def address_of(scope: Scope) -> str | None:
    """Return the address that a request comes from; None where it comes from this process."""
    client = scope.get("client")
    return str(client[0]) if client else None


def _is_open(scope: Scope) -> bool:
    """Tell whether a request is for an endpoint that needs no right."""
    for route in scope["app"].state.endpoints:
        if route.matches(scope)[0] is Match.FULL:
            right = right_of(route.name, scope["app"].state)
            return right is not None and not right.scopes
    return False


def _is_page(scope: Scope) -> bool:
    """Tell whether somebody looks at a page."""
    return scope["method"] in READING and any("text/html" in text for text in values_of(scope, b"accept"))


def _to_sign_in(scope: Scope) -> RedirectResponse:
    path = path_of(scope)
    query = scope.get("query_string", b"").decode("latin-1")
    wanted = quote(f"{path}?{query}" if query else path, safe="/")
    return RedirectResponse(f"{root_of(scope)}/sign-in?next={wanted}", 303)
