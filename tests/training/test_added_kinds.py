"""A package that nobody here knows adds a kind of training: that of the documentation, and broken ones."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from ai_engine.training.kinds import BUILT_IN, GROUP

from .tables import waves

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "recipes.md"
# What the installed `ai-engine` does; see tests/cli/test_working_directory.py.
COMMAND: Final = (sys.executable, "-P", "-c", "from ai_engine.cli.main import main; main()")
EMPTY: Final = "from ai_engine.training.kinds import Kind\n"


def install(
    place: Path, name: str, points: Mapping[str, str], modules: Mapping[str, str], version: str = "1.0"
) -> None:
    """Put into a directory of the path what an installer would: modules, and the package's metadata."""
    for module, text in modules.items():
        path = place / module
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    info = place / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    told = "".join(f"{kind} = {value}\n" for kind, value in points.items())
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{told}")


def documented(place: Path) -> None:
    """Install the package of the documentation."""
    text = DOCUMENT.read_text()
    (project,) = re.findall(r"```toml\n(.*?)```", text, flags=re.S)
    kinds, recipe = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    told = tomllib.loads(project)["project"]
    modules = {
        "capacity_recipes/__init__.py": "",
        "capacity_recipes/kinds.py": kinds,
        "capacity_recipes/peak.py": recipe,
    }
    assert all(f"`{module}`" in text for module in list(modules)[1:])
    install(place, told["name"], told["entry-points"][GROUP], modules, told["version"])


def environment(place: Path, model_dir: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(place), "AI_ENGINE_MODEL_DIR": str(model_dir)}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    place = tmp_path / "site"
    place.mkdir()
    return place


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    return tmp_path / "models"


def python(program: str, site: Path, model_dir: Path) -> subprocess.CompletedProcess[str]:
    """Run a program where the packages of `site` are installed, with the rows on standard input."""
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment(site, model_dir),
        input=json.dumps(waves(100)),
        capture_output=True,
        text=True,
        check=False,
    )


def ai_engine(site: Path, model_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(site, model_dir),
        input=json.dumps(waves(100)),
        capture_output=True,
        text=True,
        check=False,
    )


TRAINED: Final = """
import json, sys
from ai_engine.settings import Settings, from_environment
from ai_engine.training.engine import TrainingEngine
from ai_engine.training.prediction import predict
from ai_engine.training.request import TrainingRequest
from ai_engine.wiring import open_registry
rows = json.load(sys.stdin)
request = TrainingRequest.from_mapping({"model_type": "peak_prediction"} | %s)
assert "capacity_recipes.peak" not in sys.modules and "numpy" not in sys.modules
with open_registry(from_environment()) as registry:
    result = TrainingEngine(registry).train(request, rows, lambda *stage: None)
    predicted = predict(registry.load(result.name), rows[:2])
print(json.dumps([result.to_mapping(), predicted]))
"""


def test_the_kind_of_the_documentation_trains_in_the_engine(site: Path, model_dir: Path) -> None:
    documented(site)
    ran = python(TRAINED % "{}", site, model_dir)
    assert ran.returncode == 0, ran.stderr
    result, predicted = json.loads(ran.stdout)
    assert (result["model_type"], result["model_name"]) == ("peak_prediction", "peak_predictor")
    assert (result["algorithms"], result["active"]) == (["Quantile"], True)
    metrics = result["performance_metrics"]
    assert list(metrics["by_target"]) == ["cpu"]  # the kind's default
    assert metrics["skill"] > 0
    assert 0 < metrics["share_below"] <= 1
    assert len({row["value"] for row in predicted}) == 1


def test_its_settings_and_targets_are_checked_as_the_kind_says(site: Path, model_dir: Path) -> None:
    documented(site)
    for given, told in (
        ({"hyperparameters": {"share": 2}}, "hyperparameters.share: give a number above 0 and below 1"),
        ({"hyperparameters": {"trees": 2}}, "peak_prediction has no such hyperparameter; it has share"),
        ({"target_columns": ["cpu", "mem"]}, "peak_prediction has one target, not 2"),
    ):
        ran = python(TRAINED % given, site, model_dir)
        assert ran.returncode == 1
        assert told in ran.stderr


def test_it_trains_and_predicts_from_the_command_line(site: Path, model_dir: Path) -> None:
    documented(site)
    train = ("train", "--model-type", "peak_prediction", "--data", "-", "--set", "share=0.5")
    for active in (True, False):  # the second is not better than the first, which is its own equal
        ran = ai_engine(site, model_dir, *train, "--if-better", "--json")
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout)["active"] is active
    ran = ai_engine(site, model_dir, "predict", "peak_predictor", "--data", "-", "--json")
    assert ran.returncode == 0, ran.stderr
    assert len(json.loads(ran.stdout)["predictions"]) == 100
    # And where the package is gone, the error says what is missing.
    ran = ai_engine(model_dir, model_dir, "predict", "peak_predictor", "--data", "-")
    assert ran.returncode != 0
    assert "capacity_recipes" in ran.stderr


def test_it_trains_and_predicts_over_http(site: Path, model_dir: Path) -> None:
    documented(site)
    server = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--json"],
        env=environment(site, model_dir),
        stdout=subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
            body: dict[str, Any] = {"model_type": "peak_prediction", "training_data": waves(100)}
            answer = client.post("/train", json=body)
            assert answer.status_code == 200, answer.text
            assert answer.json()["model_name"] == "peak_predictor"
            answer = client.post("/models/peak_predictor/predict", json={"data": waves(3)})
            assert answer.status_code == 200, answer.text
            assert len(answer.json()["predictions"]) == 3
            refused = client.post("/train", json=body | {"model_type": "no"})
            assert refused.status_code == 422
            assert "peak_prediction" in refused.json()["detail"]
    finally:
        server.terminate()
        server.communicate()


CONTRACT: Final = """
import json, pytest
from ai_engine.testing.recipe_contract import RecipeContract
class TestPeak(RecipeContract):
    @pytest.fixture
    def body(self):
        return {"model_type": "peak_prediction", "training_data": json.load(open("rows.json"))}
"""


def test_it_does_what_a_recipe_must(site: Path, model_dir: Path) -> None:
    documented(site)
    (site / "test_peak.py").write_text(CONTRACT)
    (site / "rows.json").write_text(json.dumps(waves(100)))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_peak.py"],
        cwd=site,
        env=environment(site, model_dir),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    assert "7 passed" in ran.stdout


ASKED: Final = """
import json, logging, sys
logging.basicConfig(format="LOGGED %(levelname)s %(message)s")
from ai_engine.domain.errors import AIEngineError
from ai_engine.training.kinds import find_kind, known
from ai_engine.training.request import TrainingRequest
told = {}
for name in known():
    try:
        find_kind(name).load_recipe()
        told[name] = "loads"
    except AIEngineError as error:
        told[name] = f"{type(error).__name__}: {error}"
print(json.dumps(told))
"""


def asked(site: Path) -> tuple[dict[str, str], str]:
    """Return what comes of each kind where the packages of `site` are installed, and what was logged."""
    ran = python(ASKED, site, site)
    assert ran.returncode == 0, ran.stderr
    told: dict[str, str] = json.loads(ran.stdout)
    for name in BUILT_IN:
        assert told.pop(name) == "loads", "a kind of the engine is lost"
    return told, ran.stderr


@pytest.mark.parametrize(
    ("module", "value", "says"),
    [
        ("raise ImportError('no quantum')", "odd:KIND", "ImportError: no quantum"),
        ("1 / 0", "odd:KIND", "ZeroDivisionError"),
        ("syntax error", "odd:KIND", "SyntaxError"),
        (EMPTY, "odd:KIND", "AttributeError"),
        (EMPTY, "nothing:KIND", "ModuleNotFoundError"),
        ("KIND = 7", "odd:KIND", "which is a int"),
        (EMPTY + "KIND = Kind('other', '', 'odd:train')", "odd:KIND", "which is the kind 'other'"),
        (EMPTY + "KIND = Kind('odd', '', 'odd:train')", "odd:KIND", "recipe odd:train of odd cannot be"),
        (EMPTY + "KIND = Kind('odd', '', 'odd_recipe:train')", "odd:KIND", "No module named 'odd_recipe'"),
    ],
)
def test_a_broken_package_breaks_its_own_kind_alone_and_is_named(
    site: Path, module: str, value: str, says: str
) -> None:
    documented(site)
    install(site, "odd-recipes", {"odd": value}, {"odd.py": module}, "2.3")
    told, logged = asked(site)
    assert told.pop("peak_prediction") == "loads"
    assert told["odd"].startswith("TrainingFailedError")
    assert says in told["odd"]
    if "recipe" not in says and "odd_recipe" not in says:
        assert "the package odd-recipes 2.3" in told["odd"]
    assert "LOGGED" not in logged


def test_a_kind_of_the_engine_cannot_be_replaced(site: Path) -> None:
    documented(site)
    install(site, "greedy", {"regression": "greedy:KIND"}, {"greedy.py": "raise SystemExit"})
    told, logged = asked(site)
    assert told == {"peak_prediction": "loads"}
    assert "LOGGED WARNING the package greedy 1.0 adds a kind of training named regression" in logged


def test_of_two_packages_with_one_name_neither_is_taken(site: Path) -> None:
    documented(site)
    kind = EMPTY + "KIND = Kind('odd', '', 'odd:train')\ndef train(request, rows, progress): ...\n"
    for name in ("one", "two"):
        install(site, name, {"odd": f"{name}:KIND"}, {f"{name}.py": kind})
    told, _ = asked(site)
    assert told.pop("peak_prediction") == "loads"
    assert "the package one 1.0 and the package two 1.0 both add a kind named odd" in told["odd"]


def test_what_a_recipe_raises_ends_its_training_and_nothing_is_saved(site: Path, model_dir: Path) -> None:
    kind = EMPTY + "KIND = Kind('odd', '', 'odd:train', 'm')\ndef train(request, rows, progress): 1 / 0\n"
    install(site, "odd-recipes", {"odd": "odd:KIND"}, {"odd.py": kind})
    ran = ai_engine(site, model_dir, "train", "--model-type", "odd", "--data", "-")
    assert ran.returncode == 1
    assert "ZeroDivisionError" in ran.stderr.splitlines()[-1]
    ran = ai_engine(site, model_dir, "models", "list", "--json")
    assert json.loads(ran.stdout)["models"] == []
