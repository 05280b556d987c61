"""JSON responses; NaN and the infinities become null."""

from __future__ import annotations

from typing import Any

from pydantic_core import PydanticSerializationError
from pydantic_core import to_json as fast_json
from starlette.responses import JSONResponse

from ai_engine.registry.json_views import to_json


class Answer(JSONResponse):
    """A response with a JSON body."""

    def render(self, content: Any) -> bytes:
        """Return `content` (JSON values) as bytes."""
        try:
            return fast_json(content, inf_nan_mode="null")  # a third of the standard library's time
        except PydanticSerializationError:  # bytes or broken text that others wrote
            return to_json(content).encode()
