"""CONTRACT 1: what a save promises and what a load answers."""

from __future__ import annotations

import os
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ai_engine import (
    ArtifactCorruptedError,
    ClosedError,
    InvalidNameError,
    ModelLoadError,
    SerializationError,
    VersionExistsError,
)
from ai_engine.models import ModelManager
from tests.models.estimators import Estimator, Unpicklable, large

Open = Callable[[], ModelManager]


def path_of(manager: ModelManager, name: str, version: str) -> Path:
    entries = manager.get_model_info(name)["models"]
    return Path(next(str(entry["model_path"]) for entry in entries if entry["version"] == version))


def everything_below(directory: str) -> set[str]:
    return {os.path.join(root, file) for root, _, files in os.walk(directory) for file in files}


def test_a_saved_model_is_there_after_a_restart(open_manager: Open) -> None:
    model_id = open_manager().save_model(
        "cpu", Estimator(2.0), model_type="ensemble", algorithms=["Ridge"], metadata={"features": 15}
    )
    again = open_manager()
    assert again.get_model("cpu") == Estimator(2.0)
    (entry,) = again.get_model_info()["models"]
    assert entry["model_id"] == model_id
    assert (entry["name"], entry["version"], entry["model_type"]) == ("cpu", "1.0.0", "ensemble")
    assert (entry["algorithms"], entry["metadata"]) == (["Ridge"], {"features": 15})
    assert entry["is_active"] is True
    assert entry["metric_count"] == 0
    assert entry["avg_accuracy"] is None
    assert entry["python"]
    assert str(entry["digest"]).startswith("sha256:")


@pytest.mark.parametrize("size", [0.01, 1.0], ids=["small", "large"])
def test_what_is_loaded_is_made_of_the_bytes_and_shared(
    manager: ModelManager, open_manager: Open, size: float
) -> None:
    saved = Estimator(weights=[size]), large(1, size)
    manager.save_model("cpu", saved)
    loaded = manager.get_model("cpu")
    assert loaded == saved
    assert loaded is not saved
    assert manager.get_model("cpu", "1.0.0") is loaded
    assert open_manager().get_model("cpu") is loaded


@pytest.mark.usefixtures("local_files")
def test_arrays_are_mapped_and_can_be_written_without_touching_the_file(
    manager: ModelManager, open_manager: Open
) -> None:
    manager.save_model("cpu", {"weights": np.arange(500_000.0), "few": np.arange(3)})
    (entry,) = manager.get_model_info()["models"]
    assert entry["format"] == "mapped"
    before = path_of(manager, "cpu", "1.0.0").read_bytes()
    weights = manager.get_model("cpu")["weights"]
    assert weights.ctypes.data % 64 == 0
    weights[0] = 7.0
    assert path_of(manager, "cpu", "1.0.0").read_bytes() == before
    assert pickle.loads(manager.registry.export("cpu"))["weights"][1] == 1.0


def test_nothing_is_answered_with_none(manager: ModelManager) -> None:
    manager.save_model("cpu", 1, activate=False)
    assert manager.get_model("memory") is None
    assert manager.get_model("cpu", "9.9.9") is None
    assert manager.get_model("cpu") is None  # nothing is active
    assert manager.get_model("../../etc/passwd") is None


def test_versions_count_up_from_the_highest_and_are_never_given_twice(
    manager: ModelManager, open_manager: Open
) -> None:
    def next_version(activate: bool = True) -> str:
        manager.save_model("cpu", 1, activate=activate)
        return manager.model_versions["cpu"][-1]

    assert [next_version(), next_version()] == ["1.0.0", "1.0.1"]
    manager.save_model("cpu", 1, version="1.9.0")
    manager.save_model("cpu", 1, version="1.10.0")
    manager.save_model("cpu", 1, version="nightly")
    assert next_version(activate=False) == "1.10.1"
    manager.delete_version("cpu", "1.10.1")
    manager.delete_version("cpu", "1.10.0")
    assert open_manager().get_model("cpu", "1.10.1") is None
    assert next_version() == "1.10.2"


def test_a_version_is_written_once(manager: ModelManager) -> None:
    manager.save_model("cpu", 1, version="1.0.0")
    with pytest.raises(VersionExistsError, match="never overwritten") as caught:
        manager.save_model("cpu", 2, version="1.0.0")
    assert isinstance(caught.value, FileExistsError)
    assert manager.get_model("cpu") == 1
    assert manager.get_model_info()["total"] == 1


def test_a_save_that_is_refused_leaves_no_bytes(manager: ModelManager) -> None:
    manager.save_model("cpu", large(1), version="1.0.0")
    before = everything_below(manager.model_dir)
    for model in (large(2), large(1)):
        with pytest.raises(VersionExistsError):
            manager.save_model("cpu", model, version="1.0.0")
        assert everything_below(manager.model_dir) == before
    assert manager.get_model("cpu") == large(1)


def test_ids_and_files_of_different_pairs_never_collide(manager: ModelManager, local_database: None) -> None:
    pairs = [
        *[("a_1", "0.0"), ("a", "1_0.0"), ("a", "1 0.0"), ("A", "1_0.0"), ("cpu", "X"), ("cpu", "x")],
        *[
            ("a" * 200, "1"),
            ("A" * 200, "1"),
            ("a" * 199 + "b", "1"),
            ("model_registry.db", "1"),
            ("engine", "1"),
        ],
    ]
    ids = [manager.save_model(name, (name, version), version=version) for name, version in pairs]
    paths = [str(path_of(manager, *pair)) for pair in pairs]
    assert len(set(ids)) == len(pairs)
    assert len({path.lower() for path in paths}) == len(pairs)
    assert all(os.path.isabs(path) and path.endswith(".pkl") and os.path.isfile(path) for path in paths)
    assert [manager.get_model(*pair) for pair in pairs] == pairs


HOSTILE = [
    *[
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "-a",
        " a",
        "a ",
        "a.",
        "a\0b",
        "a\nb",
        "é",
        "名前",
        "a:b",
        "a*b",
    ],
    *["~", "x" * 201, "info", "performance", "cleanup", "<b>", "%2e", "a@b"],
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused_and_touches_no_file(manager: ModelManager, name: str) -> None:
    before = everything_below(manager.model_dir)
    with pytest.raises(InvalidNameError) as caught:
        manager.save_model(name, 1)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(InvalidNameError):
        manager.register_model(name, 1)
    assert everything_below(manager.model_dir) == before


@pytest.mark.parametrize("version", ["", "../1", "a/b", "1.", "1 ", "é", "x" * 65, "\0"])
def test_a_hostile_version_is_refused(manager: ModelManager, version: str) -> None:
    with pytest.raises(InvalidNameError):
        manager.save_model("cpu", 1, version=version)
    assert manager.get_model_info()["total"] == 0


@pytest.mark.parametrize("bad", [None, 3, b"cpu", ["cpu"]])
def test_a_name_that_is_no_text_is_refused(manager: ModelManager, bad: object) -> None:
    with pytest.raises(InvalidNameError):
        manager.save_model(bad, 1)  # type: ignore[arg-type]  # what an untyped caller does


@pytest.mark.parametrize("model", [lambda: 1, Unpicklable(), (x for x in [1]), [large(1), Unpicklable()]])
def test_what_cannot_be_pickled_is_refused_with_its_cause_and_leaves_nothing(
    manager: ModelManager, model: object
) -> None:
    with pytest.raises(SerializationError) as caught:
        manager.save_model("cpu", model)
    assert isinstance(caught.value, TypeError)
    assert caught.value.__cause__ is not None
    assert manager.get_model_info() == {"models": [], "total": 0}
    assert list(Path(manager.model_dir).glob(".engine/sandbox/*")) == []
    assert list(Path(manager.model_dir).glob(".engine/artifacts/*")) == []
    assert list(Path(manager.model_dir).glob("cpu*")) == []


@pytest.mark.parametrize(
    ("metadata", "stored"),
    [
        ({"n": np.int64(3), "x": np.float32(0.5), "v": np.arange(2)}, {"n": 3, "x": 0.5, "v": [0, 1]}),
        ({"nan": float("nan"), "inf": float("inf")}, {"nan": None, "inf": None}),
        (
            {"path": Path("/a"), "set": {1}, "tuple": (1, 2), 3: "key"},
            {"path": "/a", "set": [1], "tuple": [1, 2], "3": "key"},
        ),
    ],
)
def test_metadata_becomes_what_json_can_hold(
    manager: ModelManager, metadata: dict[str, object], stored: object
) -> None:
    manager.save_model("cpu", 1, metadata=metadata)
    assert manager.get_model_info()["models"][0]["metadata"] == stored


@pytest.mark.parametrize("metadata", [{"model": object()}, {"text": "\ud800"}, [1], {"deep": None}])
def test_metadata_that_json_cannot_hold_is_refused(manager: ModelManager, metadata: object) -> None:
    if metadata == {"deep": None}:
        loop: dict[str, object] = {}
        loop["self"] = loop
        metadata = loop
    with pytest.raises(ValueError, match="metadata"):
        manager.save_model("cpu", 1, metadata=metadata)  # type: ignore[arg-type]  # untyped callers
    assert manager.get_model_info()["total"] == 0


def test_the_pkl_of_a_small_model_is_a_plain_pickle_and_heals(
    manager: ModelManager, open_manager: Open, local_database: None
) -> None:
    manager.save_model("cpu", Estimator(3.0))
    path = path_of(manager, "cpu", "1.0.0")
    assert path.parent == Path(manager.model_dir)
    assert pickle.loads(path.read_bytes()) == Estimator(3.0)
    right = path.read_bytes()
    path.unlink()
    assert manager.get_model("cpu") == Estimator(3.0)
    assert path.read_bytes() == right

    manager.save_model("memory", Estimator(4.0))
    path = path_of(manager, "memory", "1.0.0")
    right = path.read_bytes()
    path.write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    assert manager.get_model("memory") == Estimator(4.0)
    assert path.read_bytes() == right


def artifact_of(manager: ModelManager, name: str) -> Path:
    entry = manager.get_model_info(name)["models"][0]
    return Path(manager.model_dir, ".engine", "artifacts", str(entry["digest"]).partition(":")[2])


@pytest.mark.usefixtures("local_files")
@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "gone", "link", "directory"])
def test_a_damaged_large_model_is_never_deserialised_and_hurts_no_other(
    manager: ModelManager, damage: str, tmp_path: Path
) -> None:
    manager.save_model("bad", [large(1), Estimator()])
    manager.save_model("good", large(2))
    file = artifact_of(manager, "bad")
    file.chmod(0o644)
    data = bytearray(file.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    elif damage == "truncate":
        file.write_bytes(data[:-1])
    elif damage == "empty":
        file.write_bytes(b"")
    else:
        file.unlink()
        if damage == "link":
            (tmp_path / "elsewhere").write_bytes(data)
            file.symlink_to(tmp_path / "elsewhere")
        elif damage == "directory":
            file.mkdir()
    with pytest.raises(ArtifactCorruptedError) as caught:
        manager.get_model("bad")
    assert isinstance(caught.value, OSError)
    assert "bad@1.0.0" in str(caught.value)
    assert manager.get_model("good") == large(2)


def test_a_damaged_row_is_answered_from_the_file_and_two_damaged_copies_raise(
    manager: ModelManager, local_database: None
) -> None:
    manager.save_model("cpu", Estimator())
    manager.save_model("memory", Estimator(2.0))
    with sqlite3.connect(manager.db_path) as connection:
        connection.execute("UPDATE engine_blobs SET bytes = ?", (pickle.dumps(Estimator(9.0)),))
    assert manager.get_model("memory") == Estimator(2.0)
    path_of(manager, "cpu", "1.0.0").write_bytes(pickle.dumps(Estimator(8.0)))
    with pytest.raises(ArtifactCorruptedError):
        manager.get_model("cpu")


@pytest.mark.usefixtures("local_files")
def test_saving_equal_bytes_over_a_damaged_file_repairs_it(manager: ModelManager) -> None:
    manager.save_model("cpu", large(1))
    file = artifact_of(manager, "cpu")
    file.chmod(0o644)
    file.write_bytes(b"rot")
    manager.save_model("cpu", large(1))
    assert manager.get_model("cpu", "1.0.0") == large(1)


def test_a_class_that_is_gone_is_named_with_the_packages_at_saving(
    manager: ModelManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.save_model("cpu", [Estimator(), np.arange(2)])
    monkeypatch.delattr("tests.models.estimators.Estimator")
    with pytest.raises(ModelLoadError, match="Estimator") as caught:
        manager.get_model("cpu")
    assert isinstance(caught.value, ImportError)
    assert caught.value.saved_with["numpy"] == np.__version__
    assert "python" in caught.value.saved_with


@pytest.mark.parametrize("size", [0.05, 2.0], ids=["small", "large"])
def test_equal_bytes_take_space_once(manager: ModelManager, size: float) -> None:
    for _ in range(20):
        manager.save_model("cpu", large(1, size))
    kept = [p for p in everything_below(manager.model_dir) if p.endswith(".pkl") or "/artifacts/" in p]
    files = {os.stat(path).st_ino: os.stat(path).st_blocks * 512 for path in kept}
    assert sum(files.values()) < 1.1 * size * 1024 * 1024
    assert all(
        manager.get_model("cpu", version) == large(1, size) for version in manager.model_versions["cpu"]
    )


def test_a_file_of_somebody_else_is_neither_overwritten_nor_removed(
    manager: ModelManager, local_database: None
) -> None:
    mine = Path(manager.model_dir, "cpu@1.0.0.pkl")
    mine.write_bytes(b"notes")
    stray = Path(manager.model_dir, "stray.pkl")
    stray.write_bytes(b"notes")
    for value in range(4):
        manager.save_model("cpu", value)
    assert mine.read_bytes() == b"notes"
    assert path_of(manager, "cpu", "1.0.0").name == "cpu@1.0.0~2.pkl"
    manager.cleanup_old_models(1)
    assert mine.read_bytes() == stray.read_bytes() == b"notes"
    assert manager.get_model("cpu") == 3


def test_a_planted_link_is_not_followed(manager: ModelManager, tmp_path: Path, local_database: None) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    Path(manager.model_dir, "cpu@1.0.0.pkl").symlink_to(victim)
    manager.save_model("cpu", 1)
    assert victim.read_text() == "precious"


def test_a_closed_manager_says_so(open_manager: Open) -> None:
    manager = open_manager()
    manager.close()
    manager.close()
    with pytest.raises(ClosedError):
        manager.save_model("cpu", 1)


def test_opening_reads_no_artifact(
    manager: ModelManager, open_manager: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.save_model("cpu", Estimator())
    monkeypatch.delattr("tests.models.estimators.Estimator")  # unpickling would fail now
    again = open_manager()
    assert again.get_model_info()["total"] == 1
    assert again.model_versions["cpu"] == ["1.0.0"]


def test_the_attributes_are_text_and_directories_are_made(tmp_path: Path) -> None:
    with ModelManager(tmp_path / "a" / "b", tmp_path / "c" / "d.db") as manager:
        assert manager.model_dir == str(tmp_path / "a" / "b")
        assert manager.db_path == str(tmp_path / "c" / "d.db")
        manager.save_model("cpu", 1)
    assert (tmp_path / "c" / "d.db").is_file()


def test_the_model_dir_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_ENGINE_MODEL_DIR", str(tmp_path / "env"))
    with ModelManager() as manager:
        assert manager.model_dir == str(tmp_path / "env")
        assert manager.db_path == str(tmp_path / "env" / "model_registry.db")
