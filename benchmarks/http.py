"""How many requests a second does the server answer, and what does it take to start?

Eight connections that stay open, on this machine. Beside it, in the same run and second by second in turns, a
bare FastAPI server (bare.py) whose routes do one SELECT in the same database. Both have one worker.
"""

from __future__ import annotations

import json
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from ai_engine.models import ModelManager
from benchmarks.filled import NAMES, fill, small_model
from benchmarks.load import load, request
from benchmarks.measure import REPOSITORY, Answer, Options, child_command, proportional_memory

CONNECTIONS = 8
_ONE, _MANY = "single", NAMES[3]


@dataclass
class Server:
    """A server that has answered once."""

    port: int
    started: float
    memory: float


def ask(answer: Answer, options: Options) -> None:
    with options.scratch() as scratch:
        fill(scratch, 10_000, files=True)
        with ModelManager(scratch) as manager:
            manager.save_model(_ONE, small_model(0), metadata={"source": "benchmark"})
        _starts(answer, options, scratch)
        with running("ours", scratch) as ours, running("bare", scratch) as bare:
            _rates(answer, options, ours.port, bare.port)


def _starts(answer: Answer, options: Options, directory: Path) -> None:
    found: dict[str, list[Server]] = {"bare": [], "ours": []}
    for _ in range(options.times(7)):
        for kind, servers in found.items():
            with running(kind, directory) as server:
                servers.append(server)
    ours, bare = found["ours"], found["bare"]
    answer.add("start", "start to first answer", "s", [s.started for s in ours], [s.started for s in bare])
    answer.add("memory", "memory after it", "MiB", [s.memory for s in ours], [s.memory for s in bare])


def _rates(answer: Answer, options: Options, ours: int, bare: int) -> None:
    one, many, typed = (
        request("GET", f"/{path}", bare)
        for path in (f"one?name={_ONE}", f"many?name={_MANY}", f"typed?name={_MANY}")
    )
    page = request("GET", f"/models/info?name={_MANY}&limit=100", ours)
    rows = json.dumps({"data": [{f"x{n}": 0.1 * n for n in range(8)}]}).encode()
    for key, what, mine, limit in (
        ("one", "GET one version", request("GET", f"/models/info?name={_ONE}&limit=1", ours), one),
        ("many", "GET 100 versions", page, many),
        ("typed", "GET 100 versions, the bare route's type told", page, typed),
        ("predict", "POST predict, one row", request("POST", f"/models/{_ONE}/predict", ours, rows), one),
    ):
        first = load(ours, mine, 1, 0).seconds  # the model is loaded, and what it needs is imported
        load(bare, limit, 1, 0)
        rates: tuple[list[float], list[float]] = ([], [])
        waits: tuple[list[float], list[float]] = ([], [])
        for _ in range(options.times(7)):
            for port, message, rate, wait in zip((ours, bare), (mine, limit), rates, waits, strict=True):
                served = load(port, message, CONNECTIONS, 1.0)
                rate.append(served.rate)
                wait.append(statistics.median(served.seconds))
        answer.add(f"{key}_rate", f"{what}, {CONNECTIONS} connections", "answers/s", *rates)
        answer.add(f"{key}_p50", f"{what}, {CONNECTIONS} connections, median", "s", *waits)
        alone: tuple[list[float], list[float]] = ([], [])
        for _ in range(options.times(7)):
            for port, message, wait in zip((ours, bare), (mine, limit), alone, strict=True):
                wait.append(statistics.median(load(port, message, 1, 0.5).seconds))
        answer.add(f"{key}_alone", f"{what}, one connection, median", "s", *alone)
        above = [a - b for a, b in zip(*alone, strict=True)]
        answer.add(f"{key}_first", f"{what}, the first since the server started", "s", first)
        answer.add(f"{key}_above", f"{what}, one connection, median above the bare route", "s", above)


@contextmanager
def running(kind: str, directory: Path) -> Iterator[Server]:
    """Start a server and yield it once it has answered."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    if kind == "ours":
        command: Sequence[str] = [
            *(sys.executable, "-c", "from ai_engine.cli.main import main; main()"),
            *("serve", "--port", str(port), "--model-dir", str(directory)),
        ]
        message = request("GET", f"/models/info?name={_ONE}&limit=1", port)
    else:
        command = child_command("bare", directory / "model_registry.db", port)
        message = request("GET", f"/one?name={_ONE}", port)
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                load(port, message, 1, 0)
                break
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError(f"the server {kind} ended with {process.returncode}") from None
                time.sleep(0.005)
        seconds = time.perf_counter() - started
        family = [process.pid, *(one.pid for one in psutil.Process(process.pid).children(recursive=True))]
        yield Server(port, seconds, sum(map(proportional_memory, family)))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
