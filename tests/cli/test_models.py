"""`ai-engine models …`."""

from __future__ import annotations

import json
import os
import pickle
import threading
from pathlib import Path

import pytest

from ai_engine.cli.main import EXIT_CODES
from ai_engine.domain import errors
from ai_engine.domain.error_codes import every_code
from ai_engine.models import ModelManager
from tests.cli.conftest import Command
from tests.upgrade.original import Original


def test_an_empty_list_says_what_fills_it(command: Command, model_dir: Path) -> None:
    ModelManager(model_dir).close()
    ran = command("models", "list")
    assert ran.code == 0
    assert "ai-engine train" in ran.out
    assert command("models", "list", "--json").json() == {"models": [], "total_models": 0}


@pytest.mark.usefixtures("saved")
def test_the_list_is_a_table_or_one_document(command: Command) -> None:
    lines = command("models", "list").out.splitlines()
    assert [line.split()[:2] for line in lines[2:]] == [
        ["cpu", "1.0.2"],
        ["cpu", "1.0.1"],
        ["cpu", "1.0.0"],
        ["web", "tier+1"],
    ]
    assert "●" in lines[3]
    told = command("models", "list", "--json").json()
    assert told["total_models"] == 4
    assert told["models"][1]["is_active"] is True
    assert told["models"][0]["created_at"].endswith("Z")
    limited = command("models", "list", "--limit", 2)
    assert "… and 2 more; --all lists every one of them" in limited.out
    assert len(command("models", "list", "--name", "cpu", "--json").json()["models"]) == 3


def test_the_list_is_bounded_unless_all_are_asked_for(command: Command, model_dir: Path) -> None:
    with ModelManager(model_dir) as manager:
        for number in range(52):
            manager.save_model("cpu", number)

    def listed(*arguments: str) -> int:
        told = command("models", "list", "--json", *arguments).json()
        assert told["total_models"] == 52
        return len(told["models"])

    assert (listed(), listed("--limit", "50"), listed("--limit", "51"), listed("--limit", "1")) == (
        50,
        50,
        51,
        1,
    )
    assert (listed("--limit", "0"), listed("--all"), listed("--limit", "3", "--all")) == (52, 52, 52)
    assert "… and 2 more; --all lists" in command("models", "list").out
    assert "more" not in command("models", "list", "--all").out
    assert "more" not in command("models", "list", "--limit", "52").out


@pytest.mark.usefixtures("saved")
def test_the_list_is_filtered_and_sorted(command: Command) -> None:
    told = command(
        "models", "list", "--filter", "name = 'cpu' and not is_active", "--sort", "created_at", "--json"
    ).json()
    assert [entry["version"] for entry in told["models"]] == ["1.0.0", "1.0.2"]
    assert told["total_models"] == 2
    assert "metadata.team is indexed" in command("models", "index", "metadata.team").out
    assert "no version matches the filter" in command("models", "list", "--filter", "size > 1e9").out
    refused = command("models", "list", "--filter", "cpu")
    assert refused.code == 1
    assert "'cpu' is no field" in refused.err


@pytest.mark.usefixtures("saved")
def test_one_version_is_shown(command: Command) -> None:
    assert command("models", "show", "cpu", "--json").json()["version"] == "1.0.1"
    shown = command("models", "show", "cpu", "1.0.2", "--json").json()
    assert (shown["version"], shown["history"], shown["training_history"]) == ("1.0.2", [], [])
    table = command("models", "show", "web tier+1")
    assert table.code == 0
    assert "web tier+1" in table.out


@pytest.mark.usefixtures("saved")
def test_versions_are_compared(command: Command) -> None:
    told = command("models", "compare", "cpu", "1.0.0", "1.0.2", "--json").json()
    assert told["metrics"]["skill"]["differences"] == {"1.0.2": 0.2}
    table = command("models", "compare", "cpu", "1.0.0", "1.0.2")
    assert "(+0.2)" in table.out


@pytest.mark.usefixtures("saved")
def test_the_active_version_moves(command: Command) -> None:
    moved = command("models", "activate", "cpu", "1.0.0", "--json").json()
    assert moved == {"model_name": "cpu", "version": "1.0.0", "previous_version": "1.0.1"}
    back = command("models", "rollback", "cpu")
    assert (back.code, back.out) == (0, "cpu: 1.0.1 is active now; before, it was 1.0.0\n")


def test_versions_are_deleted_and_cleaned_up(command: Command, saved: Path) -> None:
    assert command("models", "delete", "cpu", "1.0.2", "--json").json()["version"] == "1.0.2"
    tried = command("models", "cleanup", "--keep", 1, "--dry-run", "--json").json()
    assert tried["removed"] == [{"name": "cpu", "version": "1.0.0"}]
    refused = command("models", "cleanup", "--keep", 1)
    assert refused.code == 1
    assert "--yes" in refused.err
    with ModelManager(saved) as manager:
        assert manager.model_versions["cpu"] == ["1.0.0", "1.0.1"]
    done = command("models", "cleanup", "--keep", 1, "--yes")
    assert done.code == 0
    assert "1 version removed" in done.out
    with ModelManager(saved) as manager:
        assert manager.model_versions["cpu"] == ["1.0.1"]


@pytest.mark.usefixtures("saved")
def test_an_export_is_a_plain_pickle_and_replaces_nothing(command: Command, tmp_path: Path) -> None:
    output = tmp_path / "cpu.pkl"
    assert command("models", "export", "cpu", "--output", output).code == 0
    assert pickle.loads(output.read_bytes()) == {"number": 1}
    refused = command("models", "export", "cpu", "1.0.2", "--output", output)
    assert refused.code == 1
    assert "--force" in refused.err
    assert pickle.loads(output.read_bytes()) == {"number": 1}
    forced = command("models", "export", "cpu", "1.0.2", "--output", output, "--force", "--json")
    assert forced.json()["bytes"] == output.stat().st_size
    assert pickle.loads(output.read_bytes()) == {"number": 2}
    nowhere = command("models", "export", "cpu", "--output", tmp_path / "no" / "where")
    assert (nowhere.code, nowhere.out) == (1, "")
    assert list(tmp_path.glob("*.part*")) == []


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("show", "nothing"), 3),
        (("show", "cpu", "9"), 3),
        (("compare", "cpu", "1.0.0", "9"), 3),
        (("compare", "cpu", "1.0.0"), 2),
        (("activate", "cpu", "9"), 3),
        (("rollback", "nothing"), 3),
        (("rollback", "web tier+1"), 4),
        (("delete", "cpu", "1.0.1"), 4),
        (("delete", "cpu", "9"), 3),
        (("export", "nothing", "--output", "x"), 3),
        (("list", "--limit", "-1"), 2),
        (("cleanup", "--keep", "0"), 2),
        (("delete", "cpu"), 2),
        (("dance",), 2),
        (("list", "--no-such-option"), 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_goes_wrong_is_one_sentence_and_an_exit_code(
    command: Command, arguments: tuple[str, ...], code: int
) -> None:
    ran = command("models", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert "Traceback" not in ran.err
    assert ran.err.startswith("error: ")
    assert len(ran.err.splitlines()) == 1
    as_json = command("models", *arguments, "--json")
    assert (as_json.code, as_json.out) == (code, "")
    told = json.loads(as_json.err)["error"]
    assert told.keys() == {"code", "message", "exit_code"}
    assert told["exit_code"] == code
    assert told["code"] in every_code()
    assert (told["code"] == "usage") == (code == 2)
    assert ran.err == f"error: {told['message']}\n"


def test_a_storage_that_cannot_be_used_is_told_as_such(command: Command, tmp_path: Path) -> None:
    (tmp_path / "models" / ".engine").mkdir(parents=True)
    (tmp_path / "models" / "model_registry.db").mkdir()
    ran = command("models", "activate", "cpu", "1.0.0", "--model-dir", tmp_path / "models")
    assert ran.code == 5
    assert ran.err.splitlines()[-1].startswith("error: ")


def test_every_error_has_an_exit_code_of_the_documented_ones() -> None:
    assert {code for _, code in EXIT_CODES} == {3, 4, 5}
    assert all(issubclass(kind, errors.AIEngineError) for kind, _ in EXIT_CODES)


def test_the_exit_codes_are_documented(command: Command) -> None:
    told = command("--help").out
    for code in ("0 done", "1 refused", "2 wrong usage", "3 no such", "4 conflict", "5"):
        assert code in " ".join(told.split())


def test_an_option_counts_before_its_variable(command: Command, saved: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    ModelManager(other).close()
    assert command("models", "list", "--json", "--model-dir", other).json()["total_models"] == 0
    url = f"sqlite:///{saved}/model_registry.db"
    assert command("models", "list", "--json", "--database-url", url).json()["total_models"] == 4
    assert command("models", "list", "--database-url", "mysql://x").code == 1


def test_hostile_names_do_not_move_the_cursor(command: Command, model_dir: Path) -> None:
    original = Original(model_dir)
    original.save("\x1b[2J[red]x", "a\nb", 1, path=model_dir / "1.pkl")
    original.close()
    ran = command("models", "list")
    assert ran.code == 0
    assert "\x1b" not in ran.out
    assert "\\x1b[2J[red]x" in ran.out
    assert "a\\nb" in ran.out
    assert json.loads(command("models", "list", "--json").out)["models"][0]["name"] == "\x1b[2J[red]x"


@pytest.mark.usefixtures("saved")
def test_an_export_into_a_pipe_leaves_it_a_pipe(command: Command, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    ran = command("models", "export", "cpu", "--output", pipe, "--force")
    reader.join()
    assert ran.code == 0
    assert pipe.is_fifo()
    pickle.loads(read[0])
