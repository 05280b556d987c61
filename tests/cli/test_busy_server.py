"""A real server under clients who send much, hang up or dawdle, and its end meanwhile."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from ai_engine.cli.server import GRACE
from ai_engine.models import ModelManager
from tests.cli.stuck import Stuck
from tests.cli.test_start import served

# Each leaves a line in the log, of which a pipe that nobody reads takes 64 KiB.
DAWDLING = 300


def connect(port: int | None, *sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port or 0), timeout=30)
    for part in sent:
        connection.sendall(part)
    return connection


def head(path: str, size: int) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json")
    return "\r\n".join((*lines, f"Content-Length: {size}", "", "")).encode()


def rest(connection: socket.socket) -> bytes:
    """Return what comes until the server ends the connection."""
    found = bytearray()
    try:
        while part := connection.recv(1 << 20):
            found += part
    except ConnectionResetError:
        pass
    return bytes(found)


def of_many_keys(count: int) -> bytes:
    """Return the body of a prediction whose one row has so many keys, the last of them twice."""
    row = ",".join(f'"{number:07}":1' for number in range(count))
    return f'{{"data":[{{{row},"{count - 1:07}":1}}]}}'.encode()


def test_clients_that_hang_up_take_no_server_out_and_a_busy_one_ends_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("stuck", Stuck())
    monkeypatch.setenv("PYTHONPATH", os.getcwd())  # where the server finds the class
    body = of_many_keys(290_000)
    assert 3.4e6 < len(body) < 3.6e6
    with served(tmp_path) as (child, client), ExitStack() as clients:
        for _ in range(45):
            connect(client.base_url.port, head("/models/cpu/predict", len(body)), body).close()
        assert client.get("/health", timeout=20).status_code == 200
        stuck = b'{"data": [{"cpu": 1}]}'
        clients.enter_context(connect(client.base_url.port, head("/models/stuck/predict", len(stuck)), stuck))
        waiting = [
            clients.enter_context(
                connect(client.base_url.port, head("/models/cpu/predict", len(body)), body[:-1])
            )
            for _ in range(3)
        ]
        assert client.get("/health", timeout=20).status_code == 200
        child.send_signal(signal.SIGTERM)
        for connection in waiting:
            assert b"the server is stopping" in rest(connection)
        # The model would go on for ever. Some seconds for a machine that has other things to do.
        assert child.wait(timeout=GRACE + 10) == 0
        assert child.stderr is not None
        log = child.stderr.read()
        assert b"the client went away" in log
        assert b"they are given up" in log
        assert b"Traceback" not in log


def test_a_client_that_dawdles_is_cut_off(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:  # more than the system keeps for who does not read
        manager.save_model("cpu", 1, metadata={"note": "x" * 12_000_000})
    with served(tmp_path, "--request-timeout", "0.4") as (child, client), ExitStack() as clients:
        port = client.base_url.port
        ask = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n"
        silent = clients.enter_context(connect(port))
        dawdling = [clients.enter_context(connect(port, ask)) for _ in range(DAWDLING)]
        second = clients.enter_context(connect(port, ask + b"\r\n"))
        refused = clients.enter_context(connect(port, head("/train", 10**12), b"x"))
        for connection, status in ((second, b"404"), (refused, b"413")):
            assert connection.recv(65536).startswith(b"HTTP/1.1 " + status)
            connection.sendall(b"GET")  # of the next request, or of the body
        unread = clients.enter_context(connect(port, b"GET /models/info HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        assert rest(silent) == b""
        assert [rest(connection) for connection in dawdling] == [b""] * DAWDLING
        for connection in (second, refused):
            rest(connection)
        # A connection that does not count as open any more, whatever of the answer is under way to here.
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=30) == 0
        assert child.stderr is not None
        assert b"the answer was not taken" in child.stderr.read()
        assert len(rest(unread)) < 12_000_000


def test_a_client_that_is_not_slow_is_not_cut_off(tmp_path: Path) -> None:
    with served(tmp_path, "--request-timeout", "30") as (_, client):
        ask = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with connect(client.base_url.port, ask[:9]) as connection:
            assert client.get("/health").status_code == 200
            connection.sendall(ask[9:] + ask[:9])
            assert client.get("/health").status_code == 200
            connection.sendall(ask[9:])
            connection.shutdown(socket.SHUT_WR)
            assert rest(connection).count(b"HTTP/1.1 200") >= 1
