"""The full list is read once for as long as nobody commits, and answered anew each time."""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ai_engine.catalogue.protocol import Transaction
from ai_engine.catalogue.sql import full_list
from ai_engine.domain.search import EVERYTHING
from ai_engine.models import ModelManager
from ai_engine.settings import Settings
from ai_engine.wiring import build_stores
from tests.faults.interrupts import interrupted


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ModelManager]:
    with ModelManager(tmp_path) as manager:
        for number in range(3):
            manager.save_model("cpu", number, algorithms=["Ridge"], metadata={"of": ["a", {"b": 1}]})
        yield manager


@pytest.fixture
def asked(manager: ModelManager) -> list[str]:
    """The statements that readers run from now on; one of them has been used."""
    caught: list[str] = []
    manager.get_model_info()
    (slot,) = (s for s in manager.registry._stores.catalogue._opened._idle)  # type: ignore[attr-defined]  # behind the protocol
    slot.connection.set_trace_callback(caught.append)
    return caught


def told(manager: ModelManager) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = [dict(entry) for entry in manager.get_model_info()["models"]]
    return entries


def described(asked: list[str]) -> int:
    return sum("SELECT e.seq" in statement for statement in asked)


def test_an_unchanged_list_is_not_read_again(manager: ModelManager, asked: list[str]) -> None:
    before = told(manager)
    assert told(manager) == before
    assert described(asked) == 0


def test_what_a_caller_does_to_an_answer_is_in_no_other(manager: ModelManager) -> None:
    before, spoilt = told(manager), told(manager)
    for entry in spoilt:
        entry["algorithms"].append("?")
        entry["metadata"]["of"][1]["b"] = 2
        entry["packages"]["?"] = "1"
        entry["name"] = "?"
    spoilt.clear()
    assert told(manager) == before


@pytest.mark.parametrize("by", ["this manager", "another one", "another program"])
def test_what_anybody_commits_is_told_at_once(manager: ModelManager, tmp_path: Path, by: str) -> None:
    for number in range(3):
        told(manager)
        if by == "this manager":
            manager.save_model("cpu", 10 + number, model_type=by)
        elif by == "another one":
            with ModelManager(tmp_path) as other:
                other.save_model("cpu", 10 + number, model_type=by)
        else:
            database = sqlite3.connect(tmp_path / "model_registry.db")
            database.execute("UPDATE model_registry SET model_type = ?", (f"{by} {number}",))
            database.commit()
            database.close()
            assert {entry["model_type"] for entry in told(manager)} == {f"{by} {number}"}
            continue
        assert told(manager)[0]["model_type"] == by
        assert len(told(manager)) == 4 + number


def test_a_transaction_sees_what_it_has_written(manager: ModelManager) -> None:
    before = told(manager)

    def look(work: Transaction) -> None:
        found = work.find("cpu", "1.0.0")
        assert found is not None
        work.drop(found, [])
        assert len(work.describe(EVERYTHING, None, None)) == 2

    manager.registry._stores.catalogue.rehearse(look)
    assert told(manager) == before


def test_a_very_long_list_is_not_kept(
    manager: ModelManager, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for most, reads in ((3, 0), (2, 2)):
        monkeypatch.setattr(full_list, "_MOST", most)
        manager.save_model("cpu", most)
        manager.delete_version("cpu", "1.0.0" if most == 3 else "1.0.1")
        told(manager)
        asked.clear()
        told(manager)
        told(manager)
        assert described(asked) == reads


def test_only_the_full_list_is_answered_so(manager: ModelManager) -> None:
    everything = told(manager)
    assert len(everything) == 3
    assert manager.get_model_info("none") == {"models": [], "total": 0}
    assert manager.get_model_info(where="version = '1.0.0'")["models"] == everything[-1:]
    assert manager.get_model_info(sort="created_at")["models"] == everything[::-1]
    assert manager.get_model_info(limit=2) == {"models": everything[:2], "total": 3}


def test_an_interrupt_leaves_the_collector_on(manager: ModelManager) -> None:
    at, raised = 0, True
    gc.freeze()  # what was there before is nothing to look through a thousand times
    try:
        while raised:
            at += 1
            _, raised = interrupted(at, KeyboardInterrupt, manager.get_model_info)
            gc.collect()
            assert gc.isenabled()
    finally:
        gc.unfreeze()
    assert at > 20


def test_an_old_moment_is_told_to_nobody_who_asks_later(tmp_path: Path, manager: ModelManager) -> None:
    """A transaction that began before a commit reads rows from then; they are not kept for the time after."""
    catalogue = build_stores(Settings(model_dir=str(tmp_path))).catalogue
    try:
        for number in range(3):
            with catalogue.read() as snapshot:
                names = snapshot.names()
                manager.save_model(f"new-{number}", number)
                assert len(snapshot.describe(EVERYTHING, None, None)) == 3 + number
            with catalogue.read() as snapshot:
                assert len(snapshot.describe(EVERYTHING, None, None)) == 4 + number
            assert f"new-{number}" not in names
    finally:
        catalogue.close()
