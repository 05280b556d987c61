"""Metrics of any name, models at a glance, and what the manager has that REST and the command line have."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_engine import InvalidInputError, VersionNotFoundError
from ai_engine.domain.performance import NUMBERS
from ai_engine.models import ModelManager, ModelPerformance
from tests.faults.driver import diagnose

Open = Callable[[], ModelManager]
NAMES = st.text(
    st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'), min_size=1, max_size=100
).filter(lambda name: name not in NUMBERS)
VALUES = st.none() | st.floats(allow_nan=False) | st.integers(-(2**53), 2**53)


def test_every_number_may_be_left_out(manager: ModelManager) -> None:
    before = datetime.now(UTC)
    manager.save_model("cpu", 1)
    manager.update_performance("cpu", "1.0.0", ModelPerformance())
    manager.update_performance("cpu", "1.0.0", ModelPerformance(mae=0.5, metrics={"auc": 0.91}))
    first, second = manager.metric_history("cpu")
    assert (first.mae, first.metrics) == (None, {})
    assert (second.mae, second.metrics) == (0.5, {"auc": 0.91})
    assert first.last_updated is not None
    assert before - timedelta(seconds=1) < first.last_updated < datetime.now(UTC) + timedelta(seconds=1)


@settings(max_examples=150, deadline=None)
@given(metrics=st.dictionaries(NAMES, VALUES, max_size=5))
def test_whatever_is_measured_comes_back(
    metrics: dict[str, float | None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with ModelManager(tmp_path_factory.mktemp("metrics")) as manager:
        manager.save_model("cpu", 1)
        manager.update_performance("cpu", "1.0.0", ModelPerformance(metrics=metrics))
        assert manager.metric_history("cpu")[0].metrics == metrics
        (entry,) = manager.get_model_info()["models"]
        assert entry["performance"] is not None
        assert entry["performance"]["metrics"] == metrics
        for name, value in metrics.items():
            found = manager.get_model_info(where=f'metrics."{name}" is not null')["total"]
            assert found == (value is not None)
            if value is not None and math.isfinite(value):
                assert manager.get_model_info(where=f'metrics."{name}" >= {float(value)!r}')["total"] == 1
                assert manager.get_model_info(where=f'metrics."{name}" < {float(value)!r}')["total"] == 0


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        ({"auc": "0.9"}, "metrics.auc"),
        ({"mae": 0.5}, "give mae="),
        ({"": 1}, "name of a metric"),
        ({'a"b': 1}, "name of a metric"),
        ({"a\\b": 1}, "name of a metric"),
        ({"ä": 1}, "name of a metric"),
        ({1: 1}, "name of a metric"),
        ({"x" * 101: 1}, "name of a metric"),
        ({f"m{n}": n for n in range(201)}, "200 are the most"),
        ([("auc", 1)], "give a dict"),
    ],
)
def test_a_metric_that_cannot_be_stored_is_refused(manager: ModelManager, metrics: object, told: str) -> None:
    manager.save_model("cpu", 1)
    with pytest.raises(InvalidInputError, match=told):
        manager.update_performance("cpu", "1.0.0", ModelPerformance(metrics=metrics))  # type: ignore[arg-type]  # that is the point
    assert manager.metric_history("cpu") == []


def test_the_most_and_the_longest_metrics_are_stored(manager: ModelManager) -> None:
    manager.save_model("cpu", 1)
    metrics: dict[str, float | None] = {f"{'x' * 97}{n:03}": float(n) for n in range(200)}
    manager.update_performance("cpu", "1.0.0", ModelPerformance(metrics=metrics))
    assert manager.metric_history("cpu")[0].metrics == metrics


def test_an_unknown_metric_stays_unknown(manager: ModelManager) -> None:
    manager.save_model("cpu", 1)
    manager.update_performance("cpu", "1.0.0", ModelPerformance(metrics={"auc": math.nan, "lift": None}))
    assert manager.metric_history("cpu")[0].metrics == {"auc": None, "lift": None}


def test_versions_are_found_sorted_and_compared_by_any_metric(manager: ModelManager) -> None:
    for number, auc in enumerate((0.7, 0.9, None, 0.8)):
        manager.save_model("cpu", number)
        if auc is not None:
            manager.update_performance(
                "cpu", f"1.0.{number}", ModelPerformance(metrics={"auc": auc, "p 99": 1})
            )
    found = manager.get_model_info(where="metrics.auc > 0.75", sort="-metrics.auc")
    assert [entry["version"] for entry in found["models"]] == ["1.0.1", "1.0.3"]
    everything = manager.get_model_info(sort="metrics.auc")["models"]
    assert [entry["version"] for entry in everything] == ["1.0.0", "1.0.3", "1.0.1", "1.0.2"]
    assert manager.get_model_info(where='metrics."p 99" = 1')["total"] == 3
    assert manager.get_model_info(where="metrics.mae is null")["total"] == 4
    compared = manager.compare("cpu", ["1.0.0", "1.0.1", "1.0.2"])["metrics"]["auc"]
    assert compared["values"] == {"1.0.0": 0.7, "1.0.1": 0.9, "1.0.2": None}
    assert compared["differences"]["1.0.1"] == pytest.approx(0.2)
    with pytest.raises(InvalidInputError, match="is a number"):
        manager.get_model_info(where="metrics.auc = 'high'")
    with pytest.raises(InvalidInputError, match="no metric"):
        manager.get_model_info(where="metrics.a.b = 1")


def test_metrics_that_are_indexed_are_found_the_same(manager: ModelManager) -> None:
    from ai_engine.domain.filters import parse_field

    for number in range(5):
        manager.save_model("cpu", number)
        manager.update_performance("cpu", f"1.0.{number}", ModelPerformance(metrics={"auc": number}))
    before = manager.get_model_info(where="metrics.auc >= 3", sort="metrics.auc")
    manager.registry.index(parse_field("metrics.auc"))
    assert manager.get_model_info(where="metrics.auc >= 3", sort="metrics.auc") == before
    assert before["total"] == 2


def test_metrics_go_with_their_version(manager: ModelManager, tmp_path: Path) -> None:
    for number in range(3):
        manager.save_model("cpu", number)
        manager.update_performance("cpu", f"1.0.{number}", ModelPerformance(metrics={"auc": number}))
    manager.cleanup_old_models(1)
    assert [dict(entry["performance"] or {})["metrics"] for entry in manager.get_model_info()["models"]] == [
        {"auc": 2}
    ]
    assert diagnose(tmp_path / "models") == []


# -- models at a glance --------------------------------------------------------------------------------------


def test_an_overview_has_one_entry_a_model(manager: ModelManager) -> None:
    manager.save_model("cpu", 1)
    manager.save_model("cpu", 2)
    manager.activate("cpu", "1.0.0")
    manager.update_performance("cpu", "1.0.0", ModelPerformance(mae=0.25))
    manager.update_performance("cpu", "1.0.1", ModelPerformance(mae=0.125))
    manager.save_model("disk", 1, activate=False)
    manager.save_model("disk", 2, activate=False)
    cpu, disk = manager.models_overview()["models"]
    assert (cpu["name"], cpu["active_version"], cpu["version"], cpu["versions"]) == (
        "cpu",
        "1.0.0",
        "1.0.0",
        2,
    )
    assert cpu["performance"] is not None
    assert cpu["performance"]["mae"] == 0.25
    assert (disk["name"], disk["active_version"], disk["version"]) == ("disk", None, "1.0.1")
    assert (disk["versions"], disk["performance"]) == (2, None)
    assert manager.models_overview(where="mae < 0.2") == {"models": [], "total": 0}
    assert manager.models_overview(where="mae > 0.2")["total"] == 1
    assert [one["name"] for one in manager.models_overview(sort="-name")["models"]] == ["disk", "cpu"]
    assert [one["name"] for one in manager.models_overview(limit=1)["models"]] == ["cpu"]
    assert manager.models_overview(limit=1)["total"] == 2
    assert manager.models_overview(limit=0)["models"] == []
    with pytest.raises(InvalidInputError):
        manager.models_overview(limit=-1)


def test_a_model_whose_versions_are_gone_is_no_model(manager: ModelManager) -> None:
    manager.save_model("cpu", 1, activate=False)
    manager.delete_version("cpu", "1.0.0")
    assert manager.models_overview() == {"models": [], "total": 0}


def test_many_models_are_paged_through(manager: ModelManager) -> None:
    for number in range(25):
        manager.save_model(f"m{number:02}", number)
    registry = manager.registry
    seen, after = [], None
    while True:
        page, total, _ = registry.models(10, after)
        assert total == 25
        if not page:
            break
        seen += [entry["name"] for entry in page]
        from ai_engine.domain.search import EVERYTHING

        after = EVERYTHING.order.position(page[-1])
    assert seen == [f"m{number:02}" for number in range(25)]


# -- what REST and the command line have ---------------------------------------------------------------------


def test_a_pinned_version_survives_a_clean_up(manager: ModelManager) -> None:
    for number in range(3):
        manager.save_model("cpu", number)
    assert manager.pin("cpu", "1.0.0") == {"model_name": "cpu", "version": "1.0.0", "pinned": True}
    manager.cleanup_old_models(1)
    assert manager.model_versions["cpu"] == ["1.0.0", "1.0.2"]
    assert manager.unpin("cpu", "1.0.0")["pinned"] is False
    manager.cleanup_old_models(1)
    assert manager.model_versions["cpu"] == ["1.0.2"]
    for call in (manager.pin, manager.unpin):
        with pytest.raises(VersionNotFoundError):
            call("cpu", "9")


def test_fewer_than_two_versions_are_not_compared(manager: ModelManager) -> None:
    manager.save_model("cpu", 1)
    for versions in ([], ["1.0.0"], ["1.0.0", "1.0.0"], "1.0.0", [str(n) for n in range(51)]):
        with pytest.raises(InvalidInputError):
            manager.compare("cpu", versions)
    with pytest.raises(VersionNotFoundError):
        manager.compare("cpu", ["1.0.0", "1.0.1"])


def test_health_doctor_and_backup(manager: ModelManager, tmp_path: Path, local_files: None) -> None:
    manager.save_model("cpu", bytes(400_000))
    manager.save_model("small", 1)
    health = manager.health()
    assert (health["status"], health["persistence"]["enabled"]) == ("healthy", True)
    assert health["active_models"] == {"cpu": "1.0.0", "small": "1.0.0"}
    assert health["uptime_seconds"] >= 0
    assert manager.doctor() == {"healthy": True, "findings": [], "restored": [], "lost": [], "signed": []}
    told = manager.backup(tmp_path / "copy")
    assert (told["directory"], told["versions"]) == (str(tmp_path / "copy"), 2)
    with ModelManager(tmp_path / "copy") as copied:
        assert copied.get_model("cpu") == bytes(400_000)
    (artifact,) = (tmp_path / "models" / ".engine" / "artifacts").iterdir()
    artifact.unlink()
    (finding,) = manager.doctor()["findings"]
    assert finding["subject"] == "cpu@1.0.0"
    assert manager.doctor()["healthy"] is False
