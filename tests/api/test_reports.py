"""The report of a version over HTTP: for programs, and for a browser."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from ai_engine.domain.entities import Run
from ai_engine.domain.performance import ModelPerformance
from ai_engine.reports.page import policy
from ai_engine.training.report import PARTS
from tests.api.serving import Served, serving, train_body
from tests.upgrade.original import Original

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def test_a_training_has_a_report_with_every_part(server: Served) -> None:
    done = server.post("/train", train_body()).json()
    answer = server.get(f"/models/{done['model_name']}/versions/{done['model_version']}/report")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["vary"] == "Accept"
    told = answer.json()
    assert tuple(told) == PARTS
    told["metrics"].pop("by_target", None)
    assert told["metrics"] == {
        name: value for name, value in done["performance_metrics"].items() if name != "by_target"
    }
    assert told["by_target"] == done["performance_metrics"]["by_target"]
    assert told["by_horizon"].keys() == told["by_target"].keys()
    assert told["importance"] is None
    # What a list reads of the version has nothing of it.
    (entry,) = server.get("/models/info").json()["models"]
    assert not {"by_horizon", "forecast"} & entry["metadata"].keys()


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (BROWSER, "text/html"),
        ("text/html", "text/html"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/html;q=0.1, application/json", "application/json"),
        ("text/html;q=oops", "application/json"),
    ],
)
def test_who_would_rather_have_a_page_gets_one(server: Served, accept: str, kind: str) -> None:
    server.registry.save("cpu", 1, metadata={"performance_metrics": {"skill": 0.25}})
    answer = server.get("/models/cpu/versions/1.0.0/report", headers={"accept": accept})
    assert answer.headers["content-type"].startswith(kind)
    if kind == "text/html":
        assert "25 % better" in answer.text
        assert answer.headers["content-security-policy"] == policy()
        assert 'href="/"' in answer.text


def test_a_version_that_no_training_made_tells_what_was_recorded(server: Served) -> None:
    server.registry.save("cpu", 1)
    parts = dict.fromkeys(PARTS)
    assert server.get("/models/cpu/versions/1.0.0/report").json() == parts
    server.registry.record("cpu", "1.0.0", ModelPerformance(mae=0.5, metrics={"auc": 0.75}))
    metrics = server.get("/models/cpu/versions/1.0.0/report").json()["metrics"]
    metrics.pop("last_updated")
    assert metrics == {"mae": 0.5, "auc": 0.75}
    server.registry.record_run("cpu", "1.0.0", Run(None, None, 1, report={"worst": {"x": []}}))
    assert server.get("/models/cpu/versions/1.0.0/report").json()["worst"] == {"x": []}


def test_what_is_in_memory_only_has_a_report(server: Served) -> None:
    server.registry.register("held", lambda: None, "1.0.0")
    assert server.get("/models/held/versions/1.0.0/report").json() == dict.fromkeys(PARTS)


def test_names_of_the_original_software_may_hold_slashes(tmp_path: Path) -> None:
    original = Original(tmp_path)
    original.save("team/cpu", "v/1", 1, path=tmp_path / "1.pkl")
    original.close()
    with serving(tmp_path) as server:
        path = f"/models/{quote('team/cpu', safe='')}/versions/{quote('v/1', safe='')}/report"
        assert server.get(path).json() == dict.fromkeys(PARTS)
        page = server.get(path, headers={"accept": BROWSER}).text
        assert "team/cpu" in page
        link = server.get("/").text.partition('href="/models/')[2].partition('"')[0]
        assert server.get(f"/models/{link}", headers={"accept": BROWSER}).text == page


@pytest.mark.parametrize("path", ["/models/cpu/versions/9/report", "/models/nobody/versions/1.0.0/report"])
def test_an_unknown_version_is_told_as_elsewhere(server: Served, path: str) -> None:
    server.registry.save("cpu", 1)
    answer = server.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
