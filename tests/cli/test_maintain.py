"""`doctor`, `backup` and `restore` as an operator types them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ai_engine.models import ModelManager
from tests.models.estimators import large


def engine(*arguments: object, expect: int = 0) -> str:
    command = [sys.executable, "-c", "from ai_engine.cli.main import main; main()", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == expect, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def engine_json(*arguments: object, expect: int = 0) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(engine(*arguments, "--json", expect=expect))
    return document


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    directory = tmp_path / "models"
    with ModelManager(directory) as manager:
        manager.save_model("cpu", {"small": 1})
        manager.save_model("cpu", large(1))
    return directory


def test_a_healthy_registry_says_so(filled: Path) -> None:
    assert "healthy" in engine("doctor", "--model-dir", filled)
    assert engine_json("doctor", "--model-dir", filled)["healthy"] is True


def test_what_is_wrong_sets_the_exit_code_until_it_is_repaired(filled: Path) -> None:
    (filled / "cpu@1.0.0.pkl").unlink()
    found = engine_json("doctor", "--model-dir", filled, expect=1)
    assert [finding["kind"] for finding in found["findings"]] == ["file"]
    assert "repaired" in engine("doctor", "--repair", "--model-dir", filled)
    assert "healthy" in engine("doctor", "--model-dir", filled)


def test_a_lost_database_is_rebuilt(filled: Path) -> None:
    for path in filled.glob("model_registry.db*"):
        path.unlink()
    assert engine_json("doctor", "--model-dir", filled, expect=1)["healthy"] is False
    with ModelManager(filled) as manager:
        manager.save_model("cpu", "during")
    rebuilt = engine_json("doctor", "--rebuild", "--model-dir", filled)
    assert rebuilt["restored"] == ["cpu@1.0.0", "cpu@1.0.1", "cpu@1.0.2"]
    with ModelManager(filled) as manager:
        assert manager.get_model("cpu") == "during"
        assert manager.get_model("cpu", "1.0.1") == large(1)


def test_a_damaged_database_is_set_aside_and_rebuilt(filled: Path) -> None:
    database = filled / "model_registry.db"
    database.write_bytes(b"\xff" * 50_000)
    assert len(engine_json("doctor", "--rebuild", "--model-dir", filled)["restored"]) == 2
    assert len(list(filled.glob("model_registry.db.damaged-*"))) == 1
    assert "healthy" in engine("doctor", "--model-dir", filled)


def test_a_loss_is_accepted_only_by_name(filled: Path) -> None:
    for path in filled.glob("model_registry.db*"):
        path.unlink()
    engine("doctor", "--accept-loss", "--model-dir", filled)  # the files are still there, as notes
    with ModelManager(filled) as manager:
        assert manager.get_model_info()["total"] == 0
        assert manager.registry.health().status == "healthy"
        manager.save_model("cpu", "new life", version="9.0.0")
    assert (filled / "cpu@1.0.0.pkl").exists()
    engine("doctor", "--rebuild", "--accept-loss", "--model-dir", filled, expect=1)


def test_a_backup_restores_elsewhere(filled: Path, tmp_path: Path) -> None:
    told = engine_json("backup", tmp_path / "backup", "--model-dir", filled)
    assert told["versions"] == 2
    shutil.rmtree(filled)
    restored = engine_json("restore", tmp_path / "backup", "--model-dir", tmp_path / "again")
    assert (restored["versions"], restored["damage"]) == (2, [])
    with ModelManager(tmp_path / "again") as manager:
        assert manager.get_model("cpu") == large(1)
    engine("restore", tmp_path / "backup", "--model-dir", tmp_path / "again", expect=1)
    engine("restore", tmp_path / "nowhere", "--model-dir", tmp_path / "third", expect=1)


def test_who_made_what_active_is_told(filled: Path) -> None:
    with ModelManager(filled) as manager:
        manager.rollback("cpu")
    told = engine_json("models", "history", "cpu", "--model-dir", filled)["history"]
    assert [move["version"] for move in told] == ["1.0.0", "1.0.1", "1.0.0"]
    assert told[-1]["reason"] == "rollback from 1.0.1"
    assert "rollback from" in engine("models", "history", "cpu", "--model-dir", filled)
    before = engine_json("models", "history", "cpu", "--at", "2020-01-01", "--model-dir", filled)
    assert before == {"version": None}
    later = told[-1]["activated_at"].rstrip("Z").partition(".")[0]
    year = str(int(later[:4]) + 1) + later[4:]
    assert engine("models", "history", "cpu", "--at", year, "--model-dir", filled).strip() == "1.0.0"
    engine("models", "history", "nobody", "--model-dir", filled, expect=3)


def test_pinning_keeps_a_version(filled: Path) -> None:
    engine("models", "pin", "cpu", "1.0.0", "--model-dir", filled)
    planned = engine_json("models", "cleanup", "--keep", "1", "--dry-run", "--model-dir", filled)
    assert planned["removed"] == []
    engine("models", "unpin", "cpu", "1.0.0", "--model-dir", filled)
    planned = engine_json("models", "cleanup", "--keep", "1", "--dry-run", "--model-dir", filled)
    done = engine_json("models", "cleanup", "--keep", "1", "--yes", "--model-dir", filled)
    assert planned["removed"] == done["removed"] == [{"name": "cpu", "version": "1.0.0"}]
    assert planned["freed_bytes"] == done["freed_bytes"]
