"""Health, counters and documentation."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ai_engine.api.health import Health
from ai_engine.domain.entities import Health as Said
from ai_engine.registry.registry import Registry
from ai_engine.version import __version__
from tests.api.serving import Served
from tests.snapshots import OPENAPI, as_text, openapi


def test_health_tells_how_it_is(server: Served) -> None:
    told = server.get("/health").json()
    assert (told["status"], told["version"], told["active_models"]) == ("healthy", __version__, {})
    assert told["uptime_seconds"] >= 0
    assert told["persistence"]["reason"] is None
    assert told["persistence"]["waiting"] == 0


def test_a_locked_database_is_told_and_blocks_nobody(server: Served) -> None:
    server.registry.save("cpu", 1)
    server.get("/health")
    database = server.get("/health").json()["persistence"]["database"]
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        for path in ("/models/info", "/models/cpu/versions", "/"):
            began = time.monotonic()
            assert server.get(path).status_code == 200
            assert time.monotonic() - began < 2
        told = _health_until(server, "degraded")
        assert told["persistence"]["reason"]
        assert told["active_models"] == {"cpu": "1.0.0"}
        assert "ai_engine_degraded 1.0" in server.get("/metrics").text
        page = server.get("/").text
        assert "Degraded" in page
        assert "The database cannot be written" in page
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert _health_until(server, "healthy")["persistence"]["reason"] is None


def _health_until(server: Served, status: str) -> dict[str, Any]:
    """Ask until the status is this; no answer may keep us waiting."""
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        began = time.monotonic()
        told: dict[str, Any] = server.get("/health").json()
        assert time.monotonic() - began < 2
        if told["status"] == status:
            return told
        threading.Event().wait(0.1)
    raise AssertionError(f"the engine did not become {status}")


class Probed(Registry):
    """A registry that counts how often its health is asked for, and may keep the one who asks waiting."""

    def __init__(self) -> None:
        self.probes = 0
        self.free = threading.Event()
        self.free.set()

    def health(self) -> Said:
        self.probes += 1
        self.free.wait()
        return Said("healthy", None, 0, 0, (), "", "")


def test_health_is_probed_once_a_second_however_often_it_is_asked() -> None:
    registry, now = Probed(), 0.0
    health = Health(registry, lambda: now)

    async def ask(times: int) -> None:
        await asyncio.gather(*(health.state() for _ in range(times)))

    async def story() -> None:
        nonlocal now
        await ask(20)
        assert registry.probes == 1
        now = 0.99
        await ask(20)
        assert registry.probes == 1
        now = 1.0
        await ask(20)
        assert registry.probes == 2

    asyncio.run(story())


def test_a_probe_that_hangs_is_waited_for_once_and_then_told() -> None:
    registry, now = Probed(), 0.0
    health = Health(registry, lambda: now)

    async def story() -> None:
        nonlocal now
        assert (await health.state())["status"] == "healthy"
        registry.free.clear()
        now = 2.0
        assert (await health.state())["status"] == "healthy"  # the last answer
        now = 6.0
        told = await health.state()
        assert (told["status"], told["reason"]) == ("degraded", "the database has not answered for 4.0 s")
        assert registry.probes == 2
        registry.free.set()
        now = 7.0
        assert (await health.state())["status"] == "healthy"

    asyncio.run(story())


def test_requests_are_counted_by_route_and_not_by_name(server: Served) -> None:
    server.registry.save("cpu", 1)
    for name in ("cpu", "a", "b"):
        server.get(f"/models/{name}/versions")
    server.get("/nothing")
    server.client.request("BREW", "/nothing")
    text = server.get("/metrics").text
    found = {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "ai_engine_http_requests_total"
    }
    route = "/models/{model_name}/versions"
    assert found["GET", route, "200"] == 1
    assert found["GET", route, "404"] == 2
    assert found["GET", "unmatched", "404"] == 1
    assert found["other", "unmatched", "404"] == 1
    assert "ai_engine_versions 1.0" in text
    assert "ai_engine_active_models 1.0" in text
    assert "ai_engine_degraded 0.0" in text
    assert 'ai_engine_http_request_seconds_count{method="GET",route="/health"}' in text


def test_the_api_is_documented_as_the_snapshot_says(server: Served) -> None:
    assert as_text(server.get("/openapi.json").json()) == OPENAPI.read_text(), (
        "the API has changed; if that is meant, `make snapshots` writes it down"
    )


def test_every_reference_in_the_document_leads_somewhere() -> None:
    document = openapi()
    text = as_text(document)
    names = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= document["components"]["schemas"].keys()
    assert "$defs" not in text


def test_the_documentation_is_a_page_of_our_own(server: Served) -> None:
    page = server.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    for path in openapi()["paths"]:
        assert f"<code>{path}</code>" in page.text
    assert "<script" not in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text


@pytest.mark.parametrize(
    "path", ["/models/info", "/models/cpu/versions", "/docs", "/", "/openapi.json", "/nothing", "/train"]
)
def test_head_is_answered_as_get_is_without_the_body(server: Served, path: str) -> None:
    server.registry.save("cpu", 1)
    wanted = server.get(path)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        told = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = told.decode().partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {wanted.status_code} ")
    assert f"content-length: {wanted.headers['content-length']}" in head
    assert body == ""


@pytest.mark.parametrize("path", ["/health", "/models/info", "/docs", "/", "/metrics", "/openapi.json"])
def test_everything_has_the_security_headers(server: Served, path: str) -> None:
    headers = server.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "'unsafe-inline'" not in headers["content-security-policy"]
    assert headers["referrer-policy"] == "same-origin"
    assert "server" not in headers or "uvicorn" in headers["server"]


def test_a_header_that_an_answer_sets_itself_stays(server: Served) -> None:
    assert server.get("/static/style.css").headers.get_list("cache-control") == ["no-cache"]
    assert server.get("/health").headers.get_list("cache-control") == ["no-store"]


def test_importing_the_application_touches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess
    import sys

    monkeypatch.setenv("AI_ENGINE_MODEL_DIR", str(tmp_path / "models"))
    subprocess.run([sys.executable, "-c", "import ai_engine.app"], check=True, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []
