"""Read JSON bodies strictly: UTF-8, finite numbers, each key once."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Final

from anyio import to_thread
from fastapi import Depends, Request

from ai_engine.api.problems import RefusedError
from ai_engine.api.service import Service
from ai_engine.domain.errors import InvalidInputError

# The largest float has 309 digits; a longer number is nothing that was measured.
_MOST_DIGITS: Final = 300
_FIELD: Final = "body"
# Read in a millisecond; 64 MiB take more than a second.
SMALL: Final = 64 * 1024


async def json_text(request: Request) -> bytes:
    """Return the body of a request as bytes that are declared to be JSON.

    Raises
    ------
    RefusedError
        415 where the content is declared to be something else.
    """
    if not is_json(request):
        given = request.headers.get("content-type", "none")
        raise RefusedError(
            415,
            "unsupported-content-type",
            f"send JSON in UTF-8 with Content-Type: application/json, not {given[:80]!r}",
        )
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RefusedError(415, "unsupported-content-encoding", "send the body without compression")
    return await request.body()


async def json_object(request: Request) -> dict[str, Any]:
    """Return the body of a request, a JSON object.

    Raises
    ------
    RefusedError
        415 where the content is declared to be something else than JSON.
    InvalidInputError
        If it is not the JSON of an object, in UTF-8, with finite numbers and each key once.
    """
    text = await json_text(request)
    if len(text) <= SMALL:
        return read_object(text)
    service: Service = request.app.state.service
    return await to_thread.run_sync(read_object, text, limiter=service.large_bodies)


Text = Annotated[bytes, Depends(json_text)]
Body = Annotated[dict[str, Any], Depends(json_object)]


def content_type(request: Request) -> tuple[str, str | None]:
    """Return the type of a body and its charset, both in lower case; None where no charset is told."""
    header = request.headers.get("content-type") or ""
    kind, *parameters = (part.strip().lower() for part in header.split(";"))
    charsets = [part.removeprefix("charset=") for part in parameters if part.startswith("charset=")]
    return kind, charsets[0].strip('"') if charsets else None


def is_json(request: Request) -> bool:
    """Tell whether a body is declared to be JSON in UTF-8."""
    kind, charset = content_type(request)
    json_kind = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    return json_kind and charset in (None, "utf-8", "utf8")


def read_object(data: bytes) -> dict[str, Any]:
    """Return the object that JSON text describes.

    >>> read_object(b'{"cpu": 1.5}')
    {'cpu': 1.5}
    """
    if not data.strip():
        raise InvalidInputError(_FIELD, "is empty; send a JSON object")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError(_FIELD, f"is not UTF-8 from byte {error.start} on; encode it so") from None
    try:
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_each_key_once,
        )
    except json.JSONDecodeError as error:
        raise InvalidInputError(
            _FIELD, f"is not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise InvalidInputError(_FIELD, "is nested too deeply; rows are flat objects") from None
    if not isinstance(value, dict):
        raise InvalidInputError(_FIELD, "is JSON, but not an object; send { … }")
    if "\\ud" in text or "\\uD" in text:
        _check_unicode(value)
    return value


def _refuse_constant(name: str) -> None:
    raise InvalidInputError(_FIELD, f"contains {name}, which is not JSON; give null for an unknown number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise InvalidInputError(_FIELD, f"contains the number {text[:40]}, which is too large")
    return number


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise InvalidInputError(_FIELD, f"contains a number of {len(text)} digits, which is too large")
    return int(text)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise InvalidInputError(
            _FIELD, f"has the key {_second(pairs)[:80]!r} twice in one object; give each once"
        )
    return found


def _second(pairs: list[tuple[str, Any]]) -> str:
    """Return the first key that occurs twice (with any values)."""
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return key
        seen.add(key)
    raise AssertionError("every key is there once")


def _check_unicode(value: dict[str, Any]) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:  # writing nests a little deeper than reading
        raise InvalidInputError(_FIELD, "is nested too deeply; rows are flat objects") from None
    except UnicodeEncodeError:
        raise InvalidInputError(_FIELD, "contains a lone surrogate, which is not valid Unicode") from None
