"""Every answer names its request, and what is logged for it has the same name."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from typing import Any

import httpx
import pytest

from ai_engine.logs import REQUEST_ID
from tests.api.serving import Served

MADE = re.compile(r"[0-9a-f]{32}")


@pytest.mark.parametrize(
    "given",
    [
        "1",
        "7f3c0e6a-4b1f-4c53-9d0e-0a7c64d8f0f1",
        "01JD8M3Q4T8Z5V0W2X6Y7A9BCD",
        "Root=1-67891233-abcdef012345678912345678",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "a" * 128,
    ],
)
def test_an_id_is_taken_over(server: Served, given: str) -> None:
    assert server.get("/models/info", headers={"X-Request-ID": given}).headers["x-request-id"] == given


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b" ",
        b"a b",
        b"a" * 129,
        b"-rf",
        b"<script>alert(1)</script>",
        b"\xe9",
        b"a\tb",
        b"\x1b[2J",
        b"a;b",
        b"${jndi:ldap://x}",
        b'"',
        b"a%0d%0aSet-Cookie: x",
    ],
)
def test_a_hostile_id_is_replaced(server: Served, given: bytes) -> None:
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Request-ID: %s\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(request % given)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head = answer.partition(b"\r\n\r\n")[0].decode("latin-1").lower()
    (made,) = re.findall(r"^x-request-id: (.*?)\r?$", head, flags=re.M)
    assert MADE.fullmatch(made)


def test_two_ids_are_none(server: Served) -> None:
    headers = [("X-Request-ID", "one"), ("X-Request-ID", "two")]
    assert MADE.fullmatch(server.get("/health", headers=headers).headers["x-request-id"])


def test_two_requests_have_two_ids(server: Served) -> None:
    assert len({server.get("/health").headers["x-request-id"] for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("method", "path", "headers", "content", "status"),
    [
        ("GET", "/nothing", {}, None, 404),
        ("GET", "/models/nope/versions", {}, None, 404),
        ("GET", "/models/info?limit=0", {}, None, 422),
        ("BREW", "/health", {}, None, 405),
        ("GET", "/health", {"Host": "evil.example"}, None, 403),
        ("POST", "/models/cleanup", {"Origin": "http://evil.example"}, None, 403),
        ("POST", "/train", {}, b"{", 415),
        ("POST", "/train", {"Content-Type": "application/json"}, b"{", 422),
        ("POST", "/train", {"Content-Type": "application/json"}, b" " * (65 * 1024 * 1024), 413),
        ("GET", "/" + "a" * 4000, {}, None, 422),
        ("DELETE", "/models/a/versions/1.0.0", {}, None, 409),
        ("GET", "/static/style.css", {}, None, 200),
        ("HEAD", "/", {}, None, 200),
    ],
)
def test_every_answer_has_its_id(
    server: Served, method: str, path: str, headers: dict[str, str], content: bytes | None, status: int
) -> None:
    server.registry.save("a", 1)
    request = {"X-Request-ID": "abc"} | headers
    answer = server.client.request(method, path, headers=request, content=content)
    assert answer.status_code == status
    assert answer.headers.get_list("x-request-id") == ["abc"]


class Collected(logging.Handler):
    """The lines of a logger, each with the request that was being handled."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[tuple[str | None, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((REQUEST_ID.get(), record.getMessage()))


@pytest.fixture
def collected() -> Any:
    logger, handler = logging.getLogger("ai_engine"), Collected()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_what_fails_in_a_thread_is_logged_under_its_request(
    server: Served, collected: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at a time, so that a name that is shared would be seen; a broken registry stands for any error."""
    ours = logging.getLogger("ai_engine.test")

    def broken(name: str, *_: object) -> None:
        ours.warning("asked for %s", name)
        raise ZeroDivisionError

    monkeypatch.setattr(server.registry, "performances", broken)
    for name in ("a", "b"):
        server.registry.save(name, 1)
        answer = server.get(f"/models/performance/{name}", headers={"X-Request-ID": f"of-{name}"})
        assert answer.status_code == 500
        assert answer.headers["x-request-id"] == f"of-{name}"
        assert "X-Request-ID" in answer.json()["detail"]
    told = [line for line in collected.lines if line[0] is not None]
    for name in ("a", "b"):
        mine = [text for request, text in told if request == f"of-{name}"]
        assert f"asked for {name}" in mine
        assert any(text.endswith("failed") for text in mine)
        assert any(f"GET /models/performance/{name} 500, " in text for text in mine)
    assert {request for request, text in told if text.startswith("asked")} == {"of-a", "of-b"}


def test_no_id_is_left_behind_in_a_program_that_asks_itself(server: Served) -> None:
    """A test client runs the application in its own context."""

    async def ask() -> str | None:
        transport = httpx.ASGITransport(server.app, client=("testclient", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert (await client.get("/nothing")).status_code == 404
        return REQUEST_ID.get()

    assert asyncio.run(ask()) is None
