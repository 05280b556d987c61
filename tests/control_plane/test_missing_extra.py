"""Without the packages that derive answers each door says how to install them, and facts are told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys, json, warnings
from importlib import machinery
class Absent(machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] == {absent!r} else super().find_spec(name, path, target)
sys.meta_path[:] = [f for f in sys.meta_path if f is not machinery.PathFinder] + [Absent]
warnings.simplefilter("ignore")
from ai_engine.app import build
from ai_engine.settings import Settings
from ai_engine.wiring import open_registry
from starlette.testclient import TestClient
settings = Settings(model_dir={directory!r})
url = "http://127.0.0.1"
with open_registry(settings) as registry, TestClient(build(registry, settings), base_url=url) as client:
    refused = client.post("/predict/resources", json={{"resource_id": "r"}})
    def ask(service, method):
        body = {{"id": "1", "service": service, "method": method, "data": {{"model_type": "regression"}}}}
        return client.post("/api/v1/process", json=body).json()
    told = [ask("model", "train"), ask("model", "info"), ask("workload", "analyze"), ask("health", "check")]
    system = client.get("/metrics/system").status_code
    print(json.dumps([refused.status_code, refused.json()["detail"], told, system]))
"""


@pytest.mark.parametrize("absent", ["numpy", "sklearn"])
def test_a_door_that_needs_what_is_missing_says_so(tmp_path: Path, absent: str) -> None:
    program = PROGRAM.format(absent=absent, directory=str(tmp_path))
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    status, detail, (*refused, health), system = json.loads(ran.stdout)
    assert (status, system) == (503, 200)
    for sentence in (detail, *(one["error"] for one in refused)):
        assert "novacron-ai-engine[train]" in sentence
    assert [one["success"] for one in refused] == [False] * 3
    assert health["success"]
    assert health["data"]["components"]["trainings"] == "not installed"
