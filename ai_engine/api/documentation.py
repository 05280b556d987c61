"""Render the OpenAPI document as an HTML page without scripts or resources of other sites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def _pages() -> Environment:
    """Return the templates. They are loaded at first use, as the library takes long to import."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("ai_engine.api"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def page(document: Mapping[str, Any], address: str = "") -> str:
    """Return an OpenAPI document (JSON values) as HTML; `address` is put in front of its paths."""
    return (
        _pages()
        .get_template("documentation.html")
        .render(
            root=address,
            title=document["info"]["title"],
            version=document["info"]["version"],
            summary=document["info"].get("summary", ""),
            operations=list(_operations(document)),
            schemas=[
                (name, schema.get("description", ""), list(_fields(schema)))
                for name, schema in sorted(document["components"]["schemas"].items())
            ],
        )
    )


def _operations(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what the page shows of each endpoint (texts and rows of texts)."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            yield {
                "method": method.upper(),
                "path": path,
                "tag": operation.get("tags", ["other"])[0],
                "about": operation.get("description", ""),
                "parameters": [
                    (
                        one["name"],
                        one["in"],
                        spelled(one["schema"]),
                        one.get("description", ""),
                        _default(one["schema"]),
                    )
                    for one in operation.get("parameters", [])
                ],
                "body": next((spelled(one["schema"]) for one in content.values()), None),
                "answers": [
                    (
                        status,
                        answer["description"],
                        next(
                            (spelled(one.get("schema", {})) for one in answer.get("content", {}).values()), ""
                        ),
                    )
                    for status, answer in sorted(operation["responses"].items())
                ],
            }


def _fields(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, bool, str, str]]:
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        yield name, spelled(field), name in required, field.get("description", ""), _default(field)


def _default(schema: Mapping[str, Any]) -> str:
    default = schema.get("default")
    return "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


def spelled(schema: Mapping[str, Any]) -> str:
    """Return a JSON schema (JSON values) as a short text.

    >>> spelled({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]})
    'list of string or null'
    """
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(spelled(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(repr(one) if isinstance(one, str) else str(one) for one in schema["enum"])
    if "const" in schema:
        return repr(schema["const"])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {spelled(schema.get('items', {}))}"
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None or most is not None:
        return f"{kind}, {least if least is not None else '…'} to {most if most is not None else '…'}"
    return kind
