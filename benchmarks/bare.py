"""A bare FastAPI server with one SELECT a route: what `http` compares the engine's server with.

``python -m benchmarks.bare DATABASE PORT``
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from typing import Any

import uvicorn
from fastapi import FastAPI

_ROWS = "SELECT * FROM model_registry WHERE name = ? LIMIT ?"


def application(database: str) -> FastAPI:
    app = FastAPI()
    local = threading.local()

    def rows(name: str, limit: int) -> list[dict[str, Any]]:
        if not hasattr(local, "connection"):
            local.connection = sqlite3.connect(database)
            local.connection.row_factory = sqlite3.Row
        return [dict(row) for row in local.connection.execute(_ROWS, (name, limit))]

    # `response_model=None`: as the peers were measured, a dict goes through FastAPI's general encoder.
    @app.get("/one", response_model=None)
    def one(name: str) -> dict[str, Any]:
        return rows(name, 1)[0]

    @app.get("/many", response_model=None)
    def many(name: str) -> list[dict[str, Any]]:
        return rows(name, 100)

    # With its type told, FastAPI encodes faster.
    @app.get("/typed")
    def typed(name: str) -> list[dict[str, Any]]:
        return rows(name, 100)

    return app


if __name__ == "__main__":
    uvicorn.run(application(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_config=None)
