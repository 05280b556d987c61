"""Bytes that change while they are saved, after they were saved, and between the check and the loading."""

from __future__ import annotations

import mmap
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ai_engine import ArtifactCorruptedError, SerializationError
from ai_engine.artifacts.local import LocalStore
from ai_engine.domain.entities import Digest, ModelVersion
from ai_engine.files.sandbox import Sandbox
from ai_engine.models import ModelManager
from ai_engine.registry.model_cache import ModelCache
from ai_engine.registry.model_loader import ModelLoader
from ai_engine.registry.stores import Stores
from ai_engine.settings import Settings
from ai_engine.wiring import build_stores

CANARY: list[str] = []


def sing(song: str) -> str:
    CANARY.append(song)
    return song


class Hostile:
    """Pickled as a call."""

    def __reduce__(self) -> tuple[Any, ...]:
        return sing, ("altered",)


@pytest.fixture(autouse=True)
def quiet() -> None:
    CANARY.clear()


@pytest.mark.parametrize("size", [100_000, 2_000_000])
def test_an_array_that_changes_while_it_is_saved_is_saved_as_some_state(tmp_path: Path, size: int) -> None:
    array = np.zeros(size)
    stop = threading.Event()

    def scribble() -> None:
        number = 0.0
        while not stop.is_set():
            number += 1
            array.fill(number)

    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        with ModelManager(tmp_path) as manager:
            for _ in range(10):
                manager.save_model("changing", {"weights": array})
            for version in manager.model_versions["changing"]:
                assert manager.get_model("changing", version)["weights"].shape == (size,)
    finally:
        stop.set()
        writer.join()


def test_containers_that_change_while_they_are_saved_load_or_are_refused(tmp_path: Path) -> None:
    """A bytearray that got another size in the middle would be announced by one length and have another."""
    buffer, rows, table = bytearray(300_000), [0], {"a": 1}
    stop = threading.Event()

    def resize() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                buffer.extend(bytes(1000))
                del buffer[300_000:]
            except BufferError:  # it is being written, and has to keep its size
                pass
            rows.append(number)
            del rows[1000:]
            table[str(number % 1000)] = number

    writer = threading.Thread(target=resize)
    writer.start()
    saved = []
    try:
        with ModelManager(tmp_path) as manager:
            for number in range(20):
                with suppress(SerializationError):
                    manager.save_model("changing", [buffer, rows, table], version=f"1.0.{number}")
                    saved.append(f"1.0.{number}")
            for version in saved:
                loaded = manager.get_model("changing", version)
                assert [type(part) for part in loaded] == [bytearray, list, dict]
    finally:
        stop.set()
        writer.join()


def large_model(directory: Path) -> tuple[Path, bytes]:
    """Save a mapped model twice over, and return its file with what a hostile one of its length would be."""
    with ModelManager(directory) as manager:
        manager.save_model("large", {"weights": np.arange(100_000.0), "note": "x" * 500})
    (path,) = (directory / ".engine" / "artifacts").iterdir()
    original = path.read_bytes()
    stream = pickle.dumps(Hostile(), protocol=5)
    return path, stream + original[len(stream) :]


@contextmanager
def reading(directory: Path, settle: float) -> Iterator[tuple[Stores, ModelLoader, ModelVersion]]:
    stores = build_stores(Settings(model_dir=str(directory)))
    artifacts = LocalStore(
        f"{directory}/.engine/artifacts", Sandbox(f"{directory}/.engine/sandbox"), settle=settle
    )
    stores = replace(stores, artifacts=artifacts)
    try:
        with stores.catalogue.read() as snapshot:
            version = snapshot.find("large")
        assert version is not None
        yield stores, ModelLoader(stores, ModelCache(0)), version
    finally:
        stores.catalogue.close()


def test_what_is_executed_is_what_was_hashed(tmp_path: Path) -> None:
    """What is written into the file once it was checked shows in the mapping and is not executed."""
    path, hostile = large_model(tmp_path)
    with reading(tmp_path, settle=2.0) as (_, reader, version):
        checked = reader.check(version)
        path.chmod(0o644)
        with open(path, "r+b") as file:
            file.write(hostile)
        assert bytes(checked.view[:20]) == hostile[:20]
        loaded: Any = reader.make(version, checked)
        assert loaded["note"] == "x" * 500
        with pytest.raises(ArtifactCorruptedError):
            reader.load(version)
        assert CANARY == []


def test_a_mapping_from_before_the_seal_changes_nothing_that_is_executed(tmp_path: Path) -> None:
    """Writing through a mapping that is dirty already leaves the times of the file as they are."""
    path, hostile = large_model(tmp_path)
    path.chmod(0o644)
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[:1] = mapped[:1]
        with reading(tmp_path, settle=0.0) as (stores, reader, version):
            digest = version.artifact.digest
            assert digest is not None
            reader.load(version)
            with stores.catalogue.read() as snapshot:
                seal = snapshot.seal(digest)
            assert seal is not None
            mapped[:500] = hostile[:500]  # the pickle, in the page that is dirty
            opened = stores.artifacts.open(digest)
            assert opened is not None
            assert opened.identity == seal.identity, "the times tell; the test shows nothing"
            with pytest.raises(ArtifactCorruptedError):
                reader.make(version, reader.check(version))
            assert CANARY == []


def test_a_file_is_sealed_once_its_times_can_tell(tmp_path: Path) -> None:
    large_model(tmp_path)
    with reading(tmp_path, settle=3600.0) as (stores, reader, version):
        reader.load(version)
        with stores.catalogue.read() as snapshot:
            assert snapshot.seal(Digest(str(version.artifact.digest))) is None


@pytest.mark.parametrize("place", ["artifact", "file of a small one", "legacy"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path, place: str) -> None:
    code = textwrap.dedent(
        """
        import os, sqlite3, sys
        from ai_engine.models import ModelManager
        from ai_engine import ArtifactCorruptedError
        directory, place = sys.argv[1:]
        with ModelManager(directory) as manager:
            manager.save_model("cpu", bytes(400_000 if place == "artifact" else 10))
            ((entry,), _) = manager.get_model_info().values()
            path = entry["model_path"]
            if place == "artifact":
                path = os.path.realpath(path)
                folder = directory + "/.engine/artifacts/"
                path = folder + os.listdir(folder)[0]
            os.unlink(path)
            os.mkfifo(path)
            if place == "legacy":
                other = sqlite3.connect(directory + "/model_registry.db", isolation_level=None)
                other.execute("UPDATE engine_versions SET place = 'path', digest = NULL, blob = NULL")
                other.close()
            try:
                print(len(manager.get_model("cpu")))
            except ArtifactCorruptedError:
                print("damaged")
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), place],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["10" if place == "file of a small one" else "damaged"]
    if place == "file of a small one":
        assert os.path.isfile(tmp_path / "cpu@1.0.0.pkl")  # written again
