"""The completion of a shell: the protocol of bash, spoken by a process as a shell starts it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from ai_engine.models import ModelManager
from tests.cli.test_start import MAIN
from tests.upgrade.original import Original


def completed(line: str, **variables: str) -> list[str]:
    """Return what bash would offer at the end of a line."""
    ran = subprocess.run(
        MAIN,
        env=os.environ
        | {
            "_AI_ENGINE_COMPLETE": "complete_bash",
            "COMP_WORDS": line.replace(" ", "\n"),
            "COMP_CWORD": str(line.count(" ")),
        }
        | variables,
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return [line for line in ran.stdout.splitlines() if line]


def looks(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return what is in a directory, to the byte."""
    return {
        str(path.relative_to(directory)): (
            path.stat().st_ino,
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(directory.rglob("*"))
    }


@pytest.mark.parametrize("command", ["show", "activate", "rollback", "delete", "history", "pin", "export"])
def test_names_are_completed(saved: Path, command: str) -> None:
    given = {"AI_ENGINE_MODEL_DIR": str(saved)}
    assert completed(f"ai-engine models {command} ", **given) == ["cpu", "web\\ tier+1"]
    assert completed(f"ai-engine models {command} c", **given) == ["cpu"]
    assert completed(f"ai-engine models {command} x", **given) == []


@pytest.mark.parametrize("command", ["show", "activate", "delete", "compare", "pin", "unpin", "export"])
def test_versions_are_completed(saved: Path, command: str) -> None:
    given = {"AI_ENGINE_MODEL_DIR": str(saved)}
    assert completed(f"ai-engine models {command} cpu ", **given) == ["1.0.2", "1.0.1", "1.0.0"]
    assert completed(f"ai-engine models {command} cpu 1.0.1", **given) == ["1.0.1"]
    assert completed(f"ai-engine models {command} nope 1", **given) == []


def test_what_is_typed_counts(saved: Path, tmp_path: Path) -> None:
    assert completed("ai-engine models compare cpu 1.0.2 ", AI_ENGINE_MODEL_DIR=str(saved)) == [
        "1.0.1",
        "1.0.0",
    ]
    assert completed("ai-engine models list --name w", AI_ENGINE_MODEL_DIR=str(saved)) == ["web\\ tier+1"]
    typed = f"ai-engine models show --model-dir {saved} "
    assert completed(typed, AI_ENGINE_MODEL_DIR=str(tmp_path / "other")) == ["cpu", "web\\ tier+1"]
    url = f"sqlite:///{saved}/model_registry.db"
    assert completed(f"ai-engine models show --database-url {url} c") == ["cpu"]


def test_commands_options_and_words_are_completed() -> None:
    assert {"models", "train", "config", "serve"} <= set(completed("ai-engine "))
    assert "activate" in completed("ai-engine models a")
    assert {"--log-level", "--log-format"} <= set(completed("ai-engine models list --log"))
    assert set(completed("ai-engine models list --log-format ")) == {"text", "json"}


def test_nothing_is_made_and_nothing_changed(saved: Path, tmp_path: Path) -> None:
    before = looks(saved)
    assert completed("ai-engine models show ", AI_ENGINE_MODEL_DIR=str(saved))
    assert completed("ai-engine models show cpu ", AI_ENGINE_MODEL_DIR=str(saved))
    assert looks(saved) == before
    absent = tmp_path / "absent"
    assert completed("ai-engine models show ", AI_ENGINE_MODEL_DIR=str(absent)) == []
    assert not absent.exists()
    empty = tmp_path / "empty"
    empty.mkdir()
    assert completed("ai-engine models show ", AI_ENGINE_MODEL_DIR=str(empty)) == []
    assert list(empty.iterdir()) == []


def test_a_registry_that_is_in_use_is_read_too(saved: Path) -> None:
    with ModelManager(saved) as manager:
        manager.save_model("fresh", 1)
        before = set(looks(saved))
        assert completed("ai-engine models show f", AI_ENGINE_MODEL_DIR=str(saved)) == ["fresh"]
        assert set(looks(saved)) == before
        manager.save_model("fresh", 2)
    assert completed("ai-engine models show fresh ", AI_ENGINE_MODEL_DIR=str(saved)) == ["1.0.1", "1.0.0"]


@pytest.mark.parametrize(
    "variables",
    [
        {"AI_ENGINE_DATABASE_URL": "mysql://x"},
        {"AI_ENGINE_DATABASE_URL": "sqlite:////dev/null"},
        {"AI_ENGINE_DATABASE_URL": "sqlite:////etc/passwd"},
        {"AI_ENGINE_PORT": "eighty"},
        {"AI_ENGINE_MODEL_DIR": "\n"},
    ],
)
def test_errors_are_silent(tmp_path: Path, variables: dict[str, str]) -> None:
    given = {"AI_ENGINE_MODEL_DIR": str(tmp_path)} | variables
    assert completed("ai-engine models show ", **given) == []
    assert completed("ai-engine models show cpu ", **given) == []


def test_words_that_a_shell_would_run_are_not_offered(tmp_path: Path) -> None:
    directory = tmp_path / "models"
    original = Original(directory)
    for number, name in enumerate(("$(reboot)", "a;b", "`x`", "*", "a\nb", "fine", "q'")):
        original.save(name, "1.0.0", number, path=directory / f"{number}.pkl")
    original.close()
    ModelManager(directory).close()
    assert completed("ai-engine models show ", AI_ENGINE_MODEL_DIR=str(directory)) == ["fine"]


def test_many_names_are_bounded(tmp_path: Path) -> None:
    with ModelManager(tmp_path) as manager:
        for number in range(220):
            manager.register_model(f"m{number:03}", 0)
    assert len(completed("ai-engine models show ", AI_ENGINE_MODEL_DIR=str(tmp_path))) == 200


def test_bash_completes_with_the_script_that_is_shown(saved: Path) -> None:
    """The script of `--show-completion`, sourced by a bash that then asks as it does after a Tab."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    # Otherwise the shell is looked for among the processes that this one descends from; there may be none.
    told = os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    shown = subprocess.run(
        [*MAIN, "--show-completion", "bash"], env=told, capture_output=True, text=True, check=True
    ).stdout
    assert "complete -o default -F" in shown
    command = saved.parent / "bin" / "ai-engine"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.join(MAIN)} "$@"\n')
    command.chmod(0o755)
    asked = """
COMP_WORDS=(ai-engine models show c) COMP_CWORD=3
_ai_engine_completion ai-engine
printf '%s\\n' "${COMPREPLY[@]}"
"""
    ran = subprocess.run(
        [bash, "--norc", "-c", shown + asked],
        env=os.environ
        | {"AI_ENGINE_MODEL_DIR": str(saved), "PATH": f"{command.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert (ran.stdout, ran.stderr) == ("cpu\n", "")
