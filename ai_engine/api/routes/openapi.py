"""OpenAPI descriptions of bodies and answers that FastAPI does not derive by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fastapi.routing import APIRoute

from ai_engine.api import schemas
from ai_engine.api.rights import Right

_ABOUT: Final = {
    401: "A key is needed: `Authorization: Bearer KEY`.",
    403: "The key lacks the right, or the Host or the Origin is not allowed.",
    404: "The model or the version does not exist.",
    409: "The version exists, is active, or has no predecessor to roll back to.",
    413: "The body is too large.",
    415: "The body is declared as a type that is not taken.",
    422: "The input is invalid; `errors` names the fields.",
    429: "More requests came in a minute than are allowed; `Retry-After` says when the next one may.",
    500: "The training or the server failed.",
    503: "The storage or the model is not available now.",
}
_SPELLED: Final = {
    "target_columns": "Names, separated by commas.",
    "hyperparameters": "A JSON object.",
    "rename": "A JSON object.",
    "activate": "`true`, `false`, `if_better` or `always`.",
}


def answers(reply: type[schemas.Reply] | None, *statuses: int, status: int = 200) -> dict[int | str, Any]:
    """Return the `responses` of a route, as FastAPI takes them: the success and the problems."""
    good = {"description": (reply.__doc__ or "").strip()} if reply else {"description": "Done."}
    found: dict[int | str, Any] = {status: good | ({"model": reply} if reply else {})}
    return found | {problem: _problem(problem) for problem in (*statuses, 422, 503)}


def _problem(status: int) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": _ABOUT[status], "content": content}


def tell_rights(document: dict[str, Any], endpoints: Iterable[APIRoute], rights: Mapping[str, Right]) -> None:
    """Add to an OpenAPI document (JSON values) which scope each operation needs."""
    names = {(one.path_format, way.lower()): one.name for one in endpoints for way in one.methods or ()}
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            right = rights[names[path, method]]
            if not right.scopes:
                continue
            operation["security"] = [{"key": []}]
            scopes = " or ".join(f"`{scope}`" for scope in right.scopes)
            operation["description"] += f"\n\nNeeds the scope {scopes}."
            for status in (401, 403, 429):
                operation["responses"].setdefault(str(status), _problem(status))


def takes_table(body: type[schemas.Request], *formats: str) -> dict[str, Any]:
    """Return the OpenAPI description of a JSON body, or of a table with the rest of it in the query."""
    schema = body.model_json_schema()
    asked = [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": f"Beside a table: the field of the JSON body. {_SPELLED.get(name, '')}".strip(),
            "schema": {"type": "string"},
        }
        for name in schema["properties"]
        if name != "training_data"
    ]
    described = takes(body)
    described["requestBody"]["content"] |= {
        kind: {"schema": {"type": "string", "format": "binary"}} for kind in formats
    }
    return described | {"parameters": asked}


def takes(body: type[schemas.Request]) -> dict[str, Any]:
    """Return the OpenAPI description of a JSON body."""
    schema = {"$ref": f"#/components/schemas/{body.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
