"""What goes out: JSON in which every number is one that JSON has."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from ai_engine.registry.shapes import to_json


class Answer(JSONResponse):
    """A JSON body."""

    def render(self, content: Any) -> bytes:
        """Return `content` (JSON values) as bytes."""
        return to_json(content).encode()
