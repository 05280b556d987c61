"""What the commands write to their log, as text and as JSON."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from ai_engine.domain.errors import TrainingFailedError
from ai_engine.logs import REQUEST_ID
from ai_engine.models import ModelManager
from ai_engine.telemetry.rows_file import RowsFile
from ai_engine.training import child
from ai_engine.training.child import COMMAND
from ai_engine.training.request import TrainingRequest
from tests.api.serving import train_body
from tests.cli.conftest import Command
from tests.cli.test_every_command import TREE
from tests.cli.test_start import MAIN

MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


class Logging:
    """A server, and after `end` the lines that it logged."""

    def __init__(self, child: subprocess.Popen[str], client: httpx.Client) -> None:
        self.child, self.client = child, client

    @property
    def port(self) -> int:
        return self.client.base_url.port or 0

    def end(self) -> list[str]:
        self.child.send_signal(signal.SIGTERM)
        _, err = self.child.communicate(timeout=60)
        assert self.child.returncode == 0, err
        return err.splitlines()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line, parse_constant=pytest.fail) for line in self.end()]


@contextmanager
def logging(model_dir: Path, *arguments: str, **variables: str) -> Iterator[Logging]:
    child = subprocess.Popen(
        [*MAIN, "serve", "--port", "0", "--json", "--model-dir", str(model_dir), *arguments],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line, child.communicate()[1]
        with httpx.Client(base_url=json.loads(line)["url"], timeout=120, trust_env=False) as client:
            yield Logging(child, client)
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("path", TREE, ids=" ".join)
def test_every_command_can_be_told_how_to_log(path: tuple[str, ...]) -> None:
    assert {"--log-level", "--log-format"} <= TREE[path]


def test_json_lines_tell_every_request(tmp_path: Path) -> None:
    with logging(tmp_path, "--log-format", "json") as server:
        before = datetime.now(UTC)
        headers = {"X-Request-ID": "trace-1"}
        assert server.client.get("/models/info?limit=20", headers=headers).status_code == 200
        made = server.client.get("/models/nope/versions").headers["x-request-id"]
        foreign = server.client.get("/health", headers={"Host": "evil.example"}).headers["x-request-id"]
        server.client.head("/health", headers={"X-Request-ID": "trace-2"})
        told = server.lines()
        after = datetime.now(UTC)
    for line in told:
        assert {"timestamp", "level", "logger", "message", "request_id"} <= line.keys()
        assert datetime.fromisoformat(line["timestamp"]).utcoffset() is not None
        assert line["timestamp"].endswith("Z")
        assert line["level"] in ("debug", "info", "warning", "error", "critical")
    assert {line["logger"] for line in told} >= {"uvicorn.error", "ai_engine.access"}
    requests = {line["request_id"]: line for line in told if line["logger"] == "ai_engine.access"}
    assert len(requests) == 4
    assert {(one["method"], one["path"], one["status"]) for one in requests.values()} == {
        ("GET", "/models/info", 200),
        ("GET", "/models/nope/versions", 404),
        ("GET", "/health", 403),
        ("HEAD", "/health", 200),
    }
    assert requests.keys() == {"trace-1", "trace-2", made, foreign}
    for one in requests.values():
        assert 0 < one["duration_ms"] < 60_000
        assert one["client"] == "127.0.0.1"
        moment = datetime.fromisoformat(one["timestamp"])
        assert before.timestamp() - 0.001 <= moment.timestamp() <= after.timestamp()


def test_text_lines_have_a_moment_a_level_and_the_request(tmp_path: Path) -> None:
    with logging(tmp_path) as server:
        server.client.get("/models/info", headers={"X-Request-ID": "trace-1"})
        lines = server.end()
    assert lines
    for line in lines:
        assert re.match(rf"{MOMENT} (DEBUG|INFO|WARNING|ERROR|CRITICAL) [\w.]+( \[\S+\])?: ", line), line
    (told,) = [line for line in lines if "/models/info" in line]
    assert re.fullmatch(
        rf"{MOMENT} INFO ai_engine\.access \[trace-1\]: 127\.0\.0\.1 GET /models/info 200, \d+\.\d ms", told
    )


def test_variables_say_it_too_and_a_level_leaves_lines_out(tmp_path: Path) -> None:
    with logging(tmp_path, AI_ENGINE_LOG_LEVEL="Warning", AI_ENGINE_LOG_FORMAT="json") as server:
        assert "x-request-id" in server.client.get("/health").headers
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(b"no HTTP at all\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        told = server.lines()
    assert answer.startswith(b"HTTP/1.1 400 ")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"x-request-id: " in head
    assert json.loads(body)["type"] == "urn:ai-engine:problem:invalid-http"
    assert [(line["logger"], line["level"]) for line in told] == [("uvicorn.error", "warning")]


def test_a_line_cannot_be_forged(tmp_path: Path) -> None:
    forged = "%0A2026-01-01T00:00:00.000Z%20INFO%20ai_engine:%20all%20is%20well%1b[2J"
    with logging(tmp_path) as server:
        assert server.client.get(f"/nothing{forged}").status_code == 404
        lines = server.end()
    (told,) = [line for line in lines if "all is well" in line]
    assert "/nothing\\n2026" in told
    assert "\x1b" not in told


def test_the_process_that_trains_logs_under_the_request(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    order = {
        "settings": {"model_dir": str(tmp_path / "file" / "models"), "log_format": "json"},
        "request_id": "trace-7",
    }
    pipe = subprocess.PIPE
    with subprocess.Popen(COMMAND, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as training:
        assert training.stdin is not None
        assert training.stderr is not None
        for line in (order, train_body()):
            training.stdin.write(f"{json.dumps(line)}\n")
        training.stdin.flush()  # and not closed: it ends with its parent
        told = [json.loads(line) for line in training.stderr]
        assert training.wait() == 1
    assert [(line["request_id"], line["message"]) for line in told] == [("trace-7", "the training failed")]
    assert "Traceback" in told[0]["exception"]


def test_a_training_is_told_which_request_it_is_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process gets the id in the first line that it reads."""
    program = (
        "import json, sys; told = json.loads(sys.stdin.readline())['request_id'];"
        "print(json.dumps({'event': 'progress', 'fraction': 0.5, 'message': told}))"
    )
    monkeypatch.setattr(child, "COMMAND", (sys.executable, "-c", program))
    seen: list[str] = []
    before = REQUEST_ID.set("trace-8")
    try:
        with pytest.raises(TrainingFailedError):  # it does not go on
            child.train_in_child(
                {},
                TrainingRequest("resource_prediction"),
                RowsFile("-"),
                lambda _, told: seen.append(told),
                60,
            )
    finally:
        REQUEST_ID.reset(before)
    assert seen == ["trace-8"]


@pytest.mark.parametrize("variable", ["LOG_LEVEL", "LOG_FORMAT"])
def test_a_word_that_is_none_is_refused(
    command: Command, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = f"--{variable.lower().replace('_', '-')}"
    assert command("models", "list", flag, "loud").code == 2
    monkeypatch.setenv(f"AI_ENGINE_{variable}", "loud")
    ran = command("models", "list")
    assert (ran.code, ran.out) == (1, "")
    assert f"AI_ENGINE_{variable}: 'loud' is none of " in ran.err


def test_a_command_logs_as_it_is_told(tmp_path: Path) -> None:
    """A model kept in the default directory is a warning; here, one of a registry that was killed."""
    ModelManager(tmp_path).close()
    program = f"""
import logging, sys
from ai_engine.cli.main import run
for _ in range(2):  # a line is written once, however often
    assert run(["models", "list", "--json", "--model-dir", {str(tmp_path)!r}, *sys.argv[1:]]) == 0
logging.getLogger("ai_engine.test").info("a %s", "line\\n2026-01-01T00:00:00.000Z\\x1b[2J")
logging.getLogger("somebody.else").info("nothing of ours")
try:
    raise ValueError("first\\nsecond")
except ValueError:
    logging.getLogger("ai_engine.test").exception("it failed")
"""

    def logged(*arguments: str) -> list[str]:
        ran = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
        )
        return ran.stderr.splitlines()

    quiet = logged()
    assert re.fullmatch(rf"{MOMENT} ERROR ai_engine\.test: it failed", quiet[0])
    assert all(line.startswith("    ") for line in quiet[1:])
    assert quiet[-2:] == ["    ValueError: first", "    second"]
    first, *_ = logged("--log-level", "info")
    assert first.endswith("INFO ai_engine.test: a line\\n2026-01-01T00:00:00.000Z\\x1b[2J")
    told = [json.loads(line) for line in logged("--log-level", "info", "--log-format", "json")]
    assert [(line["level"], line["message"]) for line in told] == [
        ("info", "a line\n2026-01-01T00:00:00.000Z\x1b[2J"),
        ("error", "it failed"),
    ]
    assert told[1]["exception"].endswith("ValueError: first\nsecond")
    assert told[0]["request_id"] is None


def test_the_application_logs_as_the_environment_says(tmp_path: Path) -> None:
    """Under somebody else's server too: here uvicorn's own command, whose lines follow."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    child = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "ai_engine.app:app", "--port", str(port)],
        cwd=tmp_path,
        env=os.environ | {"AI_ENGINE_MODEL_DIR": str(tmp_path / "models"), "AI_ENGINE_LOG_FORMAT": "json"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stderr is not None
        lines = []
        for line in child.stderr:
            lines.append(line)
            if "Uvicorn running" in line:
                break
        httpx.get(f"http://127.0.0.1:{port}/health", headers={"X-Request-ID": "a"}, trust_env=False)
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert out == ""
    told = [json.loads(line) for line in [*lines, *err.splitlines()] if line.startswith("{")]
    (request,) = [line for line in told if "path" in line]
    assert (request["request_id"], request["path"], request["status"]) == ("a", "/health", 200)
    assert [line for line in err.splitlines() if not line.startswith("{")] == []
