"""For every test: where the others may skip what is not there, CI may not."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

# Before anybody loads a numeric library: tests run side by side, and threads that spin while they wait for
# one another make a fit a hundred times slower on busy cores.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1") | {"OMP_WAIT_POLICY": "PASSIVE"}

_STRICT = bool(os.environ.get("CI"))


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Servers make their key in a home of the tests' own."""
    os.environ["HOME"] = str(tmp_path_factory.mktemp("home"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if _STRICT and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", _refused(report.longrepr)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if _STRICT and report.skipped:
        report.outcome, report.longrepr = "failed", _refused(report.longrepr)
    return report


def _refused(reason: object) -> str:
    told = reason[2] if isinstance(reason, tuple) else reason
    return f"In CI nothing is skipped, and this was: {told}"
