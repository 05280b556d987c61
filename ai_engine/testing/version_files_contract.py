"""What the files of versions must do; see directory.protocol.VersionFiles for the prose."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from ai_engine.directory.protocol import VersionFiles
from ai_engine.domain.entities import ModelId

OpenFiles = Callable[[], VersionFiles]


def nobody(path: str) -> bool:
    """Tell that a file is not ours, whichever it is."""
    return not path


def publish(files: VersionFiles, name: str, version: str, data: bytes, source: str | None = None) -> str:
    """Write the file of a version, and its record; return where it is."""
    path = files.path(name, version, nobody)
    with files.stage(ModelId(f"{name}#{version}"), data) as staged:
        staged.publish(path, source, b'{"of": "%s"}' % version.encode())
    return path


class VersionFilesContract:
    """Give it a fixture `open_files`: a callable that opens the same empty directory, each time anew."""

    def test_what_is_published_is_there_for_everybody(self, open_files: OpenFiles) -> None:
        """The file under the path that was told, the record behind it."""
        path = publish(open_files(), "cpu", "1.0.0", b"bytes")
        files = open_files()
        assert path.endswith(".pkl")
        assert files.exists(path)
        assert files.read(path) == b"bytes"
        assert files.read_elsewhere(path) == b"bytes"
        assert list(files.records()) == files.newest_records() == [(path, b'{"of": "1.0.0"}')]
        assert files.record_path(path) in files.recorded()
        assert list(files.leftovers()) == []
        assert files.begun() == []

    def test_what_is_not_there_is_none(self, open_files: OpenFiles) -> None:
        """And removing it frees nothing."""
        files = open_files()
        path = files.path("cpu", "1.0.0", nobody)
        assert not files.exists(path)
        assert files.read(path) is None
        assert files.remove(path) == files.remove(files.record_path(path)) == files.footprint([path]) == 0
        assert files.record_path(path) not in files.recorded()
        assert list(files.pointers()) == []

    def test_what_stands_there_is_avoided_unless_it_is_ours(self, open_files: OpenFiles) -> None:
        """And who asks is asked about each."""
        files = open_files()
        first = publish(files, "cpu", "1.0.0", b"1")
        second = publish(files, "cpu", "1.0.0", b"2")
        asked: list[str] = []
        assert first != second

        def is_ours(path: str) -> bool:
            asked.append(path)
            return True

        assert files.path("cpu", "1.0.0", is_ours) == first
        assert files.path("cpu", "1.0.0", lambda path: path == second) == second
        assert asked == [first]
        assert (files.read(first), files.read(second)) == (b"1", b"2")

    def test_what_was_staged_and_not_published_leaves_nothing(self, open_files: OpenFiles) -> None:
        """Whether or not something went wrong."""
        files = open_files()
        with files.stage(ModelId("cpu#1"), b"bytes"):
            pass
        with suppress(ZeroDivisionError), files.stage(ModelId("cpu#1"), b"bytes"):
            raise ZeroDivisionError
        assert open_files().begun() == []
        assert list(files.records()) == []

    def test_equal_bytes_may_share_a_file(self, open_files: OpenFiles) -> None:
        """And to remove one name of them frees nothing, or what it took."""
        files = open_files()
        first = publish(files, "cpu", "1.0.0", b"x" * 100_000)
        second = publish(files, "cpu", "1.0.1", b"x" * 100_000, source=first)
        assert files.read(second) == b"x" * 100_000
        together, alone = files.footprint([first, second]), files.footprint([first])
        assert together >= 100_000
        freed = files.remove(first)
        assert freed in (alone, together)
        assert files.read(second) == b"x" * 100_000
        assert files.remove(second) >= 100_000

    def test_a_file_is_written_again(self, open_files: OpenFiles) -> None:
        """Whatever became of it."""
        files = open_files()
        path = publish(files, "cpu", "1.0.0", b"right")
        files.mend(path, b"right again")
        assert files.read(path) == b"right again"
        files.remove(path)
        files.mend(path, b"and again")
        assert open_files().read(path) == b"and again"

    def test_records_and_pointers_change_the_stamp(self, open_files: OpenFiles) -> None:
        """And the last pointer of a model counts."""
        files = open_files()
        stamps = [files.stamp()]
        path = publish(files, "cpu", "1.0.0", b"1")
        stamps.append(files.stamp())
        files.write_record(files.record_path(path), b"another, and a longer one")
        stamps.append(open_files().stamp())
        files.point("cpu", b"first")
        stamps.append(files.stamp())
        files.point("cpu", b"second")
        files.remove(files.record_path(path))
        stamps.append(files.stamp())
        assert len(set(stamps)) == len(stamps)
        assert list(files.pointers()) == [b"second"]
        assert list(files.records()) == []
        files.tidy()
        files.sync()

    def test_the_reserve_is_kept_and_spent(self, open_files: OpenFiles) -> None:
        """However often."""
        files = open_files()
        for _ in range(2):
            files.keep_reserve()
            files.spend_reserve()
        files.keep_reserve()
