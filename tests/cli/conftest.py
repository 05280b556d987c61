from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ai_engine.cli.main import run
from ai_engine.models import ModelManager


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return the one document on standard output."""
        return json.loads(self.out, parse_constant=pytest.fail)


Command = Callable[..., Ran]


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def command(
    model_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Command]:
    """Run a command in this process, over a directory of the test's own; the log is as it was afterwards."""
    loggers = [logging.getLogger(name) for name in ("", "ai_engine", "uvicorn", "uvicorn.access")]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    monkeypatch.setenv("AI_ENGINE_MODEL_DIR", str(model_dir))

    def ran(*arguments: object) -> Ran:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    yield ran
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


@pytest.fixture
def saved(model_dir: Path) -> Path:
    """Three versions of one model, the second one active, and one of another."""
    with ModelManager(model_dir) as manager:
        for number in range(3):
            metrics = {"mae": 3.0 - number, "skill": 0.1 * number}
            manager.save_model(
                "cpu", {"number": number}, model_type="regression", metadata={"performance_metrics": metrics}
            )
        manager.activate("cpu", "1.0.1")
        manager.save_model("web tier+1", [1])
    return model_dir
