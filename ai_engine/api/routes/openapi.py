"""OpenAPI descriptions of bodies and answers that FastAPI does not derive by itself."""

from __future__ import annotations

from typing import Any, Final

from ai_engine.api import schemas

_ABOUT: Final = {
    403: "The Host or the Origin is not allowed.",
    404: "The model or the version does not exist.",
    409: "The version exists, is active, or has no predecessor to roll back to.",
    413: "The body is too large.",
    415: "The body is declared as a type that is not taken.",
    422: "The input is invalid; `errors` names the fields.",
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
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for problem in (*statuses, 422, 503):
        found[problem] = {"description": _ABOUT[problem], "content": content}
    return found


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
