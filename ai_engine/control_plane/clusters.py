"""Recommendations for a cluster, from how its nodes were used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from ai_engine.control_plane.answers import (
    ClusterOptimization,
    PerformanceOptimization,
    Recommendation,
    RiskAssessment,
)
from ai_engine.control_plane.derivations.balance import Spread, fewest_nodes, spread_of
from ai_engine.control_plane.derivations.capacity import INTEGRATION_LIMITS, TARGET_USE
from ai_engine.control_plane.derivations.series import succession
from ai_engine.control_plane.engine import Outcome, Question
from ai_engine.control_plane.given import Given
from ai_engine.control_plane.nodes import Cluster, cluster_of
from ai_engine.domain.errors import NotAnswerableError

METHOD: Final = "use-of-nodes"


METHOD_VERSION: Final = "1"


# Above, nodes are used unevenly: the standard deviation is a fifth of the mean.
UNEVEN: Final = 0.2


LOW, HIGH = INTEGRATION_LIMITS


def optimize_cluster(question: Question) -> Outcome:
    """Return recommendations for a cluster, as the integration layer reads them.

    Raises
    ------
    NotAnswerableError
        If no node's use was understood.
    """
    given = Given(question.fields)
    data = given.inner("cluster_data")
    rows = data.items("nodes") or given.items("performance_data")
    cluster = cluster_of(rows, data)
    found, gains, risk, confidence = _recommend(
        cluster, given, given.text("cluster_id"), "goals", "optimization_goals"
    )
    answer = ClusterOptimization(found, gains, risk, confidence, _confidence_is(), cluster.notes)
    return Outcome(answer, confidence, METHOD, METHOD_VERSION, len(found), optimizations=len(found))


def optimize_performance(question: Question) -> Outcome:
    """Return recommendations for a cluster, as the scheduler reads them.

    Raises
    ------
    NotAnswerableError
        If no node's use was understood.
    """
    given = Given(question.fields)
    cluster = cluster_of(given.items("performance_data"), Given({}))
    name = given.text("cluster_id")
    found, gains, _, confidence = _recommend(cluster, given, name, "optimization_goals", "goals")
    order = [f"{one.type}: {one.target}" for one in sorted(found, key=lambda one: one.priority)]
    answer = PerformanceOptimization(name, found, gains, order, confidence, _confidence_is(), cluster.notes)
    return Outcome(answer, confidence, METHOD, METHOD_VERSION, len(found), optimizations=len(found))


def _confidence_is() -> str:
    return (
        "share of the moments that were sent at which what it rests on held, by the rule of succession; of "
        "the whole, the least of the recommendations'"
    )


def _recommend(
    cluster: Cluster, given: Given, name: str, *goals_in: str
) -> tuple[list[Recommendation], dict[str, float], RiskAssessment, float]:
    goals = " ".join(
        str(goal).lower()
        for field in goals_in
        for goal in given.items(field)
        if isinstance(goal, (str, int, float))
    )
    if not cluster.samples:
        raise NotAnswerableError(
            f"how to improve the cluster {name!r}" if name else "how to improve a cluster",
            "no node's use was understood. Send nodes such as "
            '{"node_id": "n1", "cpu_usage": 0.7, "memory_usage": 0.5}. ' + " ".join(cluster.notes),
        )
    spreads = {resource: spread_of(resource, samples) for resource, samples in cluster.samples.items()}
    nodes = cluster.nodes()
    target = given.inner("constraints").first("target_utilization", "max_utilization") or TARGET_USE
    target = target / 100 if target > 1.5 else target
    found: list[Recommendation] = []
    gains: dict[str, float] = {}
    for resource, spread in spreads.items():
        found += _balance(spread, cluster)
        gains[f"{resource}_peak_reduction"] = spread.highest - spread.mean
    found += _size(spreads, cluster.samples, nodes, target, name)
    gains["nodes_to_spare"] = float(max(0, len(nodes) - fewest_nodes(list(nodes.values()), target)))
    found.sort(key=lambda one: (-_wanted(one, goals), -one.confidence))
    ranked = [
        Recommendation(one.type, one.target, one.action, one.parameters, place, one.impact, one.confidence)
        for place, one in enumerate(found, 1)
    ]
    risk = _risk(spreads, cluster)
    moments = max(len(samples) for samples in cluster.samples.values())
    confidence = min((one.confidence for one in ranked), default=succession(moments, moments))
    return ranked, gains, risk, confidence


def _wanted(one: Recommendation, goals: str) -> int:
    """Return how much a goal asks for a type of recommendation."""
    words = {
        "energy_optimization": ("energy", "power", "cost"),
        "load_balancing": ("balance", "performance", "latency", "throughput"),
        "resource_allocation": ("utilization", "efficiency", "allocation"),
        "migration": ("balance", "migration"),
        "scaling": ("scal", "availability", "performance"),
    }
    return sum(word in goals for word in words.get(one.type, ()))


def _balance(spread: Spread, cluster: Cluster) -> list[Recommendation]:
    """Return what to do about nodes that are used unevenly."""
    if len(spread.nodes) < 2 or spread.variation < UNEVEN:
        return []
    busiest, idlest = spread.busiest, spread.idlest
    told = (
        f"{spread.resource} of {busiest} is used to {spread.highest:.0%} and of {idlest} to "
        f"{spread.lowest:.0%}, around {spread.mean:.0%}; seen at {spread.samples} moments"
    )
    found = [
        Recommendation(
            "load_balancing",
            busiest,
            f"send new load to {idlest} before {busiest}",
            # Of the connections that a node has, or of what it is worth: the second where nodes differ in
            # size.
            {"algorithm": "weighted_least_used", "resource": spread.resource, "from": busiest, "to": idlest,
             "share": (spread.highest - spread.mean)},
            0,
            f"brings the highest use of {spread.resource} from {spread.highest:.0%} to the mean of "
            f"{spread.mean:.0%}: {told}",
            spread.held,
        )
    ]  # fmt: skip
    if spread.highest > HIGH:
        samples = [sample for sample in cluster.samples[spread.resource] if busiest in sample]
        over = succession(sum(sample[busiest] > HIGH for sample in samples), len(samples))
        source, goal = cluster.clusters.get(busiest, busiest), cluster.clusters.get(idlest, idlest)
        found.append(
            Recommendation(
                "migration",
                busiest,
                f"move load from {busiest} to {idlest}",
                {"source_cluster": source, "target_cluster": goal,
                 "source_node": busiest, "target_node": idlest,
                 "resource": spread.resource, "share": spread.highest - spread.mean},
                0,
                f"takes {busiest} below {HIGH:.0%}: {told}",
                over,
            )
        )  # fmt: skip
    return found


def _size(
    spreads: Mapping[str, Spread],
    samples: Mapping[str, list[dict[str, float]]],
    nodes: Mapping[str, Mapping[str, float]],
    target: float,
    name: str,
) -> list[Recommendation]:
    """Return whether the cluster is too small or too large for its load."""
    found = []
    count = len(nodes)
    fewest = fewest_nodes(list(nodes.values()), target)
    tightest = max(spreads.values(), key=lambda one: one.mean)
    means = [math.fsum(sample.values()) / len(sample) for sample in samples[tightest.resource]]
    where = name or "the cluster"
    if tightest.mean > target:
        held = succession(sum(mean > target for mean in means), len(means))
        factor = tightest.mean / target
        found.append(
            Recommendation(
                "scaling", where, "scale_up",
                {"scale_action": "scale_up", "target_capacity": factor, "nodes": float(fewest)}, 0,
                f"{tightest.resource} is used to {tightest.mean:.0%} on average; {factor:.3g} times the "
                "capacity brings it "
                f"to {target:.0%}", held,
            )
        )  # fmt: skip
    elif fewest < count:
        held = succession(sum(mean <= target * fewest / count for mean in means), len(means))
        found.append(
            Recommendation(
                "energy_optimization", where, f"consolidate onto {fewest} of {count} nodes",
                {"energy_strategy": "consolidation", "nodes": float(fewest), "target_utilization": target}, 0,
                f"the load of {count} nodes fits onto {fewest} at {target:.0%} use, so {count - fewest} "
                "could be off; how "
                "VMs can be moved is not known here", held,
            )
        )  # fmt: skip
        if tightest.mean < LOW:
            found.append(
                Recommendation(
                    "scaling", where, "scale_down",
                    {"scale_action": "scale_down", "target_capacity": fewest / count,
                     "nodes": float(fewest)}, 0,
                    f"the resource that is used most, {tightest.resource}, is used to {tightest.mean:.0%} "
                    "on average",
                    succession(sum(mean < LOW for mean in means), len(means)),
                )
            )  # fmt: skip
    if len(spreads) > 1:
        slack = min(spreads.values(), key=lambda one: one.mean)
        if tightest.mean - slack.mean > UNEVEN:
            pairs = list(zip(samples[tightest.resource], samples[slack.resource], strict=False))
            held = sum(
                math.fsum(a.values()) / len(a) > math.fsum(b.values()) / len(b) + UNEVEN for a, b in pairs
            )
            found.append(
                Recommendation(
                    "resource_allocation", where, f"place VMs by {tightest.resource}, which runs out first",
                    {"allocation_policy": "best_fit", "resource": tightest.resource}, 0,
                    f"{tightest.resource} is used to {tightest.mean:.0%} and {slack.resource} to "
                    f"{slack.mean:.0%}: capacity "
                    f"of {slack.resource} lies idle", succession(held, len(pairs)),
                )
            )  # fmt: skip
    return found


def _risk(spreads: Mapping[str, Spread], cluster: Cluster) -> RiskAssessment:
    breakdown, factors, mitigations = {}, [], []
    for resource, spread in spreads.items():
        samples = cluster.samples[resource]
        uses = [use for sample in samples for use in sample.values()]
        over = sum(use > HIGH for use in uses) / len(uses)
        breakdown[f"{resource}_overload"] = over
        if over:
            factors.append(f"{resource} was above {HIGH:.0%} in {over:.0%} of what was measured")
            mitigations.append(
                f"move load off {spread.busiest} in small steps, and look at {resource} after each"
            )
    few = 1 / (max(len(samples) for samples in cluster.samples.values()) + 1)
    breakdown["few_moments"] = few
    if few > 0.1:
        factors.append(f"the cluster was seen at {round(1 / few) - 1} moments only")
        mitigations.append("send performance_data of more moments")
    return RiskAssessment(max(breakdown.values()), factors, mitigations, breakdown)
