"""How many questions of the control plane does the server answer, and how long take the slowest in a hundred?

Eight connections that stay open. Beside each question, in the same run and second by second in turns, the
least that the same server does for a request: ``GET /health/live``. Then advice on the capacity of a thousand
VMs in one call, beside reading its body as JSON.
"""

from __future__ import annotations

import json
import math
import time
from typing import Any

from benchmarks.http import CONNECTIONS, running
from benchmarks.load import load, request
from benchmarks.measure import Answer, Options

POINTS = 288  # a day at five minutes
VMS = 1_000


def ask(answer: Answer, options: Options) -> None:
    with options.scratch() as scratch, running("ours", scratch) as server:
        live = request("GET", "/health/live", server.port)
        for key, what, message in _questions(server.port):
            load(server.port, message, 1, 0)  # what is needed is imported
            rates: tuple[list[float], list[float]] = ([], [])
            waits: tuple[list[float], list[float]] = ([], [])
            for _ in range(options.times(7)):
                for one, rate, wait in zip((message, live), rates, waits, strict=True):
                    served = load(server.port, one, CONNECTIONS, 1.0)
                    rate.append(served.rate)
                    wait.append(sorted(served.seconds)[int(0.99 * len(served.seconds))])
            answer.add(f"{key}_rate", f"{what}, {CONNECTIONS} connections", "answers/s", *rates)
            answer.add(f"{key}_p99", f"{what}, {CONNECTIONS} connections, 99 %", "s", *waits)
        _fleet(answer, options, server.port)


def _questions(port: int) -> list[tuple[str, str, bytes]]:
    def post(path: str, body: Any) -> bytes:
        return request("POST", path, port, json.dumps(body).encode())

    history = _rows(POINTS, 0)
    points = [{"timestamp": row["timestamp"], "value": row["cpu_usage"]} for row in history]

    def process(service: str, method: str, data: Any) -> bytes:
        return post("/api/v1/process", {"service": service, "method": method, "data": data})

    demand = {"node_id": "n", "resource_type": "cpu", "horizon_minutes": 60, "historical_data": points}
    constant = {"resource_id": "r", "metrics": {"cpu_usage": 0.5}, "history": history[-24:]}
    migration = {"source_node": "a", "dest_node": "b", "vm_size": 8e9, "dirty_rate": 1e8, "bandwidth": 1e9}
    return [
        ("check", "process health/check", process("health", "check", {})),
        ("migration", "POST /predict/migration_time", post("/predict/migration_time", migration)),
        ("short", "POST /predict/resources, 24 rows of two metrics", post("/predict/resources", constant)),
        (
            "demand",
            f"process predict_demand, {POINTS} points",
            process("resource_prediction", "predict_demand", demand),
        ),
        (
            "workload",
            f"POST /analyze/workload, {POINTS} rows",
            post("/analyze/workload", {"vm_id": "v", "workload_data": history}),
        ),
    ]


def _fleet(answer: Answer, options: Options, port: int) -> None:
    count = VMS // 10 if options.quick else VMS
    vms = [{"vm_id": f"vm-{n}", "historical_data": _rows(POINTS, n)} for n in range(count)]
    body = json.dumps({"vms": vms}).encode()
    message = request("POST", "/optimize/scaling", port, body)
    ours: list[float] = []
    raw: list[float] = []
    for _ in range(options.times(5)):
        ours += load(port, message, 1, 0).seconds
        started = time.perf_counter()
        json.loads(body)
        raw.append(time.perf_counter() - started)
    answer.add(
        "fleet", f"POST /optimize/scaling, {count} VMs of {POINTS} rows of two metrics", "s", ours, raw
    )


def _rows(count: int, seed: int) -> list[dict[str, Any]]:
    return [
        {
            "timestamp": 1_700_000_000 + 300 * n,
            "cpu_usage": round(
                0.5 + 0.2 * math.sin(2 * math.pi * (n + seed) / 24) + 0.01 * ((n * 7 + seed) % 5), 4
            ),
            "memory_usage": round(0.4 + 0.01 * ((n * 13 + seed) % 7), 4),
        }
        for n in range(count)
    ]
