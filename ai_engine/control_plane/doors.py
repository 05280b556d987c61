"""The table of doors: where each is, what it answers from, and what a caller has to be allowed.

Routes, the services of the integration layer, the page of documentation and its test are all made of this
table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Final, Literal, cast

from ai_engine.control_plane import answers
from ai_engine.control_plane.engine import Outcome, Question

Scope = Literal["predict", "train", "read"]
PROCESS: Final = "/api/v1/process"
HEALTH: Final = ("health", "check")


@dataclass(frozen=True, slots=True)
class Door:
    """A question that can be asked.

    Attributes
    ----------
    answer : type
        What is answered, one of `answers`.
    source : str
        What it is answered from, best first.
    scope : str
        What a caller has to be allowed.
    derive : str
        ``module:function`` under `ai_engine.control_plane`; imported at the first question, as numpy is.
        Empty: the router answers it.
    path : str
        Where the scheduler or the orchestrator asks; empty: only the integration layer does.
    method : str
    pairs : tuple of (str, str)
        Service and method by which the integration layer asks, each with its aliases.
    """

    answer: type
    source: str
    scope: Scope
    derive: str = ""
    path: str = ""
    method: str = "POST"
    pairs: tuple[tuple[str, str], ...] = ()

    def handler(self) -> Callable[[Question], Outcome]:
        """Import what derives the answer."""
        module, _, function = self.derive.partition(":")
        found = getattr(import_module(f"ai_engine.control_plane.{module}"), function)
        return cast("Callable[[Question], Outcome]", found)


_FORECAST: Final = (
    "a trained forecaster that covers the resource; else seasonal formulas over the history sent"
)
_DETECT: Final = "a trained detector that covers the metrics; else robust deviations from the points before"
_PRECOPY: Final = (
    "a trained migration_prediction whose columns are told; else the pre-copy model (Clark et al. 2005)"
)
_CARRIED: Final = "what the request carries"

DOORS: Final[tuple[Door, ...]] = (
    Door(
        answers.DemandForecast,
        _FORECAST,
        "predict",
        "forecasts:predict_demand",
        pairs=(("resource_prediction", "predict_demand"), ("resource", "predict")),
    ),
    Door(
        answers.Anomalies,
        f"{_DETECT}, or from context.baseline",
        "predict",
        "unusual_points:detect",
        pairs=(("anomaly_detection", "detect"), ("anomaly", "detect")),
    ),
    Door(
        answers.WorkloadPatterns,
        "seasons, trend and spread of the points sent",
        "predict",
        "workloads:analyze_patterns",
        pairs=(("workload_pattern_recognition", "analyze_patterns"), ("workload", "analyze")),
    ),
    Door(
        answers.PredictiveScaling,
        "the upper 95 % quantile of a forecast of historical_usage and predicted_demand, over a target use "
        "of 70 %",
        "predict",
        "cluster_scaling:predict_scaling",
        pairs=(("predictive_scaling", "predict_scaling"), ("scaling", "optimize")),
    ),
    Door(
        answers.ClusterOptimization,
        "the use of nodes in cluster_data or performance_data",
        "predict",
        "clusters:optimize_cluster",
        pairs=(("performance_optimization", "optimize_cluster"), ("performance", "optimize")),
    ),
    Door(
        answers.Trained,
        "a training on training_data, as a job",
        "train",
        pairs=(("model_training", "train"), ("model", "train")),
    ),
    Door(
        answers.RegisteredModel,
        "the registry: the active version of the model type",
        "read",
        pairs=(("model_management", "get_info"), ("model", "info")),
    ),
    Door(dict, "as GET /health", "read", pairs=(HEALTH,)),
    Door(
        answers.ResourcePrediction,
        _FORECAST,
        "predict",
        "forecasts:predict_resources",
        "/predict/resources",
    ),
    Door(
        answers.AnomalyVerdict,
        _DETECT,
        "predict",
        "unusual_metrics:detect_for_scheduler",
        "/detect/anomaly",
    ),
    Door(
        answers.MigrationAdvice,
        f"{_PRECOPY}, by host",
        "predict",
        "migrations:predict_migration",
        "/predict/migration",
        pairs=(("migration", "predict"),),
    ),
    Door(
        answers.WorkloadAnalysis,
        "seasons, trend and spread of the rows sent",
        "predict",
        "workloads:analyze_workload",
        "/analyze/workload",
    ),
    Door(
        answers.ScalingAdvice,
        "a trained forecaster, else formulas over historical_data: the upper 95 % quantile over a target "
        "use of 70 %",
        "predict",
        "scaling:optimize_scaling",
        "/optimize/scaling",
    ),
    Door(
        answers.PerformanceOptimization,
        "the use of nodes in performance_data",
        "predict",
        "clusters:optimize_performance",
        "/optimize/performance",
    ),
    Door(
        answers.BandwidthOptimization,
        "quantiles of the traffic sent",
        "predict",
        "traffic:optimize_bandwidth",
        "/optimize/bandwidth",
        pairs=(("bandwidth", "optimize"),),
    ),
    Door(
        answers.SystemMetrics,
        "/proc and /sys of this host, and what was counted since the start",
        "read",
        path="/metrics/system",
        method="GET",
    ),
    Door(
        answers.PredictionStatistics,
        "what was counted since the start, and the registry's newest measurements",
        "read",
        path="/statistics/predictions",
        method="GET",
    ),
    Door(
        answers.MigrationTime,
        _PRECOPY,
        "predict",
        "migrations:predict_migration_time",
        "/predict/migration_time",
    ),
    Door(
        answers.FailureRisk,
        "a trained migration_prediction with failures; else dirty rate over bandwidth",
        "predict",
        "migrations:predict_failure_risk",
        "/predict/failure_risk",
    ),
    Door(
        answers.BandwidthForecast,
        f"{_CARRIED}: bandwidth and its use, latency and loss (Mathis et al. 1997)",
        "predict",
        "networks:predict_bandwidth",
        "/predict/bandwidth",
    ),
    Door(
        answers.OptimalPath,
        f"{_CARRIED}: the widest path of network_topology",
        "predict",
        "networks:optimal_path",
        "/predict/optimal_path",
    ),
    Door(
        answers.MigrationStrategy,
        "the pre-copy model over vm_data and network_data",
        "predict",
        "transfers:migration_strategy",
        "/optimize/migration_strategy",
    ),
    Door(
        answers.CompressionChoice,
        f"{_CARRIED}: the entropy, compressibility or ratio in data_profile",
        "predict",
        "transfers:compression",
        "/optimize/compression",
    ),
    Door(
        answers.MemoryIterations,
        "the pre-copy model over vm_memory_pattern",
        "predict",
        "transfers:memory_iterations",
        "/optimize/memory_iterations",
    ),
    Door(
        answers.NetworkConditions,
        f"{_CARRIED}: measurements of the node's network",
        "predict",
        "networks:network_conditions",
        "/analyze/network_conditions",
    ),
    Door(
        answers.OrchestratorAnomalies,
        _DETECT,
        "predict",
        "unusual_metrics:detect_for_orchestrator",
        "/analyze/anomalies",
    ),
    Door(
        answers.MigrationPatterns,
        f"{_CARRIED}: past migrations in historical_data",
        "predict",
        "past_migrations:migration_patterns",
        "/analyze/patterns",
    ),
    Door(
        answers.Adjustments,
        "the pre-copy model over current_metrics",
        "predict",
        "transfers:adjustments",
        "/recommend/adjustments",
    ),
)

PAIRS: Final[Mapping[tuple[str, str], Door]] = {pair: door for door in DOORS for pair in door.pairs}


def supported_services() -> dict[str, list[str]]:
    """Return every service of the integration layer with its methods.

    >>> supported_services()["health"]
    ['check']
    """
    found: dict[str, list[str]] = {}
    for service, method in PAIRS:
        found.setdefault(service, []).append(method)
    return found
