"""`ai-engine models report`: on a terminal, as one document, and as one file."""

from __future__ import annotations

from pathlib import Path

import pytest

from ai_engine.domain.entities import Run
from ai_engine.models import ModelManager
from ai_engine.training.report import PARTS
from tests.cli.conftest import Command
from tests.reports.test_page import FULL


@pytest.fixture
def trained(model_dir: Path) -> Path:
    metadata = {"performance_metrics": FULL["metrics"], "candidates": FULL["leaderboard"]}
    many = {"cpu": [{"row": number, "observed": 0.5} for number in range(20)]}
    with ModelManager(model_dir) as manager:
        run = Run(None, None, 1, report=FULL | {"worst": many})
        manager.registry.save("cpu", 1, model_type="regression", metadata=metadata, run=run)
        manager.save_model("cpu", 2)
    return model_dir


@pytest.mark.usefixtures("trained")
def test_a_report_can_be_read_on_a_terminal(command: Command) -> None:
    ran = command("models", "report", "cpu", "--version", "1.0.0")
    assert ran.code == 0
    for told in (
        "25 % better",
        "For which machines: Skill for cpu",
        "What it hangs on: Columns that cpu hangs on",
        "… and 8 more; --html and --json have them",
        "what these numbers mean: docs/numbers.md",
    ):
        assert told in ran.out
    assert ran.out.count("Mean error of cpu") == 1  # its other picture has the same numbers


@pytest.mark.usefixtures("trained")
def test_the_active_version_is_meant_and_may_have_nothing_to_tell(command: Command) -> None:
    ran = command("models", "report", "cpu")
    assert ran.code == 0
    assert "1.0.1 (active)" in ran.out
    assert "nothing was measured of this version" in ran.out
    assert command("models", "report", "cpu", "--json").json() == dict.fromkeys(PARTS)
    told = command("models", "report", "cpu", "--version", "1.0.0", "--json").json()
    assert told["by_group"] == FULL["by_group"]


@pytest.mark.usefixtures("trained")
def test_a_page_is_written_once_unless_it_is_to_be_replaced(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    asked = ("models", "report", "cpu", "--version", "1.0.0", "--html", file)
    assert command(*asked).code == 0
    text = file.read_text()
    assert text.startswith("<!doctype html>")
    assert "25 % better" in text
    again = command(*asked)
    assert (again.code, again.out) == (1, "")
    assert "--force" in again.err
    told = command(*asked, "--force", "--json").json()
    assert told == {
        "model_name": "cpu",
        "version": "1.0.0",
        "output": str(file),
        "bytes": len(file.read_bytes()),
    }
    nowhere = command("models", "report", "cpu", "--html", tmp_path / "no" / "report.html")
    assert nowhere.code == 1
    assert "cannot be written" in nowhere.err


def test_who_only_reads_creates_nothing(command: Command, model_dir: Path) -> None:
    ran = command("models", "report", "cpu")
    assert ran.code == 3
    assert str(model_dir) in ran.err
    assert not model_dir.exists()


@pytest.mark.usefixtures("trained")
def test_what_does_not_exist_is_told(command: Command) -> None:
    assert command("models", "report", "nobody").code == 3
    assert command("models", "report", "cpu", "--version", "9").code == 3
