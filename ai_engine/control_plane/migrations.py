"""Migrations foretold: by a trained model whose columns are told, else by the published pre-copy model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from ai_engine.control_plane.answers import (
    Adjustment,
    Adjustments,
    CompressionChoice,
    FailureRisk,
    MemoryIterations,
    MigrationAdvice,
    MigrationPattern,
    MigrationPatterns,
    MigrationStrategy,
    MigrationTarget,
    MigrationTime,
)
from ai_engine.control_plane.derivations.precopy import DOWNTIME_SECONDS, PreCopy, pre_copy
from ai_engine.control_plane.derivations.series import succession
from ai_engine.control_plane.engine import Outcome, Question
from ai_engine.control_plane.given import Given, number_of
from ai_engine.control_plane.sizes import bandwidth_of, dirty_rate_of, memory_of
from ai_engine.control_plane.trained import Version, active_versions
from ai_engine.domain.errors import InvalidInputError, NotAnswerableError
from ai_engine.training.host_load import loads
from ai_engine.training.ranking import DESTINATIONS, rank

PRE_COPY: Final = "pre-copy-model"
PRE_COPY_VERSION: Final = "1"
CLARK: Final = (
    "pre-copy model (Clark et al. 2005, Liu et al. 2011): what is written while a round goes over goes again"
)
MOST_HOSTS: Final = 1_000
_SOURCES: Final = ("source", "source_host", "source_node", "src", "src_host", "from_host")
_SUCCEEDED: Final = ("success", "successful", "completed", "succeeded", "ok", "true")
_FAILED: Final = ("failed", "failure", "error", "aborted", "cancelled", "false")
_CONVERGENCE_IS: Final = (
    "share of the bandwidth that dirty pages leave, 1 - dirty rate / bandwidth; no migration was measured "
    "against it"
)


@dataclass(frozen=True, slots=True)
class _Model:
    """A trained model of migrations, and the row that it is asked."""

    by: Version
    confidence: float
    confidence_is: str

    def ask(self, question: Question, row: Mapping[str, Any], hosts: Sequence[Mapping[str, Any]]) -> Any:
        from ai_engine.training.calls import reading_of  # a second, for scikit-learn

        reading = partial(reading_of, question.registry, self.by.name, self.by.version)
        return rank(self.by.model, [dict(row)], [_host(host) for host in hosts], None, reading)


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
    candidates = [{**_mapping(topology.get(host)), "host": host} for host in hosts]
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
    base = {**metrics, "vm_id": vm, **dict.fromkeys(_SOURCES, source)}
    found = _trained(question, base, candidates[0])
    if found is not None:
        ranked = found.ask(question, _completed(base, found.by.model), candidates)
        entries = []
        for one in ranked.ranking:
            host = next(host for host in candidates if host["host"] == one["host"])
            downtime, reasons = _downtime(question, found, base, host), list(one["reasons"])
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
        told = pre_copy(size, dirty, width, _downtime_limit(sla))
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
    confidence = _convergence(ratio)
    return made, (PRE_COPY, PRE_COPY_VERSION), confidence, _CONVERGENCE_IS


def predict_migration_time(question: Question) -> Outcome:
    """Return how long a migration takes, for the orchestrator.

    Raises
    ------
    NotAnswerableError
        If no trained model covers it, and size, dirty rate and bandwidth are not all told.
    """
    given = Given(question.fields)
    fields = _flat(given)
    host = {"host": given.text("dest_node")}
    base = {**fields, **dict.fromkeys(_SOURCES, given.text("source_node"))}
    found = _trained(question, base, host)
    if found is not None:
        ranked = found.ask(question, _completed(base, found.by.model), [host])
        seconds = float(ranked.ranking[0]["duration_s"])
        downtime = _downtime(question, found, base, host)
        answer = MigrationTime(
            seconds, found.confidence, f"{found.by.name} {found.by.version}", found.confidence_is, downtime
        )
        return Outcome(answer, found.confidence, found.by.name, found.by.version, numbers=1)
    told = _pre_copied("how long the migration takes", fields)
    confidence = _convergence(told.ratio)
    answer = MigrationTime(
        told.seconds,
        confidence,
        f"{PRE_COPY} {PRE_COPY_VERSION}",
        f"{_CONVERGENCE_IS}; {CLARK}",
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
    base = {**fields, **dict.fromkeys(_SOURCES, source)}
    found = _trained(question, base, host)
    if found is not None:
        ranked = found.ask(question, _completed(base, found.by.model), [host])
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


def migration_strategy(question: Question) -> Outcome:
    """Return how to migrate a VM.

    Raises
    ------
    NotAnswerableError
        If size, dirty rate and bandwidth are not all told.
    """
    given = Given(question.fields)
    vm, network = given.inner("vm_data").fields, given.inner("network_data").fields
    told = _pre_copied("how to migrate the VM", {**network, **vm})
    width = bandwidth_of(network, vm) or 0.0
    size = memory_of(vm, network) or 0.0
    whole = size / width
    if told.converges and told.rounds == 1 and whole <= DOWNTIME_SECONDS:
        kind = "stop_and_copy"
    else:
        kind = "pre_copy" if told.converges else "post_copy"
    # Compressed so far that dirty pages take half of the bandwidth; zlib's levels, 1 is the quickest.
    level = int(np.clip(np.ceil(18 * (told.ratio - 0.5)), 0, 9))
    need = min(told.sent / max(told.seconds, 1e-9), width)
    allocated = min(max(need, 2 * told.ratio * width), width)
    confidence = _convergence(told.ratio)
    answer = MigrationStrategy(
        kind,
        told.rounds,
        level,
        allocated,
        confidence,
        f"{size:.4g} bytes at {width:.4g} bytes/s take {whole:.3g} s once; dirty pages take {told.ratio:.0%} "
        f"of the bandwidth, so {told.rounds} rounds leave {told.downtime:.3g} s of downtime ({CLARK}). "
        "Compression from level 1 on "
        "is asked for where they take more than half of it. Confidence is the " + _CONVERGENCE_IS,
    )
    return Outcome(answer, confidence, PRE_COPY, PRE_COPY_VERSION, numbers=4, optimizations=1)


def compression(question: Question) -> Outcome:
    """Return how to compress what is sent, from what is known of its entropy or of a sample.

    Raises
    ------
    NotAnswerableError
        If neither an entropy, nor a ratio, nor the size of the data is told.
    """
    profile = Given(question.fields).inner("data_profile")
    ratio = profile.first("compression_ratio")
    share = profile.first("compressibility", "zero_page_ratio")
    entropy = profile.first("entropy", "entropy_bits_per_byte")
    if entropy is not None and 0 <= entropy <= 8:
        saved, told = 1 - entropy / 8, f"an entropy of {entropy:g} bits a byte leaves"
    elif share is not None and 0 <= share <= 1:
        saved, told = share, "the compressibility that was told is"
    elif ratio is not None and ratio > 0:
        saved, told = (1 - 1 / ratio if ratio >= 1 else 1 - ratio), f"a compression ratio of {ratio:g} saves"
    else:
        raise NotAnswerableError(
            "how to compress the data",
            "data_profile has neither entropy (bits a byte, 0 to 8), nor compressibility (a share), nor "
            "compression_ratio",
        )
    size = memory_of(profile.fields, {"size": profile.first("data_size", "total_size", "size")})
    if size is None:
        raise NotAnswerableError("how to compress the data", "data_profile has no size (data_size, in bytes)")
    level = int(np.clip(round(9 * saved), 0, 9))
    kind = "none" if saved < 0.1 else "lz4" if saved < 0.5 else "zstd"
    # A thousand chunks show progress and can be sent again one by one; pages are the least.
    chunk = 1 << int(np.clip(np.ceil(np.log2(max(size / 1024, 1.0))), 12, 22))
    answer = CompressionChoice(
        kind,
        0 if kind == "none" else max(level, 1),
        chunk,
        saved,
        f"{told} {saved:.0%} to be saved (Shannon 1948 for the entropy): below 10 % nothing is worth its "
        f"time, from half on the stronger method is. Chunks are a thousandth of {size:.4g} bytes, from 4 "
        "KiB to 4 MiB. Confidence is the share that is saved",
    )
    return Outcome(answer, saved, "entropy", "1", numbers=2, optimizations=1)


def memory_iterations(question: Question) -> Outcome:
    """Return the rounds that pre-copy takes.

    Raises
    ------
    NotAnswerableError
        If size, dirty rate and bandwidth are not all told.
    """
    given = Given(question.fields)
    told = _pre_copied(
        "how many rounds the memory takes", {**_flat(given), **given.inner("vm_memory_pattern").fields}
    )
    answer = MemoryIterations(
        told.rounds,
        f"after {told.rounds} rounds {told.downtime:.3g} s of downtime are left; dirty pages take "
        f"{told.ratio:.0%} of the "
        f"bandwidth ({CLARK})" + ("" if told.converges else "; more rounds would not make it shorter"),
    )
    return Outcome(answer, _convergence(told.ratio), PRE_COPY, PRE_COPY_VERSION, numbers=1, optimizations=1)


def adjustments(question: Question) -> Outcome:
    """Return what to change about a running migration.

    Raises
    ------
    NotAnswerableError
        If dirty rate and bandwidth are not both among the metrics.
    """
    given = Given(question.fields)
    metrics = given.inner("current_metrics").fields
    dirty, width = dirty_rate_of(metrics), bandwidth_of(metrics)
    if dirty is None or width is None:
        raise NotAnswerableError(
            f"what to change about the migration {given.text('migration_id')!r}",
            "current_metrics has not both dirty_rate and bandwidth (bytes a second)",
        )
    found = []
    ratio = dirty / width
    if ratio > 0.5:
        sure = succession(int(ratio >= 1), 1) if ratio >= 1 else ratio
        found.append(
            Adjustment(
                "bandwidth", width, 2 * dirty, f"dirty pages take {ratio:.0%} of the bandwidth; at twice "
                                               "the dirty rate "
                f"each round is half of the one before ({CLARK})", sure, "each round half as long as the "
                                                                         "one before",
            )
        )  # fmt: skip
        found.append(
            Adjustment(
                "dirty_rate", dirty, 0.5 * width, "throttling the VM to half of the bandwidth has the same "
                                                  "effect, where "
                "there is no more bandwidth", sure, "the VM writes more slowly while it migrates",
            )
        )  # fmt: skip
    limit = number_of(metrics.get("max_downtime_seconds", metrics.get("downtime_limit")))
    size = memory_of(metrics)
    if limit is not None and size is not None and ratio < 1:
        told = pre_copy(size, dirty, width, max(limit, 1e-6))
        rounds = number_of(metrics.get("iterations", metrics.get("max_iterations")))
        if rounds is not None and rounds < told.rounds:
            found.append(
                Adjustment(
                    "iterations", rounds, float(told.rounds), f"{told.rounds} rounds bring the downtime to "
                                                              f"{told.downtime:.3g} "
                    f"s, within {limit:g} s", 1 - ratio, f"downtime of {told.downtime:.3g} s",
                )
            )  # fmt: skip
    told_ratio = f"dirty pages take {ratio:.0%} of the bandwidth"
    return Outcome(
        Adjustments(found, told_ratio if found else f"{told_ratio}: nothing has to be changed"),
        1 - min(ratio, 1.0), PRE_COPY, PRE_COPY_VERSION, numbers=len(found), optimizations=len(found),
    )  # fmt: skip


def migration_patterns(question: Question) -> Outcome:
    """Return how migrations of each kind went.

    Raises
    ------
    NotAnswerableError
        If no record tells both how long it took and whether it succeeded.
    """
    groups: dict[str, list[tuple[float, bool]]] = {}
    left: Counter[str] = Counter()
    for row in Given(question.fields).items("historical_data"):
        if not isinstance(row, Mapping):
            left["are no objects"] += 1
            continue
        seconds = next(
            (
                n
                for key in ("duration_s", "duration_seconds", "duration")
                if (n := number_of(row.get(key))) is not None
            ),
            None,
        )
        good = _succeeded(row)
        if seconds is None or seconds < 0 or good is None:
            left["do not tell both a duration and whether they succeeded"] += 1
            continue
        named = next(
            (row[key] for key in ("pattern", "type", "migration_type", "strategy") if row.get(key)), None
        )
        route = "".join(
            f" {key} {row[key]}"
            for key in ("source", "source_node", "destination", "dest_node")
            if row.get(key)
        )
        groups.setdefault(str(named) if named else route.strip() or "all migrations", []).append(
            (seconds, good)
        )
    if not groups:
        raise NotAnswerableError(
            "what past migrations show",
            "no record of historical_data tells both a duration (duration_s) and whether it succeeded "
            "(success or status)",
        )
    overall = float(np.mean([seconds for group in groups.values() for seconds, _ in group]))
    found = []
    for name, group in sorted(groups.items(), key=lambda one: (-len(one[1]), one[0])):
        rate = sum(good for _, good in group) / len(group)
        mean = float(np.mean([seconds for seconds, _ in group]))
        advice = []
        if rate < 1:
            advice.append(
                f"{sum(not good for _, good in group)} of {len(group)} failed: look at their logs before the "
                "next one"
            )
        if mean > 1.2 * overall:
            advice.append(
                f"takes {mean:.4g} s where all take {overall:.4g} s on average: prefer another way, or a "
                "quieter time"
            )
        if not advice:
            advice.append(f"all {len(group)} succeeded, in {mean:.4g} s on average: go on so")
        found.append(MigrationPattern(name, len(group), rate, mean, advice))
    notes = [f"{count} records {why}: left out" for why, count in left.items()]
    return Outcome(MigrationPatterns(found, notes), 0.0, "counts", "1", numbers=len(found))


def _succeeded(row: Mapping[str, Any]) -> bool | None:
    for key in ("success", "succeeded", "status", "outcome", "failed"):
        value = row.get(key)
        if isinstance(value, bool):
            return value is not (key == "failed")
        if isinstance(value, str) and value.strip().lower() in (*_SUCCEEDED, *_FAILED):
            return value.strip().lower() in _SUCCEEDED
        if key in ("success", "failed") and value in (0, 1):
            return bool(value) is not (key == "failed")
    return None


def _trained(question: Question, base: Mapping[str, Any], host: Mapping[str, Any]) -> _Model | None:
    """Return the first trained model of migrations whose columns are all told."""
    for version in active_versions(question.registry, ("migration_prediction",)):
        from ai_engine.training.estimators.migration import MigrationV1

        model = version.model
        told = version.confidence
        if not isinstance(model, MigrationV1) or told is None:
            continue
        row = _completed(base, model)
        known = {*row, *_host(host)} | ({*DESTINATIONS} if host.get("host") else set())
        if all(column in known for column in model.encoding.columns):
            return _Model(version, told[0], told[1])
    return None


def _completed(base: Mapping[str, Any], model: Any) -> dict[str, Any]:
    """Return a row with what it tells in other units, as a `MigrationV1` calls its columns."""
    row = {name: value for name, value in base.items() if value not in (None, "")}
    size = memory_of(base)
    if size is not None:
        sized = {
            "ram_gb": size / 2**30,
            "memory_gb": size / 2**30,
            "memory_mb": size / 2**20,
            "vm_size": size,
        }
        row = {name: value for name, value in sized.items() if name in model.encoding.columns} | row
    return row


def _downtime(
    question: Question, found: _Model, base: Mapping[str, Any], host: Mapping[str, Any]
) -> float | None:
    """Return the downtime that a trained model foretells; None where its training knew of none."""
    row = {**_completed(base, found.by.model), **{k: v for k, v in host.items() if k != "host"}}
    row |= {name: host.get("host", "") for name in DESTINATIONS if name in found.by.model.encoding.columns}
    told = found.ask(question, row, [{"host": host.get("host")}]).predictions[0]
    downtime = told.get("downtime_s")
    return None if downtime is None else float(downtime)


def _host(host: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{key: value for key, value in host.items() if value is not None},
        "host": str(host.get("host") or "host"),
    }


def _pre_copied(question: str, fields: Mapping[str, Any]) -> PreCopy:
    size, dirty, width = memory_of(fields), dirty_rate_of(fields), bandwidth_of(fields)
    lacking = [
        name
        for name, value in (("vm_size", size), ("dirty_rate", dirty), ("bandwidth", width))
        if value is None
    ]
    if size is None or dirty is None or width is None:
        raise NotAnswerableError(
            question,
            f"no trained migration_prediction covers it, and for the pre-copy model {', '.join(lacking)} is "
            "missing (bytes, and bytes a second; or with a unit, such as vm_size_gb, "
            "dirty_rate_mb_per_second, bandwidth_mbps)",
        )
    return pre_copy(size, dirty, width, _downtime_limit(Given(fields)))


def _downtime_limit(given: Given) -> float:
    seconds = given.first("max_downtime_seconds", "max_downtime", "downtime_limit")
    return DOWNTIME_SECONDS if seconds is None or seconds <= 0 else seconds


def _convergence(ratio: float) -> float:
    return max(0.0, 1 - ratio)


def _flat(given: Given) -> dict[str, Any]:
    """Return the fields of a request, and behind them those of the objects in it."""
    inner: dict[str, Any] = {}
    for value in given.fields.values():
        inner |= _mapping(value)
    return {**inner, **{key: value for key, value in given.fields.items() if not isinstance(value, Mapping)}}


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
