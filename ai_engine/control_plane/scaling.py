"""Advice on the resources of VMs: the upper end of a forecast, over the use that is aimed at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from ai_engine.control_plane.answers import (
    FleetScaling,
    ScalingAdvice,
    ScalingDecision,
    Scheduled,
)
from ai_engine.control_plane.derivations.capacity import (
    HOLD,
    SCHEDULER_LIMITS,
    UP,
    Policy,
    advice,
    full_use,
)
from ai_engine.control_plane.derivations.fleet import LEAST_POINTS, forecasts
from ai_engine.control_plane.derivations.series import LEAST_POINTS as ALONE_LEAST
from ai_engine.control_plane.derivations.series import MOST_STEPS, steps_of
from ai_engine.control_plane.engine import Outcome, Question
from ai_engine.control_plane.forecasts import ENOUGH_TO_TRAIN, horizon
from ai_engine.control_plane.given import Given, number_of
from ai_engine.control_plane.metric_forecasts import Told, by_formulas, of_forecast, of_model
from ai_engine.control_plane.moments import stamp
from ai_engine.control_plane.policies import policy_of, prices_of
from ai_engine.control_plane.tracks import Track, Tracks, resource_of, tracks_of
from ai_engine.control_plane.trained_forecasts import foretold
from ai_engine.domain.errors import InvalidInputError, NotAnswerableError

METHOD: Final = "quantile-over-target"


METHOD_VERSION: Final = "1"


MOST_VMS: Final = 10_000


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
    prices = prices_of(given)
    policy = policy_of(given.inner("scaling_policy"), SCHEDULER_LIMITS)
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
