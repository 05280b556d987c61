"""Sign in to the pages with a key, and out again."""

from __future__ import annotations

from functools import cache
from hmac import compare_digest
from typing import TYPE_CHECKING, Annotated
from urllib.parse import parse_qs

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ai_engine.access.keyring import WrongKeyError
from ai_engine.api.identity import SESSION
from ai_engine.api.problems import RefusedError
from ai_engine.api.service import Running, address_of
from ai_engine.api.sessions import COOKIE, LIFETIME, TOKEN_FIELD, Session

if TYPE_CHECKING:
    from jinja2 import Environment

router = APIRouter(include_in_schema=False)

_MOST_BYTES = 10_000
Next = Annotated[str, Query(max_length=3000)]


@cache
def _pages() -> Environment:
    """Return the templates. They are loaded at first use, as the library takes long to import."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("ai_engine.api"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


@router.get("/sign-in")
async def sign_in_page(service: Running, request: Request, next: Next = "/") -> Response:  # noqa: A002  # as the address has it
    """Return the page that asks for a key."""
    if not service.is_guarded(request.scope):
        return RedirectResponse(_target(request, next), 303)
    return _page(request, next)


@router.post("/sign-in")
async def sign_in(service: Running, request: Request) -> Response:
    """Begin a session with a key."""
    form = await _form(request)
    wanted, text = form.get("next", "/"), form.get("key", "").strip()
    try:
        key = await to_thread.run_sync(service.keyring.find, text)
    except WrongKeyError as error:
        return _page(request, wanted, f"This key opens nothing: {error}.")
    await to_thread.run_sync(service.keyring.note_use, key)
    answer = RedirectResponse(_target(request, wanted), 303)
    answer.set_cookie(
        COOKIE,
        service.sessions.cookie(key),
        max_age=LIFETIME,
        path=address_of(request) or "/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return answer


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """End a session."""
    session: Session | None = request.scope.get(SESSION)
    form = await _form(request)
    if session is not None and not compare_digest(form.get(TOKEN_FIELD, "").encode(), session.token.encode()):
        raise RefusedError(403, "foreign-form", "sign out with the button of the page")
    answer = RedirectResponse(f"{address_of(request)}/sign-in", 303)
    answer.delete_cookie(COOKIE, path=address_of(request) or "/")
    return answer


def _page(request: Request, wanted: str, error: str | None = None) -> HTMLResponse:
    page = _pages().get_template("sign_in.html")
    text = page.render(root=address_of(request), next=wanted, error=error)
    return HTMLResponse(text, 401 if error else 200)


def _target(request: Request, wanted: str) -> str:
    """Return a path of this application: what was wanted, unless that leads elsewhere."""
    elsewhere = not wanted.startswith("/") or wanted[1:2] in ("/", "\\") or not wanted.isprintable()
    return address_of(request) + ("/" if elsewhere else wanted)


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a form, each once. Raises RefusedError where the body is none."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            raise RefusedError(413, "body-too-large", f"a form has at most {_MOST_BYTES} bytes")
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=10)
    except ValueError:
        raise RefusedError(422, "invalid-input", "the body is no form; use the page at /sign-in") from None
    return {name: values[0] for name, values in fields.items()}
