"""What is built is what works: the wheel alone, without the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "ai_engine", source / "ai_engine", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    subprocess.run(
        [*pip, "--no-build-isolation", "--no-index", "--wheel-dir", str(built), str(source)], check=True
    )
    (found,) = built.iterdir()
    return found


def test_everything_that_is_needed_at_run_time_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    there = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "ai_engine").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert there <= inside


def test_the_licence_that_is_declared_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (text,) = [archive.read(name).decode() for name in names if name.endswith("/licenses/LICENSE")]
        (about,) = [archive.read(name).decode() for name in names if name.endswith("/METADATA")]
    assert "License-Expression: Apache-2.0\n" in about
    assert "License-File: LICENSE\n" in about
    assert text.split()[:5] == ["Apache", "License", "Version", "2.0,", "January"]
    assert text == (ROOT / "LICENSE").read_text()


def test_the_wheel_serves_its_page_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    program = """
import ai_engine, asyncio, httpx, sys
from ai_engine.app import app
async def ask():
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            for path in ("/", "/docs", "/static/style.css", "/health"):
                (await client.get(path)).raise_for_status()
asyncio.run(ask())
print(ai_engine.__file__)
"""
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path / "site"),
        "AI_ENGINE_MODEL_DIR": str(tmp_path / "models"),
    }
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip().startswith(str(tmp_path / "site"))
