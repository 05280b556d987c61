"""What callers import stays importable, and costs what it should."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ai_engine
from ai_engine.domain import errors
from ai_engine.models import ModelManager, ModelPerformance


def test_the_managers_names_are_fixed() -> None:
    for method in (
        "save_model get_model register_model update_performance save_training_history get_model_info "
        "cleanup_old_models get_training_history metric_history activate rollback delete_version close "
        "_init_database _load_from_database _save_performance_to_db __enter__ __exit__"
    ).split():
        assert callable(getattr(ModelManager, method))


@pytest.mark.parametrize(
    ("method", "signature"),
    [
        ("__init__", ["self", "model_dir", "db_path"]),
        (
            "save_model",
            ["self", "name", "model", "version", "model_type", "algorithms", "metadata", "activate"],
        ),
        ("get_model", ["self", "name", "version"]),
        ("register_model", ["self", "name", "model", "version"]),
        ("update_performance", ["self", "name", "version", "performance"]),
        ("save_training_history", ["self", "name", "version", "training_info"]),
        ("cleanup_old_models", ["self", "keep_versions"]),
    ],
)
def test_the_parameters_are_fixed(method: str, signature: list[str]) -> None:
    assert list(inspect.signature(getattr(ModelManager, method)).parameters) == signature


def test_every_error_can_be_imported_from_the_package() -> None:
    names = [
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    ]
    assert len(names) > 20
    for name in names:
        error = getattr(ai_engine, name)
        assert issubclass(error, ai_engine.AIEngineError)
        assert name in (errors.__doc__ or ""), f"{name} is missing in the tree at the top of errors.py"


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        ai_engine.Nonsense  # type: ignore[attr-defined]  # noqa: B018  # which is what is tried
    assert ai_engine.ModelManager is ModelManager
    assert ai_engine.ModelPerformance is ModelPerformance


def test_the_package_lists_its_public_names() -> None:
    wanted = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    wanted = {name for name in wanted if getattr(errors, name).__module__ == errors.__name__}
    assert dir(ai_engine) == sorted(wanted | {"ModelManager", "ModelPerformance", "__version__"})
    assert all(hasattr(ai_engine, name) for name in dir(ai_engine))
    for name in ("Mapping", "Sequence", "models_", "InvalidError", "_revive"):
        assert not hasattr(ai_engine, name)


def checked(tmp_path: Path, program: str) -> list[str]:
    """Return what mypy says of somebody's program."""
    (tmp_path / "program.py").write_text(program)
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--no-incremental",
            "--follow-imports=silent",
            "program.py",
        ],
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(Path(ai_engine.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    return ran.stdout.splitlines()


def test_a_type_checker_knows_the_names_and_no_others(tmp_path: Path) -> None:
    right = f"from ai_engine import {', '.join(dir(ai_engine))}\nreveal_type(ModelManager)\n"
    said = checked(tmp_path, right)
    assert "error" not in "".join(said), said
    assert any("ai_engine.models.ModelManager" in line for line in said), said
    for name in ("ModelManagr", "ModelNotFoundErorr", "Mapping", "annotations"):
        said = checked(tmp_path, f"from ai_engine import {name}\nimport ai_engine\nai_engine.{name}\n")
        wrong = [line for line in said if name in line and "error:" in line]
        assert {line.split(":")[1] for line in wrong} == {"1", "3"}, said


def imported_by(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_the_manager_loads_no_framework() -> None:
    loaded = imported_by("from ai_engine.models import ModelManager")
    assert not loaded & {
        "numpy",
        "sklearn",
        "scipy",
        "pandas",
        "fastapi",
        "starlette",
        "pydantic",
        "typer",
        "rich",
    }


def test_importing_the_package_loads_nothing_but_the_version() -> None:
    program = "import sys, ai_engine; print([n for n in sys.modules if n.startswith('ai_engine.')])"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "['ai_engine.version']"
