"""Real processes on one directory: opening at once, saving at once, killed, forked."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ai_engine.models import ModelManager

SAVER = """
import sys
from ai_engine.models import ModelManager
directory, process, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sys.stdin.readline()  # everybody starts at once
with ModelManager(directory) as manager:
    for number in range(count):
        manager.save_model("shared", (process, number))
        print(process, number, flush=True)
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    results = []
    for process in processes:
        output, errors = process.communicate()
        results.append((process.returncode, output, errors))
    return results


def test_sixteen_processes_open_a_new_directory_at_once(tmp_path: Path) -> None:
    results = finish([start(SAVER, tmp_path / "models", n, 1) for n in range(16)])
    assert [(code, errors) for code, _, errors in results] == [(0, "")] * 16
    with ModelManager(tmp_path / "models") as manager:
        assert manager.get_model_info()["total"] == 16


def test_eight_processes_save_one_name_and_every_save_is_kept(tmp_path: Path) -> None:
    results = finish([start(SAVER, tmp_path / "models", n, 50) for n in range(8)])
    assert [(code, errors) for code, _, errors in results] == [(0, "")] * 8
    with ModelManager(tmp_path / "models") as manager:
        versions = manager.model_versions["shared"]
        assert len(set(versions)) == len(versions) == 400
        kept = {manager.get_model("shared", version) for version in versions}
        assert kept == {(process, number) for process in range(8) for number in range(50)}
        active = [e for e in manager.get_model_info()["models"] if e["is_active"]]
        assert len(active) == 1


def test_threads_share_one_manager(tmp_path: Path) -> None:
    with ModelManager(tmp_path / "models") as manager, ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda n: manager.save_model("shared", n), range(200)))
        assert sorted(manager.get_model("shared", v) for v in manager.model_versions["shared"]) == list(
            range(200)
        )
        objects = list(threads.map(lambda _: manager.get_model("shared"), range(100)))
        assert all(found is objects[0] for found in objects)


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    process = start(SAVER, tmp_path / "models", 0, 100_000)
    assert process.stdin
    assert process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    with process:
        acknowledged = [process.stdout.readline() for _ in range(100)]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.readlines()  # `communicate` would leave out what is buffered already
    numbers = [int(line.split()[1]) for line in acknowledged if line.endswith("\n")]
    with ModelManager(tmp_path / "models") as manager:
        versions = manager.model_versions["shared"]
        assert len(numbers) <= len(versions) <= len(numbers) + 1
        assert [manager.get_model("shared", v) for v in versions] == [(0, n) for n in range(len(versions))]
        assert list(manager.active_models.items()) == [("shared", versions[-1])]
        assert os.listdir(f"{manager.model_dir}/.engine/sandbox") == []


def in_child(work: Callable[[], object]) -> int:
    """Run a function in a forked child and return its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_manager_that_is_inherited_through_a_fork_reopens_itself(tmp_path: Path) -> None:
    with ModelManager(tmp_path / "models") as manager:
        manager.save_model("cpu", "parent")

        def work() -> None:
            assert manager.get_model("cpu") == "parent"
            for number in range(20):
                manager.save_model("cpu", ("child", number))

        assert in_child(work) == 0
        manager.save_model("cpu", "parent again")
        assert len(manager.model_versions["cpu"]) == 22


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forks_while_threads_save_lose_nothing(tmp_path: Path) -> None:
    with ModelManager(tmp_path / "models") as manager:
        done = threading.Event()
        saved: list[str] = []

        def save_on() -> None:
            while not done.is_set():
                saved.append(manager.save_model("parent", len(saved)))

        thread = threading.Thread(target=save_on)
        thread.start()
        codes = [in_child(lambda n=n: manager.save_model("child", n)) for n in range(20)]  # type: ignore[misc]
        done.set()
        thread.join()
        assert codes == [0] * 20
        assert len(manager.model_versions["child"]) == 20
        assert len(manager.model_versions["parent"]) == len(saved)


def test_errors_travel_between_processes(tmp_path: Path) -> None:
    from ai_engine import VersionExistsError

    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        pool.apply(_save_with_version, (str(tmp_path), "1"))
        with pytest.raises(VersionExistsError, match="never overwritten") as caught:
            pool.apply(_save_with_version, (str(tmp_path), "1"))
        assert caught.value.version == "1"


def _save_with_version(directory: str, version: str) -> None:
    with ModelManager(directory) as manager:
        manager.save_model("cpu", 1, version=version)
