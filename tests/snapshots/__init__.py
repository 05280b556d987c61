"""What the API looked like when somebody last said so; ``python -m tests.snapshots`` writes it anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ai_engine.app import from_settings

OPENAPI = Path(__file__).with_name("openapi.json")


def openapi() -> dict[str, Any]:
    """Return the OpenAPI document of the code as it is."""
    return from_settings().openapi()


def as_text(document: dict[str, Any]) -> str:
    """Return a document with its keys in order, as it is compared."""
    return (
        json.dumps(document | {"info": document["info"] | {"version": "…"}}, indent=1, sort_keys=True) + "\n"
    )
