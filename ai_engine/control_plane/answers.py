"""What the doors answer, by the names that NovaCron's programs read. What is None is left out of the JSON.

Longer than 300 lines, as every answer stands here: this is the table of what is promised. Moments are
RFC 3339 in UTC. Numbers are in the unit of what was given, unless it is told.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Numbers = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What an answer comes from; `training_data` says from how much, and what its numbers measure."""

    name: str
    version: str
    training_data: str
    accuracy: float
    last_trained: str


@dataclass(frozen=True, slots=True)
class DemandForecast:
    """A forecast of one resource of a node, one number a step."""

    predictions: list[float]
    lower: list[float]
    upper: list[float]
    timestamps: list[str]
    interval_seconds: float
    resource_type: str
    confidence: float
    model_info: ModelInfo
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A point that is unusual beside those before it."""

    timestamp: str
    anomaly_type: str
    severity: str
    score: float
    description: str
    affected_metrics: list[str]
    recommendations: list[str]
    context: Numbers | None = None


@dataclass(frozen=True, slots=True)
class Anomalies:
    """The anomalies among some points."""

    anomalies: list[Anomaly]
    overall_score: float
    baseline: Numbers
    confidence: float
    model_info: ModelInfo
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern of a metric over a time; `intensity` is its height over the highest value."""

    type: str
    start_time: str
    end_time: str
    intensity: float
    frequency: str
    confidence: float
    description: str


@dataclass(frozen=True, slots=True)
class Seasonality:
    """The season of a workload; `period` in ns, 0 where there is none, `strength` the share it explains."""

    has_seasonality: bool
    period: int
    strength: float
    components: list[str]
    peak_times: list[str]
    low_times: list[str]


@dataclass(frozen=True, slots=True)
class WorkloadPatterns:
    """The patterns of a workload."""

    patterns: list[Pattern]
    classification: str
    seasonality: Seasonality
    recommendations: list[str]
    confidence: float
    confidence_is: str
    notes: list[str]


@dataclass(frozen=True, slots=True)
class ScalingDecision:
    """What to do with a resource: target over current value is the factor by which its capacity changes."""

    action: str
    resource: str
    current_value: float
    target_value: float
    confidence: float
    reasoning: str
    cost_impact: float
    capacity_factor: float


@dataclass(frozen=True, slots=True)
class ScalingAction:
    """A capacity to have: in the unit of a capacity that is a share, else as a share of the present one."""

    action: str
    resource: str
    target_capacity: float


@dataclass(frozen=True, slots=True)
class PredictiveScaling:
    """Advice on the capacity of a cluster."""

    scaling_actions: list[ScalingAction]
    decisions: list[ScalingDecision]
    recommendations: list[str]
    confidence: float
    confidence_is: str
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A change of a cluster, with what it rests on in `impact`."""

    type: str
    target: str
    action: str
    parameters: Mapping[str, str | float]
    priority: int
    impact: str
    confidence: float


@dataclass(frozen=True, slots=True)
class RiskAssessment:
    """What could go wrong, from 0 to 1; the whole is the highest of its parts."""

    overall_risk: float
    risk_factors: list[str]
    mitigations: list[str]
    risk_breakdown: Numbers


@dataclass(frozen=True, slots=True)
class ClusterOptimization:
    """Recommendations for a cluster."""

    recommendations: list[Recommendation]
    expected_gains: Numbers
    risk_assessment: RiskAssessment
    confidence: float
    confidence_is: str
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Trained:
    """A version that a training made, as ``POST /train`` answers it; or the job that goes on."""

    training_status: str
    model_type: str
    model_name: str
    job_id: str
    status_url: str
    message: str
    confidence: float
    model_id: str | None = None
    model_version: str | None = None
    performance_metrics: Mapping[str, Any] | None = None  # as POST /train answers it
    training_time: float | None = None
    timestamp: str | None = None
    persisted: bool | None = None
    active: bool | None = None
    activation_reason: str | None = None
    reading: Mapping[str, Any] | None = None  # as POST /train answers it


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model as the integration layer reads it, flat."""

    name: str
    version: str
    training_data: str
    accuracy: float
    last_trained: str
    model_type: str
    confidence: float


@dataclass(frozen=True, slots=True)
class ResourcePrediction:
    """A forecast for the scheduler; `prediction` is of `target` at the end of the horizon."""

    resource_id: str
    prediction: float
    confidence: float
    timestamp: str
    model_used: str
    target: str
    predictions: Mapping[str, list[float]]
    confidence_intervals: Mapping[str, list[list[float]]]
    meets_threshold: bool
    reasoning: str


@dataclass(frozen=True, slots=True)
class AnomalyVerdict:
    """What is thought of the present metrics of a resource."""

    resource_id: str
    is_anomaly: bool
    anomaly_score: float
    affected_metrics: list[str]
    severity: str
    recommendations: list[str]
    timestamp: str
    model_used: str
    reasoning: str
    anomaly_type: str | None = None


@dataclass(frozen=True, slots=True)
class MigrationTarget:
    """A host that a VM may migrate to."""

    host: str
    score: float
    duration_s: float
    downtime_s: float
    reasons: list[str]


@dataclass(frozen=True, slots=True)
class MigrationAdvice:
    """The host that a VM had best migrate to, and what that comes to; times in seconds."""

    vm_id: str
    recommended_host: str
    prediction_time: float
    confidence: float
    reasons: list[str]
    migration_score: float
    network_impact: Numbers
    estimated_downtime: float
    cost_analysis: Numbers
    ranking: list[MigrationTarget]
    model_used: str
    confidence_is: str


@dataclass(frozen=True, slots=True)
class WorkloadAnalysis:
    """What kind of workload a VM has."""

    vm_id: str
    workload_type: str
    pattern_type: str
    confidence: float
    characteristics: Numbers
    recommendations: list[str]
    timestamp: str
    confidence_is: str
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Scheduled:
    """When a decision had best be carried out."""

    action: str
    resource: str
    scheduled_time: str
    urgency: str


@dataclass(frozen=True, slots=True)
class ScalingAdvice:
    """Advice on the resources of a VM."""

    vm_id: str
    decisions: list[ScalingDecision]
    total_cost_impact: float
    performance_impact: float
    execution_timeline: list[Scheduled]
    confidence: float
    confidence_is: str
    cost_unit: str
    notes: list[str]


@dataclass(frozen=True, slots=True)
class FleetScaling:
    """Advice on many VMs; those that cannot be advised are told by their ids, with the reason."""

    vms: list[ScalingAdvice]
    refused: Mapping[str, str]
    total_cost_impact: float
    confidence: float


@dataclass(frozen=True, slots=True)
class PerformanceOptimization:
    """Recommendations for a cluster, as the scheduler reads them."""

    cluster_id: str
    optimizations: list[Recommendation]
    expected_improvements: Numbers
    implementation_priority: list[str]
    confidence: float
    confidence_is: str
    notes: list[str]


@dataclass(frozen=True, slots=True)
class BandwidthChange:
    """What to do with the bandwidth between two nodes, in the unit of the traffic."""

    source: str
    destination: str
    action: str
    current_bandwidth: float
    recommended_bandwidth: float
    reasoning: str


@dataclass(frozen=True, slots=True)
class BandwidthOptimization:
    """Bandwidth for each node, in the unit of the traffic."""

    network_id: str
    optimizations: list[BandwidthChange]
    bandwidth_allocation: Numbers
    qos_improvements: Numbers
    estimated_savings: float
    confidence: float
    confidence_is: str
    notes: list[str]


@dataclass(frozen=True, slots=True)
class SystemMetrics:
    """How busy this host and this process are; shares from 0 to 1. Null: nothing was measured yet."""

    cpu_utilization: float
    memory_utilization: float
    disk_utilization: float
    network_utilization: float
    active_predictions: int
    completed_optimizations: int
    anomalies_detected: int
    model_accuracy_avg: float | None = field(metadata={"null": True})
    prediction_latency_ms: float | None = field(metadata={"null": True})
    system_load: float
    network_basis: str
    timestamp: str


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds that predictions took: the mean of all, quantiles of the last ones. Null: none was made."""

    avg: float | None = field(metadata={"null": True})
    p95: float | None = field(metadata={"null": True})
    p99: float | None = field(metadata={"null": True})
    quantiles_of_last: int


@dataclass(frozen=True, slots=True)
class PredictionStatistics:
    """What was predicted since the start of this process."""

    total_predictions: int
    accuracy_by_model: Numbers
    prediction_latency: Latency
    model_utilization: Numbers
    error_rates: Numbers
    timestamp: str


@dataclass(frozen=True, slots=True)
class MigrationTime:
    """How long a migration takes."""

    duration_seconds: float
    confidence: float
    model_used: str
    confidence_is: str
    downtime_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class FailureRisk:
    """The risk that a migration fails, 0 to 1."""

    risk: float
    risk_is: str


@dataclass(frozen=True, slots=True)
class BandwidthForecast:
    """What a migration gets of a network, in bytes a second."""

    bandwidth: float
    bandwidth_is: str


@dataclass(frozen=True, slots=True)
class OptimalPath:
    """The path whose narrowest link is widest."""

    path: list[str]
    bottleneck: float
    reasoning: str


@dataclass(frozen=True, slots=True)
class MigrationStrategy:
    """How to migrate a VM; bandwidth in bytes a second."""

    type: str
    memory_iterations: int
    compression_level: int
    bandwidth_allocation: float
    confidence: float
    reasoning: str


@dataclass(frozen=True, slots=True)
class CompressionChoice:
    """How to compress what is sent; the chunk in bytes."""

    type: str
    level: int
    chunk_size: int
    confidence: float
    reasoning: str


@dataclass(frozen=True, slots=True)
class MemoryIterations:
    """Rounds of pre-copy."""

    iterations: int
    reasoning: str


@dataclass(frozen=True, slots=True)
class NetworkConditions:
    """The conditions of a node's network, in the units of the measurements."""

    bandwidth: float
    latency: float
    packet_loss: float
    jitter: float
    congestion_level: float
    predicted_stability: float
    reasoning: str


@dataclass(frozen=True, slots=True)
class OrchestratorAnomaly:
    """An unusual metric, as the migration orchestrator reads it."""

    type: str
    severity: str
    message: str
    confidence: float
    recommendations: list[str]


@dataclass(frozen=True, slots=True)
class OrchestratorAnomalies:
    """Unusual metrics."""

    anomalies: list[OrchestratorAnomaly]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class MigrationPattern:
    """Migrations of a kind: how many, how many of them succeeded, and their mean seconds."""

    pattern: str
    frequency: int
    success_rate: float
    avg_duration: float
    recommendations: list[str]


@dataclass(frozen=True, slots=True)
class MigrationPatterns:
    """What past migrations show."""

    patterns: list[MigrationPattern]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A parameter of a running migration that had better have another value."""

    parameter: str
    current_value: float
    recommended_value: float
    reason: str
    confidence: float
    impact: str


@dataclass(frozen=True, slots=True)
class Adjustments:
    """What to change about a running migration; nothing where it is well as it is."""

    recommendations: list[Adjustment]
    reasoning: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """An answer of ``POST /api/v1/process``; `process_time` in seconds."""

    id: str
    success: bool
    confidence: float
    process_time: float
    model_version: str
    data: Mapping[str, Any] | None = None  # what the door of the service answers
    error: str | None = None
    supported_services: Mapping[str, list[str]] | None = None


def plain(answer: Any) -> Any:
    """Return an answer (a dataclass, or what stands in one) as JSON values, without what is None.

    Raises
    ------
    ValueError
        If a number is not finite: nothing is answered then.

    Examples
    --------
    >>> plain(FailureRisk(0.5, "x"))
    {'risk': 0.5, 'risk_is': 'x'}
    """
    if dataclasses.is_dataclass(answer):
        told = {}
        for one in dataclasses.fields(answer):
            value = getattr(answer, one.name)
            if value is not None or one.metadata.get("null"):
                told[one.name] = plain(value)
        return told
    if isinstance(answer, Mapping):
        return {str(name): plain(value) for name, value in answer.items()}
    if isinstance(answer, (list, tuple)):
        return [plain(value) for value in answer]
    if isinstance(answer, float):
        if not math.isfinite(answer):
            raise ValueError("a number of the answer is not finite")
        return float(answer)
    return answer


def as_json(answer: Any) -> bytes:
    """Return an answer as JSON. Raises ValueError where a number is not finite."""
    return json.dumps(plain(answer), allow_nan=False, ensure_ascii=False).encode("utf-8", "backslashreplace")
