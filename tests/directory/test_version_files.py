"""Files under which people find versions: which one a version gets, what they take, and what is ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ai_engine.directory.ownership import ModelDirectory
from ai_engine.directory.version_files import LocalVersionFiles


@pytest.fixture
def version_files(tmp_path: Path) -> LocalVersionFiles:
    directory = ModelDirectory(str(tmp_path / "models"))
    directory.make()
    return LocalVersionFiles(directory)


def test_a_row_names_no_file_elsewhere_for_removal(version_files: LocalVersionFiles, tmp_path: Path) -> None:
    mine = tmp_path / "thesis.tex"
    mine.write_text("years of work")
    below = tmp_path / "models" / "notes"
    below.mkdir()
    (below / "mine").write_text("x")
    for path in (mine, below / "mine", tmp_path / "models" / ".." / "thesis.tex"):
        assert version_files.remove(str(path)) == 0
        version_files.mend(str(path), b"written over")
    assert mine.read_text() == "years of work"
    assert (below / "mine").read_text() == "x"


def test_a_file_of_ours_is_removed_and_its_blocks_are_told(
    version_files: LocalVersionFiles, tmp_path: Path
) -> None:
    path = tmp_path / "models" / "cpu@1.0.0.pkl"
    version_files.mend(str(path), bytes(10_000))
    assert version_files.read(str(path)) == bytes(10_000)
    assert version_files.exists(str(path))
    taken = path.stat().st_blocks * 512
    assert version_files.remove(str(path)) == taken > 0
    assert not version_files.exists(str(path))
    assert version_files.remove(str(path)) == 0


def test_two_names_of_one_file_take_its_blocks_once_and_only_together(
    version_files: LocalVersionFiles, tmp_path: Path
) -> None:
    one, other, alone = (str(tmp_path / "models" / name) for name in ("one", "other", "alone"))
    version_files.mend(one, bytes(20_000))
    os.link(one, other)
    version_files.mend(alone, bytes(5_000))
    blocks = [os.stat(path).st_blocks * 512 for path in (one, alone)]
    assert version_files.footprint([one]) == 0  # removing it frees nothing
    assert version_files.footprint([one, other]) == blocks[0]
    assert version_files.footprint([one, other, alone, "/not/there"]) == sum(blocks)
    assert version_files.remove(one) == 0
    assert version_files.remove(other) == blocks[0]


def test_a_file_of_another_is_left_alone(version_files: LocalVersionFiles, tmp_path: Path) -> None:
    first = version_files.path("cpu", "1.0.0", lambda _: False)
    assert first == str(tmp_path / "models" / "cpu@1.0.0.pkl")
    os.symlink("nowhere", first)
    second = version_files.path("cpu", "1.0.0", lambda _: False)
    assert second == str(tmp_path / "models" / "cpu@1.0.0~2.pkl")
    Path(second).touch()
    assert version_files.path("cpu", "1.0.0", lambda _: False).endswith("cpu@1.0.0~3.pkl")
    assert version_files.path("cpu", "1.0.0", lambda path: path == second) == second
    assert version_files.path("cpu", "1.0.0", lambda _: True) == first


def test_a_large_artifact_is_the_same_file_under_two_names(
    version_files: LocalVersionFiles, tmp_path: Path
) -> None:
    source, path = str(tmp_path / "models" / "artifact"), str(tmp_path / "models" / "cpu@1.0.0.pkl")
    Path(source).write_bytes(b"large")
    version_files.mend(path, None, source)
    assert os.path.samefile(source, path)
    assert not os.path.islink(path)
    version_files.mend(path, b"a plain pickle", source)  # what the artifact does not say itself
    assert Path(path).read_bytes() == b"a plain pickle"
    assert Path(source).read_bytes() == b"large"


def test_records_come_back_until_their_version_goes(version_files: LocalVersionFiles, tmp_path: Path) -> None:
    assert version_files.stamp() == 0
    paths = [str(tmp_path / "models" / f"cpu@1.0.{n}.pkl") for n in range(3)]
    stamps = []
    for path in paths:
        version_files.write_record(version_files.record_path(path), b"record of " + path.encode())
        stamps.append(version_files.stamp())
    version_files.point("CPU", b"a pointer")
    assert len({*stamps, version_files.stamp(), 0}) == 5
    assert list(version_files.pointers()) == [b"a pointer"]
    version_files.remove(version_files.record_path(paths[1]))
    left = [paths[0], paths[2]]
    assert dict(version_files.records()) == {path: b"record of " + path.encode() for path in left}
    assert [version_files.record_path(path) in version_files.recorded() for path in paths] == [
        True,
        False,
        True,
    ]
    version_files.tidy()
    assert [path for path, _ in version_files.records()] == left
