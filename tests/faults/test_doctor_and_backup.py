"""What is wrong is found, what can be is repaired, a lost catalogue is rebuilt, a backup is whole."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ai_engine import BackupError, CatalogueMismatchError, InvalidInputError, NewerCatalogueError
from ai_engine.backup import back_up, restore
from ai_engine.directory.ownership import ModelDirectory
from ai_engine.directory.record_log import RecordLog
from ai_engine.domain.entities import Run
from ai_engine.domain.retention import Policy
from ai_engine.files.sandbox import Sandbox
from ai_engine.models import ModelManager, ModelPerformance
from ai_engine.recovery import recover
from ai_engine.registry.doctor import Doctor, Finding, Severity
from ai_engine.registry.rebuild import rebuild
from ai_engine.settings import Settings
from ai_engine.wiring import build_stores
from tests.faults.driver import diagnose
from tests.models.estimators import large
from tests.upgrade.original import Original


def examine(directory: Path, repair: bool = False) -> list[Finding]:
    stores = build_stores(Settings(model_dir=str(directory)))
    try:
        return Doctor(stores).examine(repair=repair)
    finally:
        stores.catalogue.close()


def silent(done: int, total: int) -> None:
    assert 0 <= done <= total


def measured(mae: float) -> ModelPerformance:
    return ModelPerformance(mae, None, None, None, None, None, None, datetime.now(UTC))


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    directory = tmp_path / "models"
    with ModelManager(directory) as manager:
        for number in range(3):
            manager.registry.save(
                "cpu",
                {"number": number},
                metadata={"number": number},
                performance=measured(number),
                run=Run(None, None, 5, {"k": number}, 0.5),
            )
        manager.save_model("big", [large(1), "big"])
        manager.save_model("big", [large(2), "bigger"])
        manager.activate("cpu", "1.0.1")
    return directory


def forget_record(directory: Path, name: str) -> None:
    RecordLog(str(directory / ".engine/records/versions.log"), Sandbox(str(directory))).append(name, b"")


def lose_database(directory: Path) -> None:
    for path in directory.glob("model_registry.db*"):
        path.unlink()


def test_a_healthy_registry_has_no_findings(filled: Path) -> None:
    assert examine(filled) == []


DAMAGE: list[tuple[str, str, Callable[[Path], object], bool]] = [
    ("file gone", "file", lambda d: (d / "cpu@1.0.0.pkl").unlink(), True),
    ("file altered", "file", lambda d: (d / "cpu@1.0.0.pkl").write_bytes(b"x"), True),
    ("record gone", "record", lambda d: forget_record(d, "cpu@1.0.0.pkl.json"), True),
    ("link gone", "file", lambda d: (d / "big@1.0.0.pkl").unlink(), True),
    ("artifact gone", "artifact", lambda d: next((d / ".engine/artifacts").iterdir()).unlink(), False),
    ("unknown bytes", "artifact", lambda d: (d / ".engine/artifacts" / ("0" * 64)).write_bytes(b"x"), True),
    ("leftover", "leftover", lambda d: (d / ".engine/sandbox" / "dead").write_bytes(b"x"), True),
]


@pytest.mark.parametrize(
    ("kind", "damage", "repairable"), [case[1:] for case in DAMAGE], ids=[c[0] for c in DAMAGE]
)
def test_what_is_wrong_is_found_and_repaired_where_nothing_can_be_lost(
    filled: Path, kind: str, damage: Callable[[Path], object], repairable: bool
) -> None:
    damage(filled)
    found = examine(filled)
    assert [finding.kind for finding in found] == [kind]
    assert found == examine(filled)  # looking changes nothing
    examine(filled, repair=True)
    assert [finding.kind for finding in examine(filled)] == ([] if repairable else [kind])


def test_measurements_that_another_program_wrote_are_counted_by_a_repair(filled: Path) -> None:
    with sqlite3.connect(filled / "model_registry.db") as connection:
        connection.execute(
            "INSERT INTO performance_metrics (model_id, mae, accuracy_score, recorded_at) "
            "SELECT model_id, 0.25, 0.5, '2026-01-31 00:00:00' FROM model_registry WHERE name = 'cpu'"
        )
    assert {finding.kind for finding in examine(filled)} == {"measured"}
    assert all(finding.repaired for finding in examine(filled, repair=True))
    assert examine(filled) == []
    with ModelManager(filled) as manager:
        for entry in manager.get_model_info("cpu")["models"]:
            history = manager.metric_history("cpu", entry["version"])
            assert entry["metric_count"] == len(history) > 0
            assert entry["performance"] is not None
            assert (entry["performance"]["mae"], entry["avg_accuracy"]) == (0.25, 0.5)


def test_a_hand_edited_pointer_and_orphans_are_found(filled: Path) -> None:
    with sqlite3.connect(filled / "model_registry.db") as connection:
        connection.execute("UPDATE model_registry SET is_active = 0 WHERE name = 'cpu'")
        connection.execute("INSERT INTO performance_metrics (model_id) VALUES ('nobody')")
        connection.execute(
            "INSERT INTO model_registry (model_id, name, version) VALUES ('x', 'cpu', '1.0.0')"
        )
    kinds = sorted((finding.severity, finding.kind) for finding in examine(filled))
    assert kinds == [("disorder", "pointer"), ("note", "orphan"), ("note", "orphan")]


def test_a_lost_database_is_rebuilt_from_the_files_alone(filled: Path) -> None:
    lose_database(filled)
    with ModelManager(filled) as manager:
        assert manager.get_model("cpu") == {"number": 1}  # served from the records meanwhile
        assert manager.get_model("big", "1.0.0") == [large(1), "big"]
        manager.save_model("cpu", "during")
    ModelDirectory(str(filled)).release()
    stores = build_stores(Settings(model_dir=str(filled)))
    rebuilt = rebuild(stores)
    stores.catalogue.close()
    assert rebuilt.lost == []
    assert len(rebuilt.versions) == 6
    with ModelManager(filled) as manager:
        assert manager.model_versions["cpu"] == ["1.0.0", "1.0.1", "1.0.2", "1.0.3"]
        assert manager.get_model("cpu") == "during"
        assert manager.get_model("cpu", "1.0.2") == {"number": 2}
        assert manager.get_model("big") == [large(2), "bigger"]
        assert [p.mae for p in manager.metric_history("cpu", "1.0.2")] == [2.0]
        assert manager.get_training_history("cpu", "1.0.2")[0]["hyperparameters"] == {"k": 2}
        assert manager.registry.health().status == "healthy"
    assert examine(filled) == []


def test_the_pointer_is_rebuilt_too(filled: Path) -> None:
    lose_database(filled)
    ModelDirectory(str(filled)).release()
    stores = build_stores(Settings(model_dir=str(filled)))
    rebuild(stores)
    stores.catalogue.close()
    with ModelManager(filled) as manager:
        assert dict(manager.active_models) == {"big": "1.0.1", "cpu": "1.0.1"}


def test_bytes_that_changed_are_not_rebuilt_into_a_version(filled: Path) -> None:
    lose_database(filled)
    (filled / "cpu@1.0.0.pkl").unlink()
    (filled / "cpu@1.0.2.pkl").unlink()
    (filled / "cpu@1.0.2.pkl").write_bytes(pickle.dumps("planted"))
    with ModelManager(filled) as manager:
        path = manager.registry.find("big", "1.0.0")
        assert path is not None
        digest = str(path.artifact.digest).partition(":")[2]
    artifact = filled / ".engine" / "artifacts" / digest
    artifact.chmod(0o644)
    artifact.write_bytes(artifact.read_bytes()[:-1] + b"\x00")
    found = recover(Settings(model_dir=str(filled)), from_files=True)
    assert sorted(found.versions) == ["big@1.0.1", "cpu@1.0.1"]
    assert sorted(lost.partition(":")[0] for lost in found.lost) == ["big@1.0.0", "cpu@1.0.0", "cpu@1.0.2"]
    with ModelManager(filled) as manager:
        assert manager.model_versions["cpu"] == ["1.0.1"]
        assert manager.get_model("big", "1.0.0") is None


def test_versions_are_rebuilt_in_the_order_in_which_they_were_saved(filled: Path) -> None:
    with ModelManager(filled) as manager:
        manager.save_model("cpu", "named", version="nightly", activate=False)
        manager.save_model("cpu", "last", version="0.9", activate=False)
        before = list(manager.model_versions["cpu"])
    for version in ("nightly", "1.0.0"):
        forget_record(filled, f"cpu@{version}.pkl.json")
        examine(filled, repair=True)  # writes the record again, behind all others
    lose_database(filled)
    recover(Settings(model_dir=str(filled)), from_files=True)
    with ModelManager(filled) as manager:
        assert manager.model_versions["cpu"] == before
        newest = [entry["version"] for entry in manager.get_model_info("cpu")["models"]]
        assert newest == before[::-1]


def test_a_directory_that_was_moved_knows_its_files(filled: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    filled.rename(moved)
    with ModelManager(moved) as manager:
        entries = manager.get_model_info()["models"]
        assert {Path(str(entry["model_path"])).parent for entry in entries} == {moved}
        assert all(os.path.isfile(str(entry["model_path"])) for entry in entries)
        manager.cleanup_old_models(1)
        left = {Path(str(entry["model_path"])).name for entry in manager.get_model_info()["models"]}
    assert {path.name for path in moved.glob("*.pkl")} == left
    assert examine(moved) == []


def test_a_damaged_database_is_set_aside_and_never_deleted(filled: Path) -> None:
    database = filled / "model_registry.db"
    data = bytearray(database.read_bytes())
    data[:] = b"\xff" * len(data)
    database.write_bytes(data)
    with ModelManager(filled) as manager:
        assert manager.registry.health().status == "degraded"
        manager.save_model("cpu", "during")
        assert manager.get_model("cpu") == "during"
    (aside,) = filled.glob("model_registry.db.damaged-*")
    assert aside.read_bytes() == data
    assert not database.exists()


def test_a_page_that_is_damaged_later_is_noticed(filled: Path) -> None:
    with ModelManager(filled) as manager:
        for number in range(50):
            manager.save_model("many", os.urandom(3000) + bytes([number]))
    database = filled / "model_registry.db"
    with open(database, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (os.path.getsize(database) - 4096))
    with ModelManager(filled) as manager:
        manager.save_model("cpu", "during")
        assert manager.get_model("cpu") == "during"
        assert manager.registry.health().status == "degraded"
    assert len(list(filled.glob("model_registry.db.damaged-*"))) == 1


def test_a_locked_database_is_not_taken_for_a_damaged_one(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AI_ENGINE_LOCK_TIMEOUT", "0.2")
    other = sqlite3.connect(filled / "model_registry.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with ModelManager(filled) as manager:
        manager.save_model("cpu", "during")
    other.close()
    assert list(filled.glob("*.damaged-*")) == []
    with ModelManager(filled) as manager:
        assert manager.get_model("cpu") == "during"


def test_a_second_database_is_refused(filled: Path, tmp_path: Path) -> None:
    with pytest.raises(CatalogueMismatchError, match="belongs to the database"):
        ModelManager(filled, tmp_path / "other.db")
    assert not (tmp_path / "other.db").exists()
    with ModelManager(tmp_path / "second"), pytest.raises(CatalogueMismatchError):
        ModelManager(filled, tmp_path / "second" / "model_registry.db")


def test_a_database_of_a_newer_version_is_refused_with_a_sentence(filled: Path) -> None:
    with sqlite3.connect(filled / "model_registry.db") as connection:
        connection.execute("UPDATE engine_meta SET value = '999' WHERE key = 'schema'")
    with pytest.raises(NewerCatalogueError, match="schema 999"):
        ModelManager(filled)


def test_a_hand_edited_file_of_ours_is_told_of(filled: Path) -> None:
    (filled / ".engine" / "catalogue.json").write_text("edited")
    with ModelManager(filled) as manager:
        health = manager.registry.health()
        assert health.status == "degraded"
        assert "catalogue.json" in str(health.reason)
        manager.save_model("cpu", "during")
        assert manager.get_model("cpu") == "during"
    found = examine(filled)
    assert "catalogue.json" in found[0].detail


# -- backup --------------------------------------------------------------------------------------------------


def test_a_backup_is_taken_while_writers_write_and_restores_elsewhere(filled: Path, tmp_path: Path) -> None:
    done = threading.Event()

    def write() -> None:
        with ModelManager(filled) as manager:
            number = 0
            while not done.is_set():
                number += 1
                manager.save_model("busy", [number, large(number, 0.4)])
                manager.cleanup_old_models(2)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        manifest = back_up(Settings(model_dir=str(filled)), str(tmp_path / "backup"), silent)
    finally:
        done.set()
        writer.join()
    shutil.rmtree(filled)
    target = tmp_path / "other machine"
    restored, damage = restore(str(tmp_path / "backup"), Settings(model_dir=str(target)), silent)
    assert damage == []
    assert restored == manifest
    shutil.rmtree(tmp_path / "backup")
    with ModelManager(target) as manager:
        assert manager.get_model("big") == [large(2), "bigger"]
        assert manager.get_model("cpu", "1.0.1") == {"number": 1}
        entries = manager.get_model_info()["models"]
        assert len(entries) == manifest.versions
        assert all(Path(str(entry["model_path"])).parent == target for entry in entries)
        assert all(os.path.isfile(str(entry["model_path"])) for entry in entries)
        manager.save_model("cpu", "after")
    assert examine(target) == []


def test_a_backup_takes_the_files_of_the_original_with_it(tmp_path: Path) -> None:
    original = Original(tmp_path / "models")
    original.save("cpu", "1.0.0", {"old": True}, path=tmp_path / "elsewhere.pkl")
    original.close()
    back_up(Settings(model_dir=str(tmp_path / "models")), str(tmp_path / "backup"), silent)
    shutil.rmtree(tmp_path / "models")
    (tmp_path / "elsewhere.pkl").unlink()
    restore(str(tmp_path / "backup"), Settings(model_dir=str(tmp_path / "again")), silent)
    with ModelManager(tmp_path / "again") as manager:
        assert manager.get_model("cpu") == {"old": True}


@pytest.mark.parametrize("half", ["manifest", "artifact", "bit", "escape"])
def test_a_half_copied_backup_is_refused_and_touches_nothing(filled: Path, tmp_path: Path, half: str) -> None:
    backup = tmp_path / "backup"
    back_up(Settings(model_dir=str(filled)), str(backup), silent)
    artifact = next((backup / ".engine" / "artifacts").iterdir())
    if half == "manifest":
        (backup / "backup.json").unlink()
    elif half == "artifact":
        artifact.unlink()
    elif half == "bit":
        artifact.chmod(0o644)
        artifact.write_bytes(artifact.read_bytes()[:-1] + b"\x00")
    else:
        manifest = json.loads((backup / "backup.json").read_text())
        manifest["files"]["../models/model_registry.db"] = "0"
        (backup / "backup.json").write_text(json.dumps(manifest))
    with pytest.raises(BackupError, match="no whole backup"):
        restore(str(backup), Settings(model_dir=str(tmp_path / "target")), silent)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    "name",
    ["../secret", "/secret", ".engine/artifacts/../../secret", ".engine/../../secret", "secret", "link"],
)
def test_a_manifest_leads_nowhere_but_into_its_backup(filled: Path, tmp_path: Path, name: str) -> None:
    backup = tmp_path / "backup"
    back_up(Settings(model_dir=str(filled)), str(backup), silent)
    for directory in (tmp_path, backup):
        (directory / "secret").write_bytes(b"secret")
    if name == "link":
        name = ".engine/artifacts/link"
        (backup / name).symlink_to(tmp_path / "secret")
    manifest = json.loads((backup / "backup.json").read_text())
    manifest["files"][name] = hashlib.sha256(b"secret").hexdigest()
    (backup / "backup.json").write_text(json.dumps(manifest))
    target, artifacts = tmp_path / "target", tmp_path / "elsewhere" / "artifacts"
    with pytest.raises(BackupError, match="no whole backup"):
        restore(str(backup), Settings(model_dir=str(target), artifact_url=str(artifacts)), silent)
    assert not target.exists()


@pytest.mark.parametrize("files", ["[]", '{"model_registry.db": 5}', "null", "[" * 100_000])
def test_a_manifest_that_is_none_is_refused(filled: Path, tmp_path: Path, files: str) -> None:
    backup = tmp_path / "backup"
    back_up(Settings(model_dir=str(filled)), str(backup), silent)
    manifest = json.loads((backup / "backup.json").read_text()) | {"files": "FILES"}
    (backup / "backup.json").write_text(json.dumps(manifest).replace('"FILES"', files))
    with pytest.raises(BackupError, match="no whole backup"):
        restore(str(backup), Settings(model_dir=str(tmp_path / "target")), silent)


def test_a_directory_that_is_not_empty_is_not_filled(filled: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="not empty"):
        back_up(Settings(model_dir=str(filled)), str(filled), silent)
    back_up(Settings(model_dir=str(filled)), str(tmp_path / "backup"), silent)
    with pytest.raises(BackupError, match="not empty"):
        restore(str(tmp_path / "backup"), Settings(model_dir=str(filled)), silent)


# -- retention -----------------------------------------------------------------------------------------------


def kept(manager: ModelManager, policy: Policy) -> list[str]:
    planned = manager.registry.clean_up(policy, dry_run=True)
    versions = len(manager.model_versions["cpu"])
    assert versions == 6  # a dry run changes nothing
    done = manager.registry.clean_up(policy)
    assert done == planned
    return list(manager.model_versions["cpu"])


POLICIES = [
    (Policy(keep_versions=2), ["1.0.2", "1.0.4", "1.0.5"]),
    (Policy(best=2, metric="mae"), ["1.0.0", "1.0.1", "1.0.2"]),
    (Policy(best=1, metric="r2"), ["1.0.0", "1.0.2"]),
    (Policy(keep_versions=1, keep_previous=True), ["1.0.2", "1.0.5"]),
    (Policy(younger_than=timedelta(days=1)), ["1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.0.5"]),
    (Policy(keep_versions=1, name="other"), ["1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.0.5"]),
]


@pytest.mark.parametrize(("policy", "expected"), POLICIES)
def test_a_policy_keeps_what_it_says_and_a_dry_run_tells_the_bytes(
    tmp_path: Path, policy: Policy, expected: list[str]
) -> None:
    with ModelManager(tmp_path) as manager:
        for number in range(6):
            manager.save_model("cpu", large(number, 0.3))
            manager.update_performance(
                "cpu", f"1.0.{number}", ModelPerformance(number, None, -number, None, None, None, None, None)
            )
        manager.activate("cpu", "1.0.2")
        assert kept(manager, policy) == expected


def test_a_pinned_version_stays(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        for number in range(4):
            manager.save_model("cpu", number)
        manager.registry.pin("cpu", "1.0.0")
        manager.cleanup_old_models(1)
        assert manager.model_versions["cpu"] == ["1.0.0", "1.0.3"]
        manager.registry.pin("cpu", "1.0.0", pinned=False)
        manager.cleanup_old_models(1)
        assert manager.model_versions["cpu"] == ["1.0.3"]


def test_a_policy_that_keeps_nothing_is_refused() -> None:
    for bad in ({}, {"keep_versions": 0}, {"best": 1, "metric": "beauty"}, {"younger_than": timedelta(0)}):
        with pytest.raises(InvalidInputError):
            Policy(**bad)


def test_an_artifact_that_a_writer_is_about_to_commit_is_left_alone(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", 1)
        stores = build_stores(Settings(model_dir=str(tmp_path)))
        with stores.artifacts.create() as writer:
            writer.write(pickle.dumps(large(1)))
            stored = writer.finish()
            assert examine(tmp_path, repair=True) == []
            assert stores.artifacts.has(stored.digest)
        stores.catalogue.close()
        assert [finding.kind for finding in examine(tmp_path, repair=True)] == ["artifact"]
        assert not stores.artifacts.has(stored.digest)


def test_what_the_next_opening_does_by_itself_is_no_disorder(tmp_path: Path) -> None:
    """A clean-up that was killed before it removed the files, and a save before it wrote them."""
    with ModelManager(tmp_path) as manager:
        manager.save_model("large", large(1))
        manager.save_model("large", large(2))
        saved = manager.save_model("small", "kept")
    stores = build_stores(Settings(model_dir=str(tmp_path)))
    try:
        with stores.catalogue.write() as work:  # as a clean-up does, and nothing more
            version = work.find("large", "1.0.0")
            assert version is not None
            work.drop(version, [version.model_path, stores.version_files.record_path(version.model_path)])
    finally:
        stores.catalogue.close()
    (tmp_path / "small@1.0.0.pkl").unlink()
    (tmp_path / ".engine" / "sandbox" / f"{saved}=0123456789abcdef").write_bytes(b"")
    found = diagnose(tmp_path)
    assert {finding.kind for finding in found} == {"debris", "leftover", "file"}
    assert {finding.severity for finding in found} == {Severity.NOTE}
    ModelManager(tmp_path).close()
    assert diagnose(tmp_path) == []
    assert (tmp_path / "small@1.0.0.pkl").is_file()
    assert not (tmp_path / "large@1.0.0.pkl").exists()
