"""The steps that durable writing is made of, and what the directory of models says of itself."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ai_engine.directory.ownership import ModelDirectory
from ai_engine.domain.errors import (
    CatalogueMismatchError,
    CatalogueUnavailableError,
    ReentrantCallError,
    StorageError,
    StorageFullError,
)
from ai_engine.files.durable_io import (
    FileLock,
    Handle,
    allocated,
    make_directory,
    read_file,
    storage_errors,
    write_all,
)


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "pipe")
    assert read_file(str(file)) == b"12345"
    assert read_file(str(file), most=5) == b"12345"
    assert read_file(str(file), most=4) is None
    assert read_file(str(tmp_path / "link")) is None
    assert read_file(str(tmp_path / "link"), follow=True) == b"12345"
    for none in ("pipe", "nothing", "file/below", "."):
        assert read_file(str(tmp_path / none)) is None
    with pytest.raises(OSError, match="too long"):
        read_file(str(tmp_path / ("n" * 300)))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_what_the_system_refuses_has_our_name(code: int) -> None:
    with pytest.raises(StorageError) as caught, storage_errors("/models"):
        raise OSError(code, os.strerror(code))
    assert isinstance(caught.value, StorageFullError) == (code != errno.EIO)
    assert "/models" in str(caught.value)
    with pytest.raises(ReentrantCallError), storage_errors("/models"):
        raise ReentrantCallError


def test_every_byte_is_written_although_a_pipe_takes_few_at_a_time(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, True)
    data = bytes(range(256)) * 2000
    found: list[bytes] = []

    def read() -> None:
        with open(reader, "rb") as file:
            found.append(file.read())

    thread = threading.Thread(target=read)
    thread.start()
    write_all(writer, memoryview(data).cast("H"))
    os.close(writer)
    thread.join()
    assert found == [data]


def test_directories_are_made_with_their_parents(tmp_path: Path) -> None:
    make_directory(str(tmp_path / "a" / "b" / "c"), mode=0o700)
    make_directory(str(tmp_path / "a" / "b" / "c"))
    assert (tmp_path / "a" / "b" / "c").stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="exists"):
        make_directory(str(tmp_path / "file"))


def test_the_disk_gets_back_what_has_no_other_name(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(10_000))
    assert allocated(file.stat()) == file.stat().st_blocks * 512 > 0
    os.link(file, tmp_path / "other")
    assert allocated(file.stat()) == 0


def test_a_lock_lasts_until_it_is_closed(tmp_path: Path) -> None:
    lock = FileLock(str(tmp_path), os.O_RDONLY | os.O_DIRECTORY, patience=0.05)
    other = FileLock(str(tmp_path), os.O_RDONLY | os.O_DIRECTORY, patience=0.05)
    with lock.held() as handle:
        with pytest.raises(ReentrantCallError), lock.held():
            pass
        with pytest.raises(TimeoutError), other.held(shared=True):
            pass
        copy = handle.duplicate()
    assert not handle.is_open
    with other.held():
        copy.close()
    with lock.held(shared=True), other.held(shared=True):
        pass
    with lock.held():
        pass


def test_a_handle_that_nobody_has_is_closed(tmp_path: Path) -> None:
    handle = Handle(str(tmp_path / "file"), os.O_RDWR | os.O_CREAT)
    handle.lock(fcntl.LOCK_EX)
    number = handle.number
    del handle
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(number)
    again = Handle(str(tmp_path / "file"), os.O_RDWR)
    again.lock(fcntl.LOCK_EX | fcntl.LOCK_NB)
    again.close()
    again.close()


def claimed(path: Path, catalogue: str = "one") -> tuple[ModelDirectory, list[tuple[str, str]]]:
    """Claim a directory for a catalogue beside it; return what was relocated."""
    directory = ModelDirectory(str(path))
    moved: list[tuple[str, str]] = []
    directory.claim(catalogue, f"{path}.db", lambda old, new: moved.append((old, new)))
    return directory, moved


def test_a_directory_knows_whose_it_is_and_where_it_was(tmp_path: Path) -> None:
    directory, moved = claimed(tmp_path / "models")
    owner = directory.owner()
    assert owner == ("one", f"{tmp_path}/models.db", f"{tmp_path}/models")
    assert moved == claimed(tmp_path / "models")[1] == []
    with pytest.raises(CatalogueMismatchError):
        claimed(tmp_path / "models", "two")
    with pytest.raises(CatalogueMismatchError):
        directory.check_new("/another.db")
    with pytest.raises(CatalogueUnavailableError, match="deleted or emptied"):
        directory.check_new(f"{tmp_path}/models.db")
    (tmp_path / "models").rename(tmp_path / "moved")
    directory, moved = claimed(tmp_path / "moved")
    assert moved == [(f"{tmp_path}/models", f"{tmp_path}/moved")]
    assert claimed(tmp_path / "moved")[1] == []
    directory.release()
    directory.release()
    assert directory.owner() is None
    directory.check_new("/another.db")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"catalogue_id": "x"}'])
def test_a_card_that_was_changed_by_hand_is_told_of(tmp_path: Path, text: str) -> None:
    directory, _ = claimed(tmp_path)
    (tmp_path / ".engine" / "catalogue.json").write_text(text)
    with pytest.raises(CatalogueUnavailableError, match="changed by hand"):
        directory.owner()


def test_a_reserve_is_spent_once_and_kept_again(tmp_path: Path) -> None:
    directory = ModelDirectory(str(tmp_path))
    directory.make()
    assert not directory.make_room()
    for _ in range(2):
        directory.keep_reserve()
        sizes = {path.name: path.stat().st_blocks * 512 for path in (tmp_path / ".engine").glob("reserve*")}
        assert sizes["reserve"] >= 256 * 1024
        assert sizes["reserve.opening"] >= 96 * 1024
        directory.keep_reserve()
        assert directory.make_room()
        assert not directory.make_room()
        assert (tmp_path / ".engine" / "reserve").stat().st_size == 256 * 1024
        directory.spend_reserve()
        assert (tmp_path / ".engine" / "reserve").stat().st_size == 0


@pytest.mark.parametrize(
    ("corrupt", "held", "aside"), [(True, False, True), (False, False, False), (True, True, False)]
)
def test_a_database_is_set_aside_where_it_is_damaged_and_nobody_has_it(
    tmp_path: Path, corrupt: bool, held: bool, aside: bool
) -> None:
    directory = ModelDirectory(str(tmp_path))
    database = tmp_path / "models.db"
    for suffix in ("", "-wal"):
        (tmp_path / f"models.db{suffix}").write_text(suffix)
    hold = directory.hold() if held else None
    is_corrupt: Callable[[], bool] = lambda: corrupt  # noqa: E731  # the name says what it tells
    kept = directory.set_aside(str(database), is_corrupt)
    assert (kept is not None, database.exists()) == (aside, not aside)
    if kept is not None:
        assert [Path(f"{kept}{suffix}").read_text() for suffix in ("", "-wal")] == ["", "-wal"]
    if hold is not None:
        hold.close()
        assert directory.set_aside(str(database), is_corrupt) is not None


def test_the_card_is_what_other_programs_can_read(tmp_path: Path) -> None:
    claimed(tmp_path)
    card = json.loads((tmp_path / ".engine" / "catalogue.json").read_text())
    assert card == {"catalogue_id": "one", "location": f"{tmp_path}.db", "model_dir": str(tmp_path)}
