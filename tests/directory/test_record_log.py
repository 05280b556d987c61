"""The log of records: what was appended last counts, whoever else appends, and whatever is left of a line."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from ai_engine.directory import record_log
from ai_engine.directory.record_log import Index, RecordLog
from ai_engine.files.sandbox import Sandbox
from ai_engine.models import ModelManager
from tests.managers import another_process


@pytest.fixture
def log(tmp_path: Path) -> RecordLog:
    return opened(tmp_path)


def opened(directory: Path) -> RecordLog:
    return RecordLog(str(directory / "records" / "versions.log"), Sandbox(str(directory / "sandbox")))


def test_the_last_text_of_a_name_counts(log: RecordLog) -> None:
    assert dict(log.texts()) == {}
    for name, text in (
        ("a", b"1"),
        ("b", b"2"),
        ("a", b"3\t4"),
        ("b", b""),
        ("c", b"5"),
        ("c", b""),
        ("c", b"6"),
    ):
        log.append(name, text)
    assert dict(log.texts()) == {"a": b"3\t4", "c": b"6"}


def test_what_a_killed_writer_left_of_a_line_is_no_line(log: RecordLog) -> None:
    log.append("a", b"1")
    with open(log.path, "ab") as file:
        file.write(b'\nb\t{"half')
    known = Index(log.path)
    assert "a" in known
    assert "b" not in known
    log.append("c", b"2")
    assert "c" in known
    assert dict(log.texts()) == {"a": b"1", "b": b'{"half', "c": b"2"}  # whoever parses it will refuse it


def test_an_index_follows_the_file_into_another_one(log: RecordLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_log, "_WORTH_COMPACTING", 0)
    known = Index(log.path)
    for number in range(10):
        log.append(f"n{number}", b"x" * 100)
    assert "n3" in known
    for number in range(9):
        log.append(f"n{number}", b"")
    before = Path(log.path).stat().st_size
    log.compact()
    assert Path(log.path).stat().st_size < before / 5
    assert dict(log.texts()) == {"n9": b"x" * 100}
    log.append("n3", b"again")
    assert "n9" in known
    assert dict(log.texts()) == {"n9": b"x" * 100, "n3": b"again"}


def test_a_log_that_is_alive_is_not_written_anew(log: RecordLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_log, "_WORTH_COMPACTING", 0)
    log.append("a", b"1" * 1000)
    inode = Path(log.path).stat().st_ino
    log.compact()
    assert Path(log.path).stat().st_ino == inode


def _append(directory: Path, writer: int) -> None:
    log = opened(directory)
    record_log._WORTH_COMPACTING = 0
    for number in range(200):
        log.append(f"{writer}-{number}", b"x" * 50)
        if number % 2:
            log.append(f"{writer}-{number - 1}", b"")
        if number % 20 == writer:
            log.compact()


def test_nothing_is_lost_while_others_append_and_compact(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_append, args=(tmp_path, writer)) for writer in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert {name for name, _ in opened(tmp_path).texts()} == {
        f"{writer}-{number}" for writer in range(4) for number in range(1, 200, 2)
    }
    assert list((tmp_path / "sandbox").iterdir()) == []


def test_records_that_were_files_of_their_own_still_count(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", 1)
        manager.save_model("cpu", 2)
    records = tmp_path / ".engine" / "records"
    for name, text in opened(tmp_path / ".engine").texts():
        (records / name).write_bytes(text)
    (records / "versions.log").unlink()
    with another_process(tmp_path) as (manager, stores):
        manager.save_model("cpu", 3)
        manager.delete_version("cpu", "1.0.0")
        version_files = stores.version_files
        assert sorted(Path(path).name for path, _ in version_files.records()) == [
            "cpu@1.0.1.pkl",
            "cpu@1.0.2.pkl",
        ]
        known = version_files.recorded()
        assert [version_files.record_path(f"{tmp_path}/cpu@1.0.{n}.pkl") in known for n in range(3)] == [
            False,
            True,
            True,
        ]
