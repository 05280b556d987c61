"""How good is each recipe on data that its fit never saw, and how long does it take?

Run it from the repository, with the ``train`` extra and pyarrow installed and the real telemetry in
``../shared/data``; it takes about three minutes on two cores::

    OMP_NUM_THREADS=2 python -m benchmarks.recipes

It prints one table a recipe and writes ``benchmarks/results/recipes.json``. For forecasts, regression and
classes the held-out rows are the last (or a random) fifth of the table. Anomaly detectors of SMD are trained
without labels on the train file and judged by the labels of the test file, row by row; beside it stand the
point-adjusted F1, which flatters, and both numbers of a random score that flags as many rows. NAB detectors
are trained without labels on the first 15 % of each file, which NAB gives for that, and judged by the
windows on the rest.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from sklearn.datasets import load_breast_cancer, load_diabetes

from ai_engine.training.engine import Trained, fit
from ai_engine.training.evaluation import measure_flags, point_adjusted
from ai_engine.training.request import TrainingRequest

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
RESULTS = Path(__file__).parent / "results" / "recipes.json"
Row = dict[str, Any]  # JSON values


def ignore(fraction: float, message: str) -> None: ...


def train(kind: str, rows: list[Row], **given: Any) -> Trained:
    return fit(TrainingRequest(kind, name="benchmark", **given), rows, ignore)


def measured(trained: Trained, data: str) -> Iterable[Row]:
    metrics = trained.performance_metrics
    for target, found in metrics.by_target.items():
        yield {
            "data": data,
            "target": target,
            "mae": found.mae,
            "baseline_mae": found.baseline_mae,
            "skill": found.skill,
            "r2": found.r2,
            "accuracy": found.accuracy_score,
            "inside_90": found.confidence_score,
            "rows": metrics.training_samples + metrics.validation_samples,
            "seconds": metrics.training_time,
            "algorithms": "+".join(trained.algorithms),
        }


def forecasts() -> Iterable[Row]:
    path = DATA / "bitbrains" / "bitbrains_rnd_30vms.parquet"
    for vm in (1, 237, 269):
        rows = pq.read_table(path, filters=[("vm_id", "=", vm)]).to_pylist()
        for row in rows:
            row["timestamp"] = row.pop("timestamp_s")
            row["mem_pct"] = 100 * row.pop("mem_usage_kb") / row["mem_capacity_kb"]
        yield from measured(
            train("resource_prediction", rows, target_columns=("cpu_usage_pct", "mem_pct")),
            f"Bitbrains VM {vm}",
        )


def tables() -> Iterable[Row]:
    for kind, bunch, name in (
        ("regression", load_diabetes(), "diabetes"),
        ("classification", load_breast_cancer(), "breast cancer"),
    ):
        names = [str(feature) for feature in bunch.feature_names]
        rows = [
            dict(zip(names, map(float, cells), strict=True)) | {"target": value}
            for cells, value in zip(bunch.data, bunch.target.tolist(), strict=True)
        ]
        yield from measured(train(kind, rows, target_columns=("target",)), name)


def judged(trained: Trained, rows: list[Row], labels: npt.NDArray[np.bool_], data: str) -> Row:
    started = perf_counter()
    flags = np.array([row["is_anomaly"] for row in trained.estimator.predict(rows)])
    seconds = perf_counter() - started
    noise = np.random.default_rng(0).random(len(rows)) < flags.mean()
    found = measure_flags(labels, flags)
    return {
        "data": data,
        "precision": found.precision,
        "recall": found.recall,
        "f1": found.f1,
        "f1_random": measure_flags(labels, noise).f1,
        "f1_adjusted": measure_flags(labels, point_adjusted(labels, flags)).f1,
        "f1_adjusted_random": measure_flags(labels, point_adjusted(labels, noise)).f1,
        "flagged": float(flags.mean()),
        "labelled": float(labels.mean()),
        "seconds": trained.performance_metrics.training_time,
        "prediction_seconds": seconds,
    }


def servers() -> Iterable[Row]:
    for machine in ("1-4", "1-6", "2-1", "3-2"):
        part = DATA / "smd" / f"machine-{machine}"
        known = pq.read_table(f"{part}_train.parquet").to_pylist()
        rows = pq.read_table(f"{part}_test.parquet").to_pylist()
        labels = np.array([row.pop("label") == 1 for row in rows])
        yield judged(train("anomaly_detection", known), rows, labels, f"SMD {machine}")


def series() -> Iterable[Row]:
    windows = json.loads((DATA / "nab" / "labels.json").read_text())["windows"]
    for name, spans in sorted(windows.items()):
        with gzip.open(DATA / "nab" / f"{Path(name).name}.gz", "rt", newline="") as file:
            rows = [
                {"value": float(row["value"]), "timestamp": row["timestamp"]} for row in csv.DictReader(file)
            ]
        if not spans:
            continue
        inside = [any(start[:19] <= row["timestamp"] <= end[:19] for start, end in spans) for row in rows]
        first = int(0.15 * len(rows))
        known = [{"value": row["value"]} for row in rows[:first]]
        rest = [{"value": row["value"]} for row in rows[first:]]
        yield judged(
            train("anomaly_detection", known), rest, np.array(inside[first:]), f"NAB {Path(name).stem}"
        )


def show(title: str, rows: list[Row]) -> None:
    print(f"\n{title}")
    print("  ".join(rows[0]))
    for row in rows:
        print("  ".join(f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row.values()))


def main() -> None:
    results: dict[str, Any] = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "packages": {name: version(name) for name in ("numpy", "scikit-learn")},
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }
    for title, rows in (
        ("regression and classification", tables()),
        ("anomaly_detection, SMD", servers()),
        ("anomaly_detection, NAB", series()),
        ("resource_prediction, 12 steps", forecasts()),
    ):
        results[title] = list(rows)
        show(title, results[title])
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
