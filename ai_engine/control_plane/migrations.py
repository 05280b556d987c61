"""Migrations foretold: by a trained model whose columns are told, else by the published pre-copy model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ai_engine.control_plane.answers import (
    FailureRisk,
    MigrationAdvice,
    MigrationTarget,
    MigrationTime,
)
from ai_engine.control_plane.derivations.precopy import PreCopy, pre_copy
from ai_engine.control_plane.engine import Outcome, Question
from ai_engine.control_plane.given import Given, number_of
from ai_engine.control_plane.migration_models import SOURCES, completed, covering, downtime_of
from ai_engine.control_plane.sizes import bandwidth_of, dirty_rate_of, memory_of
from ai_engine.control_plane.transfers import (
    CLARK,
    CONVERGENCE_IS,
    PRE_COPY,
    PRE_COPY_VERSION,
    convergence,
    downtime_limit,
    flat,
    mapping,
    pre_copied,
)
from ai_engine.domain.errors import InvalidInputError, NotAnswerableError
from ai_engine.training.host_load import loads

MOST_HOSTS: Final = 1_000


def predict_migration(question: Question) -> Outcome:
    """Return the host that a VM had best migrate to, for the scheduler.

    Raises
    ------
    NotAnswerableError
        If no trained model covers the migration, and size, dirty rate and bandwidth are not all told.
    """
    given = Given(question.fields)
    vm, source = given.text("vm_id"), given.text("source_host")
    hosts = list(
        dict.fromkeys(
            str(host) for host in given.items("target_hosts") if str(host).strip() and host != source
        )
    )
    if not hosts:
        raise InvalidInputError(
            "target_hosts", "is empty; name the hosts that the VM may go to, other than its own"
        )
    if len(hosts) > MOST_HOSTS:
        raise InvalidInputError("target_hosts", f"are {len(hosts)}, and {MOST_HOSTS} are the most")
    topology = given.inner("network_topology").fields
    candidates = [{**mapping(topology.get(host)), "host": host} for host in hosts]
    metrics = given.inner("vm_metrics").fields
    sla = given.inner("sla_requirements")
    entries, model, confidence, confidence_is = _ranked(
        question, vm, source, metrics, candidates, topology, sla
    )
    best = entries[0]
    size = memory_of(metrics)
    known = [entry.score for entry in entries]
    price = given.inner("cost_constraints").first("price_per_gb", "cost_per_gb", "bandwidth_cost_per_gb")
    costs: dict[str, float] = {"migration_seconds": best.duration_s, "downtime_seconds": best.downtime_s}
    impact: dict[str, float] = {"duration_seconds": best.duration_s}
    told = best.sent if best.sent is not None else size
    if told is not None:
        impact["bytes_sent"] = told
        if best.duration_s > 0:
            impact["bytes_per_second"] = told / best.duration_s
        if price is not None:
            costs["transfer_cost"] = price * told / 2**30
    reasons = list(best.reasons)
    if len(entries) > 1:
        reasons.append(
            f"its score is {best.score:.3f}, that of the next one, {entries[1].host}, {entries[1].score:.3f}"
        )
    limit = sla.first("max_downtime_seconds", "max_downtime")
    if limit is not None and best.downtime_s > limit:
        reasons.append(f"the SLA allows {limit:g} s of downtime, and {best.downtime_s:.3g} s are expected")
    answer = MigrationAdvice(
        vm_id=vm,
        recommended_host=best.host,
        prediction_time=best.duration_s,
        confidence=confidence,
        reasons=reasons,
        migration_score=min(max(known[0], 0.0), 1.0),
        network_impact=impact,
        estimated_downtime=best.downtime_s,
        cost_analysis=costs,
        ranking=[
            MigrationTarget(e.host, e.score, e.duration_s, e.downtime_s, list(e.reasons)) for e in entries
        ],
        model_used=f"{model[0]} {model[1]}",
        confidence_is=confidence_is,
    )
    return Outcome(answer, confidence, model[0], model[1], numbers=len(entries))


@dataclass(frozen=True, slots=True)
class _Entry:
    host: str
    score: float
    duration_s: float
    downtime_s: float
    reasons: Sequence[str]
    sent: float | None = None


def _ranked(
    question: Question,
    vm: str,
    source: str,
    metrics: Mapping[str, Any],
    candidates: list[dict[str, Any]],
    topology: Mapping[str, Any],
    sla: Given,
) -> tuple[list[_Entry], tuple[str, str], float, str]:
    """Return the hosts, best first, what ranked them, how sure that is, and what that measures."""
    base = {**metrics, "vm_id": vm, **dict.fromkeys(SOURCES, source)}
    found = covering(question, base, candidates[0])
    if found is not None:
        ranked = found.ask(question, completed(base, found.by.model), candidates)
        entries = []
        for one in ranked.ranking:
            host = next(host for host in candidates if host["host"] == one["host"])
            downtime, reasons = downtime_of(question, found, base, host), list(one["reasons"])
            if downtime is None:  # its training knew of none
                downtime = one["duration_s"]
                reasons.append("no downtime was among the outcomes of the training: at most the duration")
            entries.append(_Entry(one["host"], one["score"], one["duration_s"], downtime, reasons))
        return entries, (found.by.name, found.by.version), found.confidence, found.confidence_is
    size, dirty = memory_of(metrics), dirty_rate_of(metrics)
    placed: list[tuple[float, str, PreCopy, list[str]]] = []
    missing: dict[str, None] = {}
    for host in candidates:
        width = bandwidth_of(host, metrics, topology)
        lacking = [
            name
            for name, value in (("memory_size", size), ("dirty_rate", dirty), ("bandwidth", width))
            if value is None
        ]
        missing |= dict.fromkeys(lacking)
        if size is None or dirty is None or width is None:
            continue
        told = pre_copy(size, dirty, width, downtime_limit(sla))
        known = loads(host, metrics)
        room = min((part.room for part in known), default=1.0)
        capacity = number_of(host.get("capacity_score"))
        share = (
            min(max(capacity, 0.0), 1.0)
            if capacity is not None and capacity <= 1
            else (min(max((capacity or 100.0) / 100, 0.0), 1.0))
        )
        reasons = [
            f"{told.seconds:.3g} s expected, {told.downtime:.3g} s of them standing still, in {told.rounds} "
            f"rounds at {width:.4g} bytes/s, by the {CLARK}",
            *([f"capacity score {capacity:g}"] if capacity is not None else []),
            *([] if told.converges else ["dirty pages come faster than they go over: it does not converge"]),
            *(part.told() for part in known),
        ]
        placed.append((room * share, str(host["host"]), told, reasons))
    if not placed:
        raise NotAnswerableError(
            f"where {vm or 'a VM'} had best migrate to",
            "no trained migration_prediction has its columns told, and for the pre-copy model "
            f"{', '.join(missing)} is missing in vm_metrics or network_topology. Send it, such as "
            "memory_mb, dirty_rate_mb_per_second and bandwidth_mbps, or train a model of past migrations",
        )
    shortest = min(told.seconds for *_, told, _ in placed)
    made = [
        _Entry(
            name,
            share * (shortest / told.seconds if told.seconds > 0 else 1.0),
            told.seconds,
            told.downtime,
            reasons,
            told.sent,
        )
        for share, name, told, reasons in placed
    ]
    made.sort(key=lambda one: (-one.score, one.duration_s))
    ratio = next(told.ratio for _, name, told, _ in placed if name == made[0].host)
    confidence = convergence(ratio)
    return made, (PRE_COPY, PRE_COPY_VERSION), confidence, CONVERGENCE_IS


def predict_migration_time(question: Question) -> Outcome:
    """Return how long a migration takes, for the orchestrator.

    Raises
    ------
    NotAnswerableError
        If no trained model covers it, and size, dirty rate and bandwidth are not all told.
    """
    given = Given(question.fields)
    fields = flat(given)
    host = {"host": given.text("dest_node")}
    base = {**fields, **dict.fromkeys(SOURCES, given.text("source_node"))}
    found = covering(question, base, host)
    if found is not None:
        ranked = found.ask(question, completed(base, found.by.model), [host])
        seconds = float(ranked.ranking[0]["duration_s"])
        downtime = downtime_of(question, found, base, host)
        answer = MigrationTime(
            seconds, found.confidence, f"{found.by.name} {found.by.version}", found.confidence_is, downtime
        )
        return Outcome(answer, found.confidence, found.by.name, found.by.version, numbers=1)
    told = pre_copied("how long the migration takes", fields)
    confidence = convergence(told.ratio)
    answer = MigrationTime(
        told.seconds,
        confidence,
        f"{PRE_COPY} {PRE_COPY_VERSION}",
        f"{CONVERGENCE_IS}; {CLARK}",
        told.downtime,
    )
    return Outcome(answer, confidence, PRE_COPY, PRE_COPY_VERSION, numbers=1)


def predict_failure_risk(question: Question) -> Outcome:
    """Return the risk that a migration fails.

    Raises
    ------
    NotAnswerableError
        If no trained model covers it, and dirty rate and bandwidth are not both told.
    """
    fields = Given(question.fields).inner("migration_params").fields
    host = {"host": str(fields.get("dest_node", fields.get("target_host", fields.get("destination", ""))))}
    source = fields.get("source_node", fields.get("source_host", fields.get("source", "")))
    base = {**fields, **dict.fromkeys(SOURCES, source)}
    found = covering(question, base, host)
    if found is not None:
        ranked = found.ask(question, completed(base, found.by.model), [host])
        risk = ranked.ranking[0].get("failure_probability")
        if risk is not None:
            answer = FailureRisk(float(risk), f"failure probability of {found.by.name} {found.by.version}")
            return Outcome(answer, 1 - answer.risk, found.by.name, found.by.version, numbers=1)
    dirty, width = dirty_rate_of(fields), bandwidth_of(fields)
    if dirty is None or width is None:
        raise NotAnswerableError(
            "the risk that the migration fails",
            "no trained migration_prediction with failures covers it, and migration_params has not both "
            "dirty_rate and bandwidth. Send them, or train a model with a column failed",
        )
    risk = min(dirty / width, 1.0)
    answer = FailureRisk(
        risk,
        "share of the bandwidth that dirty pages take; from 1 on pre-copy does not converge, and the "
        f"migration runs into its limit ({CLARK})",
    )
    return Outcome(answer, 1 - risk, PRE_COPY, PRE_COPY_VERSION, numbers=1)
