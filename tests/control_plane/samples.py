"""Telemetry for questions: made, so that what is true of it is known."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

Row = dict[str, Any]  # JSON values


def times(count: int, step: float = 300.0, end: datetime | None = None) -> list[str]:
    """Moments up to `end`, as Go writes them: nine decimals, and a zone."""
    last = end or datetime.now(UTC)
    return [
        (last - timedelta(seconds=step * (count - 1 - i))).strftime("%Y-%m-%dT%H:%M:%S.%f") + "123+00:00"
        for i in range(count)
    ]


def wave(
    count: int, period: int = 24, level: float = 50.0, height: float = 20.0, noise: float = 1.0, seed: int = 1
) -> list[float]:
    draw = random.Random(seed)
    return [level + height * math.sin(2 * math.pi * i / period) + draw.gauss(0, noise) for i in range(count)]


def points(values: list[float], metadata: Row | None = None) -> list[Row]:
    return [
        {"timestamp": at, "value": value, "metadata": metadata}
        for at, value in zip(times(len(values)), values, strict=True)
    ]


def rows(count: int = 100, scale: float = 0.01, seed: int = 1) -> list[Row]:
    cpu, memory = wave(count, seed=seed), wave(count, level=40, height=0, noise=0.5, seed=seed + 1)
    return [
        {
            "timestamp": at,
            "cpu_usage": scale * c,
            "memory_usage": scale * m,
            "io_usage": scale * 10,
            "network_usage": scale * (20 + i % 5),
        }
        for i, (at, c, m) in enumerate(zip(times(count), cpu, memory, strict=True))
    ]


def nodes(moments: int = 6, high: float = 0.9, low: float = 0.1) -> list[Row]:
    return [
        {"node_id": name, "timestamp": at, "cpu_usage": use, "memory_usage": 0.3, "capacity": 16}
        for at in times(moments)
        for name, use in (("n1", high), ("n2", low), ("n3", low))
    ]


MIGRATION: Row = {"vm_size": 8e9, "dirty_rate": 1e8, "bandwidth": 1e9}


def service_data() -> dict[tuple[str, str], Row]:
    """A question for each service that can be answered."""
    cpu = wave(100)
    spiked = [*cpu[:90], 160.0, *cpu[91:]]
    return {
        ("resource_prediction", "predict_demand"): {
            "node_id": "n1",
            "resource_type": "cpu",
            "horizon_minutes": 60,
            "historical_data": points(cpu),
            "context": None,
        },
        ("anomaly_detection", "detect"): {
            "resource_id": "n1",
            "metric_type": "system_performance",
            "data_points": points(spiked),
            "sensitivity": 0.8,
        },
        ("workload_pattern_recognition", "analyze_patterns"): {
            "workload_id": "w1",
            "time_range": {"start": "0001-01-01T00:00:00Z", "end": "0001-01-01T00:00:00Z"},
            "metric_types": ["cpu_usage"],
            "data_points": points(cpu, {"metric": "cpu_usage"}),
        },
        ("predictive_scaling", "predict_scaling"): {
            "current_capacity": 100,
            "current_load": 60,
            "job_queue_length": 3,
            "historical_usage": cpu,
            "predicted_demand": 90,
        },
        ("performance_optimization", "optimize_cluster"): {
            "cluster_id": "c1",
            "cluster_data": {"nodes": nodes()},
            "goals": ["performance"],
            "constraints": None,
        },
        ("health", "check"): {},
    }


def path_bodies() -> dict[str, Row]:
    """A question for each path that can be answered."""
    history = rows()
    return {
        "/predict/resources": {
            "resource_id": "r1",
            "metrics": {"cpu_usage": 0.5},
            "history": history,
            "prediction_horizon": 60,
        },
        "/detect/anomaly": {
            "resource_id": "r1",
            "metrics": {"cpu_usage": 5.0},
            "historical_data": history,
            "sensitivity": 0.1,
        },
        "/predict/migration": {
            "vm_id": "v1",
            "source_host": "h0",
            "target_hosts": ["h1", "h2", None],
            "vm_metrics": {"memory_gb": 8, "dirty_rate_mb_per_second": 50, "bandwidth_gbps": 10},
            "network_topology": {"h1": {"capacity_score": 0.4}, "h2": {"capacity_score": 0.9}},
        },
        "/analyze/workload": {"vm_id": "v1", "workload_data": history, "analysis_window": 0},
        "/optimize/scaling": {
            "vm_id": "v1",
            "current_resources": {"cpu_usage": 0.9},
            "historical_data": history,
        },
        "/optimize/performance": {
            "cluster_id": "c1",
            "performance_data": nodes(),
            "optimization_goals": ["energy"],
        },
        "/optimize/bandwidth": {
            "network_id": "net",
            "qos_requirements": None,
            "traffic_data": [
                {"source": "a", "destination": b, "bandwidth_usage": 10.0 * i, "timestamp": at}
                for i, at in enumerate(times(20))
                for b in ("b", "c")
            ],
        },
        "/predict/migration_time": {"source_node": "a", "dest_node": "b", **MIGRATION},
        "/predict/failure_risk": {"migration_params": MIGRATION},
        "/predict/bandwidth": {
            "vm_size": 8e9,
            "network_conditions": {"bandwidth_mbps": 1000, "utilization": 0.3},
        },
        "/predict/optimal_path": {
            "source_node": "a",
            "dest_node": "c",
            "network_topology": {
                "links": [
                    {"source": "a", "destination": "b", "bandwidth": 10},
                    {"source": "b", "destination": "c", "bandwidth": 5},
                    {"source": "a", "destination": "c", "bandwidth": 1},
                ]
            },
        },
        "/optimize/migration_strategy": {
            "vm_data": {"vm_size": 8e9, "dirty_rate": 8e8},
            "network_data": {"bandwidth": 1e9},
        },
        "/optimize/compression": {"data_profile": {"entropy": 4.0, "size": 1e9}},
        "/optimize/memory_iterations": {"vm_memory_pattern": MIGRATION},
        "/analyze/network_conditions": {
            "node_id": "n1",
            "measurements": [
                {"bandwidth": 1e9 - 1e7 * i, "latency": 0.4 + i / 50, "packet_loss": 0.001 * i}
                for i in range(9)
            ],
        },
        "/analyze/anomalies": {
            "metrics": {"latency": [1.0, 1.1, 0.9, 1.0, 1.2, 0.8, 1.0, 1.1, 1.0, 0.9, 9.0]}
        },
        "/analyze/patterns": {
            "historical_data": [
                {"type": "live", "duration": 10.0 + i, "success": i % 4 > 0} for i in range(12)
            ],
        },
        "/recommend/adjustments": {
            "migration_id": "m1",
            "current_metrics": {"dirty_rate": 8e8, "bandwidth": 1e9},
        },
    }
