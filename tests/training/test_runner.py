"""Trainings on behalf of others: how many at once, how many wait, and that none is left behind."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import psutil
import pytest

from ai_engine.domain.errors import TrainingFailedError
from ai_engine.settings import Settings
from ai_engine.telemetry.rows_file import RowsFile
from ai_engine.training import child
from ai_engine.training.progress import Stage
from ai_engine.training.request import TrainingRequest
from ai_engine.training.runner import WAITING, RunnerStoppedError, TooManyTrainingsError, TrainingRunner

from .tables import waves

ENDLESS = ("sleep", "1000")
ASKED = TrainingRequest("resource_prediction")
ROWS = RowsFile("/nowhere.csv")


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[TrainingRunner]:
    runner = TrainingRunner(Settings(model_dir=str(tmp_path)), places=1)
    yield runner
    runner.stop()


def until(true: Callable[[], bool]) -> None:
    ticking = threading.Event()
    while not true():
        ticking.wait(0.01)


def test_a_training_that_ended_makes_room(runner: TrainingRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "COMMAND", ("sh", "-c", "read order; exit 3"))
    for number in range(WAITING + 4):
        training = runner.submit(ASKED, ROWS)
        with pytest.raises(TrainingFailedError):
            training.outcome.result()
        until(lambda: not runner.trainings)
        assert (runner.begun, runner.failed) == (number + 1, number + 1)
        assert (runner.running, runner.waiting, len(runner.processes)) == (0, 0, 0)


@pytest.mark.parametrize("places", [1, 2])
def test_so_many_wait_and_no_more_and_stopping_tells_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: int
) -> None:
    monkeypatch.setattr(child, "COMMAND", ENDLESS)
    runner, waiting = TrainingRunner(Settings(model_dir=str(tmp_path)), places), WAITING * places
    asked = [runner.submit(ASKED, ROWS) for _ in range(places + waiting)]
    until(lambda: len(runner.processes) == places)
    assert (runner.running, runner.waiting, runner.begun) == (places, waiting, places)
    assert runner.trainings == tuple(asked)
    with pytest.raises(TooManyTrainingsError, match=f"{waiting} trainings are waiting") as refused:
        runner.submit(ASKED, ROWS)
    assert refused.value.waiting == waiting
    assert (runner.waiting, runner.failed) == (waiting, 0)
    runner.stop()
    for one in asked:
        with pytest.raises(RunnerStoppedError):
            one.outcome.result()
    until(lambda: not runner.trainings)
    assert (runner.begun, runner.failed, runner.running) == (places, places, 0)
    with pytest.raises(RunnerStoppedError):
        runner.submit(ASKED, ROWS)


def test_one_that_is_ended_makes_room(runner: TrainingRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "COMMAND", ENDLESS)
    for _ in range(2):
        training, waiting = runner.submit(ASKED, ROWS), runner.submit(ASKED, ROWS)
        until(lambda: len(runner.processes) == 1)
        (process,) = runner.processes
        waiting.end()
        with pytest.raises(CancelledError):
            waiting.outcome.result()
        assert runner.trainings == (training,)
        training.end()
        with pytest.raises(TrainingFailedError, match="SIGKILL"):
            training.outcome.result()
        assert not psutil.pid_exists(process.pid)
        until(lambda: not runner.trainings)
        assert (runner.running, runner.waiting) == (0, 0)
    assert runner.begun == 2  # and not those that were ended while they waited


def test_one_that_was_ended_before_its_process_began_is_killed_when_it_does(runner: TrainingRunner) -> None:
    training = runner.submit(ASKED, ROWS)
    training.end()
    with subprocess.Popen(ENDLESS) as process:
        training.begin(process)
        assert process.wait() < 0


def test_a_stopped_runner_ends_its_trainings_and_no_other_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "COMMAND", ENDLESS)
    before = len(psutil.Process().children())  # of other tests in this process
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        runner = TrainingRunner(Settings(model_dir=str(tmp_path)))
        training = runner.submit(ASKED, ROWS)
        until(lambda: len(runner.processes) == 1)
        runner.stop()
        with pytest.raises(RunnerStoppedError):
            training.outcome.result()
        assert other.poll() is None
        assert len(psutil.Process().children()) == before + 1


def test_how_far_each_is_can_be_asked_while_it_runs(
    runner: TrainingRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = '{"event":"progress","fraction":0.25,"message":"trying ridge on cpu"}'
    monkeypatch.setattr(child, "COMMAND", ("sh", "-c", f"echo '{told}'; cat >/dev/null"))
    first, second = runner.submit(ASKED, ROWS), runner.submit(ASKED, ROWS)
    until(lambda: first.stage is not None)
    assert [one.stage for one in runner.trainings] == [Stage(0.25, "trying ridge on cpu"), None]
    first.end()
    until(lambda: second.stage is not None)
    assert first.stage == Stage(0.25, "trying ridge on cpu")  # the last one, for whoever still has it


def test_a_training_comes_to_its_end_and_says_what_it_made(runner: TrainingRunner, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(waves(100)))
    asked = TrainingRequest(
        "resource_prediction",
        target_columns=("cpu",),
        hyperparameters={"algorithm": "last_value", "horizon": 2},
    )
    training = runner.submit(asked, RowsFile(str(tmp_path / "rows.json")))
    result = training.outcome.result()
    assert (result.name, result.version, result.active) == ("resource_predictor", "1.0.0", True)
    assert training.stage == Stage(1.0, "done")
    assert (runner.begun, runner.failed) == (1, 0)
