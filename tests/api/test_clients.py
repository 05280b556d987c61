"""Clients that hang up, send slowly, or send what takes long to read."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import CapacityLimiter
from starlette.types import Message

from ai_engine.api.clients import STRETCH, WhileConnected
from ai_engine.api.problems import RefusedError
from ai_engine.api.request_body import SMALL, read_object
from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.jobs import JobStatus
from ai_engine.telemetry.readers import read_columns
from ai_engine.telemetry.rows_file import RowsFile
from ai_engine.training.table import read_table
from tests.api.serving import Served, serving, train_body
from tests.api.test_strangers import JSON, problem


def sent(server: Served, path: str, body: bytes) -> socket.socket:
    """Return a connection on which a request was sent and no answer read."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def until(server: Served, happened: Callable[[], bool]) -> None:
    """Go on asking the server for its health until something has happened there."""
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        assert server.get("/health").status_code == 200


@contextmanager
def taken(server: Served, limiter: CapacityLimiter) -> Iterator[None]:
    """Have no place free in a limiter."""
    places = int(limiter.total_tokens)
    holders = [object() for _ in range(places)]

    async def take() -> None:
        for holder in holders:
            await limiter.acquire_on_behalf_of(holder)

    async def give_back() -> None:
        for holder in holders:
            limiter.release_on_behalf_of(holder)

    asyncio.run_coroutine_threadsafe(take(), server.loop).result(30)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(give_back(), server.loop).result(30)


LARGE = json.dumps({"data": [{"cpu": 1.0, "note": "x" * SMALL}]}).encode()


@pytest.mark.parametrize("path", ["/models/cpu/predict", "/models/cpu/activate", "/train"])
def test_a_large_body_is_not_read_for_a_client_that_has_gone(server: Served, path: str) -> None:
    lane = server.service.large_bodies
    with taken(server, lane):
        with ExitStack() as clients:
            for _ in range(3):
                clients.enter_context(sent(server, path, LARGE))
            until(server, lambda: lane.statistics().tasks_waiting == 3)
        until(server, lambda: lane.statistics().tasks_waiting == 0)
        assert server.service.instruments.requests["POST", route(path), "499"] == 3
    answer = server.client.post(path, content=LARGE, headers=JSON)
    problem(answer, 404 if path.endswith("predict") else 422)


def route(path: str) -> str:
    return path.replace("cpu", "{model_name}")


def test_a_small_body_waits_for_no_large_one(server: Served) -> None:
    server.registry.save("cpu", 1)
    with taken(server, server.service.large_bodies):
        body = {"version": "1.0.0"}
        padded = json.dumps(body).encode().ljust(SMALL)
        for path in ("/models/cpu/activate", "/models/cpu/predict", "/train"):
            assert server.client.post(path, content=padded, headers=JSON, timeout=10).status_code in (
                200,
                422,
            )
        with sent(server, "/models/cpu/activate", padded + b" ") as connection:
            lane = server.service.large_bodies
            until(server, lambda: lane.statistics().tasks_waiting == 1)
            connection.close()
            until(server, lambda: lane.statistics().tasks_waiting == 0)


def test_short_reads_wait_in_one_line_and_long_ones_do_not(server: Served) -> None:
    for _ in range(2):
        server.registry.save("cpu", 1)
    for _ in range(1001):
        server.registry.save("many", 1)
    lane = server.service.short_reads
    short = [
        *("/models/info?limit=20", "/models/info?limit=1000", "/models/cpu/versions"),
        *("/models/performance/cpu", "/models/cpu/compare?versions=1.0.0,1.0.1"),
    ]
    with ExitStack() as clients:
        with taken(server, lane):
            for count, path in enumerate(short, start=1):
                client = clients.enter_context(socket.create_connection(("127.0.0.1", server.port), 30))
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                until(server, lambda count=count: lane.statistics().tasks_waiting == count)  # type: ignore[misc]  # bound now
            for path in ("/models/info", "/models/info?limit=1001"):
                assert len(server.get(path, timeout=20).json()["models"]) > 1000
        until(server, lambda: lane.statistics().tasks_waiting == 0)
    answer = server.get("/models/many/versions").json()
    assert answer["total_versions"] == len(answer["versions"]) == 1001
    server.registry.delete("many", "1.0.0")
    answer = server.get("/models/many/versions").json()
    assert answer["total_versions"] == len(answer["versions"]) == 1000


def test_a_list_is_not_read_for_a_client_that_has_gone(server: Served) -> None:
    lane = server.service.short_reads
    with taken(server, lane):
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        with connection:
            connection.sendall(b"GET /models/info?limit=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            until(server, lambda: lane.statistics().tasks_waiting == 1)
        until(server, lambda: lane.statistics().tasks_waiting == 0)


def test_a_training_goes_on_without_its_client(server: Served) -> None:
    queue = server.registry.queue
    with sent(server, "/train", json.dumps(train_body()).encode()):
        until(server, lambda: queue.counts()[JobStatus.RUNNING] == 1)
    until(server, lambda: queue.counts()[JobStatus.COMPLETED] == 1)
    assert server.get("/models/info").json()["total_models"] == 1


def test_keys_are_compared_once_each() -> None:
    row = ",".join(f'"{number:07}":1' for number in range(200_000))
    with pytest.raises(InvalidInputError, match="key '0199999' twice"):
        read_object(f'{{{row},"0199999":1}}'.encode())  # hours, before


def test_rows_of_many_keys_are_read_for_a_model_of_many_columns() -> None:
    rows = [{f"key {number}": 1.0 for number in range(300_000)}]
    columns = [f"column {number}" for number in range(1000)]
    assert len(read_table(rows, only=columns)) == 1


def test_a_long_cell_is_no_number_at_once(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text(f"a,b\n1.5,{'1' * 100_000}x\n")
    assert read_columns(RowsFile(str(rows)))[0]["a"] == 1.5


def test_a_path_is_as_long_as_names_are_and_no_longer(server: Served) -> None:
    for length, status in ((3000, 404), (3001, 422)):
        path = "/versions" * 400
        told = problem(server.get(path[:length]), status)
        assert ("3001 characters" in str(told["detail"])) == (status == 422)
    # All of it went through every route before, a second and more each time.
    assert "characters" in str(
        problem(server.get("/models/" + "/versions/" * 6000 + "%0A%0A"), 422)["detail"]
    )


def test_a_problem_does_not_repeat_all_that_was_sent(server: Served) -> None:
    told = server.post("/train", {"training_data": [{"cpu": 1}], "model_type": "x" * 100_000})
    problem(told, 422)
    assert len(told.content) < 10_000


def test_a_body_that_does_not_come_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path, request_timeout=0.3) as server:
        for some in (b"", b'{"version"'):
            with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
                connection.sendall(
                    b"POST /train HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    b"Content-Length: 100\r\n\r\n" + some
                )
                answer = b"".join(iter(lambda: connection.recv(65536), b""))  # to its end: it is closed
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"AI_ENGINE_REQUEST_TIMEOUT" in answer
        assert server.service.instruments.requests["POST", "/train", "408"] == 2


def bodies(pause: float, sizes: list[int], timeout: float) -> int:
    """Send parts of a body with pauses through the middleware; return how many the application got."""
    got = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal got
        while True:
            message = await receive()
            got += len(message["body"])
            if not message["more_body"]:
                return

    async def run() -> None:
        parts = iter(sizes)

        async def receive() -> Message:
            await anyio.sleep(pause)
            size = next(parts, None)
            return {"type": "http.request", "body": bytes(size or 0), "more_body": size is not None}

        async def send(message: Message) -> None:
            raise AssertionError(message)

        settings = type("Settings", (), {"request_timeout": timeout})
        service = type("Service", (), {"settings": settings})
        state = type("State", (), {"service": service})
        scope = {"type": "http", "method": "POST", "app": type("App", (), {"state": state})}
        await WhileConnected(app)(scope, receive, send)

    asyncio.run(run())
    return got


def test_a_slow_body_may_take_its_time_for_each_stretch_and_no_more() -> None:
    # Eight pauses of a fifth of a second are more than a second; of each two no more than half of one.
    assert bodies(0.2, [STRETCH // 2] * 8, 1.0) == 4 * STRETCH
    with pytest.raises(RefusedError):
        bodies(0.2, [STRETCH // 16] * 8, 1.0)
    assert bodies(0.01, [1] * 8, 0) == 8  # 0: no limit
