"""Ask the questions: ``python -m benchmarks [question ...] [--quick] [--full]``."""

from __future__ import annotations

import argparse
import importlib
import os
import time
from collections.abc import Mapping

from benchmarks.measure import HEADER, Answer, Options, keep, machine, versions

QUESTIONS = (
    "importing",
    "metric_rows",
    "load_small",
    "save_small",
    "contention",
    "dedup",
    "maintenance",
    "listing",
    "start",
    "save_large",
    "load_large",
    "http",
    "jobs",
    "access",
    "control_plane",
)
# Minutes, and a package index in reach: only asked by name or by --full.
SLOW = ("install_size",)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What does the engine cost?")
    parser.add_argument("question", nargs="*", metavar="question", help=", ".join((*QUESTIONS, *SLOW)))
    parser.add_argument("--quick", action="store_true", help="smaller and fewer; nothing is kept")
    parser.add_argument("--full", action="store_true", help="a million versions, and the size of an install")
    parser.add_argument("--directory", help="where to write; default: /var/tmp")
    given = parser.parse_args()
    unknown = set(given.question) - {*QUESTIONS, *SLOW}
    if unknown:
        parser.error(f"no question is called {', '.join(sorted(unknown))}")
    options = Options(given.quick, given.full, given.directory)
    print(f"{_told(machine(os.path.realpath(options.place)))}\n{_told(versions())}")
    for question in given.question or (*QUESTIONS, *(SLOW if given.full else ())):
        module = importlib.import_module(f"benchmarks.{question}")
        asks = (module.__doc__ or "").partition("\n")[0]
        print(f"\n{question}: {asks}\n{HEADER}", flush=True)
        answer = Answer(question, asks)
        started = time.perf_counter()
        module.ask(answer, options)
        print(f"  ({time.perf_counter() - started:.0f} s)", flush=True)
        if not options.quick:
            keep(answer, options)


def _told(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


if __name__ == "__main__":
    main()
