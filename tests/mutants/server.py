"""Run pytest again and again in forks of one process that has imported what all tests import.

Started in the tree to test, with the tree first on the path. Each line of the input is JSON: a list of
arguments and for how many seconds to wait; the answer is a line with the exit code, 1 for a run that had to
be killed.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Nothing of ours: that is what differs from one run to the next.
_IMPORTED = (
    *("pytest", "hypothesis", "hypothesis.stateful", "httpx", "fastapi", "starlette.testclient", "typer"),
    *("psutil", "numpy", "pandas", "pyarrow", "sklearn.ensemble", "sklearn.linear_model", "sqlite3"),
    *("rich.console", "uvicorn", "anyio", "jinja2", "prometheus_client", "xdist", "pytest_timeout"),
)


def main() -> None:
    for name in _IMPORTED:
        with suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        print(_run(*json.loads(line)), flush=True)


def _run(arguments: list[str], patience: float) -> int:
    child = os.fork()
    if child == 0:
        os.setsid()
        _test(arguments)
    give_up = time.monotonic() + patience
    with _woken_by_children():
        while True:
            found, status = os.waitpid(child, os.WNOHANG)
            left = give_up - time.monotonic()
            if found or left < 0:
                break
            signal.sigtimedwait([signal.SIGCHLD], min(left, 1.0))
    with suppress(ProcessLookupError):  # whatever it started, too
        os.killpg(child, signal.SIGKILL)
    if found:
        return abs(os.waitstatus_to_exitcode(status))
    os.waitpid(child, 0)
    return 1


@contextmanager
def _woken_by_children() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _test(arguments: list[str]) -> None:
    code = 1
    try:
        told = os.open(os.environ["MUTANTS_LOG"], os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        for number in (0, 1, 2):
            os.dup2(told, number)
        import pytest

        code = int(pytest.main(arguments))
    except BaseException:  # noqa: BLE001  # a broken line may raise anything
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
