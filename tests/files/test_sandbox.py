"""A file that is being written is its writer's: nobody takes it for a leftover, and it goes with him."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ai_engine.files.sandbox import Sandbox, version_of


class _Sweep:
    """Removes a file at the one moment at which its writer has opened it and not locked it yet."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.left = directory, 0
        sys.addaudithook(self._look)

    def _look(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.left and event == "fcntl.flock":
            self.left -= 1
            for path in self.directory.iterdir():
                path.unlink()


def test_an_entry_that_was_swept_before_it_was_locked_is_made_again(tmp_path: Path) -> None:
    sandbox = Sandbox(str(tmp_path / "sandbox"))
    sweep = _Sweep(tmp_path / "sandbox")
    sweep.left = 3
    with sandbox.entry() as entry:
        assert sweep.left == 0
        assert os.path.samestat(os.stat(entry.path), os.fstat(entry.descriptor))
        os.write(entry.descriptor, b"x")
        entry.move(str(tmp_path / "there"))
    assert (tmp_path / "there").read_bytes() == b"x"
    assert sandbox.names() == []


def test_what_has_a_writer_is_no_leftover(tmp_path: Path) -> None:
    sandbox = Sandbox(str(tmp_path / "sandbox"))
    assert list(sandbox.leftovers()) == sandbox.names() == []
    with sandbox.entry() as bytes_, sandbox.entry("cpu#1") as version:
        os.symlink("x", version.companion())
        os.symlink("x", version.companion())
        assert len(sandbox.names()) == 4
        assert list(Sandbox(sandbox.path).leftovers()) == []
        assert list(Sandbox(sandbox.path).leftovers(of_versions=True)) == []
        version.leave()
        bytes_.leave()
    assert [version_of(path) for path in sandbox.leftovers(of_versions=True)] == ["cpu#1"]
    assert list(sandbox.leftovers()) == [bytes_.path]
    assert len(sandbox.names()) == 2  # companions are gone


def test_a_companion_lives_as_long_as_its_entry(tmp_path: Path) -> None:
    sandbox = Sandbox(str(tmp_path))
    orphan = tmp_path / "0f1e+"
    orphan.touch()
    (tmp_path / "planted").symlink_to(tmp_path)
    assert list(sandbox.leftovers()) == [str(orphan)]
    (tmp_path / "0f1e").touch()
    seen = []
    for path in sandbox.leftovers():
        seen.append(Path(path).name)
        os.unlink(path)
    assert seen == ["0f1e", "0f1e+"]


def test_a_label_tells_whose_an_entry_is(tmp_path: Path) -> None:
    sandbox = Sandbox(str(tmp_path))
    with sandbox.entry() as entry:
        entry.label("digest")
        entry.label("digest")
        (name,) = sandbox.names()
        assert name.startswith("digest.")
        assert name.count("digest") == 1
        assert entry.path == f"{tmp_path}/{name}"
    assert sandbox.names() == []


def test_who_fails_leaves_nothing(tmp_path: Path) -> None:
    sandbox = Sandbox(str(tmp_path))
    entries = []

    def fail() -> None:
        with sandbox.entry("cpu#1") as entry:
            os.symlink("x", entry.companion())
            entries.extend(sandbox.names())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(entries) == 2
    assert sandbox.names() == []
