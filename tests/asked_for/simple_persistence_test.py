"""A program that saves and ends, and one that starts and has it: two processes, twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

SAVES: Final = """
import json, sys
from ai_engine.models import ModelManager
model_manager = ModelManager(sys.argv[1])
model_id = model_manager.save_model("resource_predictor", {"slope": float(sys.argv[2])})
print(json.dumps([model_id, model_id.version]))
"""
LOADS: Final = """
import json, sys
from ai_engine.models import ModelManager
model_manager = ModelManager(sys.argv[1])
print(json.dumps([
    model_manager.get_model("resource_predictor"),
    model_manager.model_versions["resource_predictor"],
    model_manager.active_models["resource_predictor"],
]))
"""


def run(program: str, *arguments: str) -> object:
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    return json.loads(ran.stdout)


def test_what_one_program_saves_the_next_one_has(tmp_path: Path) -> None:
    ids = set()
    for session in (1, 2):
        saved = run(SAVES, str(tmp_path), str(session))
        assert isinstance(saved, list)
        ids.add(saved[0])
        versions = ["1.0.0", "1.0.1"][:session]
        assert saved[1] == versions[-1]
        assert run(LOADS, str(tmp_path)) == [{"slope": float(session)}, versions, versions[-1]]
    assert len(ids) == 2
