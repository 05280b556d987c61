"""Advice on the capacity of a cluster, for the integration layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ai_engine.control_plane.answers import (
    PredictiveScaling,
    ScalingAction,
    ScalingDecision,
)
from ai_engine.control_plane.derivations.capacity import (
    HOLD,
    INTEGRATION_LIMITS,
    UP,
    advice,
    full_use,
)
from ai_engine.control_plane.engine import Outcome, Question
from ai_engine.control_plane.forecasts import horizon, resources_of
from ai_engine.control_plane.given import Given, number_of
from ai_engine.control_plane.metric_forecasts import by_formulas
from ai_engine.control_plane.policies import CAPACITY_UNIT, policy_of
from ai_engine.control_plane.scaling import METHOD, METHOD_VERSION
from ai_engine.control_plane.tracks import Track, Tracks, resource_of, tracks_of
from ai_engine.domain.errors import NotAnswerableError


def predict_scaling(question: Question) -> Outcome:
    """Return advice on the capacity of a cluster for the integration layer.

    ``current_capacity``, ``current_load``, ``historical_usage`` and ``predicted_demand`` are numbers, lists
    or objects by resource. Without a history the present load is carried forward, whose skill is 0.

    Raises
    ------
    NotAnswerableError
        If there is neither a load, nor a history, nor a demand.
    """
    given = Given(question.fields)
    limits = policy_of(given.inner("scaling_policy"), INTEGRATION_LIMITS)
    minutes = horizon(given, "horizon_minutes", "prediction_horizon")
    capacity = _by_resource(given, "current_capacity")
    load = _by_resource(given, "current_load") or _by_resource(given, "current_resources")
    demand = _by_resource(given, "predicted_demand")
    history = _histories(given)
    queue = given.number("job_queue_length")
    actions, decisions, notes, advised = [], [], list(history.notes), []
    resources = list(dict.fromkeys((*history.by_name, *map(str, load), *demand)))
    resources = list(dict.fromkeys(resource_of(name) for name in resources)) or list(capacity)
    for name in resources:
        one = _cluster_resource(question, name, history, capacity, load, demand, minutes)
        if one is None:
            notes.append(
                f"{name}: neither load, history nor demand was understood; nothing is derived from it"
            )
            continue
        policy = limits.in_shares()
        found = advice(one.peak / one.full, policy)
        given_capacity = capacity.get(name)
        in_shares = given_capacity is None or given_capacity <= 1.5
        target = found.factor * (given_capacity if in_shares and given_capacity else 1.0)
        actions.append(ScalingAction(found.action, name, target))
        waiting = "" if queue is None else f" {queue:g} jobs wait."
        decisions.append(
            ScalingDecision(
                action=found.action,
                resource=name,
                current_value=one.now,
                target_value=one.now * found.factor,
                confidence=one.confidence,
                reasoning=(
                    f"{name} is {one.now:.4g} of {one.full:g} now, and {one.told} {one.peak:.4g}. At a "
                    f"target use of {policy.target:.0%} that asks for {found.needed:.3g} times the present "
                    f"capacity, which is raised above {policy.high:.0%} and lowered below "
                    f"{policy.low:.0%}.{waiting}"
                ),
                cost_impact=found.factor - 1,
                capacity_factor=found.factor,
            )
        )
        verb = {UP: "raise", HOLD: "keep"}.get(found.action, "lower")
        advised.append(
            f"{verb} the capacity of {name}: {found.factor:.3g} times the present one. "
            f"{decisions[-1].reasoning}"
        )
    if not decisions:
        raise NotAnswerableError(
            "how to scale the cluster",
            "neither current_load nor historical_usage nor predicted_demand has a number. " + " ".join(notes),
        )
    confidence = min(one.confidence for one in decisions)
    answer = PredictiveScaling(
        actions,
        decisions,
        advised,
        confidence,
        "the least of the decisions': the share of values inside the 90 % interval of the forecast; 0, its "
        "skill, where the present load is carried forward because no history was given. cost_impact is in "
        f"{CAPACITY_UNIT}",
        notes,
    )
    return Outcome(answer, confidence, METHOD, METHOD_VERSION, len(decisions), optimizations=len(decisions))


@dataclass(frozen=True, slots=True)
class _ClusterResource:
    """What is known of a resource of a cluster: now, at its peak, and what full use is."""

    now: float
    peak: float
    full: float
    confidence: float
    told: str


def _cluster_resource(
    question: Question,
    name: str,
    history: Tracks,
    capacity: Mapping[str, float],
    load: Mapping[str, float],
    demand: Mapping[str, float],
    minutes: float,
) -> _ClusterResource | None:
    track = history.of(name)
    told = None if track is None else by_formulas(track, minutes, question.now)
    now = load.get(name)
    if now is None and track is not None and len(track):
        now = float(track.values[-1])
    expected = demand.get(name)
    told_peaks = (None if told is None else float(told.upper.max()), expected, now)
    peaks = [one for one in told_peaks if one is not None]
    if now is None and expected is not None:
        now = expected
    if now is None:
        return None
    numbers = [abs(now), *map(abs, peaks), *([] if track is None else [float(np.abs(track.values).max())])]
    # A capacity says what full use is where the load is told in its unit; a share of it is 1 or 100.
    full = capacity.get(name)
    if (
        full is None
        or full <= 0
        or (full > 1.5 and max(numbers) <= 1.5)
        or (full > 150 and max(numbers) <= 100)
    ):
        try:
            full = full_use(*numbers)
        except ValueError:
            return None
    words = [] if told is None else [f"the upper 95 % quantile of its forecast, by {told.info.name}"]
    words += [] if expected is None else ["the demand that was told"]
    words = words or ["the present load, carried forward as no history was given"]
    confidence = 0.0 if told is None else told.confidence
    return _ClusterResource(now, max(peaks), full, confidence, " and ".join(words))


def _by_resource(given: Given, field: str) -> dict[str, float]:
    """Return numbers by resource; of a list the highest, of what names none that of ``cluster``."""
    found: dict[str, float] = {}
    for name, value in resources_of(given.fields.get(field), "cluster").items():
        number = number_of(value)
        if number is None and isinstance(value, (list, Mapping)):
            rows = value if isinstance(value, list) else [value]
            tracks = tracks_of(rows, "value")
            track = tracks.by_name.get("value") or next(iter(tracks.by_name.values()), None)
            number = None if track is None or not len(track) else float(track.values.max())
            if isinstance(value, list) and name == "cluster" and "value" not in tracks.by_name:
                found |= {resource_of(one.name): float(one.values.max()) for one in tracks.by_name.values()}
                continue
        if number is not None:
            found[resource_of(str(name))] = number
    return found


def _histories(given: Given) -> Tracks:
    """Return ``historical_usage`` as tracks: numbers, points or rows, or an object of such lists."""
    value = given.fields.get("historical_usage") or given.fields.get("historical_data")
    if isinstance(value, list):
        return tracks_of(value, "cluster")
    by_name: dict[str, Track] = {}
    notes: list[str] = []
    for name, rows in resources_of(value, "cluster").items():
        if isinstance(rows, list):
            told = tracks_of(rows, str(name))
            by_name |= told.by_name
            notes += told.notes
    return Tracks(by_name, tuple(notes))
