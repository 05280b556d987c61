"""Processes that fork while others save, and signal handlers that save in the middle of a save."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ai_engine import ReentrantCallError
from ai_engine.models import ModelManager
from tests.faults.driver import diagnose
from tests.managers import another_process

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def in_child(work: Callable[[], None]) -> int:
    """Run something in a forked child and return how it ended; a child that hangs is ended by its alarm."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(60)
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.timeout(120)
def test_any_number_of_threads_fork_while_others_save(tmp_path: Path) -> None:
    forkers, forks = 4, 8
    results: list[int] = []
    begin, done = threading.Barrier(forkers + 2), threading.Event()
    with ModelManager(tmp_path) as manager:
        manager.save_model("before", 1)

        def fork(number: int) -> None:
            begin.wait()
            for count in range(forks):
                results.append(in_child(lambda: touch(number, count)))  # noqa: B023

        def touch(number: int, count: int) -> None:
            assert manager.get_model("before") == 1
            manager.save_model(f"child-{number}", count)

        def save(number: int) -> None:
            begin.wait()
            while not done.is_set():
                manager.save_model(f"parent-{number}", number)
                manager.get_model("before")

        savers = [threading.Thread(target=save, args=(n,)) for n in range(2)]
        threads = [threading.Thread(target=fork, args=(n,)) for n in range(forkers)]
        for thread in (*savers, *threads):
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        for thread in savers:
            thread.join()
        assert results == [0] * (forkers * forks)
        for number in range(forkers):
            assert len(manager.model_versions[f"child-{number}"]) == forks
    assert diagnose(tmp_path) == []


def test_a_child_that_was_forked_inside_a_transaction_is_told(tmp_path: Path) -> None:
    with another_process(tmp_path) as (manager, stores):
        manager.save_model("before", 1)

        def use() -> None:
            with pytest.raises(OSError, match="forked in the middle"), stores.catalogue.read():
                pass

        with stores.catalogue.read() as snapshot:
            assert in_child(use) == 0
            assert snapshot.names() == ["before"]
        manager.save_model("after", 1)


def test_a_lock_that_a_child_inherits_is_not_held_by_it(tmp_path: Path) -> None:
    """A file's lock belongs to all who have the open file; a child that lives on must not keep it."""
    with ModelManager(tmp_path) as manager:
        manager.save_model("before", 1)
    reader, writer = os.pipe()
    from ai_engine.files.durable_io import FileLock

    lock = FileLock(str(tmp_path), os.O_RDONLY | os.O_DIRECTORY)
    with lock.held():
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.read(reader, 1)  # until the parent closes its end
            os._exit(0)
    try:
        with lock.held():  # at once
            pass
    finally:
        os.close(writer)
        os.waitpid(child, 0)
        os.close(reader)


def test_a_thread_that_holds_a_lock_does_not_wait_for_itself(tmp_path: Path) -> None:
    with another_process(tmp_path) as (manager, stores):
        with stores.catalogue.write(), pytest.raises(ReentrantCallError, match="signal"):
            manager.save_model("cpu", 1)
        manager.save_model("cpu", 1)


SAVES_ON_SIGTERM = textwrap.dedent(
    """
    import os, signal, sys
    from ai_engine import ReentrantCallError
    from ai_engine.domain.retention import Policy
    from ai_engine.models import ModelManager
    manager = ModelManager(sys.argv[1])
    size = int(sys.argv[2])

    def last_words(*_):
        try:
            manager.save_model("last", bytes(size))
            os.write(1, b"saved\\n")
        except ReentrantCallError:
            os.write(1, b"refused\\n")
        os._exit(0)

    signal.signal(signal.SIGTERM, last_words)
    os.write(1, b"ready\\n")
    while True:
        manager.save_model("loop", os.urandom(size))
        manager.get_model("loop")
        manager.registry.clean_up(Policy(keep_versions=3, name="loop"))
    """
)


@pytest.mark.parametrize("size", [100, 400_000])
def test_saving_once_more_on_sigterm_saves_or_is_refused_at_once(tmp_path: Path, size: int) -> None:
    ends = []
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVES_ON_SIGTERM, str(tmp_path), str(size)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        said, _ = process.communicate(timeout=60)
        ends.append(said.strip())
        assert process.returncode == 0
    assert set(ends) <= {"saved", "refused"}
    with ModelManager(tmp_path) as manager:
        assert len(manager.model_versions.get("last", [])) == ends.count("saved")
    assert diagnose(tmp_path) == []


def test_managers_that_are_dropped_leave_nothing_open(tmp_path: Path) -> None:
    """The original had no `close`, so callers do not call it."""
    before = len(os.listdir("/proc/self/fd"))
    for number in range(50):
        manager = ModelManager(tmp_path)
        manager.save_model("cpu", number)
        assert manager.get_model("cpu") == number
        del manager
    assert len(os.listdir("/proc/self/fd")) <= before + 4
