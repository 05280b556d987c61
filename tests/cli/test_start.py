"""What it costs to start, and what `serve` does until it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from ai_engine.models import ModelManager
from ai_engine.settings import is_loopback
from tests.api.serving import telemetry, train_body
from tests.cli.conftest import Command

MAIN = (sys.executable, "-c", "from ai_engine.cli.main import main; main()")
HEAVY = (
    "fastapi",
    "starlette",
    "uvicorn",
    "numpy",
    "sklearn",
    "scipy",
    "pandas",
    "sqlalchemy",
    "httpx",
    "jinja2",
)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["models", "list"], ["models", "list", "--json"], ["train", "--help"]]
)
def test_quick_commands_import_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    ModelManager(tmp_path).close()
    program = f"""
import sys
from ai_engine.cli.main import run
assert run({arguments!r}) == 0
print("heavy:", [name for name in {HEAVY!r} if name in sys.modules])
"""
    environment = os.environ | {"AI_ENGINE_MODEL_DIR": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "heavy: []"


def test_a_reader_that_goes_away_is_no_error(saved: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    environment = os.environ | {"AI_ENGINE_MODEL_DIR": str(saved)}
    ran = subprocess.run([*MAIN, "models", "list"], env=environment, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert b"Traceback" not in ran.stderr


def test_a_terminal_without_unicode_is_no_error(saved: Path) -> None:
    environment = os.environ | {"AI_ENGINE_MODEL_DIR": str(saved), "PYTHONIOENCODING": "ascii"}
    ran = subprocess.run([*MAIN, "models", "list"], env=environment, capture_output=True)
    assert ran.returncode == 0, ran.stderr


@contextmanager
def served(model_dir: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    child = subprocess.Popen(
        [*MAIN, "serve", "--port", "0", "--json", "--model-dir", str(model_dir), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line, child.communicate()[1].decode()
        with httpx.Client(base_url=json.loads(line)["url"], timeout=120, trust_env=False) as client:
            yield child, client
    finally:
        child.kill()
        child.communicate()


def test_what_was_answered_before_a_kill_is_known_after_it(tmp_path: Path) -> None:
    with served(tmp_path) as (child, client):
        trained = client.post("/train", json=train_body())
        assert trained.status_code == 200, trained.text
        child.send_signal(signal.SIGKILL)
        child.wait()
    told = trained.json()
    with served(tmp_path) as (_, client):
        info = client.get("/models/info").json()
        assert [(entry["name"], entry["version"], entry["is_active"]) for entry in info["models"]] == [
            ("resource_predictor", "1.0.0", True)
        ]
        assert info["models"][0]["model_id"] == told["model_id"]
        measured = client.get("/models/performance/resource_predictor").json()
        assert measured["performance"]["mae"] == told["performance_metrics"]["mae"]
        (version,) = client.get("/models/resource_predictor/versions").json()["versions"]
        assert version["training_history"][0]["completed"] == told["timestamp"]
        answer = client.post("/models/resource_predictor/predict", json={"data": telemetry(40)})
        assert len(answer.json()["predictions"]) == 12


def test_a_polite_end_ends_trainings_too(tmp_path: Path) -> None:
    body = train_body(training_data=telemetry(20_000), hyperparameters={"algorithm": "boosted_trees"})
    with served(tmp_path) as (child, client):
        request = client.build_request("POST", "/train", json=body)
        process = psutil.Process(child.pid)
        # Sent over a connection of its own, so that nothing waits for the answer here.
        sender = subprocess.Popen(
            [sys.executable, "-c", _SENDER, str(request.url)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert sender.stdin is not None
        sender.stdin.write(json.dumps(body).encode())
        sender.stdin.close()
        while not (trainings := process.children()):
            assert client.get("/health").status_code == 200
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=30) == 0
        psutil.wait_procs(trainings, timeout=10)
        assert not any(training.is_running() for training in trainings)
        assert sender.stdout is not None
        answer = sender.stdout.read().decode()
        sender.stdout.close()
        sender.wait()
        assert "503" in answer
        assert "the server is stopping" in answer


_SENDER = """
import sys, httpx
headers = {"Content-Type": "application/json"}
body = sys.stdin.buffer.read()
answer = httpx.post(sys.argv[1], content=body, headers=headers, timeout=120, trust_env=False)
print(answer.status_code, answer.text)
"""


def test_a_killed_server_leaves_no_training_behind(tmp_path: Path) -> None:
    body = train_body(training_data=telemetry(20_000), hyperparameters={"algorithm": "boosted_trees"})
    with served(tmp_path) as (child, client):
        sender = subprocess.Popen(
            [sys.executable, "-c", _SENDER, str(client.base_url.join("/train"))],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert sender.stdin is not None
        sender.stdin.write(json.dumps(body).encode())
        sender.stdin.close()
        process = psutil.Process(child.pid)
        while not (trainings := process.children()):
            assert client.get("/health").status_code == 200
        child.kill()
        child.wait()
        sender.wait()
        gone, alive = psutil.wait_procs(trainings, timeout=20)
        assert gone
        assert not alive


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org"])
def test_an_address_that_others_reach_is_refused(command: Command, host: str) -> None:
    ran = command("serve", "--host", host, "--port", 0)
    assert (ran.code, ran.out) == (1, "")
    assert "--no-auth" in ran.err
    assert not is_loopback(host)


def test_it_may_be_reached_by_others_if_that_is_typed(tmp_path: Path) -> None:
    with served(tmp_path, "--host", "0.0.0.0", "--no-auth") as (_, client):
        port = client.base_url.port
        assert httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200


def test_a_port_that_is_taken_is_told(command: Command, tmp_path: Path) -> None:
    with served(tmp_path) as (_, client):
        ran = command("serve", "--port", client.base_url.port)
        assert ran.code == 1
        assert "--port 0" in ran.err


def test_a_bad_variable_is_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_ENGINE_PORT", "eighty")
    ran = command("models", "list")
    assert ran.code == 1
    assert "AI_ENGINE_PORT" in ran.err


def test_logs_go_to_standard_error(tmp_path: Path) -> None:
    with served(tmp_path) as (child, client):
        client.get("/models/info")
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
        assert child.returncode == 0
    assert out == b""
    assert b"GET /models/info 200" in err
    assert b"Traceback" not in err
