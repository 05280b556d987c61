"""What does a training cost, a million rows included, and what does reading them, beside Arrow alone?

Each figure is of a process of its own, whose peak of memory is the system's account, less that of the
interpreter with its imports.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

Row = dict[str, Any]  # JSON values

COLUMNS: Final = 6
VMS: Final = 100

_MEASURED: Final = """
import json, sys, time
path, ending, what, kind = sys.argv[1:]
import pyarrow.csv, pyarrow.json, pyarrow.parquet, sklearn.ensemble
from ai_engine.telemetry.readers import read_columns
from ai_engine.telemetry.recognition import recognise
from ai_engine.telemetry.rows_file import RowsFile
from ai_engine.training.engine import fit
from ai_engine.training.request import TrainingRequest
from ai_engine.training.table import read_table
def peak():  # of this program: what getrusage tells begins with that of the process that started it
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
before, began = peak(), time.process_time()
if what == "arrow":
    readers = {"csv": pyarrow.csv.read_csv, "jsonl": pyarrow.json.read_json}
    readers.get(ending, pyarrow.parquet.read_table)(path)
elif what == "read":
    read_table(recognise(read_columns(RowsFile(path)))[0])
else:
    named = {"regression": {"name": "r"}}.get(kind, {})
    targets = {} if kind == "anomaly_detection" else {"target_columns": ("m0",)}
    fit(TrainingRequest(kind, **named, **targets), read_columns(RowsFile(path)), lambda *stage: None)
print(json.dumps([time.process_time() - began, peak() - before]))
"""
_PREDICTED: Final = """
import json, math, sys, time
from ai_engine.training.engine import fit
from ai_engine.training.request import TrainingRequest
vms, rows = int(sys.argv[1]), int(sys.argv[2])
made = [
    {
        "timestamp": 1.7e9 + 300 * step,
        "vm_id": f"vm-{vm}",
        "cpu": 50 + 30 * math.sin(step / 20 + vm) + step % 3,
    }
    for vm in range(vms) for step in range(rows)
]
asked = TrainingRequest("resource_prediction", target_columns=("cpu",))
estimator = fit(asked, made[: 50 * rows], lambda *stage: None).estimator
began = time.process_time()
answer = estimator.predict(made, 12)
print(json.dumps([time.process_time() - began, len(answer)]))
"""


def _run(program: str, *arguments: object) -> list[float]:
    ran = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    found: list[float] = json.loads(ran.stdout)
    return found


def files(place: Path, n_rows: int) -> dict[str, Path]:
    """Write a table of telemetry in each format."""
    draw = np.random.default_rng(0)
    table = pa.table(
        {
            "timestamp": 1.7e9 + 300.0 * (np.arange(n_rows) // VMS),
            "vm_id": [f"vm-{number % VMS}" for number in range(n_rows)],
            **{f"m{number}": (100 * draw.random(n_rows)).round(2) for number in range(COLUMNS)},
        }
    )
    found = {ending: place / f"{n_rows}.{ending}" for ending in ("csv", "parquet", "jsonl")}
    pc.write_csv(table, found["csv"])
    pq.write_table(table, found["parquet"])
    with open(found["jsonl"], "w") as file:
        for row in table.to_pylist():
            file.write(json.dumps(row) + "\n")
    return found


def reading(n_rows: int) -> list[Row]:
    """Return what reading each format costs a row, beside Arrow alone."""
    found = []
    with TemporaryDirectory() as directory:
        for ending, path in files(Path(directory), n_rows).items():
            ours, arrow = (_run(_MEASURED, path, ending, what, "") for what in ("read", "arrow"))
            found.append(
                {
                    "format": ending,
                    "rows": n_rows,
                    "microseconds": 1e6 * ours[0] / n_rows,
                    "microseconds_of_arrow": 1e6 * arrow[0] / n_rows,
                    "bytes": ours[1] * 2**20 / n_rows,
                    "bytes_of_arrow": arrow[1] * 2**20 / n_rows,
                }
            )
    return found


def trainings(sizes: tuple[int, ...]) -> list[Row]:
    """Return what trainings on tables of CSV cost."""
    found = []
    for n_rows in sizes:
        with TemporaryDirectory() as directory:
            path = files(Path(directory), n_rows)["csv"]
            for kind in ("resource_prediction", "anomaly_detection", "regression"):
                seconds, peak = _run(_MEASURED, path, "csv", "fit", kind)
                found.append({"kind": kind, "rows": n_rows, "cpu_seconds": seconds, "peak_mib": peak})
    return found


def predictions(vms: int, rows: int = 330) -> Row:
    """Return what forecasts for many VMs in one call cost."""
    seconds, count = _run(_PREDICTED, vms, rows)
    return {"vms": vms, "rows_each": rows, "cpu_seconds": seconds, "forecasts": count}
