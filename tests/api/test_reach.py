"""From where the application may be reached, under which names, and however it was started."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

import ai_engine.app
from ai_engine.app import build
from ai_engine.domain.errors import InvalidInputError
from ai_engine.models import ModelManager
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings, check_reach, from_environment, host_names
from ai_engine.wiring import open_registry
from tests.api.serving import Served, serving
from tests.api.test_strangers import problem

OTHERS = "192.168.7.8"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Return a registry without a model."""
    with open_registry(Settings(model_dir=str(tmp_path_factory.mktemp("models")))) as opened:
        yield opened


def asked(
    registry: Registry,
    server: str,
    headers: dict[str, str],
    scheme: str = "http",
    path: str = "/models/cpu/rollback",
    **settings: Any,
) -> httpx.Response:
    """Send a request that came in at an address of the server; it changes something, if it is let in."""
    app = build(registry, Settings(**settings))

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 40000))
        async with httpx.AsyncClient(transport=transport, base_url=f"{scheme}://{server}:8000") as client:
            return await client.post(path, headers=headers)

    try:
        return asyncio.run(send())
    finally:
        app.state.lifetime.stop()


@pytest.mark.parametrize("server", ["127.0.0.1", "127.8.8.8", "[::1]", "[::ffff:127.0.0.1]"])
def test_this_machine_is_let_in(registry: Registry, server: str) -> None:
    assert asked(registry, server, {"Host": "localhost:8000"}).status_code == 404


@pytest.mark.parametrize("digits", [18, 19, 5000])
def test_a_length_of_any_digits_is_too_large(registry: Registry, digits: int) -> None:
    headers = {"Host": "localhost", "Content-Length": "9" * digits}
    problem(asked(registry, "127.0.0.1", headers), 413)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", f"{OTHERS}:8000", "evil.example"])
@pytest.mark.parametrize("server", [OTHERS, "10.0.0.1", "[fe80::1]", f"[::ffff:{OTHERS}]"])
@pytest.mark.parametrize("path", ["/models/cpu/rollback", "/health/live"])
def test_an_address_that_others_reach_is_closed(
    registry: Registry, server: str, host: str, path: str
) -> None:
    told = problem(asked(registry, server, {"Host": host}, path=path), 403)
    assert "AI_ENGINE_NO_AUTH=1" in str(told["detail"])
    assert server.strip("[]") in str(told["detail"])


@pytest.mark.parametrize("host", ["localhost", f"{OTHERS}:8000", "203.0.113.9", "[2001:db8::1]:80"])
def test_it_is_open_where_somebody_said_so(registry: Registry, host: str) -> None:
    # Not only the address that was reached: between a container and the world ports are forwarded.
    assert asked(registry, OTHERS, {"Host": host}, no_auth=True).status_code == 404
    told = problem(asked(registry, OTHERS, {"Host": "engine.example"}, no_auth=True), 403)
    assert "AI_ENGINE_ALLOWED_HOSTS" in str(told["detail"])
    assert "AI_ENGINE_HOST " not in str(told["detail"])


@pytest.mark.parametrize("host", ["engine.example", "ENGINE.example:8443", "ai-engine:1", "[::2]"])
def test_a_name_that_is_allowed_is_ours(registry: Registry, host: str) -> None:
    allowed = " Engine.Example:80,ai-engine,,::2 "
    assert asked(registry, "127.0.0.1", {"Host": host}, allowed_hosts=allowed).status_code == 404
    for foreign in ("x.engine.example", "engine.example.org", "engine", "engine_example", "[::3]", ""):
        headers = {"Host": foreign}
        problem(asked(registry, "127.0.0.1", headers, allowed_hosts=allowed), 403)


@pytest.mark.parametrize("name", ["*", "*.example.com", "http://engine", "a b", "engine/path", "ü"])
def test_what_is_no_name_is_told(name: str) -> None:
    with pytest.raises(InvalidInputError, match="AI_ENGINE_ALLOWED_HOSTS"):
        host_names(Settings(allowed_hosts=f"engine,{name}"))


ALLOWED = "engine.example"


@pytest.mark.parametrize(
    ("scheme", "host", "origin", "status"),
    [
        ("http", "localhost:8000", "http://localhost:8000", 404),
        ("http", "localhost", "http://localhost", 404),
        ("http", "localhost:80", "http://localhost", 404),
        ("https", "localhost", "https://localhost", 404),
        ("https", "localhost", "https://localhost:443", 404),
        ("http", "localhost:8000", "https://localhost:8000", 403),
        ("http", "localhost:443", "https://localhost", 403),
        ("http", "localhost", "https://localhost", 403),
        ("https", "localhost", "http://localhost", 403),
        ("https", "localhost:80", "http://localhost", 403),
        ("http", "localhost", "http://127.0.0.1", 403),
        # What an operator named is behind whatever speaks TLS for it.
        ("http", ALLOWED, f"https://{ALLOWED}", 404),
        ("http", ALLOWED, f"https://{ALLOWED.upper()}:8443", 404),
        ("http", ALLOWED, f"https://x.{ALLOWED}", 403),
        ("http", ALLOWED, f"ftp://{ALLOWED}", 403),
        ("http", ALLOWED, f"https://{ALLOWED}@evil.example", 403),
        ("http", ALLOWED, "null", 403),
        ("http", ALLOWED, "https://[", 403),
    ],
)
def test_a_page_is_ours_by_its_scheme_too(
    registry: Registry, scheme: str, host: str, origin: str, status: int
) -> None:
    headers = {"Host": host, "Origin": origin}
    problem(asked(registry, "127.0.0.1", headers, scheme, allowed_hosts=ALLOWED), status)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", OTHERS, "engine.example"])
def test_settings_that_open_it_want_a_word(host: str) -> None:
    with pytest.raises(InvalidInputError, match="AI_ENGINE_NO_AUTH=1"):
        check_reach(Settings(host=host), lambda: False)
    check_reach(Settings(host=host, no_auth=True), lambda: False)
    check_reach(Settings(host=host), lambda: True)
    check_reach(Settings(host="localhost"), lambda: False)


@pytest.mark.parametrize(("text", "value"), [("1", True), ("Yes", True), ("0", False), ("off", False)])
def test_a_switch_is_on_or_off(text: str, value: bool) -> None:
    assert from_environment({"AI_ENGINE_NO_AUTH": text}).no_auth is value
    with pytest.raises(InvalidInputError, match="AI_ENGINE_NO_AUTH"):
        from_environment({"AI_ENGINE_NO_AUTH": f"{text}x"})


def test_whoever_starts_it_the_rule_is_kept(tmp_path: Path) -> None:
    environment = os.environ | {"AI_ENGINE_MODEL_DIR": str(tmp_path), "AI_ENGINE_HOST": "0.0.0.0"}
    command = [sys.executable, "-m", "uvicorn", "ai_engine.app:app", "--host", "0.0.0.0", "--port", "0"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode != 0
    assert "type --no-auth (AI_ENGINE_NO_AUTH=1)" in ran.stderr
    assert list(tmp_path.iterdir()) == []


# -- without a lifespan ------------------------------------------------------------------------------------


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FastAPI]:
    """Return an application like `ai_engine.app.app`, over a directory of the test's own."""
    monkeypatch.setenv("AI_ENGINE_MODEL_DIR", str(tmp_path / "models"))
    with ModelManager(tmp_path / "models") as manager:
        manager.save_model("cpu", 1)
        manager.save_model("cpu", 2)
    made = ai_engine.app.from_settings()
    yield made
    made.state.lifetime.stop()


def test_a_test_client_needs_no_lifespan(app: FastAPI) -> None:
    client = TestClient(app)
    assert not hasattr(app.state, "service")
    for _ in range(2):  # each in an event loop of its own
        assert client.get("/health").json()["active_models"] == {"cpu": "1.0.1"}
        assert client.get("/models/info?limit=1").json()["total_models"] == 2
        assert client.get("/metrics").status_code == 200
    assert client.post("/models/cpu/activate", json={"version": "1.0.0"}).status_code == 200
    problem(client.get("/health", headers={"Host": "evil.example"}), 403)
    service = app.state.service
    with client:  # and one that runs it uses the same
        assert app.state.service is service
    assert not hasattr(app.state, "service")
    with client:
        assert client.get("/health").json()["active_models"] == {"cpu": "1.0.0"}


def test_many_first_requests_start_one_service(app: FastAPI) -> None:
    found: list[int] = []
    begin = threading.Barrier(8)

    def ask() -> None:
        begin.wait()
        assert TestClient(app).get("/models/info").status_code == 200
        found.append(id(app.state.service))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_what_started_by_itself_is_closed_at_exit(tmp_path: Path) -> None:
    program = """
from starlette.testclient import TestClient
from ai_engine.app import app
client = TestClient(app, base_url="http://localhost:8000")
assert client.get("/models/info").status_code == 200
registry = app.state.service.registry
import atexit
atexit._run_exitfuncs()
try:
    registry.names()
except Exception as error:
    print(type(error).__name__)
"""
    environment = os.environ | {"AI_ENGINE_MODEL_DIR": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (ran.stdout, ran.returncode) == ("ClosedError\n", 0), ran.stderr


@pytest.mark.parametrize("mounted", [True, False])
def test_under_a_path_every_link_leads_there(app: FastAPI, mounted: bool) -> None:
    if mounted:
        parent = FastAPI()
        parent.mount("/ai", app)
        client = TestClient(parent)
    else:  # behind a proxy that takes the path away
        client = TestClient(app, root_path="/ai")
    for page in ("/ai/", "/ai/docs"):
        answer = client.get(page)
        assert answer.status_code == 200
        links = re.findall(r'(?:href|src)="([^"#]+)"', answer.text)
        assert len(links) >= 6
        for link in links:
            assert link.startswith("/ai/"), link
            assert client.get(link).status_code == 200, link
    assert client.get("/ai/openapi.json").json()["servers"] == [{"url": "/ai"}]
    assert client.post("/ai/models/cpu/rollback").json()["version"] == "1.0.0"
    problem(client.get("/ai/nothing"), 404)


def test_the_command_of_an_empty_page_has_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_ENGINE_MODEL_DIR", str(tmp_path))
    parent, app = FastAPI(), ai_engine.app.from_settings()
    parent.mount("/ai", app)
    try:
        page = TestClient(parent, base_url="http://localhost:8000").get("/ai/").text
        assert "curl http://localhost:8000/ai/train " in page
    finally:
        app.state.lifetime.stop()


def test_what_cannot_start_says_why_and_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_ENGINE_MODEL_DIR", str(tmp_path))
    monkeypatch.setenv("AI_ENGINE_DATABASE_URL", "mysql://x")
    parent = FastAPI()
    parent.mount("/ai", ai_engine.app.from_settings())
    client = TestClient(parent)
    for path in ("/ai/health/ready", "/ai/models/info", "/ai/"):
        told = problem(client.get(path), 503)
        assert "AI_ENGINE_DATABASE_URL" in str(told["detail"])
    assert client.get("/ai/health/live").json() == {"status": "alive"}
    monkeypatch.delenv("AI_ENGINE_DATABASE_URL")
    assert client.get("/ai/health/ready").status_code == 200


# -- probes ------------------------------------------------------------------------------------------------


def test_probes_tell_whether_it_lives_and_whether_it_serves(server: Served) -> None:
    server.registry.save("cpu", 1)
    assert server.get("/health/live").json() == {"status": "alive"}
    assert server.get("/health/ready").json() == {"status": "ready"}
    server.service.workers.stop()
    told = problem(server.get("/health/ready"), 503)
    assert "stopping" in str(told["detail"])
    assert server.get("/health/live").status_code == 200


def test_it_is_ready_while_it_is_degraded(server: Served, tmp_path: Path) -> None:
    import sqlite3

    server.registry.save("cpu", 1)
    with sqlite3.connect(tmp_path / "model_registry.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert server.get("/health/ready").status_code == 200
        other.execute("ROLLBACK")
    other.close()


def test_it_is_not_ready_when_nothing_can_be_read(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.registry.close()
        told = problem(server.get("/health/ready"), 503)
        assert "closed" in str(told["detail"])
        assert server.get("/health/live").status_code == 200


def test_a_pod_is_asked_by_its_address(tmp_path: Path) -> None:
    with serving(tmp_path, host="0.0.0.0", no_auth=True) as server:
        for path in ("/health/live", "/health/ready"):
            assert server.get(path, headers={"Host": "10.1.2.3:8000"}).status_code == 200
            problem(server.get(path, headers={"Host": "evil.example"}), 403)
