"""The dashboard page: models, their active versions and key metrics, without scripts."""

from __future__ import annotations

import os
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, Final

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from ai_engine.dashboard.schedules import planned
from ai_engine.dashboard.summary import overview
from ai_engine.domain.rights import Rights
from ai_engine.registry.registry import Registry
from ai_engine.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

_STATIC: Final = {"style.css": "text/css", "favicon.svg": "image/svg+xml"}


@cache
def _pages() -> Environment:
    """Return the templates. They are loaded at first use, as the library takes long to import."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("ai_engine.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """The sources of the page.

    Attributes
    ----------
    model_dir : str
        Where the registry keeps its models.
    health : callable
        Returns what `Registry.health` says (JSON values).
    rights : Rights
        What whoever looks may do.
    signed_in : str or None
        Who looks, in a session.
    token : str
        What the page's forms carry.
    """

    registry: Registry
    model_dir: str
    health: Callable[[], Awaitable[dict[str, Any]]]
    rights: Rights
    signed_in: str | None
    token: str


def router(shown: Callable[[Request], Shown]) -> APIRouter:
    """Return the routes of the dashboard over what `shown` finds for a request."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/", name="dashboard")
    async def dashboard(
        request: Request, after: Annotated[str | None, Query(max_length=1000)] = None
    ) -> HTMLResponse:
        page = shown(request)
        health = await page.health()
        seen = await to_thread.run_sync(overview, page.registry, page.rights, after)
        return HTMLResponse(
            _pages()
            .get_template("models.html")
            .render(
                seen=seen,
                planned=planned(health, page.rights),
                health=health,
                signed_in=page.signed_in,
                token=page.token,
                version=__version__,
                address=f"{request.url.scheme}://{request.url.netloc}",
                root=str(request.scope.get("root_path", "")).rstrip("/"),
                model_dir=shlex.quote(os.path.abspath(page.model_dir)),
            )
        )

    @routes.get("/static/{file}", name="static")
    async def static(file: str) -> Response:
        if file not in _STATIC:
            raise HTTPException(404)
        return _static(file)

    @routes.get("/favicon.ico", name="favicon")
    async def favicon() -> Response:
        return _static("favicon.svg")

    return routes


def _static(file: str) -> Response:
    data = (files("ai_engine.dashboard") / "static" / file).read_bytes()
    return Response(data, media_type=_STATIC[file], headers={"Cache-Control": "no-cache"})
