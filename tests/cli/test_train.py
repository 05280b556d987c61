"""`ai-engine train` and `predict`."""

from __future__ import annotations

import csv
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from ai_engine.models import ModelManager
from tests.api.serving import telemetry
from tests.cli.conftest import Command


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "telemetry.csv"
    with open(path, "w", newline="") as file:
        rows = telemetry()
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


FAST = ("--set", "algorithm=ridge")


def test_a_file_becomes_a_version_that_predicts(command: Command, data: Path) -> None:
    trained = command(
        "train",
        "--model-type",
        "resource_prediction",
        "--data",
        data,
        "--target",
        "cpu",
        "--horizon",
        5,
        *FAST,
        "--json",
    )
    assert trained.code == 0, trained.err
    told = trained.json()
    assert (told["model_name"], told["model_version"], told["active"]) == (
        "resource_predictor",
        "1.0.0",
        True,
    )
    assert told["performance_metrics"]["mae"] > 0

    predicted = command("predict", "resource_predictor", "--data", data, "--horizon", 5, "--json").json()
    assert (predicted["model_name"], predicted["version"]) == ("resource_predictor", "1.0.0")
    assert len(predicted["predictions"]) == 5
    table = command("predict", "resource_predictor", "--data", data, "--horizon", 2)
    assert "cpu_lower" in table.out
    assert len(table.out.splitlines()) == 4

    too_far = command("predict", "resource_predictor", "--data", data, "--horizon", 6)
    assert (too_far.code, too_far.out) == (1, "")
    assert "horizon" in too_far.err
    assert command("predict", "nothing", "--data", data).code == 3


def test_a_version_need_not_become_active(command: Command, data: Path) -> None:
    train = ("train", "--model-type", "resource_prediction", "--data", data, "--target", "cpu", *FAST)
    assert "1.0.0 (active)" in command(*train).out
    assert "1.0.1 (not active)" in command(*train, "--no-activate").out
    judged = command(*train, "--if-better", "--json").json()
    assert judged["active"] is False  # equally good is not better
    assert judged["activation_reason"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--model-type", "magic"), 1, "model_type"),
        (("--model-type", "regression"), 1, "name"),
        (("--model-type", "resource_prediction", "--target", "no"), 1, "target_columns"),
        (("--model-type", "resource_prediction", "--set", "trees=1"), 1, "hyperparameters.trees"),
        (("--model-type", "resource_prediction", "--set", "trees"), 1, "NAME=VALUE"),
        (("--model-type", "resource_prediction", "--horizon", "0"), 1, "hyperparameters.horizon"),
        (("--model-type", "resource_prediction", "--validation-split", "1"), 1, "validation_split"),
        (("--model-type", "resource_prediction", "--no-activate", "--if-better"), 2, "not both"),
        ((), 2, "--model-type"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_trained_is_refused(
    command: Command, data: Path, model_dir: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    ModelManager(model_dir).close()
    ran = command("train", "--data", data, *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert told in ran.err
    assert command("models", "list", "--json").json()["total_models"] == 0


def test_a_terminal_sees_a_bar_and_standard_output_does_not(data: Path, model_dir: Path) -> None:
    ours, theirs = pty.openpty()
    arguments = ("--model-type", "resource_prediction", "--target", "cpu", *FAST, "--data", "-", "--json")
    with open(data, "rb") as source:
        child = subprocess.Popen(
            [sys.executable, "-c", "from ai_engine.cli.main import main; main()", "train", *arguments],
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env=os.environ | {"AI_ENGINE_MODEL_DIR": str(model_dir), "TERM": "xterm", "COLUMNS": "80"},
        )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    out, _ = child.communicate()
    assert child.returncode == 0, seen
    assert b"%" in seen
    assert json.loads(out)["training_status"] == "completed"


def test_hosts_of_a_file_are_ranked(command: Command, tmp_path: Path) -> None:
    rows = [f"h{number % 2},{20 + 40 * (number % 2) + number % 3}" for number in range(120)]
    (tmp_path / "moves.csv").write_text("\n".join(["target,duration_s", *rows]))
    (tmp_path / "vm.csv").write_text("vm\n1\n")
    (tmp_path / "hosts.csv").write_text("host,cpu_percent\nh1,10\nh0,20\n")
    made = ("train", "--model-type", "migration_prediction", "--data", tmp_path / "moves.csv")
    assert command(*made).code == 0
    rows_of = ("--data", tmp_path / "vm.csv", "--candidates", tmp_path / "hosts.csv")
    asked = ("predict", "migration_predictor", *rows_of)
    told = command(*asked, "--json").json()
    assert [one["host"] for one in told["ranking"]] == ["h0", "h1"]
    shown = command(*asked)
    assert shown.code == 0
    assert "the shortest expected time until it succeeds; CPU is 20 % used before the move" in shown.out
