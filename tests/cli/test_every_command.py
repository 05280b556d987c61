"""What holds for every command that there is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
import typer.main

from ai_engine.cli.main import commands
from tests.cli.conftest import Command
from tests.cli.test_start import MAIN


def walk(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """Yield the words of each command and its options."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, {option for one in getattr(command, "params", ()) for option in one.opts}
        return
    for name, one in below.items():
        yield from walk(one, (*path, name))


TREE: Final = dict(walk(typer.main.get_command(commands())))
# Each with arguments that let it print something of the registry of the fixture `saved`.
GIVEN: Final[dict[tuple[str, ...], tuple[str, ...]]] = {
    ("predict",): ("cpu", "--data", "{rows}"),
    ("doctor",): (),
    ("backup",): ("{tmp}/backup",),
    ("restore",): ("{tmp}/backup", "--model-dir", "{tmp}/restored"),
    ("models", "list"): (),
    ("models", "index"): ("metadata.team",),
    ("models", "show"): ("cpu",),
    ("models", "report"): ("cpu",),
    ("models", "compare"): ("cpu", "1.0.0", "1.0.1"),
    ("models", "activate"): ("cpu", "1.0.2"),
    ("models", "rollback"): ("cpu",),
    ("models", "delete"): ("cpu", "1.0.0"),
    ("models", "history"): ("cpu",),
    ("models", "cleanup"): ("--dry-run",),
    ("models", "pin"): ("cpu", "1.0.1"),
    ("models", "unpin"): ("cpu", "1.0.1"),
    ("config", "show"): (),
    ("jobs", "list"): (),
    ("jobs", "show"): ("{job}",),
    ("jobs", "cancel"): ("{job}",),
    ("jobs", "retry"): ("{job}",),
    ("models", "trainings"): ("cpu",),
    ("schedules", "set"): (
        *("cpu", "--source", "{rows}", "--every", "6h", "--rows", "9"),
        *("--model-type", "regression", "--target", "x"),
    ),
    ("schedules", "list"): (),
    ("schedules", "show"): ("cpu",),
    ("schedules", "run"): ("cpu",),
    ("schedules", "remove"): ("cpu",),
    ("models", "export"): ("cpu", "-o", "{tmp}/cpu.pkl"),
    ("keys", "create"): ("ops", "--scope", "read"),
    ("keys", "list"): (),
    ("keys", "rotate"): ("ops",),
    ("keys", "revoke"): ("ops",),
    ("audit", "show"): (),
    ("audit", "verify"): (),
}
# Tried beside: they serve until they are ended, train in a process of their own, or wait for one that does.
ELSEWHERE: Final = {("serve",), ("train",), ("worker",), ("jobs", "follow")}

# What has something to put into a registry makes one, and one that shows settings needs none.
MAKING: Final = {("restore",), ("schedules", "set"), ("keys", "create"), ("config", "show")}


@pytest.mark.parametrize("path", TREE, ids=" ".join)
def test_every_command_takes_json(path: tuple[str, ...]) -> None:
    assert "--json" in TREE[path]
    assert path in GIVEN.keys() | ELSEWHERE


def test_every_command_prints_one_document(command: Command, saved: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text('[{"x": 1}]')
    kind = ("--model-type", "regression", "--name", "m", "--target", "x")
    job = command("train", *kind, "--data", rows, "--detach", "--json").json()["job_id"]
    for path, given in GIVEN.items():
        ran = command(*path, *(one.format(tmp=tmp_path, rows=rows, job=job) for one in given), "--json")
        if path == ("predict",):  # of an object that cannot
            assert (ran.code, ran.out) == (1, "")
            assert "Traceback" not in ran.err
        else:
            assert isinstance(ran.json(), dict), path
            assert ran.code == 0, ran.err


def test_pins_are_told(command: Command, saved: Path) -> None:
    pinned = command("models", "pin", "cpu", "1.0.1", "--json").json()
    assert pinned == {"model_name": "cpu", "version": "1.0.1", "pinned": True}
    assert command("models", "show", "cpu", "1.0.1", "--json").json()["pinned"] is True
    assert command("models", "pin", "cpu", "1.0.1").out == "cpu 1.0.1 is pinned: clean-ups keep it\n"
    told = command("models", "unpin", "cpu", "1.0.1").out
    assert told == "cpu 1.0.1 is not pinned: clean-ups may remove it\n"
    assert command("models", "unpin", "cpu", "1.0.1", "--json").json()["pinned"] is False
    indexed = command("models", "index", "metadata.team", "--json").json()
    assert indexed == {"field": "metadata.team", "indexed": True}


def test_what_an_exported_model_needs_is_told(command: Command) -> None:
    told = " ".join(command("models", "export", "--help").out.split())
    assert "needs nothing of this software" not in told
    assert "models that the engine trained are novacron-ai-engine, numpy and scikit-learn" in told


# -- without the extra -------------------------------------------------------------------------------------

WITHOUT: Final = """
import sys
from importlib import machinery
class Absent(machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = name.partition('.')[0] in ('numpy', 'sklearn')
        return None if absent else super().find_spec(name, path, target)
sys.meta_path[:] = [f for f in sys.meta_path if f is not machinery.PathFinder] + [Absent]
from ai_engine.cli.main import main
main()
"""
SENTENCE: Final = "numpy is not installed. Install it with `pip install 'novacron-ai-engine[train]'`."
TRAINING: Final = {"model_type": "regression", "name": "m", "target_columns": ["y"]}


@pytest.mark.parametrize(
    "given", [("train", "--model-type", "regression", "--name", "m", "--target", "y"), ("predict", "cpu")]
)
def test_a_missing_extra_is_one_sentence(saved: Path, tmp_path: Path, given: tuple[str, ...]) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text('[{"x": 1, "y": 2}]')
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT, *given, "--data", str(rows), "--model-dir", str(saved)],
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", f"error: {SENTENCE}\n")


def test_a_missing_extra_is_a_problem_over_http(saved: Path) -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", WITHOUT, "serve", "--port", "0", "--json", "--model-dir", str(saved)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            for path, body in (
                ("/train", {**TRAINING, "training_data": [{"x": 1, "y": 2}]}),
                ("/models/cpu/predict", {"data": [{"x": 1}]}),
            ):
                answer = client.post(path, json=body)
                assert answer.status_code == 503, answer.text
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["detail"] == SENTENCE
    finally:
        server.terminate()
        log = server.communicate()[1]
    assert b"Traceback" not in log


def test_the_model_of_a_missing_package_is_one_sentence(tmp_path: Path) -> None:
    given = [
        "train",
        "--model-type",
        "regression",
        "--name",
        "m",
        "--target",
        "y",
        "--set",
        "algorithm=ridge",
    ]
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps([{"x": number, "y": number % 7} for number in range(60)]))
    environment = os.environ | {"AI_ENGINE_MODEL_DIR": str(tmp_path / "models")}
    trained = subprocess.run([*MAIN, *given, "--data", str(rows)], env=environment, capture_output=True)
    assert trained.returncode == 0, trained.stderr
    exported = tmp_path / "m.pkl"
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT, "models", "export", "m", "-o", str(exported)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    program = f"import pickle; print(type(pickle.load(open({str(exported)!r}, 'rb'))).__module__)"
    read = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert read.stdout.startswith("ai_engine.training.estimators.")


# The one opens none, the others make a registry.
@pytest.mark.parametrize("path", [path for path in GIVEN if path not in MAKING], ids=" ".join)
@pytest.mark.parametrize("exists", [False, True], ids=["no directory", "an empty one"])
def test_a_command_makes_no_registry_where_there_is_none(
    path: tuple[str, ...], exists: bool, command: Command, model_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("a\n1\n")
    if exists:
        model_dir.mkdir()
    given = (word.format(tmp=tmp_path, rows=tmp_path / "rows.csv", job="none") for word in GIVEN[path])
    ran = command(*path, *given)
    assert ran.code == 3
    assert "there is no registry in" in ran.err
    assert str(model_dir) in ran.err
    assert ran.out == ""
    assert model_dir.exists() == exists
    assert not exists or list(model_dir.iterdir()) == []
