"""Kills at random moments of random jobs: of workers, of fits, of the server, several jobs at once.

``python -m tests.faults.job_kills DIRECTORY KILLS [SEED]`` makes so many, and tells what was lost or doubled.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import psutil

from ai_engine.domain.errors import AIEngineError
from ai_engine.domain.jobs import Job, JobStatus
from ai_engine.jobs.submission import submit
from ai_engine.jobs.waiting import followed
from ai_engine.jobs.workers import Workers
from ai_engine.models import ModelManager
from ai_engine.settings import Settings
from ai_engine.training.request import TrainingRequest
from tests.api.serving import telemetry, train_body
from tests.cli.test_start import MAIN
from tests.faults.driver import diagnose

# Jobs that wait or run at once, and workers beside the server's.
JOBS: Final = 6
WORKERS: Final = 2
# Seconds to a kill at most; every second one waits besides for a training that has come far, which is when it
# saves.
SOON: Final = 1.5
LATE: Final = 0.9
PATIENCE: Final = 3.0
_ROWS: Final = json.dumps(telemetry()).encode()


@dataclass
class Tally:
    """What was done, and what came of it.

    Attributes
    ----------
    kills : counter
        Of what, how many.
    jobs : int
        Jobs that were acknowledged.
    lost : list of str
        Models of jobs that made no version, or are not there.
    doubled : list of str
        Models that have more than one version, or more than one job.
    attempts : int
        How many it took.
    """

    kills: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    attempts: int = 0

    def __str__(self) -> str:
        killed = ", ".join(f"{count} {what}" for what, count in sorted(self.kills.items()))
        return (
            f"{sum(self.kills.values())} kills ({killed}) of {self.jobs} jobs in {self.attempts} attempts: "
            f"{len(self.lost)} lost, {len(self.doubled)} doubled"
        )


class Processes:
    """A server and workers over one directory, which are started again when they are killed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._roles: dict[str, subprocess.Popen[bytes]] = {}
        self.url = ""
        for role in ("server", *(f"worker {number}" for number in range(WORKERS))):
            self._start(role)

    def _start(self, role: str) -> None:
        serves = role == "server"
        given = ("serve", "--port", "0", "--json") if serves else ("worker",)
        self._roles[role] = started = subprocess.Popen(
            [*MAIN, *given, "--workers", "1", "--model-dir", str(self._directory)],
            stdout=subprocess.PIPE if serves else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if serves:
            assert started.stdout is not None
            self.url = json.loads(started.stdout.readline())["url"]

    def kill(self, chance: random.Random) -> str | None:
        """Kill something; return what it was, None where that was gone by itself."""
        role = chance.choice(list(self._roles))
        process = self._roles[role]
        if chance.random() < 0.5:
            fits = psutil.Process(process.pid).children()
            if not fits:
                return None
            with suppress(psutil.NoSuchProcess):
                chance.choice(fits).send_signal(chance.choice((signal.SIGKILL, signal.SIGSEGV)))
            return "fits"
        process.send_signal(signal.SIGTERM if chance.random() < 0.15 else signal.SIGKILL)
        process.wait()
        self._close(process)
        self._start(role)
        return role.partition(" ")[0] + "s"

    def end(self) -> None:
        """Kill them all."""
        for process in self._roles.values():
            process.kill()
            process.wait()
            self._close(process)

    @staticmethod
    def _close(process: subprocess.Popen[bytes]) -> None:
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def running(directory: Path) -> Iterator[Processes]:
    processes = Processes(directory)
    try:
        yield processes
    finally:
        processes.end()


def kill_at_random(directory: Path, kills: int, seed: int, tell: Callable[[str], object] = str) -> Tally:
    """Kill so many times while jobs are asked for and done, let the rest end, and return what came of it."""
    chance, tally = random.Random(seed), Tally()
    with ModelManager(directory) as manager:
        registry = manager.registry
        asked: dict[str, str] = {}  # the models of jobs that were acknowledged
        with running(directory) as processes:
            while sum(tally.kills.values()) < kills:
                unended = _see_to(manager, asked)
                for _ in range(min(JOBS, kills) - unended):
                    name = f"m{len(asked)}"
                    by_http = chance.random() < 0.5
                    job_id = _ask_server(processes, name) if by_http else None
                    asked[name] = job_id or _ask(manager, name)
                _wait(manager, chance)
                if (what := processes.kill(chance)) is not None:
                    tally.kills[what] += 1
                    if sum(tally.kills.values()) % 50 == 0:
                        tell(f"{tally.kills.total()} kills, {len(asked)} jobs")
        _finish(manager, directory, asked)
        tally.jobs = len(asked)
        for name, job_id in asked.items():
            jobs = [job for job in registry.queue.page() if job.model_name == name]
            versions = list(manager.model_versions[name]) if name in manager.model_versions else []
            done = registry.queue.get(job_id)
            tally.attempts += done.attempt
            if done.status is not JobStatus.COMPLETED or not versions or manager.get_model(name) is None:
                tally.lost.append(name)
            if len(versions) > 1 or len(jobs) > 1:
                tally.doubled.append(name)
            told = [run["outcome"] for run in manager.get_training_history(name)]
            assert told.count("completed") == 1, (name, told)
            assert len(told) == done.attempt, (name, told)
    assert [found for found in diagnose(directory) if found.is_open] == []
    return tally


def _see_to(manager: ModelManager, asked: dict[str, str]) -> int:
    """Let jobs wait again that were set aside; return how many have not ended."""
    unended = 0
    for job in manager.registry.queue.page():
        assert asked.get(job.model_name, job.job_id) == job.job_id
        if job.status is JobStatus.FAILED:  # killed for the third time: its story is told, and it is retried
            assert "set aside" in str(job.error), job.error
            manager.registry.queue.retry(job.job_id)
        unended += not job.status.is_ended or job.status is JobStatus.FAILED
    return unended


def _ask(manager: ModelManager, name: str) -> str:
    request = TrainingRequest(
        "resource_prediction",
        name=name,
        target_columns=("cpu",),
        hyperparameters={"algorithm": "ridge"},
    )
    return submit(manager.registry.queue, Settings(), request, [_ROWS], "json", key=name).job_id


def _ask_server(processes: Processes, name: str) -> str | None:
    """Ask over HTTP, as a client that repeats its request; None where the server could not be reached."""
    for _ in range(5):
        with suppress(httpx.HTTPError):
            answer = httpx.post(
                f"{processes.url}/train?wait=false",
                json=train_body(name=name),
                headers={"Idempotency-Key": f"http-{name}"},
                trust_env=False,
                timeout=30,
            )
            if answer.status_code == 202:
                return str(answer.json()["job_id"])
    return None


def _wait(manager: ModelManager, chance: random.Random) -> None:
    """Wait for a random moment: any, or one at which a training has come far."""
    if chance.random() < 0.5:
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up and not any(map(_is_late, manager.registry.queue.page())):
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.1))
    else:
        time.sleep(chance.uniform(0, SOON))


def _is_late(job: Job) -> bool:
    return job.status is JobStatus.RUNNING and (job.fraction or 0.0) >= LATE


def _finish(manager: ModelManager, directory: Path, asked: dict[str, str]) -> None:
    """Let every job end; what workers had that are gone goes on at once."""
    with sqlite3.connect(directory / "model_registry.db", timeout=30) as database:
        database.execute("UPDATE engine_job_leases SET lapses_at = '2026-01-01 00:00:00.000000'")
    database.close()
    workers = Workers(manager.registry.queue, Settings(model_dir=str(directory), workers=2))
    workers.start()
    try:
        for job_id in asked.values():
            while _ended(manager, job_id) is JobStatus.FAILED:
                manager.registry.queue.retry(job_id)
    finally:
        workers.stop()
        workers.join()
    with suppress(AIEngineError):
        manager.registry.queue.forget()  # nothing is old enough; what is swept is debris


def _ended(manager: ModelManager, job_id: str) -> JobStatus:
    return [job.status for job in followed(manager.registry.queue, job_id)][-1]


def _tell(told: str) -> None:
    sys.stdout.write(f"{told}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    drawn = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(2**32)
    _tell(f"seed {drawn}")
    found = kill_at_random(Path(sys.argv[1]), int(sys.argv[2]), drawn, _tell)
    _tell(str(found))
    sys.exit(os.EX_SOFTWARE if found.lost or found.doubled else 0)
