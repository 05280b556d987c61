"""How an endpoint that reads its body by itself stands in the OpenAPI document, and what it may answer."""

from __future__ import annotations

from typing import Any, Final

from ai_engine.api import schemas

_ABOUT: Final = {
    403: "The Host or the Origin is foreign.",
    404: "There is no such model or version.",
    409: "It exists, is active, or nothing was active before.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
    422: "The input is invalid; `errors` names the fields.",
    500: "The training or the server failed.",
    503: "It cannot be stored or loaded now.",
}


def answers(reply: type[schemas.Reply] | None, *statuses: int, status: int = 200) -> dict[int | str, Any]:
    """Return the `responses` of a route (as FastAPI takes them): the good one and the problems."""
    good = {"description": (reply.__doc__ or "").strip()} if reply else {"description": "Done."}
    found: dict[int | str, Any] = {status: good | ({"model": reply} if reply else {})}
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for problem in (*statuses, 422, 503):
        found[problem] = {"description": _ABOUT[problem], "content": content}
    return found


def takes(body: type[schemas.Request]) -> dict[str, Any]:
    """Return the OpenAPI text of a JSON body."""
    schema = {"$ref": f"#/components/schemas/{body.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
