from __future__ import annotations

import logging
import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ai_engine.access.auditing import Refusals, Sealer, seal, verify
from ai_engine.access.signing import SigningKey, is_signature, signing_keys
from ai_engine.domain.audit import AuditEvent
from ai_engine.domain.errors import SigningKeyError, VersionActiveError, VersionExistsError
from ai_engine.models import ModelManager
from ai_engine.settings import Settings
from ai_engine.wiring import signing_keys as configured_keys

KEY = SigningKey(bytes(range(32)))


def entries(manager: ModelManager) -> list[tuple[str, str | None, str | None, str]]:
    """Return what the log tells, the oldest first."""
    with manager.registry.catalogue.read() as snapshot:
        found = snapshot.audit.following(0, 1000)
    return [(one.event.action, one.event.model, one.event.version, one.event.outcome) for one in found]


def test_whoever_changes_something_is_written_down(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", 1)
        manager.save_model("cpu", 2)
        manager.activate("cpu", "1.0.0")
        manager.rollback("cpu")
        manager.pin("cpu", "1.0.0")
        manager.unpin("cpu", "1.0.0")
        with pytest.raises(VersionActiveError):
            manager.delete_version("cpu", "1.0.1")
        manager.delete_version("cpu", "1.0.0")
        for number in range(3):
            manager.save_model("cpu", number)
        manager.cleanup_old_models(2)
        assert entries(manager) == [
            ("save", "cpu", "1.0.0", "done"),
            ("save", "cpu", "1.0.1", "done"),
            ("activate", "cpu", "1.0.0", "done"),
            ("rollback", "cpu", "1.0.1", "done"),
            ("pin", "cpu", "1.0.0", "done"),
            ("unpin", "cpu", "1.0.0", "done"),
            ("delete", "cpu", "1.0.1", "version-active"),
            ("delete", "cpu", "1.0.0", "done"),
            *(("save", "cpu", f"1.0.{number}", "done") for number in (2, 3, 4)),
            *(("clean-up", "cpu", f"1.0.{number}", "done") for number in (1, 2)),
        ]
        with manager.registry.catalogue.read() as snapshot:
            actors = {one.actor for one in snapshot.audit.page()}
        assert actors == {manager.registry._actor}


def test_what_failed_or_was_only_looked_at_is_not(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", 1, "1")
        with pytest.raises(VersionExistsError):
            manager.save_model("cpu", 1, "1")
        manager.registry.clean_up(1, dry_run=True)
        assert len(entries(manager)) == 1


def test_a_replayed_save_is_written_down(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", 1)
        blocker = sqlite3.connect(manager.db_path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        manager.registry._stores.catalogue._lock_timeout = 0.01  # type: ignore[attr-defined]  # of the test's own
        manager.save_model("cpu", 2)
        blocker.execute("ROLLBACK")
        blocker.close()
        manager.save_model("cpu", 3)
        assert [(action, version) for action, _, version, _ in entries(manager)] == [
            ("save", "1.0.0"),
            ("save", "1.0.1"),
            ("save", "1.0.2"),
        ]


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    with ModelManager(tmp_path / "models") as manager:
        for number in range(5):
            manager.save_model("cpu", number)
        seal(manager.registry.catalogue, KEY)
        manager.activate("cpu", "1.0.0")
    return tmp_path / "models"


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE engine_audit SET actor = 'nobody' WHERE seq = 3", "entry 3 was altered"),
        ("UPDATE engine_audit SET at = '2020-01-01 00:00:00.000000' WHERE seq = 1", "entry 1 was altered"),
        ("UPDATE engine_audit SET at = 'nonsense' WHERE seq = 2", "entry 2 was altered"),
        ("UPDATE engine_audit SET action = 'x' WHERE seq = 6", "entry 6 was altered"),
        ("UPDATE engine_audit SET model = NULL WHERE seq = 2", "entry 2 was altered"),
        ("UPDATE engine_audit SET version = '2' WHERE seq = 2", "entry 2 was altered"),
        ("UPDATE engine_audit SET outcome = 'x' WHERE seq = 2", "entry 2 was altered"),
        ("UPDATE engine_audit SET detail = '{}' WHERE seq = 2", "entry 2 was altered"),
        ("UPDATE engine_audit SET detail = 'no json' WHERE seq = 2", "entry 2 was altered"),
        ("UPDATE engine_audit SET digest = 'ab' WHERE seq = 2", "entry 2 was altered"),
        ("DELETE FROM engine_audit WHERE seq = 1", "entry 1 was altered or removed"),
        ("DELETE FROM engine_audit WHERE seq = 4", "entry 4 was altered or removed"),
        ("DELETE FROM engine_audit WHERE seq >= 5", "the end of the log was cut off"),
        ("DELETE FROM engine_audit", "the end of the log was cut off"),
        ("UPDATE engine_audit_seals SET digest = 'ab'", "entry 5 is not the one that was signed"),
        ("UPDATE engine_audit_seals SET signature = x'00'", "the signature of entry 5 is wrong"),
        ("UPDATE engine_audit_seals SET public_key = x'00'", "the signature of entry 5 is wrong"),
        (
            "UPDATE engine_audit_seals SET signed_at = '2020-01-01 00:00:00.000000'",
            "signature of entry 5 is wrong",
        ),
    ],
)
def test_what_is_altered_shows(filled: Path, statement: str, told: str) -> None:
    with ModelManager(filled) as manager:
        catalogue = manager.registry.catalogue
        assert verify(catalogue, {KEY.public}).problems == ()
        database = sqlite3.connect(manager.db_path)
        database.execute(statement)
        database.commit()
        database.close()
        assert told in " ".join(verify(catalogue, {KEY.public}).problems)


def test_a_cut_end_shows_to_who_wrote_it_down(filled: Path) -> None:
    with ModelManager(filled) as manager:
        catalogue = manager.registry.catalogue
        with catalogue.read() as snapshot:
            head = snapshot.audit.head()
        assert verify(catalogue, None, head).problems == ()
        database = sqlite3.connect(manager.db_path)
        database.execute("DELETE FROM engine_audit WHERE seq = 6")
        database.commit()
        database.close()
        assert verify(catalogue).problems == ()  # nothing in the database tells
        assert "cut off" in verify(catalogue, None, head).problems[0]
        manager.activate("cpu", "1.0.2")  # another entry in its place
        assert "entry 6 is not the one" in verify(catalogue, None, head).problems[0]


def test_another_key_shows(filled: Path) -> None:
    with ModelManager(filled) as manager:
        other = SigningKey(b"\x01" * 32)
        verdict = verify(manager.registry.catalogue, {other.public})
        assert "another key" in verdict.problems[0]
        assert (verdict.entries, verdict.head.seq) == (6, 6)
        assert verdict.sealed is not None
        assert verdict.sealed.seq == 5


def test_a_head_is_signed_once(filled: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with ModelManager(filled) as manager:
        catalogue = manager.registry.catalogue
        made = seal(catalogue, KEY)
        assert made is not None
        assert str(made.head) in caplog.text
        assert seal(catalogue, KEY) is None
        assert verify(catalogue, {KEY.public}).sealed == made.head
    with ModelManager(filled.parent / "new") as empty:
        assert seal(empty.registry.catalogue, KEY) is None
        assert verify(empty.registry.catalogue, {KEY.public}).problems == ()


def test_who_cannot_sign_says_so_once(filled: Path, caplog: pytest.LogCaptureFixture) -> None:
    def key() -> list[SigningKey]:
        raise SigningKeyError("the key", "is not a file")

    with ModelManager(filled) as manager:
        sealer = Sealer(manager.registry.catalogue, key)
        sealer.seal()
        sealer.seal()
    assert caplog.text.count("AI_ENGINE_SIGNING_KEY") == 1


def test_a_refusal_is_written_once_a_minute(filled: Path) -> None:
    with ModelManager(filled) as manager:
        refusals = Refusals(manager.registry.catalogue)
        for moment, action in ((0.0, "delete"), (59.0, "delete"), (59.0, "train"), (60.0, "delete")):
            refusals.note("ops", action, "cpu", "not-allowed", moment)
        found = [one for one in entries(manager) if one[3] == "not-allowed"]
    assert [action for action, *_ in found] == ["delete", "train", "delete"]


# -- the key -----------------------------------------------------------------------------------------------


def test_a_key_is_made_once_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "signing.key"
    assert signing_keys(str(path)) == []
    (made,) = signing_keys(str(path), make=True)
    assert signing_keys(str(path)) == [made] == signing_keys(str(path), make=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["signing.key"]
    assert is_signature(made.public, made.sign(b"text"), b"text")
    assert not is_signature(made.public, made.sign(b"text"), b"texT")
    assert len(made.secret) == 32


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o640, 0o666])
def test_a_key_that_others_reach_is_none(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "signing.key"
    signing_keys(str(path), make=True)
    path.chmod(mode)
    with pytest.raises(SigningKeyError, match="chmod 600"):
        signing_keys(str(path))


@pytest.mark.parametrize("content", [b"", b"ab" * 31, b"ab" * 33, b"zz" * 32, b"\xff" * 64])
def test_what_holds_no_key_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "signing.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SigningKeyError, match="holds no key"):
        signing_keys(str(path), make=True)
    assert path.read_bytes() == content


@pytest.mark.parametrize("place", ["signing.key", ".engine/signing.key", "../models/signing.key"])
def test_the_key_lies_outside_of_what_it_protects(tmp_path: Path, place: str) -> None:
    settings = Settings(model_dir=str(tmp_path / "models"), signing_key=str(tmp_path / "models" / place))
    with pytest.raises(SigningKeyError, match="lies in the model directory"):
        configured_keys(settings, make=True)
    beside = Settings(model_dir=str(tmp_path / "models"), signing_key=str(tmp_path / "models2" / "key"))
    assert configured_keys(beside, make=True)


def test_two_processes_make_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "signing.key")
    first: list[Callable[[], object]] = []
    link = os.link

    def late(source: str, target: str) -> None:
        monkeypatch.setattr(os, "link", link)
        first.append(lambda: signing_keys(path))
        assert signing_keys(path, make=True)  # while the one that began is at its last step
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert signing_keys(path, make=True) == first[0]()
    assert os.listdir(tmp_path) == ["signing.key"]


def test_an_event_of_any_text_is_chained(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager, manager.registry.catalogue.write("ü\n") as work:
        work.audit.append(AuditEvent("x", "ü\x00\u2028", detail={"é": "\ud800"}))
    with ModelManager(tmp_path) as manager:
        assert verify(manager.registry.catalogue).problems == ()
