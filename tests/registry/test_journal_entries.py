"""Whatever stands in the outage journal: the registry opens, what is right is applied, the rest told of."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from ai_engine.models import ModelManager, ModelPerformance
from ai_engine.registry.outage_operations import Unreadable, parse
from tests.registry.outages import entries_of, entry, examine, impatient, journal_of, locked

pytestmark = pytest.mark.usefixtures(impatient.__name__)
__all__ = ["impatient"]

Document = dict[str, Any]
MEASURED = ModelPerformance(0.5, None, None, None, None, 0.75, None, datetime(2026, 1, 1, tzinfo=UTC))


def changed(*keys: str, to: object) -> Callable[[Document], bytes]:
    """Return what gives a document another value somewhere."""

    def change(document: Document) -> bytes:
        place = document
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to
        return json.dumps(document).encode()

    return change


def without(*keys: str) -> Callable[[Document], bytes]:
    def change(document: Document) -> bytes:
        place = document
        for key in keys[:-1]:
            place = place[key]
        del place[keys[-1]]
        return json.dumps(document).encode()

    return change


def twice(document: Document) -> bytes:
    return json.dumps(document).encode()[:-1] + b', "kind": "save"}'


def numbers(**values: object) -> Callable[[Document], bytes]:
    measured = {**dict.fromkeys(("mae", "mse", "r2")), **values}
    return changed("version", "performance", to=measured)


BROKEN: dict[str, Callable[[Document], bytes]] = {
    "not JSON": lambda _: b"{torn",
    "empty": lambda _: b"",
    "not UTF-8": lambda _: b'{"kind": "\xff"}',
    "UTF-16": lambda document: json.dumps(document).encode("utf-16"),
    "a list": lambda _: b"[1]",
    "nothing in it": lambda _: b"{}",
    "nested too deep": lambda _: b'{"version": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested deep": changed("version", "metadata", to=json.loads('{"a":' * 100 + "1" + "}" * 100)),
    "a number of 5,000 digits": lambda document: (
        json.dumps(document).encode()[:-1] + b', "n": ' + b"7" * 5_000 + b"}"
    ),
    "a key twice": twice,
    "no operation": without("operation"),
    "an empty operation": changed("operation", to=""),
    "an operation that is a number": changed("operation", to=1),
    "no kind": without("kind"),
    "a kind that is unknown": changed("kind", to="dance"),
    "a kind that is a list": changed("kind", to=["save"]),
    "no version": without("version"),
    "a version of text": changed("version", to="1.0.0"),
    "no name": without("version", "name"),
    "a name that no save takes": changed("version", "name", to="../cpu"),
    "no number": changed("version", "version", to=None),
    "a number that no save takes": changed("version", "version", to="../1"),
    "an id of another model": changed("version", "model_id", to="gpu#0123456789abcdef"),
    "no artifact": without("version", "artifact"),
    "place is path": changed("version", "artifact", "place", to="path"),
    "place is row": changed("version", "artifact", "place", to="row"),
    "place is unknown": changed("version", "artifact", "place", to="moon"),
    "no digest": changed("version", "artifact", "digest", to=None),
    "a digest that leads elsewhere": changed("version", "artifact", "digest", to="sha256:../../x"),
    "two digests": changed("digest", to="sha256:" + "0" * 64),
    "a size of text": changed("version", "artifact", "size", to="large"),
    "a size beyond 64 bits": changed("version", "artifact", "size", to=10**30),
    "packages of numbers": changed("version", "artifact", "packages", to={"numpy": 2}),
    "a path elsewhere": changed("model_path", to="/etc/passwd"),
    "a path of that name elsewhere": changed("model_path", to="/tmp/cpu@1.0.1.pkl"),
    "a path of another version": changed("model_path", to="OTHER"),
    "a path with dots": changed("model_path", to="../cpu@1.0.1.pkl"),
    "no path": without("model_path"),
    "activate is text": changed("version", "activate", to="no"),
    "algorithms of text": changed("version", "algorithms", to="Ridge"),
    "metadata that is a list": changed("version", "metadata", to=[1]),
    "metadata that is no text": changed("version", "metadata", to={"a": "\ud800"}),
    "created at noon": changed("version", "created_at", to="noon"),
    "a measurement that is a list": changed("version", "performance", to=[1]),
    "a measurement without its fields": numbers(),
    "a run with other fields": changed("version", "run", to={"epochs": 1}),
    "format is text": changed("format", to="new"),
}


def place_in(directory: Path) -> Callable[[Document], bytes]:
    return changed("model_path", to=f"{directory}/big@1.0.0.pkl")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A registry whose journal holds a save of cpu, 1.0.1, between two of other models."""
    directory = tmp_path / "models"
    with ModelManager(directory) as manager:
        manager.save_model("cpu", "before")
        with locked(directory):
            manager.save_model("early", 1)
            manager.save_model("cpu", "during")
            manager.save_model("late", 2)
    return directory


def break_entry(directory: Path, change: Callable[[Document], bytes]) -> Path:
    path = entries_of(directory)[1]
    path.write_bytes(change(json.loads(path.read_bytes())))
    return path


@pytest.mark.parametrize("what", BROKEN)
def test_one_broken_entry_is_set_aside_and_told_of(
    directory: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    change = place_in(directory) if what == "a path of another version" else BROKEN[what]
    path = break_entry(directory, change)
    broken = path.read_bytes()
    with locked(directory), ModelManager(directory) as manager:  # the database is of no help
        assert manager.get_model("late") == 2
        assert manager.get_model("cpu") == "before"
        assert manager.model_versions["cpu"] == ["1.0.0"]
        assert manager.get_model_info()["total"] == 3
        assert manager.get_training_history("cpu") == []
        assert set(manager.active_models) == {"cpu", "early", "late"}
    with ModelManager(directory) as manager:
        assert manager.get_model("early") == 1
        assert manager.get_model("late") == 2
        assert manager.model_versions["cpu"] == ["1.0.0"]
        health = manager.registry.health()
        assert (health.status, health.waiting) == ("degraded", 0)
        assert f"{path}.rejected" in str(health.reason)
    assert entries_of(directory) == []
    (aside,) = journal_of(directory).iterdir()
    assert aside == Path(f"{path}.rejected")
    assert aside.read_bytes() == broken
    assert str(path) in caplog.text
    (finding,) = [found for found in examine(directory) if found.kind == "journal"]
    assert finding.subject == str(aside)
    aside.unlink()
    with ModelManager(directory) as manager:
        assert manager.registry.health().status == "healthy"


def test_the_doctor_tells_of_a_broken_entry_before_anybody_opened_the_registry(directory: Path) -> None:
    path = break_entry(directory, BROKEN["not JSON"])
    found = {found.subject: found.detail for found in examine(directory) if found.kind == "journal"}
    assert found.keys() == {str(entry) for entry in entries_of(directory)}
    assert "not JSON" in found[str(path)]
    repaired = [found for found in examine(directory, repair=True) if found.kind == "journal"]
    assert [found.repaired for found in repaired] == [True, True, True, False]  # the last: what was set aside
    assert [found.subject for found in examine(directory) if found.kind == "journal"] == [f"{path}.rejected"]


@pytest.mark.parametrize(
    "change", [changed("format", to=2), changed("version", "artifact", "format", to="tensor")]
)
def test_what_a_newer_version_wrote_is_kept_and_its_number_and_bytes_with_it(
    directory: Path, change: Callable[[Document], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    with locked(directory), ModelManager(directory) as manager:
        manager.update_performance("cpu", "1.0.1", MEASURED)
    before = entries_of(directory)[1].read_bytes()
    path = break_entry(directory, change)
    written = path.read_bytes()
    for _ in range(2):
        with ModelManager(directory) as manager:
            assert manager.get_model("late") == 2
            health = manager.registry.health()
            assert health.status == "degraded"
            assert "upgrade" in str(health.reason)
            with locked(directory):
                manager.save_model("other", 1)
    assert "upgrade" in caplog.text
    assert path.read_bytes() == written
    assert list(journal_of(directory).glob("*.rejected")) == []
    with ModelManager(directory) as manager:
        manager.save_model("cpu", "later")
        assert manager.model_versions["cpu"] == ["1.0.0", "1.0.2"]
        with pytest.raises(FileExistsError):
            manager.save_model("cpu", "later", version="1.0.1")
    assert [f.detail for f in examine(directory, repair=True) if "upgrade" in f.detail]
    path.write_bytes(before)  # as if this were the newer version
    with ModelManager(directory) as manager:
        assert manager.get_model("cpu", "1.0.1") == "during"
        assert [found.mae for found in manager.metric_history("cpu", "1.0.1")] == [0.5]
        assert manager.registry.health().status == "healthy"


ODD_FILES: dict[str, Callable[[Path], object]] = {
    "a directory": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a link to an entry": lambda path: path.symlink_to(path.parent / "kept"),
    "a link that leads nowhere": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("place", ODD_FILES.values(), ids=ODD_FILES)
def test_only_regular_files_are_read(directory: Path, place: Callable[[Path], object]) -> None:
    path = entries_of(directory)[1]
    path.rename(path.parent / "kept")
    place(path)
    with locked(directory), ModelManager(directory) as manager:
        assert manager.get_model("late") == 2
        assert manager.get_model("cpu") == "before"
    with ModelManager(directory) as manager:
        assert manager.get_model("late") == 2
        assert manager.model_versions["cpu"] == ["1.0.0"]
        assert f"{path}.rejected" in str(manager.registry.health().reason)
    assert os.path.lexists(f"{path}.rejected")


@pytest.mark.parametrize("name", ["notes.json", "-1.json", "9" * 18 + ".json", "9" * 40 + ".json"])
def test_files_of_other_names_take_nothing_down(directory: Path, name: str) -> None:
    (journal_of(directory) / name).write_text("{}")
    with ModelManager(directory) as manager:
        with locked(directory):
            manager.save_model("cpu", "again")
            assert manager.get_model("cpu") == "again"
        assert manager.registry.health().waiting == 0
        assert manager.get_model("cpu") == "again"


def test_what_was_set_aside_earlier_is_not_written_over(directory: Path) -> None:
    path = entries_of(directory)[1]
    for text in ("first", "second", "third"):
        path.write_text(text)
        with ModelManager(directory):
            pass
    kept = sorted(journal_of(directory).glob("*.rejected"))
    assert {aside.read_text() for aside in kept} == {"first", "second", "third"}


def test_an_id_that_another_version_has_is_set_aside(directory: Path) -> None:
    path = entries_of(directory)[1]
    document = json.loads(path.read_bytes())
    with ModelManager(directory):
        pass
    document["operation"] = "another"
    document["version"]["version"] = "7"
    document["model_path"] = f"{directory}/cpu@7.pkl"
    path.write_text(json.dumps(document))
    with ModelManager(directory) as manager:
        assert manager.model_versions["cpu"] == ["1.0.0", "1.0.1"]
    assert Path(f"{path}.rejected").exists()


def test_an_entry_of_an_earlier_version_of_the_engine_is_taken(directory: Path) -> None:
    path = entries_of(directory)[1]
    document = json.loads(path.read_bytes())
    for key in ("format", "model_dir", "actor"):
        del document[key]
    path.unlink()
    path = journal_of(directory) / "000000000002.json"
    path.write_text(json.dumps(document))
    number = document["version"]
    measured = {
        "operation": "m",
        "at": number["created_at"],
        "owner": ".",
        "kind": "record",
        "model_id": number["model_id"],
        "performances": [
            {
                **dict.fromkeys(("mae", "mse", "r2", "training_time", "prediction_time"), 0.25),
                **dict.fromkeys(("accuracy_score", "confidence_score", "training_samples")),
                "feature_count": None,
                "last_updated": "2026-01-02T03:04:05Z",
            }
        ],
    }
    (journal_of(directory) / "000000000003.json").write_text(json.dumps(measured))
    with locked(directory), ModelManager(directory) as manager:
        assert manager.get_model("cpu") == "during"
        numbers = manager.get_model_info("cpu")["models"][0]["performance"]
        assert numbers is not None
        assert numbers["mae"] == 0.25
    with ModelManager(directory) as manager:
        assert manager.get_model("cpu") == "during"
        assert [found.mae for found in manager.metric_history("cpu")] == [0.25]
        assert manager.registry.health().status == "healthy"


def test_a_directory_that_was_moved_during_an_outage_takes_its_saves_along(
    directory: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    directory.rename(moved)
    with ModelManager(moved) as manager:
        assert manager.get_model("cpu") == "during"
        paths = {entry["model_path"] for entry in manager.get_model_info("cpu")["models"]}
        assert paths == {f"{moved}/cpu@1.0.0.pkl", f"{moved}/cpu@1.0.1.pkl"}
    assert examine(moved) == []


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "kind",
                    "operation",
                    "version",
                    "artifact",
                    "digest",
                    "performances",
                    "run",
                    "owner",
                    "format",
                ]
            ),
            inner | st.sampled_from(["save", "record", "run"]),
            max_size=6,
        )
    ),
    max_leaves=12,
)


@given(documents.map(lambda found: json.dumps(found).encode()) | st.binary(max_size=50))
def test_no_entry_raises(data: bytes) -> None:
    assert parse(entry(data), ".", "/models").told


@given(st.sampled_from([1, "text", None, [], {}, True, -1, 1.5, float("nan"), "9" * 300]), st.data())
def test_a_real_entry_with_one_odd_value_is_an_operation_or_told_of(odd: object, data: st.DataObject) -> None:
    document: Document = json.loads(json.dumps(_REAL))
    places = list(_places(document))
    *keys, last = data.draw(st.sampled_from(places))
    place: Any = document
    for key in keys:
        place = place[key]
    place[last] = odd
    parsed = parse(entry(json.dumps(document).encode()), ".", "/models")
    assert parsed.told
    if isinstance(parsed, Unreadable):
        assert parsed.lasting


def _places(value: Any, *above: Any) -> Iterator[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*above, key)
        yield from _places(inner, *above, key)


_DIGEST = "sha256:" + "0" * 64
_REAL: Document = {
    "format": 1,
    "operation": "0",
    "owner": ".",
    "kind": "save",
    "model_path": "/models/cpu@1.0.0.pkl",
    "model_dir": "/models",
    "digest": _DIGEST,
    "actor": "somebody",
    "version": {
        "model_id": "cpu#0",
        "name": "cpu",
        "version": "1.0.0",
        "model_type": None,
        "algorithms": ["Ridge"],
        "metadata": {"k": 1},
        "activate": True,
        "created_at": "2026-01-01 00:00:00.000000",
        "artifact": {
            "place": "store",
            "digest": _DIGEST,
            "format": "pickle",
            "size": 5,
            "python": "3.11",
            "packages": {"numpy": "2"},
        },
        "performance": None,
        "run": {
            "started": None,
            "completed": "2026-01-01 00:00:00.000000",
            "dataset_size": 5,
            "hyperparameters": {"k": 1},
            "validation_score": 0.5,
        },
    },
}


def test_the_real_entry_is_an_operation() -> None:
    assert not isinstance(parse(entry(json.dumps(_REAL).encode()), ".", "/models"), Unreadable)
