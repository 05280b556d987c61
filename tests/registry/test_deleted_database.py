"""A database that was deleted beside its records is told as that, with the ways out, wherever it hurts."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from ai_engine import AIEngineError, CatalogueUnavailableError, VersionExistsError
from ai_engine.models import ModelManager
from ai_engine.recovery import recover
from ai_engine.settings import Settings
from tests.registry.outages import examine

WAYS_OUT = ("deleted or emptied", "doctor --rebuild", "doctor --accept-loss")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", 1, version="1.0.0")
        manager.save_model("cpu", 2, version="1.1.0")
    return tmp_path


def delete(directory: Path, *, log_too: bool = True) -> None:
    for path in directory.glob("model_registry.db*"):
        if log_too or path.name == "model_registry.db":
            path.unlink()


def tells(error: object) -> bool:
    return all(way in str(error) for way in WAYS_OUT)


@pytest.mark.parametrize("beneath", [False, True], ids=["before it is opened", "beneath an open manager"])
def test_every_error_tells_the_cause_and_the_ways_out(directory: Path, beneath: bool) -> None:
    if not beneath:
        delete(directory)
    with ModelManager(directory) as manager:
        if beneath:
            assert manager.get_model("cpu") == 2
            delete(directory)
        with pytest.raises(VersionExistsError) as caught:
            manager.save_model("cpu", 1, version="1.0.0")
        assert tells(caught.value)
        assert tells(caught.value.trouble)
        assert tells(pickle.loads(pickle.dumps(caught.value)))
        refused: list[Callable[[], object]] = [
            lambda: manager.activate("cpu", "1.0.0"),
            lambda: manager.rollback("cpu"),
            lambda: manager.delete_version("cpu", "1.0.0"),
            lambda: manager.registry.pin("cpu", "1.0.0"),
            lambda: manager.cleanup_old_models(),
        ]
        for call in refused:
            with pytest.raises(CatalogueUnavailableError) as unavailable:
                call()
            assert tells(unavailable.value)
        health = manager.registry.health()
        assert health.status == "degraded"
        assert tells(health.reason)
        manager.save_model("cpu", 3)
        assert manager.get_model("cpu") == 3
    assert tells(next(found.detail for found in examine(directory) if found.kind == "catalogue"))
    assert not (directory / "model_registry.db").exists()


@pytest.mark.parametrize("save", [False, True])
def test_the_first_call_after_the_deletion_tells_it_already(directory: Path, save: bool) -> None:
    with ModelManager(directory) as manager:
        delete(directory)
        call = manager.save_model if save else manager.activate
        arguments = ("cpu", 1, "1.0.0") if save else ("cpu", "1.0.0")
        with pytest.raises(AIEngineError) as caught:
            call(*arguments)
        assert tells(caught.value)


@pytest.mark.parametrize("log_too", [True, False], ids=["with its log", "without its log"])
@pytest.mark.parametrize("from_files", [True, False], ids=["rebuilt", "loss accepted"])
def test_both_ways_lead_out(directory: Path, log_too: bool, from_files: bool) -> None:
    with ModelManager(directory) as manager:
        manager.save_model("gpu", "in the log")
        log = (directory / "model_registry.db-wal").read_bytes()
        delete(directory, log_too=log_too)
        assert log
    with ModelManager(directory) as manager:
        manager.save_model("cpu", "during")
    recover(Settings(model_dir=str(directory)), from_files=from_files)
    with ModelManager(directory) as manager:
        assert manager.registry.health().status == "healthy"
        assert manager.get_model("cpu") == "during"
        assert manager.model_versions["cpu"] == (["1.0.0", "1.1.0", "1.1.1"] if from_files else ["1.1.1"])
        if not from_files:
            manager.save_model("cpu", "again", version="1.0.0")
            assert manager.get_model("cpu", "1.0.0") == "again"
    if not log_too:
        (kept,) = directory.glob("*-wal.lost-*")
        assert kept.read_bytes().startswith(log[:32])
