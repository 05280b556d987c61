"""The documents say what the code does: the reference is generated, the README's Python runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ai_engine.api.report_schemas import (
    Bin,
    ColumnImportance,
    GroupErrors,
    Intervals,
    Reliability,
    StepErrors,
    Window,
)
from ai_engine.domain.performance import NUMBERS
from ai_engine.models import ModelManager
from ai_engine.training.metrics import TargetMetrics, TrainingMetrics
from ai_engine.training.report import PARTS

ROOT = Path(__file__).parent.parent


def test_the_reference_is_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_numbers_are_explained_by_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "explain_numbers.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr


def test_every_key_that_measures_something_is_explained() -> None:
    text = (ROOT / "docs" / "numbers.md").read_text()
    metrics = TrainingMetrics({"x": TargetMetrics()}, 1.0, None, 1, 1, 1).to_mapping()
    of_anomalies = ("precision", "recall", "f1", "flagged_share", "average_precision")
    for key in (*metrics, *NUMBERS, *PARTS, *of_anomalies):
        assert f"(`{key}`)" in text, key
    for measured in (StepErrors, GroupErrors, Intervals, Reliability, Bin, Window, ColumnImportance):
        for name, field in measured.model_fields.items():
            assert f"`{field.alias or name}`" in text, name


def test_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    with ModelManager(tmp_path / "models") as manager:
        assert manager.get_model("cpu-forecast") == {"slope": 2.0}
        assert manager.model_versions["cpu-forecast"] == ["1.0.0", "1.0.1"]


@pytest.mark.parametrize(
    "document", ["README.md", "CONTRIBUTING.md", *sorted(map(str, Path("docs").rglob("*.md")))]
)
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (ROOT / document).parent.joinpath(target).exists(), f"{document} links to {target}"


def test_every_question_of_the_design_is_listed() -> None:
    pages = ROOT / "docs" / "design"
    listed = re.findall(r"\[(.+)\]\((.+\.md)\) \|", (pages / "README.md").read_text())
    questions = {path.name: path.read_text().split("\n", 1)[0] for path in pages.glob("[0-9]*.md")}
    assert {name: f"# {question}" for question, name in listed} == questions
    assert all(question.endswith("?") for question in questions.values())


def test_every_module_that_the_design_names_exists() -> None:
    for page in (ROOT / "docs" / "design").glob("*.md"):
        for name in re.findall(r"`([a-z_]+/[a-z_/]+\.py)`", page.read_text()):
            assert (ROOT / name).exists() or (ROOT / "ai_engine" / name).exists(), f"{page.name} names {name}"


def test_every_test_that_a_promise_names_exists() -> None:
    text = (ROOT / "docs" / "durability.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)", text)
    assert len(named) > 8
    for name in named:
        assert (ROOT / name).exists(), f"docs/durability.md names {name}"


@pytest.mark.parametrize("target", re.findall(r"make (\w+)", (ROOT / "README.md").read_text()) or ["none"])
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.M)


def test_change_fragments_are_named_as_they_should_be() -> None:
    for fragment in (ROOT / "changelog.d").iterdir():
        assert re.fullmatch(r"[\w-]+\.(added|changed|fixed|removed)\.md", fragment.name), fragment.name
        assert fragment.read_text().strip().endswith(".")
