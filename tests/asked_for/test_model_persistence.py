"""The whole life of a model, as the seed's first and second example tell it, in two sessions."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ai_engine import VersionExistsError
from ai_engine.models import ModelManager

from .examples import GIVEN, NAME, measured


def test_training_with_persistence(tmp_path: Path) -> None:
    model = {"weights": [0.1, 0.2]}
    for session in (1, 2):
        with ModelManager(model_dir=tmp_path) as model_manager:
            if session == 1:
                model_id = model_manager.save_model(name=NAME, model=model, version="1.0.0", **GIVEN)
                assert (model_id.name, model_id.version) == (NAME, "1.0.0")
            else:  # a version is written once; a program that starts again leaves the number to the engine
                with pytest.raises(VersionExistsError):
                    model_manager.save_model(name=NAME, model=model, version="1.0.0", **GIVEN)
                assert model_manager.save_model(name=NAME, model=model, **GIVEN).version == "1.0.1"
            before = datetime.now()
            model_manager.update_performance(NAME, "1.0.0", measured())
            history = model_manager.metric_history(NAME, "1.0.0")
            assert len(history) == session
            newest = history[-1]
            assert (newest.mae, newest.mse, newest.r2, newest.accuracy_score) == (0.15, 0.02, 0.85, 0.92)
            assert newest.last_updated is not None
            assert newest.last_updated.timestamp() >= before.timestamp()


def test_retrieving_model_information(tmp_path: Path) -> None:
    for session in (1, 2):
        with ModelManager(model_dir=tmp_path) as model_manager:
            model_manager.save_model(NAME, {"session": session}, **GIVEN)
            model_manager.save_model("anomaly_detector", {"session": session})
            all_models = model_manager.get_model_info()
            assert (all_models["total"], len(all_models["models"])) == (2 * session, 2 * session)
            specific_model = model_manager.get_model_info(name=NAME)
            assert [entry["version"] for entry in specific_model["models"]] == ["1.0.1", "1.0.0"][-session:]
            for entry in specific_model["models"]:
                assert dict(entry) == dict(entry) | GIVEN
                assert datetime.fromisoformat(str(entry["created_at"])) <= datetime.now(UTC).replace(
                    tzinfo=None
                )


def test_training_sessions_are_recorded(tmp_path: Path) -> None:
    session = {"dataset_size": 50000, "hyperparameters": {"max_depth": 6}, "validation_score": 0.91}
    for number in (1, 2):
        with ModelManager(model_dir=tmp_path) as model_manager:
            model_manager.save_model(NAME, {"session": number})
            version = model_manager.active_models[NAME]
            moments = {"started": datetime(2026, 1, number), "completed": datetime(2026, 1, number, 1)}
            model_manager.save_training_history(NAME, version, session | moments)
            records = model_manager.get_training_history(NAME)
            assert len(records) == number
            assert dict(records[0]) == dict(records[0]) | session
            assert records[0]["version"] == version  # the newest first


def test_old_versions_are_cleaned_up(tmp_path: Path) -> None:
    for session in (1, 2):
        with ModelManager(model_dir=tmp_path) as model_manager:
            for number in range(4):
                model_manager.save_model(NAME, {"session": session, "number": number})
            removed = model_manager.cleanup_old_models(keep_versions=3)["removed"]
            assert len(removed) == (1 if session == 1 else 4)
            kept = model_manager.get_model_info(NAME)["models"]
            assert [entry["version"] for entry in kept] == [f"1.0.{4 * session - n}" for n in (1, 2, 3)]
            assert {str(path) for path in tmp_path.rglob("*.pkl")} == {one["model_path"] for one in kept}
            assert model_manager.active_models[NAME] == f"1.0.{4 * session - 1}"


def test_registering_is_persisted_too(tmp_path: Path) -> None:
    for _ in (1, 2):  # again with equal bytes nothing happens
        with ModelManager(model_dir=tmp_path) as model_manager:
            model_manager.register_model(NAME, {"weights": [0.1]}, "1.0.0")
            assert model_manager.model_versions[NAME] == ["1.0.0"]
            assert model_manager.models[NAME]["1.0.0"] == {"weights": [0.1]}


def test_threads_share_a_manager(tmp_path: Path) -> None:
    for session in (1, 2):
        with ModelManager(model_dir=tmp_path) as model_manager:

            def work(manager: ModelManager = model_manager) -> None:
                for _ in range(5):
                    version = manager.save_model(NAME, {"a": 1}).version
                    manager.update_performance(NAME, version, measured())

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            entries = model_manager.get_model_info(NAME)["models"]
            assert {entry["version"] for entry in entries} == {f"1.0.{n}" for n in range(20 * session)}
            assert {entry["metric_count"] for entry in entries} == {1}


def test_where_things_are_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    from ai_engine.settings import DEFAULT_MODEL_DIR, from_environment
    from ai_engine.wiring import database_path

    monkeypatch.delenv("AI_ENGINE_MODEL_DIR", raising=False)
    assert DEFAULT_MODEL_DIR == from_environment().model_dir == "/tmp/novacron_models"
    assert database_path(from_environment()) == "/tmp/novacron_models/model_registry.db"


def test_the_database_can_be_elsewhere_and_directories_are_made(tmp_path: Path) -> None:
    for session in (1, 2):
        with ModelManager(tmp_path / "a" / "models", tmp_path / "b" / "registry.db") as model_manager:
            assert model_manager.save_model(NAME, session).version == f"1.0.{session - 1}"
            assert model_manager.db_path == str(tmp_path / "b" / "registry.db")
        assert (tmp_path / "b" / "registry.db").is_file()
