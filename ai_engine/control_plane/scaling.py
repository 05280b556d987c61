"""Advice on capacity: the upper end of a forecast, over the use that is aimed at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ai_engine.control_plane.answers import (
    FleetScaling,
    PredictiveScaling,
    ScalingAction,
    ScalingAdvice,
    ScalingDecision,
    Scheduled,
)
from ai_engine.control_plane.derivations.capacity import (
    HOLD,
    INTEGRATION_LIMITS,
    LEAST,
    SCHEDULER_LIMITS,
    TARGET_USE,
    UP,
    Policy,
    advice,
    full_use,
)
from ai_engine.control_plane.derivations.fleet import LEAST_POINTS, forecasts
from ai_engine.control_plane.derivations.series import LEAST_POINTS as ALONE_LEAST
from ai_engine.control_plane.derivations.series import MOST_STEPS, steps_of
from ai_engine.control_plane.engine import Outcome, Question
from ai_engine.control_plane.forecasts import (
    ENOUGH_TO_TRAIN,
    Told,
    by_formulas,
    horizon,
    of_forecast,
    of_model,
    resources_of,
)
from ai_engine.control_plane.given import Given, number_of
from ai_engine.control_plane.moments import stamp
from ai_engine.control_plane.tracks import Track, Tracks, resource_of, tracks_of
from ai_engine.control_plane.trained import foretold
from ai_engine.domain.errors import InvalidInputError, NotAnswerableError

METHOD: Final = "quantile-over-target"
METHOD_VERSION: Final = "1"
MOST_VMS: Final = 10_000
_CAPACITY_UNIT: Final = "shares of the present capacity"


def optimize_scaling(question: Question) -> Outcome:
    """Return advice on the resources of a VM; of many where the request has a list of ``vms``.

    Raises
    ------
    NotAnswerableError
        If no resource has a history, and none a trained model.
    """
    given = Given(question.fields)
    listed = given.items("vms")
    if not listed:
        told = _advise(question, given, _tracks(given), None)
        return Outcome(
            told,
            told.confidence,
            METHOD,
            METHOD_VERSION,
            len(told.decisions),
            optimizations=len(told.decisions),
        )
    if len(listed) > MOST_VMS:
        raise InvalidInputError("vms", f"are {len(listed)}, and {MOST_VMS} are the most; send them in parts")
    asked = []
    for number, one in enumerate(listed):
        inner = Given(
            {
                **{key: value for key, value in given.fields.items() if key != "vms"},
                **Given(one, f"vms[{number}]").fields,
            },
            f"vms[{number}].",
        )
        asked.append((inner, _tracks(inner)))
    found, refused = [], {}
    for number, ((inner, tracks), foretold_here) in enumerate(
        zip(asked, _at_once(asked, question.now), strict=True)
    ):
        try:
            found.append(_advise(question, inner, tracks, foretold_here))
        except NotAnswerableError as error:
            refused[inner.text("vm_id") or f"vms[{number}]"] = str(error)
    if not found:
        raise NotAnswerableError("scaling", next(iter(refused.values())))
    decisions = sum(len(one.decisions) for one in found)
    answer = FleetScaling(
        found,
        refused,
        sum(one.total_cost_impact for one in found),
        float(np.mean([one.confidence for one in found])),
    )
    return Outcome(answer, answer.confidence, METHOD, METHOD_VERSION, decisions, optimizations=decisions)


@dataclass(frozen=True, slots=True)
class _Prices:
    """What a unit of the present capacity costs, by resource; none: changes are told in shares of it."""

    by_resource: Mapping[str, float]
    every: float | None
    unit: str

    def of(self, resource: str) -> float | None:
        return self.by_resource.get(resource, self.every)


def _tracks(given: Given) -> Tracks:
    return tracks_of(given.items("historical_data"), machine=given.text("vm_id"))


def _minutes(given: Given) -> float:
    return horizon(given, "horizon_minutes", "prediction_horizon")


def _at_once(asked: Sequence[tuple[Given, Tracks]], now: float) -> list[dict[str, Told]]:
    """Return the forecasts of VMs that are like many others, by metric; the rest are made one by one."""
    by_steps: dict[int, list[tuple[int, Track]]] = {}
    for number, (given, tracks) in enumerate(asked):
        for track in tracks.by_name.values():
            if len(track) >= LEAST_POINTS:
                by_steps.setdefault(steps_of(track, _minutes(given)), []).append((number, track))
    found: list[dict[str, Told]] = [{} for _ in asked]
    for steps, listed in by_steps.items():
        if steps > MOST_STEPS:
            continue
        for (number, track), one in zip(listed, forecasts([t for _, t in listed], steps), strict=True):
            if one is not None:
                found[number][track.name] = of_forecast(one, now)
    return found


def _advise(
    question: Question, given: Given, tracks: Tracks, at_once: Mapping[str, Told] | None
) -> ScalingAdvice:
    """Return advice on a VM; `at_once` has the forecasts that were made for many, None for one alone."""
    vm = given.text("vm_id")
    minutes, alone = _minutes(given), at_once is None
    current = {
        name: number
        for name, value in given.inner("current_resources").fields.items()
        if (number := number_of(value)) is not None
    }
    prices = _prices(given)
    policy = _policy(given.inner("scaling_policy"), SCHEDULER_LIMITS)
    notes = list(tracks.notes)
    names = [name for name in current if tracks.of(resource_of(name)) is not None or not tracks.by_name]
    names += [name for name in tracks.by_name if resource_of(name) not in {resource_of(one) for one in names}]
    # A hundred thousand models are not asked for a list of VMs: formulas answer it.
    by_model = _by_model(question, vm, tracks, current, minutes) if alone else {}
    decisions, timeline, relief = [], [], []
    for name in names:
        track = tracks.of(resource_of(name))
        told = by_model.get(resource_of(name))
        if told is None and track is not None:
            told = (at_once or {}).get(track.name) or by_formulas(track, minutes, question.now)
        if told is None:
            notes.append(f"{name} has no history that a forecast could rest on: no decision")
            continue
        now = current.get(name, current.get(told.column, None if track is None else float(track.values[-1])))
        seen = track.values if track is not None else told.expected
        assert now is not None  # of the history, where it was not given
        try:
            full = full_use(abs(now), float(np.abs(seen).max()))
        except ValueError as error:
            notes.append(f"{name}: {error}; no decision")
            continue
        scaled = policy.in_shares()
        peak = max(float(told.upper.max()), now) / full
        found = advice(peak, scaled)
        price = prices.of(resource_of(name))
        change = found.factor - 1
        cost = change if price is None else change * price
        decisions.append(
            ScalingDecision(
                action=found.action,
                resource=name,
                current_value=now,
                target_value=now * found.factor,
                confidence=told.confidence,
                reasoning=_reasoning(name, now, told, full, scaled, found.needed, minutes),
                cost_impact=cost,
                capacity_factor=found.factor,
            )
        )
        over = seen / full > scaled.high
        relief.append(float(over.mean() - (seen / full / max(found.factor, 1e-9) > scaled.high).mean()))
        timeline.append(
            _when(
                found.action,
                name,
                told,
                full * (scaled.high if found.action == UP else scaled.low),
                question.now,
            )
        )
    if not decisions:
        raise NotAnswerableError(
            f"how to scale {vm or 'a VM without a vm_id'}",
            f"no resource has historical_data of at least {ALONE_LEAST} rows, or a trained model. "
            + " ".join(notes),
        )
    confidence = min(one.confidence for one in decisions)
    if alone and not by_model:
        started = None
        if vm and len(tracks) >= ENOUGH_TO_TRAIN:
            started = question.start_training("resource_prediction", vm, tracks, 12)
        notes += [started] if started else []
    return ScalingAdvice(
        vm_id=vm,
        decisions=decisions,
        total_cost_impact=sum(one.cost_impact for one in decisions),
        performance_impact=float(np.mean(relief)),
        execution_timeline=[one for one in timeline if one.action != HOLD],
        confidence=confidence,
        confidence_is=(
            "the least of the decisions', each the share of values inside the 90 % interval of its "
            "forecast; performance_impact is the share of the time above the upper limit that the decisions "
            "save"
        ),
        cost_unit=prices.unit,
        notes=notes,
    )


def _by_model(
    question: Question, vm: str, tracks: Tracks, current: Mapping[str, float], minutes: float
) -> dict[str, Told]:
    """Return what a trained model foretells of each resource."""
    context = tracks
    if not tracks.by_name:
        context = Tracks({name: Track(name, np.array([value]), None) for name, value in current.items()})
    wanted = [resource_of(name) for name in context.by_name]
    model = foretold(question.registry, vm, context, wanted, minutes, question.now) if wanted else None
    if model is None:
        return {}
    return {resource_of(name): of_model(model, name, question.now) for name in model.expected}


@dataclass(frozen=True, slots=True)
class _Limits:
    """A policy as it was given: limits in shares or percents."""

    low: float
    high: float
    target: float
    least: float
    most: float | None

    def in_shares(self) -> Policy:
        """Return it in shares; what is above 1.5 is in percents."""

        def share(value: float) -> float:
            return value / 100 if value > 1.5 else value

        return Policy(
            share(self.low), share(self.high), min(max(share(self.target), 0.05), 1.0), self.least, self.most
        )


def _policy(given: Given, limits: tuple[float, float]) -> _Limits:
    def first(default: float, *names: str) -> float:
        found = given.first(*names)
        return default if found is None or found <= 0 else found

    most = given.first("max_factor", "max_capacity_factor")
    return _Limits(
        first(limits[0], "scale_down_threshold", "low", "lower_threshold"),
        first(limits[1], "scale_up_threshold", "high", "upper_threshold"),
        first(TARGET_USE, "target_utilization", "target_usage", "target"),
        first(LEAST, "min_factor", "min_capacity_factor"),
        most if most is not None and most > 0 else None,
    )


def _prices(given: Given) -> _Prices:
    """Return what capacity costs: numbers in ``cost_optimization`` or ``prices``, by resource or for all."""
    fields: dict[str, Any] = {}
    for name in ("cost_optimization", "prices"):
        value = given.fields.get(name)
        if isinstance(value, Mapping):
            fields |= value
            inner = value.get("prices")
            fields |= inner if isinstance(inner, Mapping) else {}
    numbers = {
        str(name).removesuffix("_cost").removesuffix("_price"): number
        for name, value in fields.items()
        if (number := number_of(value)) is not None
    }
    every = next(
        (
            numbers[name]
            for name in (
                "price",
                "cost",
                "price_per_hour",
                "cost_per_hour",
                "cost_per_unit",
                "price_per_unit",
            )
            if name in numbers
        ),
        None,
    )
    if not numbers:
        return _Prices({}, None, _CAPACITY_UNIT)
    return _Prices(
        {resource_of(name): number for name, number in numbers.items()}, every,
        "in the unit of the prices that were given, for the present capacity; shares of it where none was",
    )  # fmt: skip


def _reasoning(
    name: str, now: float, told: Told, full: float, policy: Policy, needed: float, minutes: float
) -> str:
    return (
        f"{name} is {now:.4g} of {full:g} now; the upper 95 % quantile of its forecast over {minutes:g} "
        f"minutes is {float(told.upper.max()):.4g}. At a target use of {policy.target:.0%} that asks for "
        f"{needed:.3g} times the present capacity. It is raised above {policy.high:.0%}, lowered below "
        f"{policy.low:.0%}, and kept in between; target_value over current_value is the factor. From "
        f"{told.info.name} {told.info.version}."
    )


def _when(action: str, name: str, told: Told, limit: float, now: float) -> Scheduled:
    """Return when a decision is due: before the upper end of the forecast passes the limit."""
    if action != UP:
        return Scheduled(action, name, stamp(now), "low")
    beyond = np.flatnonzero(told.upper > limit)
    step = int(beyond[0]) if len(beyond) else 0
    at = max(now, now + step * told.interval)
    urgency = "high" if step == 0 or told.expected[step] > limit else "medium"
    return Scheduled(action, name, stamp(at), urgency)


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
    limits = _policy(given.inner("scaling_policy"), INTEGRATION_LIMITS)
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
        f"{_CAPACITY_UNIT}",
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
