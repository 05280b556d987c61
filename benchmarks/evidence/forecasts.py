"""How good are forecasts of a fleet, beside what they are to reach?

One model of 30 Bitbrains VMs, CPU and memory in percent, is trained on all rows but the last 960 of each
VM; then 20 windows of 48 steps are foretold, each from the 6,048 rows before it under the VM's own name.
Errors are over the mean absolute change from the day before in the rows that were trained on (MASE: Hyndman &
Koehler 2006, Int. J. Forecasting 22(4), 679-688); the seasonal naive is the value of the day before. The
scaled interval score is that of Gneiting & Raftery (2007), JASA 102(477), 359-378, over the same. Weights
and widths were chosen on earlier windows (a `shift` of 3,000 measures there); two changes came after these
had been seen, which docs/design/11-training.md names.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from ai_engine.training.engine import fit
from ai_engine.training.request import TrainingRequest

DATA: Final = Path(__file__).resolve().parents[2].parent / "shared" / "data"
TARGETS: Final = ("cpu", "mem")
HORIZON: Final = 48
CONTEXT: Final = 6_048
DAY: Final = 288
Row = dict[str, Any]  # JSON values
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SeriesScore:
    """The measures of one series: errors over its own scale."""

    vm: int
    target: str
    mase: float
    naive: float
    coverage: float
    interval_score: float
    quantile_loss: float


def read(vms: int | None, shift: int) -> dict[int, list[Row]]:
    """Return rows by VM, without the last `shift` of each."""
    table = pq.read_table(
        DATA / "bitbrains" / "bitbrains_rnd_30vms.parquet",
        columns=["vm_id", "timestamp_s", "cpu_usage_pct", "mem_usage_kb", "mem_capacity_kb"],
    )
    found: dict[int, list[Row]] = {}
    for vm, moment, cpu, used, of in zip(*(column.to_pylist() for column in table.columns), strict=True):
        found.setdefault(vm, []).append(
            {"timestamp": moment, "vm_id": vm, "cpu": cpu, "mem": 100 * used / of}
        )
    chosen = list(found)[:vms]
    return {vm: found[vm][: len(found[vm]) - shift] for vm in chosen}


def scored(
    vm: int, target: str, history: Array, seen: Array, told: Sequence[Array], naive: Array
) -> SeriesScore:
    """Return the measures of a series; `seen`, `naive` and each of `told` have shape (n_windows, HORIZON)."""
    centre, lower, upper = told
    scale = float(np.abs(history[DAY:] - history[:-DAY]).mean()) or 1.0

    def loss(predicted: Array, share: float) -> float:
        above = seen - predicted
        return float(np.maximum(share * above, (share - 1) * above).mean()) / scale

    missed = np.maximum(lower - seen, 0) + np.maximum(seen - upper, 0)
    return SeriesScore(
        vm,
        target,
        float(np.abs(seen - centre).mean()) / scale,
        float(np.abs(seen - naive).mean()) / scale,
        float(((lower <= seen) & (seen <= upper)).mean()),
        float((upper - lower + 2 / 0.1 * missed).mean()) / scale,
        (loss(lower, 0.05) + loss(centre, 0.5) + loss(upper, 0.95)) / 3,
    )


def ignore(fraction: float, message: str) -> None: ...


def geometric(values: Array) -> float:
    """Return the geometric mean; what is 0 counts as next to nothing."""
    return float(np.exp(np.log(np.maximum(values, 1e-9)).mean()))


def forecasts(
    vms: int | None = None,
    windows: int = 20,
    shift: int = 0,
    context: int = CONTEXT,
    kind: str = "resource_prediction",
    seed: int = 0,
) -> Row:
    """Train once, foretell window after window, and return what was measured."""
    rows = read(vms, shift)
    held_out = windows * HORIZON
    training = [row for one in rows.values() for row in one[:-held_out]]
    started = process_time()
    trained = fit(
        TrainingRequest(
            kind,
            name="benchmark",
            target_columns=TARGETS,
            hyperparameters={"horizon": HORIZON, "seed": seed},
        ),
        training,
        ignore,
    )
    training_cpu = process_time() - started

    started = process_time()
    told: dict[tuple[int, str], list[list[list[float]]]] = {}
    for window in range(windows):
        given = []
        for one in rows.values():
            end = len(one) - held_out + window * HORIZON
            given += one[max(0, end - context) : end]
        by_vm: dict[int, list[Row]] = {}
        for row in trained.estimator.predict(given, HORIZON):
            by_vm.setdefault(row["vm_id"], []).append(row)
        for vm, steps in by_vm.items():
            for target in TARGETS:
                told.setdefault((vm, target), []).append(
                    [[row[target + suffix] for row in steps] for suffix in ("", "_lower", "_upper")]
                )
    prediction_cpu = process_time() - started

    series = []
    for (vm, target), predicted in told.items():
        values = np.array([row[target] for row in rows[vm]])
        start = len(values) - held_out
        shape = (windows, HORIZON)
        parts = np.array(predicted)
        series.append(
            scored(
                vm,
                target,
                values[:start],
                values[start:].reshape(shape),
                (parts[:, 0], parts[:, 1], parts[:, 2]),
                values[start - DAY : -DAY].reshape(shape),
            )
        )
    ours, naive = np.array([one.mase for one in series]), np.array([one.naive for one in series])
    coverage = np.array([one.coverage for one in series])
    ratio = ours / np.maximum(naive, 1e-9)
    worst = series[int(ratio.argmax())]
    return {
        "g": geometric(ours) / geometric(naive),
        "r": float(ours.mean() / naive.mean()),
        "worse_than_seasonal_naive": float((ratio > 1).mean()),
        "worst": float(ratio.max()),
        "worst_series": f"{worst.vm} {worst.target}",
        "covered_85_to_95": float(((coverage >= 0.85) & (coverage <= 0.95)).mean()),
        "coverage": float(coverage.mean()),
        "interval_score": geometric(np.array([one.interval_score for one in series])),
        "quantile_loss": float(np.mean([one.quantile_loss for one in series])),
        "quantile_loss_g": geometric(np.array([one.quantile_loss for one in series])),
        "training_cpu_seconds": training_cpu,
        "prediction_cpu_seconds": prediction_cpu,
        "series": len(series),
        "rows": len(training),
    }


def short(days: tuple[str, str] = ("20110303", "20110306")) -> Row:
    """Foretell the last 12 steps of each PlanetLab VM of a day, by a model of another day.

    Beside it the last value, and the median of the last hour, hard to beat where CPU comes in bursts.
    """
    known, asked = (_planetlab(day) for day in days)
    rows = [row for vm in known.values() for row in vm]
    started = process_time()
    trained = fit(
        TrainingRequest(
            "resource_prediction", name="benchmark", target_columns=("cpu",), hyperparameters={"horizon": 12}
        ),
        rows,
        ignore,
    )
    training_cpu = process_time() - started
    context = [row for vm in asked.values() for row in vm[:-12]]
    started = process_time()
    by_vm: dict[str, list[float]] = {}
    for row in trained.estimator.predict(context, 12):
        by_vm.setdefault(row["vm_id"], []).append(row["cpu"])
    prediction_cpu = process_time() - started
    seen = np.array([[row["cpu"] for row in vm[-12:]] for vm in asked.values()])
    before = np.array([[row["cpu"] for row in vm[:-12]] for vm in asked.values()])
    ours = np.array([by_vm[vm] for vm in asked])
    return {
        "mae": float(np.abs(ours - seen).mean()),
        "last_value": float(np.abs(before[:, -1:] - seen).mean()),
        "median_of_the_last_hour": float(np.abs(np.median(before[:, -12:], axis=1)[:, None] - seen).mean()),
        "vms": len(asked),
        "training_cpu_seconds": training_cpu,
        "prediction_cpu_seconds": prediction_cpu,
    }


def _planetlab(day: str) -> dict[str, list[Row]]:
    """Return the rows of each VM of a day."""
    found: dict[str, list[Row]] = {}
    with gzip.open(DATA / "planetlab" / "planetlab_cpu_9days.csv.gz", "rt") as file:
        for line in csv.DictReader(file):
            if line["day"] == day:
                found[line["vm"]] = [
                    {"timestamp": 1.3e9 + 300 * step, "vm_id": line["vm"], "cpu": float(line[f"t{step:03d}"])}
                    for step in range(288)
                ]
    return found
