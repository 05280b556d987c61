from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ai_engine.domain.errors import InvalidInputError, TrainingFailedError
from ai_engine.settings import Settings
from ai_engine.telemetry.rows_file import RowsFile
from ai_engine.training.child import COMMAND, TrainingProcess, train_in_child
from ai_engine.training.prediction import predict
from ai_engine.training.progress import Progress
from ai_engine.training.request import TrainingRequest
from ai_engine.training.worker import ORPHANED
from ai_engine.wiring import open_registry

from .tables import Row, waves


def wanted(**given: Any) -> TrainingRequest:
    return TrainingRequest.from_mapping(
        {"model_type": "resource_prediction", "target_columns": ["cpu"]} | given
    )


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[list[Row]], RowsFile]:
    def keep(rows: list[Row]) -> RowsFile:
        file = tmp_path / "rows.json"
        file.write_text(json.dumps(rows))
        return RowsFile(str(file))

    return keep


Kept = Callable[[list[Row]], RowsFile]


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    return {"model_dir": str(tmp_path / "models")}


def children() -> set[int]:
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


def test_what_a_child_trained_is_there_for_its_parent(settings: dict[str, Any], kept: Kept) -> None:
    told: list[tuple[float, str]] = []
    result = train_in_child(
        settings, wanted(), kept(waves(200)), lambda *stage: told.append(stage), timeout=120
    )
    assert (result.name, result.version, result.active, result.persisted) == (
        *("resource_predictor", "1.0.0"),
        *(True, True),
    )
    assert [fraction for fraction, _ in told] == sorted(fraction for fraction, _ in told)
    assert len(told) > 3
    with open_registry(Settings(**settings)) as registry:
        assert len(predict(registry.load("resource_predictor"), waves(50))) == 12


@pytest.mark.parametrize(
    ("rows", "targets", "field"),
    [
        ([{"cpu": 1}, {"cpu": "high"}], ["cpu"], "training_data[1].cpu"),
        (waves(200), ["gpu"], "target_columns[0]"),
        ({"cpu": 1}, ["cpu"], "data"),
    ],
)
def test_what_a_child_refuses_its_parent_raises(
    settings: dict[str, Any], kept: Kept, quiet: Progress, rows: Any, targets: list[str], field: str
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        train_in_child(settings, wanted(target_columns=targets), kept(rows), quiet, timeout=120)
    assert refusal.value.field == field


def test_an_order_larger_than_a_pipe_gets_through(
    settings: dict[str, Any], kept: Kept, quiet: Progress
) -> None:
    named = [f"column {number} {'x' * 1000}" for number in range(100)]
    with pytest.raises(InvalidInputError) as refusal:
        train_in_child(settings, wanted(target_columns=named), kept(waves(200)), quiet, timeout=120)
    assert refusal.value.field == "target_columns[0]"


def test_a_child_that_takes_too_long_is_ended(settings: dict[str, Any], kept: Kept, quiet: Progress) -> None:
    with pytest.raises(TrainingFailedError, match=r"longer than 0\.2 seconds"):
        train_in_child(settings, wanted(), kept(waves(200)), quiet, timeout=0.2)


def test_a_child_that_is_killed_is_named_with_its_signal(settings: dict[str, Any], kept: Kept) -> None:
    started: list[TrainingProcess] = []
    with pytest.raises(TrainingFailedError, match="SIGKILL"):
        train_in_child(
            settings,
            wanted(),
            kept(waves(200)),
            lambda *stage: started[0].signal(signal.SIGKILL),
            timeout=120,
            on_start=started.append,
        )
    assert len(started) == 1


def test_a_child_without_enough_memory_fails_with_a_reason(
    settings: dict[str, Any], kept: Kept, quiet: Progress
) -> None:
    with pytest.raises(TrainingFailedError):
        train_in_child(
            settings, wanted(), kept(waves(200)), quiet, timeout=120, memory_limit_bytes=60_000_000
        )


def test_no_child_outlives_a_parent_that_changes_its_mind(settings: dict[str, Any], kept: Kept) -> None:
    before = children()

    def stop(fraction: float, message: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_in_child(settings, wanted(), kept(waves(200)), stop, timeout=120)
    assert children() == before


def test_a_child_ends_when_its_parent_is_gone(settings: dict[str, Any], kept: Kept) -> None:
    worker = subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    order = {"settings": settings, "request": wanted().to_mapping(), "rows": kept(waves(3000)).to_mapping()}
    worker.stdin.write(json.dumps(order).encode() + b"\n")
    worker.stdin.flush()
    worker.stdout.readline()
    worker.stdin.close()
    started = time.monotonic()
    assert worker.wait(timeout=30) == ORPHANED
    assert time.monotonic() - started < 5
    worker.stdout.close()


def test_what_a_server_needs_loads_no_numeric_library() -> None:
    code = (
        "import sys, ai_engine.training.request, ai_engine.training.child, ai_engine.training.engine, "
        "ai_engine.training.prediction; "
        "print(sorted({'numpy', 'sklearn', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_without_the_extra_the_message_says_how_to_install_it() -> None:
    code = (
        "import sys\n"
        "from importlib import machinery\n"
        "class Absent(machinery.PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        "        return None if name == 'sklearn' else super().find_spec(name, path, target)\n"
        "sys.meta_path[:] = [f for f in sys.meta_path if f is not machinery.PathFinder] + [Absent]\n"
        "from ai_engine.training.engine import fit\n"
        "from ai_engine.training.request import TrainingRequest\n"
        "fit(TrainingRequest('resource_prediction'), [{'cpu': 1}], lambda *stage: None)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingDependencyError" in found.stderr
    assert "novacron-ai-engine[train]" in found.stderr
