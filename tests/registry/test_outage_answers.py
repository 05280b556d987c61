"""What a registry answers is the same with a database and with one that cannot be written."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from ai_engine import AIEngineError, InvalidInputError, VersionExistsError
from ai_engine.domain.answers import VersionInfo
from ai_engine.domain.entities import Run
from ai_engine.domain.history import RunRecord
from ai_engine.domain.search import EVERYTHING, Search
from ai_engine.models import ModelManager, ModelPerformance
from ai_engine.registry.json_views import run_entry
from ai_engine.testing.strategies import searches
from tests.models.estimators import large
from tests.registry.outages import entries_of, locked

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("a", "ab", "B")
NUMBERS = ("1.0.0", "1.0.1", "1.10", "2", "nightly")
# Halves, quarters and eighths: their sums are exact in whatever order they are added.
SCORES = (None, 0.5, 0.75, 0.125, float("nan"), 3)

_COUNT = count()

Act = Callable[[ModelManager], object]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_ENGINE_LOCK_TIMEOUT", "0.0")


def moments() -> st.SearchStrategy[datetime | None]:
    return st.none() | st.integers(-5, 70).map(lambda hours: START + timedelta(hours=hours, microseconds=1))


def performances() -> st.SearchStrategy[ModelPerformance]:
    score = st.sampled_from(SCORES)
    counts = st.sampled_from([None, 5, 5.0, 5.5])  # the last is refused
    return st.builds(
        ModelPerformance, score, score, score, score, score, score, score, moments(), counts, st.just(7)
    )


def runs() -> st.SearchStrategy[Run]:
    sizes = st.sampled_from([None, 100, 2.0, 2.5, "many"])
    used = st.sampled_from([{}, {"alpha": 0.1, "at": START}, {"k": [1, 2]}])
    return st.builds(Run, moments(), moments(), sizes, used, st.sampled_from(SCORES))


@st.composite
def acts(draw: st.DrawFn) -> tuple[str, Act]:
    name, number = draw(st.sampled_from(NAMES)), draw(st.sampled_from(NUMBERS))
    kind = draw(st.sampled_from(["save", "save", "save as", "register", "measure", "measure", "run"]))
    if kind in ("save", "save as"):
        value = draw(st.sampled_from([1, "text", b"bytes", large(3, 0.3)]))
        given = {
            "version": number if kind == "save as" else None,
            "model_type": draw(st.sampled_from([None, "kind", "é"])),
            "algorithms": draw(st.sampled_from([None, ["Ridge", "Lasso"]])),
            "metadata": draw(st.sampled_from([None, {"a": 1}, {"a": "x", "two words": {"b": True}}])),
            "activate": draw(st.booleans()),
            "performance": draw(st.none() | performances()),
            "run": draw(st.none() | runs()),
        }
        return f"{kind} {name} {number}", lambda m: m.registry.save(name, value, **given).version
    if kind == "register":
        # Equal bytes would only make the version active, which has to wait for the database.
        unique = [next(_COUNT)]
        return f"{kind} {name} {number}", lambda m: m.register_model(name, unique, number)
    if kind == "measure":
        measured = draw(st.lists(performances(), min_size=1, max_size=3))
        return f"{kind} {name} {number}", lambda m: m.registry.record(name, number, *measured)
    run = draw(runs())
    return f"{kind} {name} {number}", lambda m: m.registry.record_run(name, number, run)


def outcome(act: Act, manager: ModelManager) -> object:
    try:
        return act(manager)
    except (InvalidInputError, VersionExistsError):
        return "refused"  # for whichever reason is found first, where there are two
    except AIEngineError as error:
        return type(error), str(error).replace(manager.model_dir, "")


_MOMENTS: Final = ("created_at", "updated_at")


def answers(manager: ModelManager, wanted: list[Search]) -> Iterator[tuple[str, object]]:
    """Yield what a manager can be asked, without ids and with moments as their order."""
    registry = manager.registry
    everything, _, _ = registry.describe()
    when = sorted({str(entry[key]) for entry in everything for key in _MOMENTS})
    order = {moment: rank for rank, moment in enumerate(when)}
    ids = {entry["model_id"]: rank for rank, entry in enumerate(everything)}

    def told(info: VersionInfo) -> dict[str, Any]:
        entry: dict[str, Any] = dict(info)
        normal = dict(entry, model_id=ids[entry["model_id"]], model_path=Path(str(entry["model_path"])).name)
        for key in ("created_at", "updated_at"):
            normal[key] = order[entry[key]]
        if (entry["last_metric_update"] or "") > "2026-02":  # measured now
            normal["last_metric_update"] = "now"
        del normal["seq"]
        return normal

    for search in (EVERYTHING, *wanted):
        entries, total, source = registry.describe(search=search)
        yield f"list {search}", ([told(entry) for entry in entries], total, source)
        for limit in (1, 3):
            page, counted, _ = registry.describe(search=search, limit=limit)
            assert (page, counted) == (entries[:limit], total)
            if len(entries) > limit:
                rest, _, _ = registry.describe(search=search, after=search.order.position(page[-1]))
                assert rest == entries[limit:]
    yield "names", (list(manager.models), list(manager.active_models.items()))
    for name in NAMES:
        versions = registry.versions(name)
        yield f"versions {name}", versions
        yield f"runs {name}", list(map(_typed, registry.runs(name)))
        moves = registry.activations(name)
        yield f"moves {name}", [(move.version, move.actor, move.reason) for move in moves]
        assert registry.active_at(name, datetime.now(UTC)) == registry.active(name)
        yield f"active {name}", (registry.active(name), manager.get_model(name))
        for version in versions:
            found = registry.find(name, version)
            assert found is not None
            yield f"found {name} {version}", (found.is_active, found.artifact.digest, found.artifact.size)
            yield f"runs {name} {version}", list(map(_typed, registry.runs(name, version)))
            yield f"object {name} {version}", manager.get_model(name, version)
            history = registry.performances(name, version)
            yield f"measured {name} {version}", [_timeless(measured) for measured in history]
            yield f"newest {name} {version}", _timeless(registry.latest_performance(name, version))


def _timeless(performance: ModelPerformance | None) -> object:
    if performance is None:
        return None
    at = performance.last_updated
    assert at is not None
    assert at.tzinfo is UTC
    now = at > START + timedelta(days=30)
    numbers = (performance.mae, performance.accuracy_score, performance.training_samples)
    return numbers, tuple(map(type, numbers)), "now" if now else at


def _typed(record: RunRecord) -> object:
    run = run_entry(record)
    return run, [(key, type(value)) for key, value in run.items()]


# To make a failing sequence shorter takes minutes of a locked database; it has seven steps as it is.
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(
    before=st.lists(acts(), max_size=5),
    during=st.lists(acts(), min_size=1, max_size=7),
    wanted=st.lists(searches, min_size=2, max_size=6),
)
def test_the_same_calls_have_the_same_answers(
    before: list[tuple[str, Act]], during: list[tuple[str, Act]], wanted: list[Search]
) -> None:
    directory = Path(tempfile.mkdtemp())
    try:
        with ExitStack() as stack:
            healthy = stack.enter_context(ModelManager(directory / "healthy"))
            troubled = stack.enter_context(ModelManager(directory / "troubled"))
            for what, act in before:
                assert outcome(act, troubled) == outcome(act, healthy), what
            with locked(directory / "troubled"):
                for what, act in during:
                    assert outcome(act, troubled) == outcome(act, healthy), what
                assert list(answers(troubled, wanted)) == list(answers(healthy, wanted))
                with ModelManager(directory / "troubled") as other:  # as another process finds it
                    assert list(answers(other, wanted)) == list(answers(healthy, wanted))
        with (
            ModelManager(directory / "healthy") as healthy,
            ModelManager(directory / "troubled") as troubled,
        ):
            assert list(answers(troubled, wanted)) == list(answers(healthy, wanted))
            assert troubled.registry.health().status == "healthy"
    finally:
        shutil.rmtree(directory)


def test_a_page_is_full_although_what_was_measured_leaves_it(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        for mae in (0.1, 0.2, 0.3):
            measured = ModelPerformance(mae, None, None, None, None, None, None, START)
            manager.registry.save("cpu", mae, performance=measured)
        with locked(tmp_path):
            for version in ("1.0.0", "1.0.1"):
                manager.update_performance("cpu", version, replace(measured, mae=0.9))
            page = manager.get_model_info(sort="mae", limit=2)
            assert [entry["version"] for entry in page["models"]] == ["1.0.2", "1.0.0"]
            found = manager.get_model_info(where="mae < 0.5")
            assert (found["total"], len(found["models"])) == (1, 1)


def test_what_was_applied_and_could_not_be_removed_counts_once(tmp_path: Path) -> None:
    """A replay was killed after its commit, and the database is locked again."""
    measured = ModelPerformance(0.5, None, None, None, None, 0.5, None, START)
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", "before")
        with locked(tmp_path):
            manager.save_model("cpu", "during")
            manager.update_performance("cpu", "1.0.1", measured)
            manager.update_performance("cpu", "1.0.0", measured)
            manager.save_training_history("cpu", "1.0.0", {"dataset_size": 5})
        copies = {path: path.read_bytes() for path in entries_of(tmp_path)}
        assert manager.registry.health().waiting == 0
    for path, data in copies.items():
        path.write_bytes(data)
    with locked(tmp_path), ModelManager(tmp_path) as manager:
        assert manager.model_versions["cpu"] == ["1.0.0", "1.0.1"]
        info = manager.get_model_info()
        assert info["total"] == 2
        assert [entry["metric_count"] for entry in info["models"]] == [1, 1]
        assert [len(manager.metric_history("cpu", version)) for version in ("1.0.0", "1.0.1")] == [1, 1]
        assert len(manager.get_training_history("cpu")) == 1


def test_a_training_record_of_what_is_in_memory_only_is_read_back(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        manager.register_model("lock", threading.Lock())
        for size in (5, 6):
            manager.save_training_history("lock", "1.0.0", {"dataset_size": size, "started": START})
        for version in (None, "1.0.0"):
            records = manager.get_training_history("lock", version)
            assert [record["dataset_size"] for record in records] == [6, 5]
            assert {record["started"] for record in records} == {START}
        assert manager.get_training_history("lock", "2") == []
