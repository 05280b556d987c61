"""NovaCron's clients as they behave: what they declare, how they decode it, and how often they try.

A decoder is a declaration: a type for each name that the client reads. Zero values are not taken in the
place of what is missing: the doors promise every name of a table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


class RefusedError(Exception):
    """The client cannot use an answer."""


@dataclass(frozen=True)
class Optional:
    """A name that may be left out, and may not be null."""

    of: Any


Declared = (
    Any  # one of the functions below, a dict of names, a list of one, Optional, or a mapping declaration
)


def text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise RefusedError(f"{where}: {value!r} is no text")
    return value


def number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise RefusedError(f"{where}: {value!r} is no finite number")
    return float(value)


def share(value: Any, where: str) -> float:
    found = number(value, where)
    if not 0 <= found <= 1:
        raise RefusedError(f"{where}: {value!r} is not in 0 to 1")
    return found


def whole(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise RefusedError(f"{where}: {value!r} is no int64")
    return value


def truth(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise RefusedError(f"{where}: {value!r} is no boolean")
    return value


def moment(value: Any, where: str) -> str:
    if not isinstance(value, str) or not RFC3339.fullmatch(value) or not value.endswith("Z"):
        raise RefusedError(f"{where}: {value!r} is no RFC 3339 in UTC")
    return value


def anything(value: Any, where: str) -> Any:
    if value is None:
        raise RefusedError(f"{where}: is null")
    return value


def mapped(of: Declared) -> Callable[[Any, str], dict[str, Any]]:
    """Declare an object of any names."""

    def decoded(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise RefusedError(f"{where}: {value!r} is no object")
        return {name: decode(of, item, f"{where}.{name}") for name, item in value.items()}

    return decoded


def one_of(*words: str) -> Callable[[Any, str], str]:
    def decoded(value: Any, where: str) -> str:
        if value not in words:
            raise RefusedError(f"{where}: {value!r} is none of {words}")
        return str(value)

    return decoded


def decode(declared: Declared, value: Any, where: str = "answer") -> Any:
    """Return what a client has after decoding, or raise RefusedError."""
    if isinstance(declared, dict):
        if not isinstance(value, dict):
            raise RefusedError(f"{where}: {value!r:.80} is no object")
        found = {}
        for name, inner in declared.items():
            if isinstance(inner, Optional):
                if name in value:
                    found[name] = decode(inner.of, value[name], f"{where}.{name}")
            elif name not in value:
                raise RefusedError(f"{where}.{name}: is missing")
            else:
                found[name] = decode(inner, value[name], f"{where}.{name}")
        return found
    if isinstance(declared, list):
        if not isinstance(value, list):
            raise RefusedError(f"{where}: {value!r:.80} is no list")
        return [decode(declared[0], item, f"{where}[{i}]") for i, item in enumerate(value)]
    return declared(value, where)


MODEL_INFO = {
    "name": text,
    "version": text,
    "training_data": text,
    "accuracy": number,
    "last_trained": moment,
}
SEVERITY = one_of("normal", "low", "medium", "high", "critical")
DECISION = {
    "action": text,
    "resource": text,
    "current_value": number,
    "target_value": number,
    "confidence": share,
    "reasoning": text,
    "cost_impact": number,
}
RECOMMENDATION = {
    "type": text,
    "target": text,
    "action": text,
    "parameters": mapped(anything),
    "priority": whole,
    "impact": text,
    "confidence": share,
}

# The integration layer, by service and method.
SERVICES: Mapping[tuple[str, str], Declared] = {
    ("resource_prediction", "predict_demand"): {
        "predictions": [number],
        "confidence": share,
        "model_info": MODEL_INFO,
    },
    ("anomaly_detection", "detect"): {
        "anomalies": [
            {
                "timestamp": moment,
                "anomaly_type": text,
                "severity": SEVERITY,
                "score": share,
                "description": text,
                "affected_metrics": [text],
                "recommendations": [text],
                "context": Optional(mapped(anything)),
            }
        ],
        "overall_score": share,
        "baseline": mapped(number),
        "model_info": MODEL_INFO,
    },
    ("workload_pattern_recognition", "analyze_patterns"): {
        "patterns": [
            {
                "type": text,
                "start_time": moment,
                "end_time": moment,
                "intensity": number,
                "frequency": text,
                "confidence": share,
                "description": text,
            }
        ],
        "classification": text,
        "seasonality": {
            "has_seasonality": truth,
            "period": whole,
            "strength": share,
            "components": [text],
            "peak_times": [moment],
            "low_times": [moment],
        },
        "recommendations": [text],
        "confidence": share,
    },
    ("predictive_scaling", "predict_scaling"): {
        "scaling_actions": [{"action": text, "resource": text, "target_capacity": number}],
        "confidence": share,
        "recommendations": [text],
        "decisions": [DECISION],
    },
    ("performance_optimization", "optimize_cluster"): {
        "recommendations": [RECOMMENDATION],
        "expected_gains": mapped(number),
        "risk_assessment": {
            "overall_risk": share,
            "risk_factors": [text],
            "mitigations": [text],
            "risk_breakdown": mapped(number),
        },
        "confidence": share,
    },
    ("model_training", "train"): {"training_status": text},
    ("model_management", "get_info"): MODEL_INFO,
    ("health", "check"): {"status": text, "components": mapped(text), "timestamp": moment},
}
ALIASES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("resource", "predict"): ("resource_prediction", "predict_demand"),
    ("anomaly", "detect"): ("anomaly_detection", "detect"),
    ("workload", "analyze"): ("workload_pattern_recognition", "analyze_patterns"),
    ("scaling", "optimize"): ("predictive_scaling", "predict_scaling"),
    ("performance", "optimize"): ("performance_optimization", "optimize_cluster"),
    ("model", "train"): ("model_training", "train"),
    ("model", "info"): ("model_management", "get_info"),
}
ENVELOPE = {
    "id": text,
    "success": truth,
    "data": Optional(mapped(anything)),
    "error": Optional(text),
    "confidence": share,
    "process_time": number,
    "model_version": text,
    "supported_services": Optional(mapped([text])),
}


def number_or_numbers(value: Any, where: str) -> Any:
    return [number(item, where) for item in value] if isinstance(value, list) else number(value, where)


# The scheduler and the migration orchestrator, by path.
PATHS: Mapping[str, Declared] = {
    "/predict/resources": {
        "resource_id": text,
        "prediction": number_or_numbers,
        "confidence": share,
        "timestamp": moment,
        "model_used": text,
        "feature_importance": Optional(mapped(number)),
        "confidence_intervals": Optional(anything),
    },
    "/detect/anomaly": {
        "resource_id": text,
        "is_anomaly": truth,
        "anomaly_score": share,
        "anomaly_type": Optional(text),
        "affected_metrics": [text],
        "severity": SEVERITY,
        "recommendations": [text],
        "timestamp": moment,
    },
    "/predict/migration": {
        "vm_id": text,
        "recommended_host": text,
        "prediction_time": number,
        "confidence": share,
        "reasons": [text],
        "migration_score": share,
        "network_impact": mapped(number),
        "estimated_downtime": number,
        "cost_analysis": mapped(number),
    },
    "/analyze/workload": {
        "vm_id": text,
        "workload_type": text,
        "pattern_type": text,
        "confidence": share,
        "characteristics": mapped(number),
        "recommendations": [text],
        "timestamp": moment,
    },
    "/optimize/scaling": {
        "vm_id": text,
        "decisions": [DECISION],
        "total_cost_impact": number,
        "performance_impact": number,
        "execution_timeline": [{"action": text, "resource": text, "scheduled_time": moment, "urgency": text}],
        "confidence": share,
    },
    "/optimize/performance": {
        "cluster_id": text,
        "optimizations": [RECOMMENDATION],
        "expected_improvements": mapped(number),
        "implementation_priority": [text],
        "confidence": share,
    },
    "/optimize/bandwidth": {
        "network_id": text,
        "optimizations": [mapped(anything)],
        "bandwidth_allocation": mapped(number),
        "qos_improvements": mapped(number),
        "estimated_savings": number,
    },
    "/predict/migration_time": {"duration_seconds": number, "confidence": share},
    "/predict/failure_risk": {"risk": share},
    "/predict/bandwidth": {"bandwidth": number},
    "/predict/optimal_path": {"path": [text]},
    "/optimize/migration_strategy": {
        "type": text,
        "memory_iterations": whole,
        "compression_level": whole,
        "bandwidth_allocation": number,
        "confidence": share,
    },
    "/optimize/compression": {"type": text, "level": whole, "chunk_size": whole, "confidence": share},
    "/optimize/memory_iterations": {"iterations": whole},
    "/analyze/network_conditions": {
        "bandwidth": number,
        "latency": number,
        "packet_loss": number,
        "jitter": number,
        "congestion_level": number,
        "predicted_stability": number,
    },
    "/analyze/anomalies": {
        "anomalies": [
            {
                "type": text,
                "severity": SEVERITY,
                "message": text,
                "confidence": share,
                "recommendations": [text],
            }
        ],
    },
    "/analyze/patterns": {
        "patterns": [
            {
                "pattern": text,
                "frequency": number,
                "success_rate": share,
                "avg_duration": number,
                "recommendations": [text],
            }
        ],
    },
    "/recommend/adjustments": {
        "recommendations": [
            {
                "parameter": text,
                "current_value": number,
                "recommended_value": number,
                "reason": text,
                "confidence": share,
                "impact": text,
            }
        ],
    },
}


@dataclass
class Clock:
    """A clock that is moved by who sleeps by it."""

    now: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


Send = Callable[[str, Mapping[str, Any]], tuple[int, Any]]  # path and body to status and JSON


@dataclass
class IntegrationLayer:
    """The client of door 1: three attempts with one id, 1 and 2 s apart, behind a breaker."""

    send: Send
    clock: Clock = field(default_factory=Clock)
    failures: int = 0
    shut_until: float = -1.0
    sent: list[Mapping[str, Any]] = field(default_factory=list)

    def ask(self, name: str, service: str, method: str, data: Any) -> dict[str, Any]:
        """Return the data of an answer, decoded; raise RefusedError where three attempts have failed."""
        problem = ""
        for pause in (0.0, 1.0, 2.0):
            self.clock.sleep(pause)
            if self.clock.now < self.shut_until:
                raise RefusedError("the breaker is open")
            body = {"id": name, "service": service, "method": method, "data": data, "metadata": None}
            self.sent.append(body)
            status, answer = self.send("/api/v1/process", body)
            try:
                if status != 200:
                    raise RefusedError(f"status {status}")
                told: dict[str, Any] = decode(ENVELOPE, answer)
                if not told["success"]:
                    raise RefusedError(told["error"])
                self.failures = 0
                declared = SERVICES[ALIASES.get((service, method), (service, method))]
                found: dict[str, Any] = decode(declared, told["data"])
                return found | {"_envelope": told}
            except RefusedError as error:
                problem = str(error)
                self.failures += 1
                if self.failures >= 5:
                    self.shut_until = self.clock.now + 60.0
        raise RefusedError(problem)


@dataclass
class Scheduler:
    """The scheduler's client: four attempts 2, 4 and 8 s apart; of a refusal only the status counts."""

    send: Send
    clock: Clock = field(default_factory=Clock)
    attempts: int = 0

    def ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return an answer, decoded; None where it falls back to what it knows itself."""
        for pause in (0.0, 2.0, 4.0, 8.0):
            self.clock.sleep(pause)
            self.attempts += 1
            status, answer = self.send(path, body)
            if status == 200:
                found: dict[str, Any] = decode(PATHS[path], answer)
                return found
        return None
