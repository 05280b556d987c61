"""Tables that the tests train on: made ones whose truth is known, and readers of the real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

Row = dict[str, Any]  # JSON values

START = 1_700_000_000


def waves(n: int, *, period: int = 48, noise: float = 1.0, seed: int = 0, vm: str | None = None) -> list[Row]:
    """A season with noise every five minutes, beside a column that follows it."""
    draw = np.random.default_rng(seed)
    cpu = 50 + 20 * np.sin(2 * np.pi * np.arange(n) / period) + noise * draw.normal(size=n)
    rows: list[Row] = [
        {"timestamp": START + 300 * i, "cpu": float(value), "mem": float(30 + value / 2)}
        for i, value in enumerate(cpu)
    ]
    return [row | {"vm_id": vm} for row in rows] if vm else rows


def walk(n: int, *, seed: int = 0, step: float = 1.0) -> list[Row]:
    """A random walk: nothing beats the last value."""
    values = np.cumsum(step * np.random.default_rng(seed).normal(size=n)) + 500
    return [{"timestamp": START + 300 * i, "cpu": float(value)} for i, value in enumerate(values)]


def without_time(rows: list[Row]) -> list[Row]:
    return [{name: cell for name, cell in row.items() if name != "timestamp"} for row in rows]


def bitbrains(data: Path, vm: int, n: int) -> list[Row]:
    """The first rows of one VM: CPU and memory in percent, and what goes over disk and network."""
    table = pq.read_table(data / "bitbrains" / "bitbrains_rnd_30vms.parquet", filters=[("vm_id", "=", vm)])
    return [
        {
            "timestamp": row["timestamp_s"],
            "vm_id": row["vm_id"],
            "cpu": row["cpu_usage_pct"],
            "mem": 100 * row["mem_usage_kb"] / row["mem_capacity_kb"],
            "disk": row["disk_read_kbps"] + row["disk_write_kbps"],
            "net": row["net_rx_kbps"] + row["net_tx_kbps"],
        }
        for row in table.slice(0, n).to_pylist()
    ]


def smd(data: Path, machine: str, part: str, every: int = 1) -> list[Row]:
    rows: list[Row] = pq.read_table(data / "smd" / f"machine-{machine}_{part}.parquet").to_pylist()
    return rows[::every]


def spikes(n: int, *, every: int = 25, seed: int = 0) -> list[Row]:
    """Two quiet metrics, and every so often a labelled row far outside."""
    draw = np.random.default_rng(seed)
    rows: list[Row] = [
        {"cpu": float(cpu), "mem": float(mem), "label": 0} for cpu, mem in draw.normal(size=(n, 2))
    ]
    for row in rows[::every]:
        row |= {"cpu": 8.0, "label": 1}
    return rows
