"""What are the models worth, and what do trainings cost?

Run it from the repository, with the ``train`` extra and the real telemetry in ``../shared/data``; it
takes a quarter of an hour on one core, with ``--quick`` two minutes, which writes nothing::

    OMP_NUM_THREADS=1 python -m benchmarks.evidence [part ...] [--quick]

What was measured is kept in ``benchmarks/results/evidence.json``, and ``docs/evidence.md`` is written
from all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks.evidence import anomalies, costs, forecasts
from benchmarks.evidence.page import page, table

RESULTS: Final = Path(__file__).parents[1] / "results" / "evidence.json"
PAGE: Final = Path(__file__).parents[2] / "docs" / "evidence.md"


ABOUT: Final = "What are the models worth, and what do trainings cost?"


def _forecasts(quick: bool) -> Any:
    if quick:
        return [forecasts.forecasts(vms=6, windows=4)]
    return [forecasts.forecasts(seed=seed) for seed in range(3)]


def _costs(quick: bool) -> Any:
    return {
        "reading": costs.reading(10_000 if quick else 1_000_000),
        "trainings": costs.trainings((10_000,) if quick else (10_000, 100_000, 1_000_000)),
        "predictions": [costs.predictions(vms) for vms in ((700,) if quick else (700, 10_000))],
    }


PARTS: Final[dict[str, Callable[[bool], Any]]] = {  # JSON values
    "fleet": _forecasts,
    "planetlab": lambda _: forecasts.short(),
    "servers": lambda quick: anomalies.servers(["2-1"] if quick else ["1-4", "1-6", "2-1", "3-2"]),
    "series": lambda quick: anomalies.series(5 if quick else None),
    "migrations": lambda _: anomalies.durations(),
    "costs": _costs,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description=ABOUT)
    parser.add_argument("part", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="smaller and fewer; nothing is kept")
    asked = parser.parse_args()
    unknown = set(asked.part) - set(PARTS)
    if unknown:
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for part in asked.part or PARTS:
        print(f"measuring {part} …", flush=True)
        kept[part] = {
            "measured": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "packages": {name: version(name) for name in ("numpy", "pyarrow", "scikit-learn")},
            "threads": os.environ.get("OMP_NUM_THREADS"),
            "found": PARTS[part](asked.quick),
        }
        if not asked.quick:
            RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
            PAGE.write_text(page(kept))
    print(table(kept))


if __name__ == "__main__":
    main()
