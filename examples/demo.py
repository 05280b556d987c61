"""The main job on real input: sample this machine, train, kill the server, start it again, and predict.

Run it with ``make demo``. It takes about a minute, writes to ``.demo/`` alone, and leaves no process behind.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

STEP: Final = 0.1
# A load of our own, so that there is something to learn: a wave of four seconds on half of the cores.
PERIOD: Final = 4.0
MOST_CORES: Final = 8
# The kernel counts CPU time in hundredths of a second: over one step of two cores that is 5 %.
SMOOTHED: Final = 3
HORIZON: Final = 30
ROUNDS: Final = 3
CONTEXT: Final = 100
MODEL: Final = "this_machine"
TARGETS: Final = {"cpu": "CPU of this machine", "own_load": "CPU that our own load gets"}

Row = dict[str, float]
console = Console(highlight=False)


# -- the machine -------------------------------------------------------------------------------------------


def make_load(phase: float) -> None:
    """Keep one core busy in waves until the parent is gone."""
    threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
    while True:
        now = time.time()
        busy = 0.5 + 0.45 * math.sin(2 * math.pi * now / PERIOD + phase)
        until = time.perf_counter() + busy * STEP / 2
        while time.perf_counter() < until:
            pass
        time.sleep((1 - busy) * STEP / 2)


class Sampler(threading.Thread):
    """Queries the machine's use ten times a second, in the background, for as long as the demo runs."""

    def __init__(self, load: list[psutil.Process]) -> None:
        super().__init__(daemon=True)
        self._load = load
        self.rows: list[Row] = []
        self.sampled = threading.Condition()
        self._ended = threading.Event()

    def run(self) -> None:
        seen: deque[tuple[float, float, float, float]] = deque(maxlen=SMOOTHED + 1)
        before = _counters()
        due = time.time()
        while not self._ended.is_set():
            due += STEP
            self._ended.wait(max(0.0, due - time.time()))
            now, counters = time.time(), _counters()
            times = psutil.cpu_times()
            own = sum(sum(process.cpu_times()[:2]) for process in self._load)
            seen.append((now, sum(times), times.idle + getattr(times, "iowait", 0.0), own))
            seconds, total, idle, own = (seen[-1][place] - seen[0][place] for place in range(4))
            if len(seen) > SMOOTHED and total > 0:
                rates = {name: max(0.0, (counters[name] - before[name]) / STEP / 1024) for name in counters}
                row = {
                    "timestamp": round(now, 3),
                    "cpu": round(100 * min(1.0, max(0.0, 1 - idle / total)), 2),
                    "own_load": round(100 * max(0.0, own / seconds), 2),
                    "memory": psutil.virtual_memory().percent,
                    **{name: round(rate, 1) for name, rate in rates.items()},
                }
                with self.sampled:
                    self.rows.append(row)
                    self.sampled.notify_all()
            before = counters

    def wait_for(self, count: int) -> list[Row]:
        """Return all rows, once there are at least so many."""
        with self.sampled:
            if not self.sampled.wait_for(lambda: len(self.rows) >= count, timeout=count * STEP + 60):
                raise SystemExit("the machine is too busy to be sampled")
            return list(self.rows)

    def end(self) -> None:
        """Stop sampling."""
        self._ended.set()
        self.join()


def _counters() -> dict[str, float]:
    disk, net = psutil.disk_io_counters(), psutil.net_io_counters()  # a container may have neither
    found: dict[str, float] = {}
    if disk is not None:
        found |= {"disk_read_kbps": disk.read_bytes, "disk_write_kbps": disk.write_bytes}
    if net is not None:
        found |= {"net_received_kbps": net.bytes_recv, "net_sent_kbps": net.bytes_sent}
    return found


# -- the server --------------------------------------------------------------------------------------------


class Server:
    """The engine in a process of its own, on a free port, over one directory."""

    def __init__(self, directory: Path) -> None:
        with open(directory / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-c", "from ai_engine.cli.main import main; main()"),
                    *("serve", "--port", "0", "--json", "--model-dir", str(directory / "models")),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        told = self.process.stdout.readline()
        if not told:
            raise SystemExit(f"the server did not start; {directory / 'server.log'} says why")
        self.url: str = json.loads(told)["url"]

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the server answers (JSON values)."""
        request = urllib.request.Request(f"{self.url}{path}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        # Without the proxy that the environment may name: this is our own machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=120) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{path}: {json.load(error)['detail']}") from None
        return found

    def end(self, how: signal.Signals) -> None:
        """Send a signal and wait for the end."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


# -- the story ---------------------------------------------------------------------------------------------


def main() -> None:
    """Tell it."""
    options = _options()
    if options.load is not None:
        make_load(options.load)
    shutil.rmtree(options.directory, ignore_errors=True)
    options.directory.mkdir(parents=True)
    with _load() as load, _running(Sampler(load)) as sampler:
        step("1", f"Sampling this machine for {options.seconds} seconds, with some load of our own")
        rows = sample(sampler, max(200, round(options.seconds / STEP)))
        server = Server(options.directory)
        try:
            step("2", f"Training over HTTP, at {server.url}")
            target = worth_forecasting(rows)
            trained = train(server, rows, target)
            step("3", "Killing the server with SIGKILL, and starting it again")
            server.end(signal.SIGKILL)
            server = Server(options.directory)
            remembered(server, trained, len(rows))
            step(
                "4", f"Predicting the next {HORIZON * STEP:.0f} seconds, and waiting for what really happens"
            )
            predict(server, sampler, target)
        finally:
            server.end(signal.SIGTERM)
    console.print()
    say("To look at it in a browser:", f".venv/bin/ai-engine serve --model-dir {options.directory}/models")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=22, help="how long to sample; at least 200 rows")
    parser.add_argument("--directory", type=Path, default=Path(".demo"), help="emptied, then written to")
    parser.add_argument("--load", type=float, help=argparse.SUPPRESS)
    return parser.parse_args()


@contextmanager
def _load() -> Iterator[list[psutil.Process]]:
    cores = max(1, min(MOST_CORES, (os.cpu_count() or 1) // 2))
    command = [sys.executable, __file__, "--load", "0"]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(cores)]
    try:
        yield [psutil.Process(child.pid) for child in children]
    finally:
        for child in children:
            child.kill()
            child.communicate()


@contextmanager
def _running(sampler: Sampler) -> Iterator[Sampler]:
    sampler.start()
    try:
        yield sampler
    finally:
        sampler.end()


def step(number: str, what: str) -> None:
    """Print a heading."""
    console.print(f"\n[bold cyan]{number}[/]  [bold]{what}[/]")


def say(*lines: str) -> None:
    """Print lines, indented."""
    for line in lines:
        console.print(f"   {line}", soft_wrap=True)


def sample(sampler: Sampler, count: int) -> list[Row]:
    """Return that many rows, behind a bar."""
    columns = (
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f} rows"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        bar = bars.add_task("sampling", total=count)
        rows = sampler.wait_for(1)
        while len(rows) < count:
            bars.update(bar, completed=len(rows))
            rows = sampler.wait_for(len(rows) + 1)
    cpu = [row["cpu"] for row in rows]
    say(f"{len(rows)} rows of", ", ".join(name for name in rows[0] if name != "timestamp"))
    say(f"CPU from {min(cpu):.0f} to {max(cpu):.0f} %")
    return rows


def worth_forecasting(rows: list[Row]) -> str:
    """Return the column to forecast: the CPU, unless others keep all of it busy all the time."""
    half = [row["cpu"] for row in rows[: len(rows) // 2]]
    if max(half) - min(half) >= 5:
        return "cpu"
    say(
        "Others keep this machine so busy that its CPU does not vary;",
        "we forecast what our load gets of it.",
    )
    return "own_load"


def train(server: Server, rows: list[Row], target: str) -> dict[str, Any]:
    """Train a forecast of a column, and tell how good it is (JSON values)."""
    with console.status("fitting and measuring …"):
        trained = server.ask(
            "/train",
            {
                "model_type": "resource_prediction",
                "name": MODEL,
                "target_columns": [target],
                "training_data": rows,
                "hyperparameters": {"horizon": HORIZON},
            },
        )
    metrics = trained["performance_metrics"]
    say(
        f"{MODEL} {trained['model_version']} in {trained['training_time']:.1f} s.",
        f"On rows that it never saw its mean error is {metrics['mae']:.1f} points of CPU;",
        f"that of the best simple answer, {metrics['baseline'].replace('_', ' ')}, "
        f"is {metrics['baseline_mae']:.1f}.",
    )
    return trained


def remembered(server: Server, trained: dict[str, Any], rows: int) -> None:
    """Show that the new process knows what the killed one knew (JSON values)."""
    known = server.ask(f"/models/{MODEL}/versions")["versions"]
    measured = server.ask(f"/models/performance/{MODEL}")
    table = Table(title_justify="left")
    for column in ("", "before the kill", "after the restart"):
        table.add_column(column)
    history = known[0]["training_history"][0] if known and known[0]["training_history"] else {}
    performance = measured["performance"] or {}
    metrics = trained["performance_metrics"]
    facts = [
        ("version", trained["model_version"], measured["version"]),
        ("mean error", metrics["mae"], performance.get("mae")),
        ("R²", metrics["r2"], performance.get("r2")),
        ("rows trained on", rows, history.get("dataset_size")),
        ("trained at", trained["timestamp"], history.get("completed")),
    ]
    for name, before, after in facts:
        table.add_row(name, _told(before), _told(after))
    console.print(table)
    if (
        measured["version"] != trained["model_version"]
        or performance.get("mae") != metrics["mae"]
        or not history
    ):
        raise SystemExit("the restarted server does not know what the killed one had answered")


def _told(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def predict(server: Server, sampler: Sampler, target: str) -> None:
    """Forecast some times, and put what was predicted beside what then happened."""
    ask_for(server, sampler.wait_for(1)[-CONTEXT:])  # the first time, the model is loaded
    sampled = len(sampler.wait_for(0))
    rounds = []
    with console.status("watching …"):
        sampled = len(sampler.wait_for(sampled + CONTEXT))  # what the training did to the CPU is past
        for _ in range(ROUNDS):
            known = sampler.wait_for(sampled)
            sampled = len(known) + HORIZON
            context = known[-CONTEXT:]
            forecast = server.ask(f"/models/{MODEL}/predict", {"data": context, "horizon": HORIZON})[
                "predictions"
            ]
            happened = sampler.wait_for(sampled)[len(known) : sampled]
            rounds.append(Round(target, context[-1][target], forecast, [row[target] for row in happened]))
    print_forecast(rounds[0])
    ours, naive = _mean(e for one in rounds for e in one.ours), _mean(e for one in rounds for e in one.naive)
    inside = _mean(i for one in rounds for i in one.inside)
    say(
        f"Over {ROUNDS} such forecasts the mean error was [bold]{ours:.1f}[/] points of CPU;",
        f"that of “no change” was [bold]{naive:.1f}[/].",
        f"{inside:.0%} of what happened was inside the 90 % interval.",
    )
    if ours >= naive:
        say(
            "So “no change” was no worse this time: the machine was busy with other",
            "things than the wave that was there to be learned.",
        )


def ask_for(server: Server, context: list[Row]) -> list[dict[str, Any]]:
    """Return the forecast that follows these rows (JSON values)."""
    body = {"data": context, "horizon": HORIZON}
    predictions: list[dict[str, Any]] = server.ask(f"/models/{MODEL}/predict", body)["predictions"]
    return predictions


@dataclass(frozen=True)
class Round:
    """A forecast (JSON values), the value before it, and what then happened, in percent."""

    target: str
    before: float
    forecast: list[dict[str, Any]]
    happened: list[float]

    @property
    def ours(self) -> list[float]:
        """Return the errors of the forecast."""
        return [abs(one[self.target] - real) for one, real in zip(self.forecast, self.happened, strict=True)]

    @property
    def naive(self) -> list[float]:
        """Return the errors of the guess that nothing changes."""
        return [abs(self.before - real) for real in self.happened]

    @property
    def inside(self) -> list[bool]:
        """Return which values were inside their interval."""
        return [
            one[f"{self.target}_lower"] <= real <= one[f"{self.target}_upper"]
            for one, real in zip(self.forecast, self.happened, strict=True)
        ]


def print_forecast(one: Round) -> None:
    """Print every half second of a forecast beside what happened."""
    table = Table(
        title=f"{TARGETS[one.target]}, in percent: the first forecast, every half second",
        title_justify="left",
    )
    for column in ("from now", "forecast", "90 % interval", "happened", "our error", "no change’s error"):
        table.add_column(column, justify="right")
    for index in range(4, HORIZON, 5):
        predicted = one.forecast[index]
        table.add_row(
            f"{(index + 1) * STEP:.1f} s",
            f"{predicted[one.target]:.1f}",
            f"{predicted[f'{one.target}_lower']:.0f} to {predicted[f'{one.target}_upper']:.0f}",
            f"{one.happened[index]:.1f}",
            f"{one.ours[index]:.1f}",
            f"{one.naive[index]:.1f}",
        )
    console.print(table)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


if __name__ == "__main__":
    main()
