"""What the endpoints tell of models and do with them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ai_engine.domain.entities import Run
from ai_engine.domain.performance import ModelPerformance
from tests.api.serving import Served, serving
from tests.upgrade.original import Original

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def measured(mae: float, **more: float | None) -> ModelPerformance:
    numbers: dict[str, Any] = dict.fromkeys(
        ("mse", "r2", "training_time", "prediction_time", "accuracy_score", "confidence_score")
    )
    return ModelPerformance(mae=mae, **(numbers | more), last_updated=MOMENT)


def test_an_empty_registry_lists_nothing(server: Served) -> None:
    told = server.get("/models/info").json()
    database = told["system_info"].pop("db_path")
    assert database.endswith("model_registry.db")
    assert told == {
        "models": [],
        "total_models": 0,
        "source": "database",
        "system_info": {"model_manager_active": True, "persistence_enabled": True},
        "next_page_token": None,
    }


def test_pages_have_every_version_once_whatever_is_saved_meanwhile(server: Served) -> None:
    for name in ("a", "b b+c.d"):
        for _ in range(3):
            server.registry.save(name, {"made": name})
    seen: list[tuple[str, str]] = []
    token = None
    while True:
        told = server.get(
            "/models/info", params={"limit": 2, **({"page_token": token} if token else {})}
        ).json()
        seen += [(entry["name"], entry["version"]) for entry in told["models"]]
        assert told["total_models"] >= 6
        token = told["next_page_token"]
        if token is None:
            break
        server.registry.save("a", {"late": True})  # newest first: in front of what was seen
    assert seen == [(name, f"1.0.{patch}") for name in ("a", "b b+c.d") for patch in (2, 1, 0)]


def test_info_can_be_asked_for_one_model(server: Served) -> None:
    server.registry.save("a", 1)
    server.registry.save("b", 1)
    told = server.get("/models/info", params={"name": "b"}).json()
    assert [entry["name"] for entry in told["models"]] == ["b"]
    assert told["total_models"] == 1


def test_versions_are_searched_and_sorted_a_page_at_a_time(server: Served) -> None:
    for number, mae in enumerate((0.3, None, 0.1, 0.2, 0.1)):
        server.registry.save(
            "cpu",
            number,
            metadata={"team": "ops" if number else "dev"},
            performance=measured(mae) if mae else None,
        )
    asked = {"filter": "name ~ 'c*' and (mae < 0.25 or metadata.team = 'dev')", "sort": "-mae", "limit": "2"}
    first = server.get("/models/info", params=asked).json()
    assert [(entry["version"], entry["performance"]["mae"]) for entry in first["models"]] == [
        ("1.0.0", 0.3),
        ("1.0.3", 0.2),
    ]
    assert first["total_models"] == 4
    token = {"page_token": first["next_page_token"]}
    second = server.get("/models/info", params=asked | token).json()
    assert [entry["version"] for entry in second["models"]] == ["1.0.4", "1.0.2"]
    assert (second["total_models"], second["next_page_token"]) == (4, None)

    unknown_last = server.get("/models/info", params={"sort": "mae", "limit": 4}).json()
    token = {"page_token": unknown_last["next_page_token"]}
    last = server.get("/models/info", params={"sort": "mae", "limit": 4} | token).json()
    assert [entry["version"] for entry in unknown_last["models"]] == ["1.0.2", "1.0.4", "1.0.3", "1.0.0"]
    assert [entry["performance"] for entry in last["models"]] == [None]

    other = server.get("/models/info", params={"sort": "-mae"} | token)
    assert other.status_code == 422
    assert "another sort" in other.json()["detail"]


def test_who_moved_a_pointer_over_http_is_written_down(server: Served) -> None:
    for number in range(2):
        server.registry.save("cpu", number)
    server.client.post("/models/cpu/activate", json={"version": "1.0.0"}).raise_for_status()
    server.client.post("/models/cpu/rollback").raise_for_status()
    actors = [move.actor for move in server.registry.activations("cpu")]
    assert [actor.endswith(" over HTTP") for actor in actors] == [False, False, True, True]


def test_models_are_listed_a_page_at_a_time(server: Served) -> None:
    """One entry each, by its active version, in the order that is asked for."""
    for number in range(5):
        for version in range(number + 1):
            server.registry.save(
                f"m{number}", version, performance=ModelPerformance(mae=number + version / 10)
            )
    server.registry.activate("m4", "1.0.1")
    server.registry.save("idle", 0, activate=False)
    for sort, expected in (
        (None, ["idle", "m0", "m1", "m2", "m3", "m4"]),
        ("-mae", ["m4", "m3", "m2", "m1", "m0", "idle"]),
        ("mae", ["m0", "m1", "m2", "m3", "m4", "idle"]),
    ):
        seen, token = [], None
        while True:
            given = {"limit": "2", "sort": sort, "page_token": token}
            given = {key: value for key, value in given.items() if value}
            page = server.get("/models", params=given).json()
            assert page["total_models"] == 6
            assert len(page["models"]) == 2
            seen += page["models"]
            token = page["next_page_token"]
            if token is None:
                break
            server.registry.save("m0", 9, activate=False)  # and nothing is told twice
        assert [model["name"] for model in seen] == expected
        by_name = {model["name"]: model for model in seen}
        assert by_name["m4"]["active_version"] == "1.0.1"
        assert by_name["m4"]["performance"]["mae"] == 4.1
        assert by_name["idle"]["active_version"] is None
        assert by_name["m3"]["versions"] == 4
    found = server.get("/models", params={"filter": "is_active and mae < 2"}).json()
    assert [model["name"] for model in found["models"]] == ["m0", "m1"]
    assert found["total_models"] == 2


def test_a_filter_that_cannot_be_read_is_refused_with_the_place(server: Served) -> None:
    answer = server.get("/models/info", params={"filter": "mae < 0.5 && is_active"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "filter"
    assert "(at character 11 of" in answer.json()["detail"]
    hostile = {"filter": "metadata.\"x') or (1\" = 1 or name = 'a'' or 1=1 --'"}
    assert server.get("/models/info", params=hostile).json()["models"] == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=99999999999999999999",
        "limit=x",
        "limit=1.5",
        "page_token=zz",
        "page_token=WyJhIiwgMTAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwXQ",
        "page_token=WzEsIDJd",
        "page_token=bnVsbA",
        "page_token=%00%ff",
        "page_token=" + "A" * 19000,
        "name=" + "x" * 1001,
        "filter=" + "x" * 5000,
        "filter=mae",
        "sort=nothing",
        "sort=is_active",
    ],
)
def test_a_bad_page_is_refused_by_name(server: Served, query: str) -> None:
    answer = server.get(f"/models/info?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]
    assert query.partition("=")[0] in answer.json()["detail"]


def test_versions_come_with_how_they_were_trained(server: Served) -> None:
    run = Run(MOMENT, MOMENT, 200, {"seed": 1}, 0.5)
    server.registry.save("cpu", 1, run=run, performance=measured(2.0))
    server.registry.save("cpu", 2, version="nightly", activate=False)
    told = server.get("/models/cpu/versions").json()
    assert (told["model_name"], told["total_versions"]) == ("cpu", 2)
    newest, first = told["versions"]
    assert (newest["version"], newest["is_active"], newest["training_history"]) == ("nightly", False, [])
    assert first["is_active"]
    assert first["created_at"].endswith("Z")
    assert first["metric_count"] == 1
    (history,) = first["training_history"]
    assert history["started"] == "2026-01-02T03:04:05Z"
    assert history["hyperparameters"] == {"seed": 1}


def test_performance_is_that_of_the_active_version_or_of_the_named_one(server: Served) -> None:
    server.registry.save("cpu", 1, performance=measured(3.0))
    server.registry.record("cpu", "1.0.0", measured(2.5, r2=float("nan")))
    server.registry.save("cpu", 2, activate=False)
    told = server.get("/models/performance/cpu").json()
    assert (told["version"], told["performance"]["mae"], told["performance"]["r2"]) == ("1.0.0", 2.5, None)
    assert told["performance"]["last_updated"] == "2026-01-02T03:04:05Z"
    assert [one["mae"] for one in told["history"]] == [3.0, 2.5]
    named = server.get("/models/performance/cpu", params={"version": "1.0.1"}).json()
    assert (named["version"], named["performance"], named["history"]) == ("1.0.1", None, [])


def test_infinite_numbers_are_null(server: Served) -> None:
    server.registry.save("cpu", 1, performance=measured(float("inf")))
    answer = server.get("/models/performance/cpu")
    assert json.loads(answer.text, parse_constant=pytest.fail)["performance"]["mae"] is None


def test_versions_are_compared_with_the_first_one_named(server: Served) -> None:
    server.registry.save(
        "cpu", 1, performance=measured(3.0), metadata={"performance_metrics": {"skill": 0.1}}
    )
    server.registry.save(
        "cpu", 2, performance=measured(2.0), metadata={"performance_metrics": {"skill": 0.4}}
    )
    told = server.get("/models/cpu/compare", params={"versions": "1.0.0,1.0.1"}).json()
    assert told["compared_with"] == "1.0.0"
    assert told["metrics"]["mae"] == {
        "values": {"1.0.0": 3.0, "1.0.1": 2.0},
        "differences": {"1.0.1": -1.0},
        "better": "lower",
        "best": "1.0.1",
    }
    assert told["metrics"]["skill"]["differences"] == {"1.0.1": pytest.approx(0.3)}
    assert told["metrics"]["r2"] == {
        "values": {"1.0.0": None, "1.0.1": None},
        "differences": {"1.0.1": None},
        "better": "higher",
        "best": None,
    }


@pytest.mark.parametrize(("versions", "status"), [("1.0.0,9", 404), ("1.0.0", 422), ("", 422), (",,", 422)])
def test_a_comparison_needs_two_versions_that_exist(server: Served, versions: str, status: int) -> None:
    server.registry.save("cpu", 1)
    assert server.get("/models/cpu/compare", params={"versions": versions}).status_code == status


def test_the_active_version_moves_and_walks_back(server: Served) -> None:
    for number in range(3):
        server.registry.save("cpu", number)
    moved = server.post("/models/cpu/activate", {"version": "1.0.0"})
    assert moved.json() == {"model_name": "cpu", "version": "1.0.0", "previous_version": "1.0.2"}
    back = server.post("/models/cpu/rollback")
    assert back.json() == {"model_name": "cpu", "version": "1.0.2", "previous_version": "1.0.0"}
    assert server.get("/health").json()["active_models"] == {"cpu": "1.0.2"}


def test_there_is_an_end_to_walking_back(server: Served) -> None:
    server.registry.save("cpu", 1)
    answer = server.post("/models/cpu/rollback")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:ai-engine:problem:no-previous-version")


def test_a_version_is_deleted_unless_it_is_active(server: Served) -> None:
    server.registry.save("cpu", 1)
    server.registry.save("cpu", 2)
    kept = server.client.delete("/models/cpu/versions/1.0.1")
    assert (kept.status_code, kept.json()["status"]) == (409, 409)
    gone = server.client.delete("/models/cpu/versions/1.0.0")
    assert (gone.status_code, gone.content) == (204, b"")
    assert server.client.delete("/models/cpu/versions/1.0.0").status_code == 404
    assert server.registry.versions("cpu") == ["1.0.1"]


def test_a_clean_up_can_be_tried_out(server: Served) -> None:
    for number in range(4):
        server.registry.save("cpu", number)
    tried = server.post("/models/cleanup?keep_versions=2&dry_run=true").json()
    assert len(server.registry.versions("cpu")) == 4
    done = server.post("/models/cleanup?keep_versions=2").json()
    assert done["status"] == "success"
    assert done["timestamp"].endswith("Z")
    assert done["removed"] == tried["removed"]
    assert {one["version"] for one in done["removed"]} == {"1.0.0", "1.0.1"}
    assert server.registry.versions("cpu") == ["1.0.2", "1.0.3"]


@pytest.mark.parametrize(
    "query", ["keep_versions=0", "keep_versions=-5", "keep_versions=x", "dry_run=perhaps"]
)
def test_a_bad_clean_up_removes_nothing(server: Served, query: str) -> None:
    for number in range(7):
        server.registry.save("cpu", number)
    assert server.post(f"/models/cleanup?{query}").status_code == 422
    assert len(server.registry.versions("cpu")) == 7


NAMES = ["with space", "a+b", "v1.2.x", "x" * 200, "_-_"]


@pytest.mark.parametrize("name", NAMES)
def test_every_valid_name_works_in_a_path(server: Served, name: str) -> None:
    server.registry.save(name, 1, version="a b+c.d")
    server.registry.save(name, 2, version="2")
    # httpx leaves a plus as it is and encodes the space, as browsers do.
    assert server.get(f"/models/{name}/versions").json()["total_versions"] == 2
    assert server.post(f"/models/{name}/activate", {"version": "a b+c.d"}).status_code == 200
    assert server.get(f"/models/performance/{name}").json()["version"] == "a b+c.d"
    assert server.client.delete(f"/models/{name}/versions/2").status_code == 204
    assert server.client.delete(f"/models/{name}/versions/a b+c.d").status_code == 409


def test_what_the_original_software_wrote_is_served_whatever_it_is(tmp_path: Path) -> None:
    original = Original(tmp_path)
    name = "n/../<b> %41"
    original.save(name, "v/1", 1, at="yesterday", path=tmp_path / "1.pkl", metadata='{"loss": NaN}', active=0)
    original.save(name, "v/2", 2, path=tmp_path / "2.pkl")
    original.close()
    path = f"/models/{quote(name, safe='')}"
    with serving(tmp_path) as server:
        listed = json.loads(server.get("/models/info").text, parse_constant=pytest.fail)["models"]
        told = next(entry for entry in listed if entry["version"] == "v/1")
        assert (told["name"], told["metadata"], told["created_at"]) == (name, {"loss": None}, None)
        assert server.get(f"{path}/versions").json()["total_versions"] == 2
        assert server.post(f"{path}/activate", {"version": "v/1"}).status_code == 200
        assert server.client.delete(f"{path}/versions/v%2F2").status_code == 204
        assert server.get(f"/models/performance/{quote(name, safe='')}").json()["version"] == "v/1"


def test_a_dry_run_that_is_misspelled_removes_nothing(server: Served) -> None:
    for number in range(3):
        server.registry.save("cpu", number)
    answer = server.post("/models/cleanup?keep_versions=1&dryrun=true")
    assert answer.status_code == 422
    assert "dry_run" in answer.json()["detail"]
    assert server.get("/models/info").json()["total_models"] == 3
