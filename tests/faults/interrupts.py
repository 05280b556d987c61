"""An exception at any line of ours, as Ctrl-C or a signal handler raises it, and what must hold then."""

from __future__ import annotations

import _thread
import contextlib
import fcntl
import gc
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import ai_engine

# Ours, and what runs between two lines of ours when a block is entered or left.
_TRACED = (os.path.dirname(ai_engine.__file__) + os.sep, contextlib.__file__)
_DATABASE = ("model_registry.db", "model_registry.db-wal", "model_registry.db-shm", "open.lock")


class Interrupter:
    """Raises once, at a line that is counted from the first one that a call comes to.

    Attributes
    ----------
    lines : int
        How many lines were come to.
    place : str
        Where it raised.
    """

    def __init__(self, at: int, error: type[BaseException]) -> None:
        self._at, self._error = at, error
        self.lines, self.place = 0, ""

    def arm(self) -> None:
        """Begin to count."""
        sys.settrace(self._enter)

    def _enter(self, frame: FrameType, event: str, _: Any) -> Any:
        if self.place or not frame.f_code.co_filename.startswith(_TRACED):
            return None
        caller: FrameType | None = frame
        while caller is not None:
            if caller.f_code.co_name == "__del__":  # where an exception is lost, whatever one does
                return None
            caller = caller.f_back
        return self._line

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "line" and not self.place:
            self.lines += 1
            if self.lines == self._at:
                self.place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                raise self._error
        return self._line


def interrupted(at: int, error: type[BaseException], call: Callable[[], object]) -> tuple[Interrupter, bool]:
    """Make a call that is interrupted at a line; return where, and whether it raised that."""
    interrupter = Interrupter(at, error)
    raised = False
    before = sys.gettrace()
    try:
        interrupter.arm()
        call()
    except error:
        raised = True
    finally:
        sys.settrace(before)
    return interrupter, raised


def left_open() -> dict[str, int]:
    """Return what this process has open besides the database, and how often."""
    found: dict[str, int] = {}
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{descriptor}")
            if not target.removesuffix(" (deleted)").endswith(_DATABASE):
                found[target] = found.get(target, 0) + 1
    return found


def check_free(directory: Path, opened_before: dict[str, int], threads_before: int) -> None:
    """Check that nothing is open and nothing is held."""
    deadline = time.monotonic() + 10
    while _thread._count() > threads_before:  # a thread that hashes ends once it is told to
        assert time.monotonic() < deadline, "a thread waits for ever"
        threading.Event().wait(0.001)
    gc.collect()
    opened = {path: n for path, n in left_open().items() if path.startswith("/")}
    assert {path: n for path, n in opened.items() if n > opened_before.get(path, 0)} == {}
    other = sqlite3.connect(directory / "model_registry.db", timeout=0, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    finally:
        other.close()
    engine = directory / ".engine"
    for path in (engine / "records" / "versions.log", engine / "opening.lock", engine / "outage"):
        if path.exists():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            finally:
                os.close(descriptor)
    assert os.listdir(engine / "sandbox") == []
