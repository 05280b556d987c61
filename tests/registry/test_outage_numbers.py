"""A number that a caller was told is kept, whoever saves what, where and when."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from ai_engine import ReentrantCallError, StorageError, VersionExistsError
from ai_engine.directory.outage_journal import LocalOutageJournal
from ai_engine.models import ModelManager
from tests.models.estimators import large
from tests.registry.outages import entries_of, examine, impatient, journal_of, locked

pytestmark = pytest.mark.usefixtures(impatient.__name__)
__all__ = ["impatient"]


def versions_of(directory: Path) -> dict[str, object]:
    with ModelManager(directory) as manager:
        return {version: manager.get_model("cpu", version) for version in manager.model_versions["cpu"]}


def test_two_managers_that_wait_get_two_numbers(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as one, ModelManager(tmp_path) as two:
        one.save_model("cpu", "before")
        with locked(tmp_path):
            told = {
                manager.registry.save("cpu", value).version: value
                for manager, value in ((one, "first"), (two, "second"), (one, "third"), (two, "fourth"))
            }
            with pytest.raises(VersionExistsError):
                one.save_model("cpu", "fifth", version="1.0.2")
    assert versions_of(tmp_path) == {"1.0.0": "before", **told}
    assert len(told) == 4


def test_what_is_appended_within_a_tick_of_the_clock_is_seen(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as one, ModelManager(tmp_path) as two:
        one.save_model("cpu", "before")
        with locked(tmp_path):
            one.save_model("cpu", "first")
            assert one.model_versions["cpu"] == ["1.0.0", "1.0.1"]
            times = os.stat(journal_of(tmp_path))
            two.save_model("cpu", "second")
            os.utime(journal_of(tmp_path), ns=(times.st_atime_ns, times.st_mtime_ns))  # as a coarse one says
            assert one.model_versions["cpu"] == ["1.0.0", "1.0.1", "1.0.2"]
            assert one.registry.save("cpu", "third").version == "1.0.3"


_SAVES = textwrap.dedent(
    """
    import os, sys
    from ai_engine.models import ModelManager
    os.environ["AI_ENGINE_LOCK_TIMEOUT"] = "0.01"
    directory, who = sys.argv[1:]
    with ModelManager(directory) as manager:
        print("ready", flush=True)
        for line in sys.stdin:
            number = int(line)
            print(manager.registry.save("cpu", [who, number]).version, who, number, flush=True)
    """
)


def test_processes_that_save_while_the_database_comes_and_goes_keep_their_numbers(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", "before")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _SAVES, str(tmp_path), str(who)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for who in range(3)
    ]
    told: list[str] = []
    done = threading.Event()

    def feed(writer: subprocess.Popen[str]) -> None:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        for number in range(25):
            writer.stdin.write(f"{number}\n")
            writer.stdin.flush()
            told.append(writer.stdout.readline())
        writer.stdin.close()

    def come_and_go() -> None:
        while not done.wait(0.015):
            with locked(tmp_path):
                done.wait(0.03)

    with ThreadPoolExecutor(4) as pool:
        trouble = pool.submit(come_and_go)
        try:
            for fed in [pool.submit(feed, writer) for writer in writers]:
                fed.result()
        finally:
            done.set()
        trouble.result()
    for writer in writers:
        with writer:  # closes its pipes
            assert writer.wait() == 0
    saved = {version: [who, int(number)] for version, who, number in map(str.split, told)}
    assert len(saved) == 75  # no number was told twice
    assert versions_of(tmp_path) == {"1.0.0": "before", **saved}
    assert entries_of(tmp_path) == []


def test_a_save_into_the_database_goes_behind_one_that_began_to_wait_meanwhile(tmp_path: Path) -> None:
    """The database comes back for one process just when another was told a number without it."""
    with ModelManager(tmp_path) as manager, ModelManager(tmp_path) as other:
        manager.save_model("cpu", "before")
        waited = threading.Event()
        journal = LocalOutageJournal(str(journal_of(tmp_path)), ".", str(tmp_path / ".engine"))
        with locked(tmp_path):
            other.save_model("gpu", "makes the journal")
        with ThreadPoolExecutor(1) as pool, journal.exclusive():
            # Its transaction has begun, and waits for the journal before it takes a number.
            saving = pool.submit(lambda: manager.registry.save("cpu", "into the database").version)
            while not _is_locked(tmp_path):
                waited.wait(0.001)
            assert not saving.done()
            document = _document_of(other, tmp_path)
            journal.append(document)
        assert saving.result() == "1.0.2"
    found = list(versions_of(tmp_path).items())
    assert found == [("1.0.0", "before"), ("1.0.1", "waits"), ("1.0.2", "into the database")]


def _is_locked(directory: Path) -> bool:
    with closing(sqlite3.connect(directory / "model_registry.db", isolation_level=None, timeout=0)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    return False


def _document_of(manager: ModelManager, directory: Path) -> bytes:
    """Return the entry of a save of cpu, 1.0.1, as another directory would have it."""
    twin = directory.with_name("twin")
    with ModelManager(twin) as copy:
        copy.save_model("cpu", "before")
        with locked(twin):
            copy.save_model("cpu", "waits")
    (entry,) = entries_of(twin)
    (artifact,) = (twin / ".engine" / "artifacts").iterdir()
    (directory / ".engine" / "artifacts").mkdir(exist_ok=True)
    artifact.rename(directory / ".engine" / "artifacts" / artifact.name)
    return entry.read_bytes()


@pytest.mark.parametrize("number", [None, "1.0.1"])
def test_a_save_that_waits_in_another_journal_keeps_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str | None
) -> None:
    directory = tmp_path / "models"
    with ModelManager(directory) as here:
        here.save_model("cpu", "before")
        monkeypatch.setenv("AI_ENGINE_JOURNAL_DIR", str(tmp_path / "elsewhere"))
        with locked(directory), ModelManager(directory) as there:
            assert there.registry.save("cpu", "waits elsewhere").version == "1.0.1"
            assert here.registry.save("cpu", "waits here").version == "1.0.2"
        if number is None:
            assert here.registry.save("cpu", "saved here").version == "1.0.3"
        else:
            with pytest.raises(VersionExistsError):
                here.save_model("cpu", "saved here", version=number)
        assert here.registry.save("other", 1).version == "1.0.0"
    found = versions_of(directory)
    assert (found["1.0.1"], found["1.0.2"]) == ("waits elsewhere", "waits here")
    assert examine(directory) == []


def test_a_number_that_an_accepted_loss_set_free_may_be_given_again(tmp_path: Path) -> None:
    from ai_engine.recovery import recover
    from ai_engine.settings import Settings

    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", "lost")
    for path in tmp_path.glob("model_registry.db*"):
        path.unlink()
    recover(Settings(model_dir=str(tmp_path)), from_files=False)
    with ModelManager(tmp_path) as manager:
        assert manager.registry.save("cpu", "new", version="1.0.0").version == "1.0.0"
        assert manager.get_model("cpu") == "new"


def test_a_journal_that_a_stopped_process_holds_makes_saves_raise_and_not_hang(tmp_path: Path) -> None:
    journal, other = (
        LocalOutageJournal(str(tmp_path / "journal"), ".", str(tmp_path), 0.05) for _ in range(2)
    )
    with other.exclusive(), pytest.raises(StorageError, match="kept locked"), journal.shared():
        pass
    with other.shared(), journal.shared():
        pass
    with journal.exclusive(), pytest.raises(ReentrantCallError), journal.shared():  # of a signal handler
        pass


def test_a_process_that_was_forked_meanwhile_does_not_keep_the_journal(tmp_path: Path) -> None:
    journal = LocalOutageJournal(str(tmp_path / "journal"), ".", str(tmp_path), patience=0.05)
    reader, writer = os.pipe()
    with journal.exclusive():
        child = os.fork()
        if not child:
            os.close(writer)
            os.read(reader, 1)  # until the parent is done
            os._exit(0)
    try:
        with journal.exclusive():
            pass
    finally:
        os.close(writer)
        os.close(reader)
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("refused", ["small", [large(1)]], ids=["small", "large"])
def test_a_save_whose_number_is_taken_stores_nothing(tmp_path: Path, refused: object) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", [large(2)])
        with locked(tmp_path):
            manager.save_model("cpu", [large(3)])
            for version in ("1.0.0", "1.0.1"):
                for taken in (refused, [large(2)], [large(3)]):  # the last two are the bytes of others
                    with pytest.raises(VersionExistsError):
                        manager.save_model("cpu", taken, version=version)
    assert versions_of(tmp_path) == {"1.0.0": [large(2)], "1.0.1": [large(3)]}
    assert examine(tmp_path) == []


def test_what_a_killed_writer_left_of_an_entry_goes_with_the_next_one(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", "before")
        with locked(tmp_path):
            manager.save_model("cpu", "first")
            (journal_of(tmp_path) / "0000000000000009.json.new").write_text('{"kind": "sa')
            manager.save_model("cpu", "second")
            assert {path.suffix for path in journal_of(tmp_path).iterdir()} == {".json"}
    assert list(versions_of(tmp_path).values()) == ["before", "first", "second"]
