"""The outage journal is believed only where nobody else can have written it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ai_engine import StorageError, UnsafeDirectoryError
from ai_engine.models import ModelManager
from tests.registry.outages import entries_of, impatient, journal_of, locked

pytestmark = pytest.mark.usefixtures(impatient.__name__)
__all__ = ["impatient"]

NOBODY = 65534


def give_away(path: Path) -> None:
    try:
        os.chown(path, NOBODY, -1)
    except PermissionError:
        pytest.skip("only root can give a file to another user")


def swap_for_link(path: Path) -> None:
    path.rename(path.with_name("target"))
    path.symlink_to("target")


UNSAFE: dict[str, tuple[Callable[[Path], object], str]] = {
    "of another user": (give_away, "belongs to another user"),
    "group may write": (lambda path: path.chmod(0o770), "can be written by other users"),
    "everybody may write": (lambda path: path.chmod(0o1777), "can be written by other users"),
    "a link": (swap_for_link, "is a symbolic link"),
}


@pytest.mark.parametrize(("spoil", "told"), UNSAFE.values(), ids=UNSAFE)
@pytest.mark.parametrize("configured", [False, True], ids=["in the model directory", "configured"])
def test_a_journal_that_others_can_write_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path], object],
    told: str,
    configured: bool,
) -> None:
    directory = tmp_path / "models"
    journal = tmp_path / "journal" if configured else journal_of(directory)
    if configured:
        monkeypatch.setenv("AI_ENGINE_JOURNAL_DIR", str(journal))
    with ModelManager(directory) as manager:
        manager.save_model("cpu", "before")
        with locked(directory):
            manager.save_model("cpu", "during")
    spoil(journal)
    with pytest.raises(UnsafeDirectoryError, match=told) as caught:
        ModelManager(directory)
    assert str(journal) in str(caught.value)
    assert "AI_ENGINE_JOURNAL_DIR" in str(caught.value)
    assert list(journal.glob("*.rejected")) == []
    if journal.is_symlink():
        journal.unlink()
        journal.with_name("target").rename(journal)
    else:
        os.chown(journal, os.geteuid(), -1)
        journal.chmod(0o700)
    with ModelManager(directory) as manager:
        assert manager.get_model("cpu") == "during"


def test_an_empty_directory_that_others_can_write_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal").chmod(0o1777)
    monkeypatch.setenv("AI_ENGINE_JOURNAL_DIR", str(tmp_path / "journal"))
    with pytest.raises(UnsafeDirectoryError):
        ModelManager(tmp_path / "models")


def test_a_journal_that_becomes_unsafe_under_an_open_registry_stops_saves_and_no_reader(
    tmp_path: Path,
) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", "before")
        with locked(tmp_path):
            manager.save_model("cpu", "during")
            journal_of(tmp_path).chmod(0o777)
            assert manager.get_model("cpu", "1.0.0") == "before"
            for refused in (
                lambda: manager.save_model("cpu", "refused"),
                lambda: manager.save_training_history("cpu", "1.0.0", {}),
            ):
                with pytest.raises(StorageError, match="can be written by other users"):
                    refused()
            manager.register_model("other", "kept")  # in memory, with a warning
        with pytest.raises(StorageError, match="can be written by other users"):
            manager.save_model("cpu", "refused")
        assert manager.get_model("other") == "kept"
        health = manager.registry.health()
        assert health.status == "degraded"
        assert "can be written by other users" in str(health.reason)
        journal_of(tmp_path).chmod(0o700)
        manager.save_model("cpu", "after")
        assert manager.model_versions["cpu"] == ["1.0.0", "1.0.1", "1.0.2"]


SPOILED = {"of another user": give_away, "everybody may write": lambda path: path.chmod(0o666)}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_an_entry_that_others_can_have_written_is_not_applied(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", "before")
        with locked(tmp_path):
            manager.save_model("cpu", "during")
    (path,) = entries_of(tmp_path)
    spoil(path)
    with ModelManager(tmp_path) as manager:
        assert manager.model_versions["cpu"] == ["1.0.0"]
        assert f"{path}.rejected" in str(manager.registry.health().reason)


def test_an_entry_runs_no_code_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack of the examination: a save of the original's kind, with any path and no digest."""
    evil = tmp_path / "evil.pkl"
    evil.write_bytes(b"cos\nmkdir\n(S'" + str(tmp_path / "ran").encode() + b"'\ntR.")
    directory = tmp_path / "models"
    with ModelManager(directory) as manager:
        manager.save_model("cpu", "before")
        with locked(directory):
            manager.save_model("cpu", "during")
    (path,) = entries_of(directory)
    document = json.loads(path.read_bytes())
    document["model_path"] = str(evil)
    document["version"]["artifact"].update(place="path", digest=None)
    document["digest"] = None
    path.write_text(json.dumps(document))
    with ModelManager(directory) as manager:
        assert manager.get_model("cpu") == "before"
        assert manager.get_model("cpu", "1.0.1") is None
    assert not (tmp_path / "ran").exists()
    shutil.rmtree(directory)
