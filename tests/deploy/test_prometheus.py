"""A real Prometheus that scrapes a real server, the alerts, and the dashboard over the same metrics."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from ai_engine.access.auditing import seal
from ai_engine.access.signing import SigningKey
from tests.api.serving import serving, train_body
from tests.deploy.test_deploy import DEPLOY

ALERTS = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"][0]["rules"]
BOARD = json.loads((DEPLOY / "grafana.json").read_text())


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name}; apt-get install prometheus")
    return found


def checked(*arguments: str) -> None:
    ran = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, cwd=DEPLOY)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_files_are_what_prometheus_reads() -> None:
    checked("check", "rules", "alerts.yaml")
    checked("check", "config", "prometheus.yaml")


# What raises each alert, and what nearly does: series as promtool writes them, a value a minute.
RAISING = {
    "AIEngineDown": ("up{job='ai-engine'}", "0x90", "1x90"),
    "AIEngineDegraded": ("ai_engine_degraded", "1x90", "0x90"),
    "AIEngineChangesWait": ("ai_engine_waiting_changes", "3x90", "3x5 0x85"),
    "AIEngineModelsInMemoryOnly": ("ai_engine_memory_only_models", "1x90", "0x90"),
    "AIEngineWorseThanItsBaseline": ("ai_engine_model_skill{model='cpu'}", "-0.1x90", "0x90"),
    "AIEngineTrainingsFail": ("ai_engine_trainings_failed_total", "0+1x90", "0+0x88 1 2"),
    "AIEngineTrainingsWait": ("ai_engine_trainings_waiting", "2x90", "2x59 0 2x30"),
    "AIEngineErrors": ("ai_engine_http_requests_total{status='503'}", "0+6x90", "0+5x90"),
}
BESIDE = {"AIEngineErrors": ("ai_engine_http_requests_total{status='200'}", "0+100x90")}


def test_each_alert_is_tried() -> None:
    assert {alert["alert"] for alert in ALERTS} == RAISING.keys()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
@pytest.mark.parametrize("raised", [True, False])
def test_an_alert_is_raised_by_what_it_is_for(alert: dict[str, Any], raised: bool, tmp_path: Path) -> None:
    name = alert["alert"]
    series, raising, quiet = RAISING[name]
    given = [(series, raising if raised else quiet), *([BESIDE[name]] if name in BESIDE else [])]
    document = {
        "rule_files": [str(DEPLOY / "alerts.yaml")],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": one, "values": values} for one, values in given],
                "promql_expr_test": [
                    {
                        "expr": f"count(ALERTS{{alertname='{name}',alertstate='firing'}}) or vector(0)",
                        "eval_time": "80m",
                        "exp_samples": [{"value": int(raised)}],
                    }
                ],
            }
        ],
    }
    tests = tmp_path / "tests.yaml"
    tests.write_text(yaml.safe_dump(document))
    checked("test", "rules", str(tests))


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that has scraped a server with a model that was trained and asked."""
    place = tmp_path_factory.mktemp("prometheus")
    with serving(place / "models", workers=1) as server:
        server.post("/train", train_body(name="cpu")).raise_for_status()
        rows = train_body()["training_data"][-30:]
        server.post("/models/cpu/predict", {"data": rows, "horizon": 3}).raise_for_status()
        server.service.registry.activate("cpu", "1.0.0")
        seal(server.registry.catalogue, SigningKey(bytes(32)))
        text = (DEPLOY / "prometheus.yaml").read_text()
        assert "ai-engine:8000" in text
        configuration = place / "prometheus.yaml"
        text = text.replace("ai-engine:8000", f"127.0.0.1:{server.port}").replace("15s", "1s")
        configuration.write_text(text)
        shutil.copy(DEPLOY / "alerts.yaml", place)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        arguments = (
            f"--config.file={configuration}",
            f"--storage.tsdb.path={place / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        )
        with subprocess.Popen([program("prometheus"), *arguments], stderr=subprocess.DEVNULL) as process:
            try:
                url = f"http://127.0.0.1:{port}"
                until = time.monotonic() + 60
                while not asked(url, "ai_engine_build_info"):
                    assert process.poll() is None
                    assert time.monotonic() < until
                    time.sleep(0.1)  # nobody tells when it has scraped
                yield url
            finally:
                process.terminate()
                process.wait(30)


def asked(url: str, query: str) -> list[Any]:
    """Return what Prometheus answers a query; nothing while it does not listen yet."""
    try:
        answer = httpx.get(f"{url}/api/v1/query", params={"query": query}, trust_env=False)
    except httpx.TransportError:
        return []
    if answer.status_code == 503:
        return []
    assert answer.status_code == 200, (query, answer.text)
    result: list[Any] = answer.json()["data"]["result"]
    return result


QUERIES = [(panel["title"], target["expr"]) for panel in BOARD["panels"] for target in panel["targets"]]
NAME = re.compile(r"\b(?:ai_engine|process)_[a-z_]+\b")


@pytest.mark.parametrize(("title", "query"), QUERIES, ids=[title for title, _ in QUERIES])
def test_the_dashboard_asks_what_the_server_tells(scraped: str, title: str, query: str) -> None:
    query = query.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$model", ".*")
    assert "$" not in query
    asked(scraped, query)  # it is one that Prometheus can read
    names = NAME.findall(query)
    assert names
    for name in names:
        assert asked(scraped, name), f"{title} asks for {name}, which no server tells"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_alerts_ask_what_the_server_tells(scraped: str, alert: dict[str, Any]) -> None:
    for name in NAME.findall(alert["expr"]):
        assert asked(scraped, name), f"{alert['alert']} asks for {name}, which no server tells"


def test_no_alert_is_raised_by_a_healthy_server(scraped: str) -> None:
    skill = float(asked(scraped, "ai_engine_model_skill")[0]["value"][1])
    expected = {"AIEngineWorseThanItsBaseline"} if skill < 0 else set()
    assert {one["metric"]["alertname"] for one in asked(scraped, "ALERTS")} <= expected


def test_panels_stand_beside_one_another() -> None:
    places = [panel["gridPos"] for panel in BOARD["panels"]]
    taken = [
        (x, y)
        for one in places
        for x in range(one["x"], one["x"] + one["w"])
        for y in range(one["y"], one["y"] + one["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(places)
