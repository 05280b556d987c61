"""`ai-engine schedules …`, and what `models trainings` tells of attempts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ai_engine.models import ModelManager
from tests.api.serving import telemetry
from tests.cli.conftest import Command

KIND = ("--model-type", "resource_prediction", "--target", "cpu", "--set", "algorithm=ridge")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "cpu-2026-01-01.json"
    path.write_text(json.dumps(telemetry()))
    return path


def test_a_schedule_is_set_done_shown_run_and_removed(
    command: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data.parent)
    ran = command("schedules", "set", "cpu", "--source", "cpu-{date}.json", "--every", "6h", *KIND)
    assert ran.code == 0, ran.err
    for part in (f"{data.parent}/cpu-{{date}}.json", "every 6h", "if_better"):
        assert part in ran.out
    assert command("worker", "--once").code == 0
    shown = command("schedules", "show", "cpu", "--json").json()
    assert (shown["last"]["outcome"], shown["last"]["version"]) == ("completed", "1.0.0")
    assert "1.0.0" in command("schedules", "list").out
    assert "completed" in command("schedules", "show", "cpu").out
    job_id = command("schedules", "run", "cpu", "--json").json()["job_id"]
    assert command("jobs", "show", job_id, "--json").json()["status"] == "queued"
    assert command("schedules", "run", "cpu").code == 4
    assert command("worker", "--once").code == 0
    (newest, _) = command("models", "trainings", "cpu", "--json").json()["training_history"]
    assert (newest["version"], newest["job_id"], newest["outcome"]) == ("1.0.1", job_id, "completed")
    assert "by itself any more" in command("schedules", "remove", "cpu").out
    for words in (("show",), ("remove",), ("run",)):
        assert command("schedules", *words, "cpu").code == 3
    assert command("schedules", "list", "--json").json() == {"schedules": []}


def test_an_attempt_that_made_nothing_is_listed(command: Command, tmp_path: Path) -> None:
    bad = tmp_path / "cpu.json"
    bad.write_text("[]")
    command("schedules", "set", "cpu", "--source", bad, "--every", "6h", *KIND)
    assert command("worker", "--once").code == 0
    told = command("models", "trainings", "cpu")
    assert told.code == 0
    assert "failed" in told.out
    (one,) = command("models", "trainings", "cpu", "--json").json()["training_history"]
    assert (one["version"], one["outcome"]) == (None, "failed")
    assert one["error"]
    assert one["peak_memory_bytes"] > 0
    assert one["hyperparameters"]["algorithm"] == "ridge"
    with ModelManager() as manager:
        assert manager.get_training_history("cpu")[0]["error"] == one["error"]
    assert command("models", "trainings", "memory").code == 3
    assert "failed" in command("schedules", "show", "cpu").out


def test_a_training_that_was_no_job_is_listed(command: Command, data: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.json"
    short.write_text(json.dumps(telemetry(5)))
    for path, code in ((short, 1), (data, 0)):
        assert command("train", *KIND, "--name", "cpu", "--data", path).code == code
    newest, oldest = command("models", "trainings", "cpu", "--json").json()["training_history"]
    assert (newest["version"], newest["outcome"], newest["error"]) == ("1.0.0", "completed", None)
    assert (oldest["version"], oldest["outcome"]) == (None, "failed")
    assert oldest["error"]
    for one in (newest, oldest):
        assert one["host"]
        assert one["job_id"] is None
        assert one["cpu_seconds"] > 0
        assert one["peak_memory_bytes"] > 10_000_000


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("--every", "soon"), 1, "every"),
        ((), 1, "every"),
        (("--every", "6h", "--files", "some"), 1, "files"),
        (("--every", "6h", "--activate", "often"), 2, "--activate"),
        (("--every", "6h", "--rows", "0"), 2, "--rows"),
    ],
)
def test_what_cannot_be_scheduled_is_one_line(
    command: Command, data: Path, words: tuple[str, ...], code: int, part: str
) -> None:
    ran = command("schedules", "set", "cpu", "--source", data, *KIND, *words)
    assert (ran.code, ran.out) == (code, "")
    assert part in ran.err


@pytest.mark.parametrize(
    ("activate", "meant"),
    [("never", False), ("unless_worse", True), ("always", "always"), ("if_better", "if_better")],
)
def test_when_a_version_becomes_active(command: Command, data: Path, activate: str, meant: Any) -> None:
    words = ("--source", data, "--every", "6h", *KIND, "--activate", activate)
    assert command("schedules", "set", "cpu", *words, "--json").json()["training"]["activate"] == meant
    assert f"activate  {activate}" in command("schedules", "show", "cpu").out


def test_python_has_the_same(data: Path, model_dir: Path) -> None:
    with ModelManager(model_dir) as manager:
        told = manager.schedule(
            "cpu", data, rows=5, files="all", model_type="resource_prediction", target_columns=["cpu"]
        )
        assert told == manager.schedules()[0]
        assert (told["next_at"], told["rows"], told["files"]) == (None, 5, "all")
        assert manager.health()["schedules"] == [
            {"model_name": "cpu", "next_at": None, "last": None, "warning": None}
        ]
        job = manager.run_schedule("cpu")
        assert job.status == "queued"
        manager.unschedule("cpu")
        assert manager.schedules() == []
