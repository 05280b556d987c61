"""Nothing is imported from the directory in which a command was typed: anybody may be able to write there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import ai_engine
from tests.api.serving import telemetry, train_body

# What the installed `ai-engine` does. A program of the command line has the working directory on its path by
# itself, hence the -P.
COMMAND = (sys.executable, "-P", "-c", "from ai_engine.cli.main import main; main()")
TRAP = "import os\nopen(os.path.join(os.path.dirname(__file__), 'sprung'), 'a').write(__name__ + ' ')\n"
TRAPS = (
    *("json.py", "numpy.py", "signal.py", "sitecustomize.py", "usercustomize.py", "sklearn.py"),
    *("pandas.py", "joblib.py", "runpy.py", "ai_engine.py"),
)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Return a directory of somebody who waits for an import."""
    place = tmp_path / "hostile"
    place.mkdir()
    for name in TRAPS:
        (place / name).write_text(TRAP)
    return place


@contextmanager
def serve(place: Path, model_dir: Path) -> Iterator[httpx.Client]:
    """Serve from a working directory."""
    server = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--json", "--model-dir", str(model_dir)],
        cwd=place,
        stdout=subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
            yield client
    finally:
        server.terminate()
        server.communicate()


def test_a_served_training_imports_nothing_from_there(hostile: Path, tmp_path: Path) -> None:
    with serve(hostile, tmp_path / "models") as client:
        assert client.get("/metrics").status_code == 200
        assert client.get("/docs").status_code == 200
        answer = client.post("/train", json=train_body())
        assert answer.status_code == 200, answer.text
        body = {"data": telemetry(40)}
        assert client.post("/models/resource_predictor/predict", json=body).status_code == 200
    assert not (hostile / "sprung").exists()


def test_a_typed_training_imports_nothing_from_there(hostile: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps(telemetry()))
    given = ["--model-type", "resource_prediction", "--target", "cpu", "--set", "algorithm=ridge"]
    ran = subprocess.run(
        [*COMMAND, "train", *given, "--data", str(rows), "--model-dir", str(tmp_path / "models"), "--json"],
        cwd=hostile,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["persisted"] is True
    assert not (hostile / "sprung").exists()


@pytest.mark.parametrize("found_by", ["working directory", "variable"])
def test_the_engine_that_trains_is_the_one_that_was_asked(
    hostile: Path, tmp_path: Path, found_by: str
) -> None:
    copy = tmp_path / "checkout"
    shutil.copytree(Path(ai_engine.__file__).parent, copy / "ai_engine")
    with (copy / "ai_engine" / "training" / "worker.py").open("a") as worker:
        worker.write("\nimport sys; print('this is the copy', file=sys.stderr)\n")
    if found_by == "working directory":  # what libraries try to import, and what is not installed
        (copy / "pandas.py").write_text(TRAP)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(
        # Without -P: in a checkout the working directory is where the command itself finds the engine.
        [
            sys.executable,
            "-c",
            COMMAND[-1],
            "train",
            "--model-type",
            "resource_prediction",
            "--target",
            "cpu",
            "--data",
            "-",
            "--model-dir",
            str(tmp_path / "models"),
            "--set",
            "algorithm=ridge",
        ],
        cwd=copy if found_by == "working directory" else hostile.parent,
        env=environment | ({"PYTHONPATH": str(copy)} if found_by == "variable" else {}),
        input=json.dumps(telemetry()),
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert "this is the copy" in ran.stderr
    assert not (copy / "sprung").exists()
