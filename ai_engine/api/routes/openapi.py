"""OpenAPI descriptions of bodies and answers that FastAPI does not derive by itself."""

from __future__ import annotations

from typing import Any, Final

from ai_engine.api import schemas

_ABOUT: Final = {
    403: "The Host or the Origin is not allowed.",
    404: "The model or the version does not exist.",
    409: "The version exists, is active, or has no predecessor to roll back to.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
    422: "The input is invalid; `errors` names the fields.",
    500: "The training or the server failed.",
    503: "The storage or the model is not available now.",
}


def answers(reply: type[schemas.Reply] | None, *statuses: int, status: int = 200) -> dict[int | str, Any]:
    """Return the `responses` of a route, as FastAPI takes them: the success and the problems."""
    good = {"description": (reply.__doc__ or "").strip()} if reply else {"description": "Done."}
    found: dict[int | str, Any] = {status: good | ({"model": reply} if reply else {})}
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for problem in (*statuses, 422, 503):
        found[problem] = {"description": _ABOUT[problem], "content": content}
    return found


def takes(body: type[schemas.Request]) -> dict[str, Any]:
    """Return the OpenAPI description of a JSON body."""
    schema = {"$ref": f"#/components/schemas/{body.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
