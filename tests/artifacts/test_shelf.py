"""Files under which people find versions: which one a version gets, what they take, and what is ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ai_engine.artifacts.directory import ModelDirectory
from ai_engine.artifacts.shelf import LocalShelf


@pytest.fixture
def shelf(tmp_path: Path) -> LocalShelf:
    directory = ModelDirectory(str(tmp_path / "models"))
    directory.make()
    return LocalShelf(directory)


def test_a_row_names_no_file_elsewhere_for_removal(shelf: LocalShelf, tmp_path: Path) -> None:
    mine = tmp_path / "thesis.tex"
    mine.write_text("years of work")
    below = tmp_path / "models" / "notes"
    below.mkdir()
    (below / "mine").write_text("x")
    for path in (mine, below / "mine", tmp_path / "models" / ".." / "thesis.tex"):
        assert shelf.remove(str(path)) == 0
        shelf.mend(str(path), b"written over")
    assert mine.read_text() == "years of work"
    assert (below / "mine").read_text() == "x"


def test_a_file_of_ours_is_removed_and_its_blocks_are_told(shelf: LocalShelf, tmp_path: Path) -> None:
    path = tmp_path / "models" / "cpu@1.0.0.pkl"
    shelf.mend(str(path), bytes(10_000))
    assert shelf.read(str(path)) == bytes(10_000)
    assert shelf.exists(str(path))
    taken = path.stat().st_blocks * 512
    assert shelf.remove(str(path)) == taken > 0
    assert not shelf.exists(str(path))
    assert shelf.remove(str(path)) == 0


def test_two_names_of_one_file_take_its_blocks_once_and_only_together(
    shelf: LocalShelf, tmp_path: Path
) -> None:
    one, other, alone = (str(tmp_path / "models" / name) for name in ("one", "other", "alone"))
    shelf.mend(one, bytes(20_000))
    os.link(one, other)
    shelf.mend(alone, bytes(5_000))
    blocks = [os.stat(path).st_blocks * 512 for path in (one, alone)]
    assert shelf.footprint([one]) == 0  # removing it frees nothing
    assert shelf.footprint([one, other]) == blocks[0]
    assert shelf.footprint([one, other, alone, "/not/there"]) == sum(blocks)
    assert shelf.remove(one) == 0
    assert shelf.remove(other) == blocks[0]


def test_a_file_of_another_is_left_alone(shelf: LocalShelf, tmp_path: Path) -> None:
    first = shelf.path("cpu", "1.0.0", lambda _: False)
    assert first == str(tmp_path / "models" / "cpu@1.0.0.pkl")
    os.symlink("nowhere", first)
    second = shelf.path("cpu", "1.0.0", lambda _: False)
    assert second == str(tmp_path / "models" / "cpu@1.0.0~2.pkl")
    Path(second).touch()
    assert shelf.path("cpu", "1.0.0", lambda _: False).endswith("cpu@1.0.0~3.pkl")
    assert shelf.path("cpu", "1.0.0", lambda path: path == second) == second
    assert shelf.path("cpu", "1.0.0", lambda _: True) == first


def test_a_large_artifact_is_the_same_file_under_two_names(shelf: LocalShelf, tmp_path: Path) -> None:
    source, path = str(tmp_path / "models" / "artifact"), str(tmp_path / "models" / "cpu@1.0.0.pkl")
    Path(source).write_bytes(b"large")
    shelf.mend(path, None, source)
    assert os.path.samefile(source, path)
    assert not os.path.islink(path)
    shelf.mend(path, b"a plain pickle", source)  # what the artifact does not say itself
    assert Path(path).read_bytes() == b"a plain pickle"
    assert Path(source).read_bytes() == b"large"


def test_records_come_back_until_their_version_goes(shelf: LocalShelf, tmp_path: Path) -> None:
    assert shelf.stamp() == 0
    paths = [str(tmp_path / "models" / f"cpu@1.0.{n}.pkl") for n in range(3)]
    stamps = []
    for path in paths:
        shelf.write_record(shelf.record_path(path), b"record of " + path.encode())
        stamps.append(shelf.stamp())
    shelf.point("CPU", b"a pointer")
    assert len({*stamps, shelf.stamp(), 0}) == 5
    assert list(shelf.pointers()) == [b"a pointer"]
    shelf.remove(shelf.record_path(paths[1]))
    left = [paths[0], paths[2]]
    assert dict(shelf.records()) == {path: b"record of " + path.encode() for path in left}
    assert [shelf.record_path(path) in shelf.recorded() for path in paths] == [True, False, True]
    shelf.tidy()
    assert [path for path, _ in shelf.records()] == left
