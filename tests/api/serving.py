"""A real server on a free port of this machine, in this process, over a registry that the test can reach."""

from __future__ import annotations

import asyncio
import math
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from ai_engine.api.service import Service
from ai_engine.app import build
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings
from ai_engine.wiring import open_registry


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    url: str
    registry: Registry
    client: httpx.Client
    app: FastAPI
    loop: asyncio.AbstractEventLoop

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def service(self) -> Service:
        service: Service = self.app.state.service
        return service

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return self.client.post(path, **({} if body is None else {"json": body}), **more)

    def raw(self, request: bytes) -> bytes:
        """Send bytes as they are and return the whole answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))


class _Server(uvicorn.Server):
    loop: asyncio.AbstractEventLoop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)


@contextmanager
def serving(model_dir: Path, **settings: Any) -> Iterator[Served]:
    given = Settings(model_dir=str(model_dir), **settings)
    with open_registry(given) as registry:
        app = build(registry, given)
        config = uvicorn.Config(app, log_config=None, access_log=False, ws="none")
        server = _Server(config)
        listening = socket.create_server(("127.0.0.1", 0))
        # Not the thread of signals, so none are caught.
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
                client.get("/health").raise_for_status()  # the socket queues it until the server is there
                yield Served(url, registry, client, app, server.loop)
        finally:
            server.should_exit = True
            if hasattr(app.state, "service"):  # a test that failed may have left a training that never ends
                app.state.service.workers.stop()
            thread.join()
            listening.close()


def telemetry(count: int = 240) -> list[dict[str, Any]]:
    """Rows of one VM whose CPU goes in waves."""
    noise = random.Random(5)
    return [
        {
            "timestamp": 1_700_000_000 + 60 * index,
            "cpu": round(50 + 30 * math.sin(index / 4) + noise.gauss(0, 2), 3),
            "mem": round(40 + noise.gauss(0, 1), 3),
        }
        for index in range(count)
    ]


def train_body(**more: Any) -> dict[str, Any]:
    """The body of a training that takes about a second."""
    return {
        "model_type": "resource_prediction",
        "training_data": telemetry(),
        "target_columns": ["cpu"],
        "hyperparameters": {"algorithm": "ridge"},
        **more,
    }
