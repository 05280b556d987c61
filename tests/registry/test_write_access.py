"""docs/security.md, row by row: who can do what by writing where."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ai_engine import ArtifactCorruptedError, BackupError
from ai_engine.backup import back_up, restore
from ai_engine.models import ModelManager
from ai_engine.recovery import recover
from ai_engine.registry.model_cache import ModelCache
from ai_engine.registry.registry import Registry
from ai_engine.registry.version_records import VersionRecords
from ai_engine.settings import Settings
from ai_engine.wiring import build_stores
from tests.models.estimators import large
from tests.registry.outages import entries_of, examine, impatient, locked
from tests.upgrade.original import Original

pytestmark = pytest.mark.usefixtures(impatient.__name__)
__all__ = ["impatient"]


class Place:
    """A registry, and a pickle that tells when it is run."""

    def __init__(self, root: Path) -> None:
        self.directory = root / "models"
        self.ran = root / "ran"
        self.evil = b"cos\nmkdir\n(S'" + str(self.ran).encode() + b"'\ntR."
        self.evil_digest = "sha256:" + hashlib.sha256(self.evil).hexdigest()
        with ModelManager(self.directory) as manager:
            manager.save_model("small", "small")
            manager.save_model("large", [large(1)])

    def load(self, name: str, version: str | None = None) -> object:
        """Load a version as a process does that has nothing in memory."""
        registry = Registry(build_stores(Settings(model_dir=str(self.directory))), ModelCache(10), "test")
        registry.open()
        try:
            return registry.load(name, version)
        finally:
            registry.close()

    def execute(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.directory / "model_registry.db", isolation_level=None)) as database:
            database.execute(statement, values)

    def artifact(self) -> Path:
        return next((self.directory / ".engine" / "artifacts").iterdir())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# -- the database --------------------------------------------------------------------------------------------


def test_the_database_can_run_code_by_bytes_and_their_digest(place: Place) -> None:
    place.execute("UPDATE engine_blobs SET bytes = ?", place.evil)
    place.execute("UPDATE engine_versions SET digest = ? WHERE name = 'small'", place.evil_digest)
    place.load("small")
    assert place.ran.exists()


def test_the_database_can_run_code_by_naming_a_file_as_the_originals(place: Place, tmp_path: Path) -> None:
    (tmp_path / "evil").write_bytes(place.evil)
    place.execute(
        "UPDATE engine_versions SET place = 'path', digest = NULL, file = NULL WHERE name = 'small'"
    )
    place.execute("UPDATE model_registry SET model_path = ? WHERE name = 'small'", str(tmp_path / "evil"))
    place.load("small")
    assert place.ran.exists()


@pytest.mark.parametrize("lie", ["digest = NULL", "digest = 'sha256:../../../evil'"])
@pytest.mark.parametrize("name", ["small", "large"])
def test_a_row_of_ours_loads_nothing_without_its_digest(
    place: Place, tmp_path: Path, name: str, lie: str
) -> None:
    (tmp_path / "evil").write_bytes(place.evil)
    place.execute(f"UPDATE engine_versions SET {lie} WHERE name = ?", name)
    with pytest.raises(ArtifactCorruptedError):
        place.load(name)
    assert not place.ran.exists()


def test_the_database_removes_and_writes_nothing_elsewhere(place: Place, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.write_text("mine")
    for path, digest in (
        (notes, None),
        ("1", "sha256:../../../notes"),
        ("2", f"sha256:{'../' * 20}{notes}"),
        (place.directory / ".." / "notes", None),
    ):
        place.execute("INSERT INTO engine_debris VALUES (?, ?)", str(path), digest)
    place.execute("UPDATE model_registry SET model_path = ?", str(notes))
    assert place.load("small") == "small"  # would write its file again
    examine(place.directory, repair=True)
    assert not [found for found in examine(place.directory) if found.kind == "file"]
    with ModelManager(place.directory) as manager:
        paths = {Path(str(entry["model_path"])).parent for entry in manager.get_model_info()["models"]}
        assert paths == {place.directory}
        manager.save_model("small", "next")
        manager.save_model("large", "next")
        manager.cleanup_old_models(1)
    assert notes.read_text() == "mine"


# -- the files -----------------------------------------------------------------------------------------------


def test_the_artifacts_run_nothing(place: Place) -> None:
    artifact = place.artifact()
    artifact.chmod(0o644)
    artifact.write_bytes(place.evil)
    with pytest.raises(ArtifactCorruptedError):
        place.load("large")
    assert not place.ran.exists()


def test_the_files_beside_them_do_nothing(place: Place) -> None:
    for name in ("small", "large"):
        path = place.directory / f"{name}@1.0.0.pkl"
        path.unlink()
        path.write_bytes(place.evil)
    assert place.load("small") == "small"
    assert place.load("large") == [large(1)]
    assert not place.ran.exists()


def test_a_file_of_the_original_runs_code_before_its_first_use_and_not_later(tmp_path: Path) -> None:
    original = Original(tmp_path / "old" / "models")
    path = original.save("cpu", "1.0.0", 5)
    original.close()
    place = Place(tmp_path)
    place.directory = original.directory
    assert [found.kind for found in examine(place.directory)] == ["digest"]
    untouched = shutil.copytree(place.directory, tmp_path / "untouched")
    assert place.load("cpu") == 5
    path.write_bytes(place.evil)
    with pytest.raises(ArtifactCorruptedError):
        place.load("cpu")
    assert not place.ran.exists()
    (untouched / path.name).write_bytes(place.evil)
    place.directory = untouched
    place.execute("UPDATE model_registry SET model_path = ?", str(untouched / path.name))
    place.load("cpu")
    assert place.ran.exists()


def rewrite_records(place: Place, change: Callable[[str], str]) -> None:
    log = place.directory / ".engine" / "records" / "versions.log"
    log.write_text(change(log.read_text()))


def test_the_records_do_nothing_while_there_is_a_database(place: Place) -> None:
    digest = "sha256:" + hashlib.sha256((place.directory / "small@1.0.0.pkl").read_bytes()).hexdigest()
    rewrite_records(place, lambda text: text.replace(digest, place.evil_digest))
    (place.directory / "small@1.0.0.pkl").unlink()
    (place.directory / "small@1.0.0.pkl").write_bytes(place.evil)
    untouched = shutil.copytree(place.directory, place.directory.with_name("untouched"), symlinks=True)
    assert place.load("small") == "small"
    assert not place.ran.exists()
    place.directory = untouched
    (untouched / "model_registry.db").unlink()
    recover(Settings(model_dir=str(untouched)), from_files=True)
    place.load("small")
    assert place.ran.exists()  # with the bytes, and once the database is lost


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("small@1.0.0.pkl.json\t", "../evil.pkl.json\t"),
        lambda text: text.replace("small@1.0.0.pkl.json\t", "../small@1.0.0.pkl.json\t"),
        lambda text: text.replace("small@1.0.0.pkl.json\t", "large@1.0.0.pkl.json\t"),
        lambda text: text.replace('"place": "row"', '"place": "path"'),
    ],
    ids=["another file", "out of the directory", "of another version", "a path"],
)
def test_the_records_lead_a_rebuild_nowhere_else(
    place: Place, tmp_path: Path, change: Callable[[str], str]
) -> None:
    for name in ("evil.pkl", "small@1.0.0.pkl"):
        shutil.copy(place.directory / "small@1.0.0.pkl", tmp_path / name)
    rewrite_records(place, change)
    (place.directory / "model_registry.db").unlink()
    found = recover(Settings(model_dir=str(place.directory)), from_files=True)
    assert "small@1.0.0" not in found.versions


# -- the journal ---------------------------------------------------------------------------------------------


def test_the_journal_with_the_store_runs_code_and_alone_it_does_not(place: Place) -> None:
    with locked(place.directory), ModelManager(place.directory) as manager:
        manager.save_model("waits", "harmless")
    (entry,) = entries_of(place.directory)
    digest = json.loads(entry.read_bytes())["digest"]
    entry.write_text(entry.read_text().replace(digest, place.evil_digest))
    with pytest.raises(ArtifactCorruptedError):
        place.load("waits")
    assert not place.ran.exists()
    stored = place.artifact().with_name(place.evil_digest.partition(":")[2])
    stored.write_bytes(place.evil)
    place.load("waits")
    assert place.ran.exists()


# -- backups -------------------------------------------------------------------------------------------------


def silent(done: int, total: int) -> None:
    """Tell nobody."""


def test_a_backup_is_believed_by_its_manifest(place: Place, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    back_up(Settings(model_dir=str(place.directory)), str(backup), silent)
    with closing(sqlite3.connect(backup / "model_registry.db", isolation_level=None)) as database:
        database.execute("UPDATE engine_blobs SET bytes = ?", (place.evil,))
        database.execute("UPDATE engine_versions SET digest = ? WHERE name = 'small'", (place.evil_digest,))
    settings = Settings(model_dir=str(tmp_path / "restored"))
    with pytest.raises(BackupError, match="not as it was written"):
        restore(str(backup), settings, silent)
    manifest = json.loads((backup / "backup.json").read_text())
    altered = (backup / "model_registry.db").read_bytes()
    manifest["files"]["model_registry.db"] = hashlib.sha256(altered).hexdigest()
    (backup / "backup.json").write_text(json.dumps(manifest))
    restore(str(backup), settings, silent)
    place.directory = tmp_path / "restored"
    place.load("small")
    assert place.ran.exists()


# -- what the engine writes ----------------------------------------------------------------------------------


def test_nothing_but_adoption_writes_a_row_without_digest_or_out_of_the_directory(place: Place) -> None:
    directory = place.directory
    with locked(directory), ModelManager(directory) as manager:
        manager.save_model("waits", "waits")
        manager.register_model("registered", [large(2)])
    with ModelManager(directory) as manager:
        manager.save_model("small", "next")
    stores = build_stores(Settings(model_dir=str(directory)))
    assert len(list(VersionRecords(stores.version_files))) == 5
    stores.catalogue.close()

    def rows() -> set[tuple[str, bool, str]]:
        query = (
            "SELECT e.place, e.digest LIKE 'sha256:%', r.model_path FROM engine_versions e "
            "JOIN model_registry r ON r.model_id = e.model_id"
        )
        with closing(sqlite3.connect(directory / "model_registry.db")) as database:
            return {
                (kind, bool(known), os.path.dirname(path)) for kind, known, path in database.execute(query)
            }

    expected = {("row", True, str(directory)), ("store", True, str(directory))}
    assert rows() == expected
    (directory / "model_registry.db").unlink()
    assert recover(Settings(model_dir=str(directory)), from_files=True).lost == []
    assert rows() == expected
