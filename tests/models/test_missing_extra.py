"""Without the packages that train, what needs them says how to install them, and nothing else breaks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from importlib import machinery
class Absent(machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] == {absent!r} else super().find_spec(name, path, target)
sys.meta_path[:] = [f for f in sys.meta_path if f is not machinery.PathFinder] + [Absent]
from ai_engine import MissingDependencyError
from ai_engine.models import ModelManager
with ModelManager({directory!r}) as manager:
    manager.save_model("plain", {{"a": 1}})
    try:
        {call}
    except MissingDependencyError as error:
        print(error)
    print(manager.get_model("plain"))
"""


@pytest.mark.parametrize("absent", ["numpy", "sklearn", "pyarrow"])
@pytest.mark.parametrize(
    "call",
    [
        'manager.train([{"x": 1}], model_type="regression", name="m", target_columns=["x"])',
        'manager.predict("plain", [{"x": 1}])',
    ],
    ids=["train", "predict"],
)
def test_a_call_that_needs_what_is_missing_says_so(tmp_path: Path, absent: str, call: str) -> None:
    program = PROGRAM.format(absent=absent, directory=str(tmp_path), call=call)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    sentence, model = ran.stdout.splitlines()
    assert "novacron-ai-engine[train]" in sentence
    assert model == "{'a': 1}"
