"""Hosts are ranked by the expected time, the risk and their room, and say why in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ai_engine.domain.errors import InvalidInputError
from ai_engine.models import ModelManager
from ai_engine.training.engine import fit
from ai_engine.training.estimators.migration import MigrationV1
from ai_engine.training.host_load import Load, loads
from ai_engine.training.progress import Progress
from ai_engine.training.ranking import MOST_CANDIDATES, rank
from ai_engine.training.request import TrainingRequest
from tests.training.tables import Row

SECONDS = {"near": 20.0, "far": 60.0, "shaky": 20.0}
VM = {"memory_mb": 4096.0, "vcpus": 4, "cpu_percent": 50.0}


def migrations(n: int = 600) -> list[Row]:
    """Durations that the destination decides; a third of those to `shaky` fail."""
    draw = np.random.default_rng(2)
    rows: list[Row] = []
    for number in range(n):
        target = list(SECONDS)[number % 3]
        failed = target == "shaky" and bool(draw.random() < 0.35)
        memory = float(draw.choice([2048, 4096]))
        seconds = SECONDS[target] * memory / 4096 * float(np.exp(0.05 * draw.normal()))
        rows.append(
            {
                "target": target,
                "memory_mb": memory,
                "duration_s": None if failed else seconds,
                "failed": failed,
            }
        )
    return rows


@pytest.fixture(scope="module")
def model(quiet: Progress) -> MigrationV1:
    made = fit(
        TrainingRequest("migration_prediction", target_columns=("duration_s",)), migrations(), quiet
    ).estimator
    assert isinstance(made, MigrationV1)
    return made


def ranking(model: Any, candidates: list[Row], row: Row = VM) -> list[Row]:
    return rank(model, [row], candidates).ranking


def test_the_quickest_and_surest_host_is_the_best(model: MigrationV1) -> None:
    first, second, third = ranking(model, [{"host": host} for host in ("far", "shaky", "near")])
    assert (first["host"], second["host"], third["host"]) == ("near", "shaky", "far")
    assert first["score"] == 1.0
    assert first["duration_s"] == pytest.approx(20, rel=0.1)
    assert third["duration_s"] == pytest.approx(60, rel=0.1)
    assert second["failure_probability"] > 0.2 > first["failure_probability"]
    # A failed attempt takes as long as another.
    for one in (second, third):
        expected = one["duration_s"] / (1 - one["failure_probability"])
        best = first["duration_s"] / (1 - first["failure_probability"])
        assert one["score"] == pytest.approx(best / expected)
    assert "the shortest expected time until it succeeds" in first["reasons"]
    assert any("longer until it succeeds than with the quickest" in reason for reason in third["reasons"])
    assert any("risk of failure" in reason for reason in second["reasons"])


def test_a_host_that_the_vm_would_fill_is_the_last(model: MigrationV1) -> None:
    host = {"cpu_cores": 8, "memory_mb": 65_536.0}
    first, second = ranking(
        model,
        [
            {"host": "near", "cpu_percent": 80.0, "memory_percent": 10.0, **host},
            {"host": "far", "cpu_percent": 20.0, "memory_percent": 10.0, **host},
        ],
    )
    assert (first["host"], second["host"], second["score"]) == ("far", "near", 0.0)
    # 80 % and half of 4 of 8 cores; 10 % and 4 of 64 GiB.
    assert "CPU would be 105 % used with the VM on it: it does not fit" in second["reasons"]
    assert "memory would be 16 % used with the VM on it" in second["reasons"]


def test_what_a_host_has_does_not_become_the_vm_s(model: MigrationV1) -> None:
    """Both have a `memory_mb`; only the VM's is a column of the model."""
    (one,) = ranking(model, [{"host": "near", "memory_mb": 2048.0}])
    assert one["duration_s"] == pytest.approx(20, rel=0.1)
    (left_open,) = ranking(model, [{"host": "near", "memory_mb": 2048.0}], {"vcpus": 4})
    assert left_open["duration_s"] == pytest.approx(10, rel=0.1)


def test_the_migration_is_foretold_as_it_stands_or_to_the_best_host(model: MigrationV1) -> None:
    hosts = [{"host": "far"}, {"host": "near"}]
    planned = rank(model, [VM | {"target": "far"}], hosts)
    assert planned.predictions == model.predict([VM | {"target": "far"}])
    opened = rank(model, [VM], hosts)
    assert opened.predictions == model.predict([VM | {"target": "near"}])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_order_of_the_candidates_decides_nothing(model: MigrationV1, order: tuple[int, ...]) -> None:
    hosts = [
        {"host": "near", "cpu_percent": 90.0},
        {"host": "far", "cpu_percent": 10.0},
        {"host": "shaky", "cpu_percent": 85.0},
    ]
    assert ranking(model, [hosts[number] for number in order]) == ranking(model, hosts)


def test_hosts_of_which_nothing_is_known_are_told_to_be_alike(model: MigrationV1) -> None:
    row = VM | {"target": "near"}
    found = ranking(model, [{"host": host, "target": "near"} for host in ("b", "a")], row)
    assert [one["host"] for one in found] == ["b", "a"]
    assert {one["score"] for one in found} == {1.0}
    for one in found:
        assert "the model expects the same of every candidate" in one["reasons"]
        assert "how full the host is was not given (cpu_percent, memory_percent)" in one["reasons"]


@pytest.mark.parametrize(
    ("percent", "room"), [(0.0, 1.0), (80.0, 1.0), (80.1, 0.995), (99.9, 0.005), (100.0, 0.0), (300.0, 0.0)]
)
def test_room_ends_where_a_host_is_full(percent: float, room: float) -> None:
    load = Load("CPU", percent, after=True)
    assert load.room == pytest.approx(room)
    assert ("little room" in load.told()) is (80 < percent < 100)
    assert ("does not fit" in load.told()) is (percent >= 100)


@pytest.mark.parametrize("value", [None, "40", True, -1, float("nan"), float("inf")])
def test_what_is_no_load_is_not_taken_for_one(value: Any) -> None:
    assert loads({"cpu_percent": value}, VM) == []
    (before,) = loads({"cpu_percent": 40, "cpu_cores": value}, VM)
    assert (before.percent, before.after) == (40.0, False)
    assert "what the VM adds is not known" in before.told()


def test_memory_is_told_in_gigabytes_too() -> None:
    (one,) = loads({"memory_percent": 10, "memory_mb": 16_384}, {"ram_gb": 4})
    assert one.percent == pytest.approx(35.0)


@pytest.mark.parametrize(
    ("candidates", "field"),
    [
        ([], "candidates"),
        ("h1", "candidates"),
        ([{"host": "h"}] * (MOST_CANDIDATES + 1), "candidates"),
        (["h1"], "candidates[0]"),
        ([{"host": "a"}, {}], "candidates[1].host"),
        ([{"host": ""}], "candidates[0].host"),
        ([{"host": True}], "candidates[0].host"),
        ([{"host": "a"}, {"host": "a"}], "candidates[1].host"),
    ],
)
def test_what_are_no_candidates_is_refused(model: MigrationV1, candidates: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        rank(model, [VM], candidates)
    assert caught.value.field == field


def test_a_candidate_s_cell_is_named_as_that(model: MigrationV1, quiet: Progress) -> None:
    made = fit(
        TrainingRequest("migration_prediction", target_columns=("duration_s",)),
        [row | {"speed": float(number % 7)} for number, row in enumerate(migrations(120))],
        quiet,
    )
    row = VM | {"target": "near", "speed": 1.0}
    with pytest.raises(InvalidInputError) as caught:
        rank(made.estimator, [row], [{"host": "a"}, {"host": "b", "speed": "fast"}])
    assert caught.value.field == "candidates[1].speed"
    with pytest.raises(InvalidInputError) as caught:
        rank(model, [{"target": "near"}], [{"host": "near"}])
    assert "memory_mb" in str(caught.value)


@pytest.mark.parametrize("rows", [[], [VM, VM], VM, [1]])
def test_one_migration_is_planned_at_a_time(model: MigrationV1, rows: Any) -> None:
    with pytest.raises(InvalidInputError, match="exactly one row"):
        rank(model, rows, [{"host": "near"}])


def test_a_manager_ranks_what_it_predicts(tmp_path: Any, model: MigrationV1) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("moves", model)
        manager.save_model("other", {"a": 1})
        hosts = [{"host": "far"}, {"host": "near"}]
        told = manager.predict("moves", [VM], candidates=hosts)
        assert told.keys() == {"predictions", "ranking"}
        assert [one["host"] for one in told["ranking"]] == ["near", "far"]
        frames = manager.predict("moves", pd.DataFrame([VM]), candidates=pd.DataFrame(hosts))
        assert frames["ranking"]["host"].tolist() == ["near", "far"]
        with pytest.raises(InvalidInputError, match="only a model of migrations ranks hosts"):
            manager.predict("other", [VM], candidates=hosts)
        with pytest.raises(InvalidInputError, match="only forecasts have one"):
            manager.predict("moves", [VM], candidates=hosts, horizon=3)
