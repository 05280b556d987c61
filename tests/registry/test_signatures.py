"""Where versions are signed, who can write rows and files but has not the key runs nothing."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import pickletools
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ai_engine import ArtifactCorruptedError, SignatureError, SigningKeyError
from ai_engine.access.signing import SigningKey, VersionSigner
from ai_engine.artifacts.local import LocalStore
from ai_engine.backup import back_up, restore
from ai_engine.cli.main import run
from ai_engine.files.sandbox import Sandbox
from ai_engine.formats import serializer
from ai_engine.models import ModelManager
from ai_engine.recovery import recover
from ai_engine.registry import model_loader
from ai_engine.registry.doctor import Doctor
from ai_engine.registry.model_cache import ModelCache
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings
from ai_engine.wiring import build_stores
from tests.models.estimators import large
from tests.registry.outages import impatient, locked
from tests.upgrade.original import Original

pytestmark = pytest.mark.usefixtures(impatient.__name__)
__all__ = ["impatient"]


class Place:
    """A registry whose versions are signed, and what an attacker wants to have run."""

    def __init__(self, root: Path) -> None:
        self.directory, self.key, self.ran = root / "models", root / "keys" / "signing.key", root / "ran"
        self.settings = Settings(model_dir=str(self.directory), signing_key=str(self.key))
        self.evil = b"cos\nmkdir\n(S'" + str(self.ran).encode() + b"'\ntR."
        self.save("small", "small")
        self.save("large", [large(1)])

    def opened(self) -> Registry:
        engine = self.directory / ".engine"
        stores = build_stores(self.settings)
        # A file that was just written is not sealed, unless its store is told to.
        artifacts = LocalStore(f"{engine}/artifacts", Sandbox(f"{engine}/sandbox"), settle=0.0)
        registry = Registry(replace(stores, artifacts=artifacts), ModelCache(10), "test")
        registry.open()
        return registry

    def save(self, name: str, model: object) -> str:
        with closing(self.opened()) as registry:
            return registry.save(name, model).version

    def load(self, name: str, version: str | None = None) -> object:
        """Load a version as a process does that has nothing in memory."""
        with closing(self.opened()) as registry:
            return registry.load(name, version)

    def execute(self, statement: str, *given: object) -> None:
        with closing(sqlite3.connect(self.directory / "model_registry.db")) as database:
            database.execute(statement, given)
            database.commit()

    def value(self, statement: str) -> Any:
        with closing(sqlite3.connect(self.directory / "model_registry.db")) as database:
            return database.execute(statement).fetchone()[0]

    def artifact(self, digest: str) -> Path:
        (found,) = (self.directory / ".engine" / "artifacts").rglob(f"*{digest.removeprefix('sha256:')}*")
        return found

    def refuses(self, name: str) -> None:
        """Check that a version is refused, and that nothing of it ran, whoever asks and in whatever way."""
        with pytest.raises(ArtifactCorruptedError):
            self.load(name)
        with closing(self.opened()) as registry:
            with pytest.raises(ArtifactCorruptedError):
                registry.export(name, None)
            findings = registry.examine(repair=True)
        assert any(name in finding.subject and finding.is_open for finding in findings)
        assert not self.ran.exists()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def test_what_is_signed_loads(place: Place) -> None:
    assert place.load("small") == "small"
    assert place.load("large") == [large(1)]
    assert place.key.stat().st_mode & 0o777 == 0o600
    with closing(place.opened()) as registry:
        assert registry.examine() == []


# -- attacks -----------------------------------------------------------------------------------------------


def plant_in_the_row(place: Place) -> str:
    digest = digest_of(place.evil)
    place.execute(
        "UPDATE engine_blobs SET bytes = ? WHERE id = (SELECT blob FROM engine_versions "
        "WHERE name = 'small')",
        place.evil,
    )
    place.execute("UPDATE engine_versions SET digest = ? WHERE name = 'small'", digest)
    return "small"


def plant_a_file_of_the_original(place: Place) -> str:
    path = place.directory.parent / "evil.pkl"
    path.write_bytes(place.evil)
    place.execute(
        "UPDATE engine_versions SET place = 'path', digest = NULL, file = NULL WHERE name = 'small'"
    )
    place.execute("UPDATE model_registry SET model_path = ? WHERE name = 'small'", str(path))
    return "small"


def plant_an_artifact(place: Place) -> str:
    digest = digest_of(place.evil)
    known = place.artifact(place.value("SELECT digest FROM engine_versions WHERE name = 'large'"))
    shutil.copy(known, known.parent / known.name.replace(known.name[-64:], digest[-64:]))
    planted = known.parent / known.name.replace(known.name[-64:], digest[-64:])
    planted.chmod(0o644)
    planted.write_bytes(place.evil)
    place.execute("UPDATE engine_versions SET digest = ?, format = 'pickle' WHERE name = 'large'", digest)
    return "large"


def alter_a_file_and_its_seal(place: Place) -> str:
    """Put other bytes into a file whose digest was checked, and say in the database that they were, too."""
    place.load("large")
    assert place.value("SELECT COUNT(*) FROM engine_seals") == 1
    file = place.artifact(place.value("SELECT digest FROM engine_versions WHERE name = 'large'"))
    file.chmod(0o644)
    with open(file, "r+b") as artifact:
        artifact.seek(-len(place.evil), os.SEEK_END)
        artifact.write(place.evil)
    seen = os.stat(file)
    facts = (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
    with open(file, "rb") as artifact:
        data = memoryview(artifact.read())
    code = digest_of(b"".join(map(bytes, serializer.code_of("mapped", data))))
    place.execute("UPDATE engine_seals SET identity = ?, code = ?", ":".join(map(str, facts)), code)
    return "large"


def drop_the_signature(place: Place) -> str:
    place.execute("UPDATE engine_versions SET signature = NULL WHERE name = 'small'")
    return "small"


def take_anothers_signature(place: Place) -> str:
    place.execute(
        "UPDATE engine_versions SET signature = (SELECT signature FROM engine_versions "
        "WHERE name = 'large') WHERE name = 'small'"
    )
    return "small"


def make_up_a_signature(place: Place) -> str:
    forged = VersionSigner([SigningKey(bytes(32))]).sign(b"x")
    place.execute("UPDATE engine_versions SET signature = ? WHERE name = 'small'", forged)
    return "small"


def write_nonsense_as_signature(place: Place) -> str:
    place.execute("UPDATE engine_versions SET signature = 'ü' WHERE name = 'small'")
    return "small"


def swap_two_versions(place: Place) -> str:
    """Let one model have the bytes of another one, with their signature."""
    columns = "place, blob, digest, format, size, store, signature"
    place.execute(
        f"UPDATE engine_versions SET ({columns}) = (SELECT {columns} FROM engine_versions "
        "WHERE name = 'large') WHERE name = 'small'"
    )
    return "small"


def rename_a_model(place: Place) -> str:
    place.save("other", "other")
    for table in ("model_registry", "engine_versions"):
        place.execute(f"UPDATE {table} SET name = 'mine' WHERE name = 'small'")
    place.execute("UPDATE engine_models SET name = 'mine' WHERE name = 'small'")
    return "mine"


def read_it_in_another_way(place: Place) -> str:
    place.execute("UPDATE engine_versions SET format = 'mapped' WHERE name = 'small'")
    return "small"


ATTACKS: list[Callable[[Place], str]] = [
    plant_in_the_row,
    plant_a_file_of_the_original,
    plant_an_artifact,
    alter_a_file_and_its_seal,
    drop_the_signature,
    take_anothers_signature,
    make_up_a_signature,
    write_nonsense_as_signature,
    swap_two_versions,
    rename_a_model,
    read_it_in_another_way,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_who_cannot_sign_has_nothing_loaded(place: Place, attack: Callable[[Place], str]) -> None:
    place.refuses(attack(place))


def pickles() -> Iterator[tuple[str, bytes]]:
    """Yield a program for every opcode that can call something, each making the directory {ran}."""
    path = b"S'{ran}'\n"
    yield "REDUCE", b"cos\nmkdir\n(" + path + b"tR."
    yield "OBJ", b"(cos\nmkdir\n" + path + b"o."
    yield "INST", b"(" + path + b"ios\nmkdir\n."
    yield "STACK_GLOBAL", b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93(" + path + b"tR."
    yield "NEWOBJ", b"\x80\x02cpathlib\nPath\n(" + path + b"t\x81cos\nmkdir\n(" + path + b"tR."
    yield "BUILD", b"cos\nmkdir\n(" + path + b"tRN}b."
    yield "EXT", b"\x80\x02\x82\x01."
    yield "NEWOBJ_EX", b"\x80\x04cpathlib\nPath\n(" + path + b"t}\x92cos\nmkdir\n(" + path + b"tR."


@pytest.mark.parametrize(("opcode", "program"), list(pickles()), ids=[name for name, _ in pickles()])
def test_no_program_of_a_strangers_runs(place: Place, opcode: str, program: bytes) -> None:
    place.evil = program.replace(b"{ran}", str(place.ran).encode())
    assert any(found.name.startswith(opcode) for found, _, _ in pickletools.genops(place.evil))
    for attack in (plant_in_the_row, plant_a_file_of_the_original, plant_an_artifact):
        place.refuses(attack(place))


@pytest.mark.parametrize("program", [program for name, program in pickles() if name != "EXT"])
def test_the_canary_is_one(tmp_path: Path, program: bytes) -> None:
    ran = tmp_path / "ran"
    with suppress(pickle.UnpicklingError, TypeError, AttributeError):
        pickle.loads(program.replace(b"{ran}", str(ran).encode()))
    assert ran.exists()


def test_a_journal_of_a_strangers_is_not_loaded(place: Place) -> None:
    with closing(place.opened()) as registry, locked(place.directory):
        registry.save("small", "waits")
    (entry,) = (place.directory / ".engine" / "outage").glob("*.json")
    document = json.loads(entry.read_text())
    assert document["version"]["artifact"]["signature"]
    assert place.load("small") == "waits"  # the one that is ours
    with closing(place.opened()) as registry, locked(place.directory):
        registry.save("small", "waits too")
    (entry,) = (place.directory / ".engine" / "outage").glob("*.json")
    document = json.loads(entry.read_text())
    document["version"]["artifact"]["signature"] = None
    entry.write_text(json.dumps(document))
    place.refuses("small")


def test_records_of_a_strangers_are_rebuilt_and_not_loaded(place: Place) -> None:
    files = build_stores(place.settings).version_files
    (path,) = (path for path, text in files.records() if b'"small"' in text)
    (document,) = (json.loads(text) for found, text in files.records() if found == path)
    Path(path).write_bytes(place.evil)
    document["artifact"] |= {"digest": digest_of(place.evil), "size": len(place.evil)}
    files.write_record(files.record_path(path), json.dumps(document).encode())
    for database in place.directory.glob("model_registry.db*"):
        database.unlink()
    recover(place.settings, from_files=True)
    assert place.load("large") == [large(1)]  # its record is ours, and brings its signature
    place.refuses("small")


def test_a_backup_of_a_strangers_is_not_loaded(place: Place, tmp_path: Path) -> None:
    back_up(place.settings, str(tmp_path / "backup"), lambda *_: None)
    restored = Settings(model_dir=str(tmp_path / "restored"), signing_key=str(place.key))
    restore(str(tmp_path / "backup"), restored, lambda *_: None)
    place.directory, place.settings = tmp_path / "restored", restored
    assert place.load("small") == "small"
    assert place.load("large") == [large(1)]
    strangers = ModelManager(tmp_path / "strangers")
    strangers.save_model("small", Evil(str(place.ran)))
    strangers.close()
    back_up(Settings(model_dir=str(tmp_path / "strangers")), str(tmp_path / "second"), lambda *_: None)
    again = Settings(model_dir=str(tmp_path / "again"), signing_key=str(place.key))
    restore(str(tmp_path / "second"), again, lambda *_: None)
    place.directory, place.settings = tmp_path / "again", again
    place.refuses("small")


class Evil:
    """Makes a directory when it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.path,)


# -- the key -----------------------------------------------------------------------------------------------


def test_what_was_there_before_is_signed_by_whoever_knows_it(
    place: Place, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    original = Original(tmp_path / "older")
    original.save("cpu", "1.0.0", "of the original")
    with ModelManager(tmp_path / "older") as manager:
        manager.save_model("net", "unsigned")
        manager.save_model("net", [large(2)])
    place.directory = tmp_path / "older"
    given = ["--model-dir", str(place.directory), "--signing-key", str(place.key)]
    place.settings = Settings(model_dir=str(place.directory), signing_key=str(place.key))
    for name in ("cpu", "net"):
        with pytest.raises(SignatureError, match="doctor --sign"):
            place.load(name)
    assert run(["doctor", *given, "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert {finding["kind"] for finding in findings} == {"signature"}
    assert run(["doctor", "--sign", *given, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["signed"] == ["cpu@1.0.0", "net@1.0.0", "net@1.0.1"]
    assert place.load("cpu") == "of the original"
    assert place.load("net") == [large(2)]
    assert run(["doctor", "--sign", *given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["signed"] == []
    with closing(place.opened()) as registry, registry.catalogue.read() as snapshot:
        assert [one.event.action for one in snapshot.audit.page(4)] == ["sign"] * 3 + ["save"]
    recorded = [json.loads(text) for _, text in build_stores(place.settings).version_files.records()]
    assert len(recorded) == 2
    assert all(record["artifact"]["signature"] for record in recorded)


def test_damage_is_not_signed(place: Place) -> None:
    place.execute("UPDATE engine_versions SET signature = NULL")
    place.execute("UPDATE engine_blobs SET bytes = x'00'")
    (file,) = place.directory.glob("small*.pkl")
    file.write_bytes(b"other")
    stores = build_stores(place.settings)
    try:
        assert Doctor(stores).sign("ops") == ["large@1.0.0"]
    finally:
        stores.catalogue.close()
    place.refuses("small")


def test_an_older_key_is_known_beside_the_new_one(place: Place) -> None:
    older = place.key.read_text()
    place.key.write_text(bytes(range(32)).hex() + "\n" + older)
    assert place.load("small") == "small"
    place.save("new", "new")
    place.key.write_text(bytes(range(32)).hex() + "\n")
    assert place.load("new") == "new"
    with pytest.raises(SignatureError, match="no key here"):
        place.load("small")


def test_a_key_that_is_gone_is_not_replaced(place: Place) -> None:
    place.key.rename(place.key.parent / "elsewhere")
    with pytest.raises(SigningKeyError, match="Put it back"):
        place.opened()
    assert not place.key.exists()
    with ModelManager(place.directory) as manager:  # without a key named, nothing is asked for
        assert manager.get_model("small") == "small"


def test_without_a_key_nothing_is_signed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", 1)
    assert run(["doctor", "--sign", "--model-dir", str(tmp_path)]) == 5
    assert "AI_ENGINE_SIGNING_KEY is not set" in capsys.readouterr().err


def test_who_only_reads_makes_no_key(tmp_path: Path) -> None:
    settings = Settings(model_dir=str(tmp_path / "none"), signing_key=str(tmp_path / "key"))
    with pytest.raises(FileNotFoundError):
        build_stores(settings, must_exist=True)
    assert list(tmp_path.iterdir()) == []


def test_a_load_again_reads_no_byte_of_a_sealed_file(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.load("large")

    def never(*_: object) -> None:
        pytest.fail("the whole file is read again")

    monkeypatch.setattr(model_loader, "_compare", never)
    assert place.load("large") == [large(1)]
