"""Anomalies in telemetry: by a trained detector that covers the resource, else beside the points before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from ai_engine.control_plane.answers import (
    Anomalies,
    Anomaly,
    AnomalyVerdict,
    ModelInfo,
    OrchestratorAnomalies,
    OrchestratorAnomaly,
)
from ai_engine.control_plane.derivations.series import succession
from ai_engine.control_plane.derivations.unusual import (
    LEAST_BEFORE,
    Judged,
    judge,
    judge_beside,
    kind_of,
    limit_of,
    runs_of,
    score_of,
    severity_of,
    usual_of,
)
from ai_engine.control_plane.engine import Outcome, Question
from ai_engine.control_plane.forecasts import info_of_version, with_present
from ai_engine.control_plane.given import Given, number_of
from ai_engine.control_plane.moments import stamp
from ai_engine.control_plane.tracks import Track, Tracks, tracks_of
from ai_engine.control_plane.trained import Verdicts, verdicts
from ai_engine.domain.errors import NotAnswerableError
from ai_engine.training.arrays import FloatArray

METHOD: Final = "robust-deviation"
METHOD_VERSION: Final = "1"
# What the integration layer and the scheduler ask for where they say nothing.
USUAL_SENSITIVITY: Final = 0.5
SCHEDULER_SENSITIVITY: Final = 0.1
MOST_ANOMALIES: Final = 200
MOST_METRICS: Final = 100
_MIDDLES: Final = ("mean", "avg", "average", "median")
_SPREADS: Final = ("std", "stddev", "std_dev", "sigma", "spread")
_ADVICE: Final = {
    "spike": "look at what raised {metric} at {time}; if it was meant, nothing is to be done",
    "drop": "look at what lowered {metric} at {time}: something may have stopped",
    "level_shift": "{metric} is at another level from {time} on; if that is meant, train its models again",
}


def detect(question: Question) -> Outcome:
    """Return the anomalies among the points that the integration layer sends.

    Raises
    ------
    NotAnswerableError
        If there are neither points enough to compare with, nor a baseline, nor a trained detector.
    """
    given = Given(question.fields)
    resource = given.text("resource_id")
    metric = given.text("metric_type") or "value"
    context = given.inner("context")
    points = given.items("data_points") or given.items("historical_data")
    tracks = tracks_of(points, metric, machine=resource)
    present = given.inner("metrics").fields or context.inner("metrics").fields
    baseline = _baseline(context.inner("baseline"), metric)
    limit = limit_of(given.number("sensitivity"), USUAL_SENSITIVITY)
    if not tracks.by_name:
        tracks = with_present(tracks, Given(present))
    if tracks.by_name:
        by_model = verdicts(question.registry, resource, tracks, question.now)
        if by_model is not None:
            return _of_model(question, tracks, by_model)
    return _of_history(question, resource, tracks, baseline, limit)


def _of_history(
    question: Question, resource: str, tracks: Tracks, baseline: _Baseline, limit: float
) -> Outcome:
    found: list[tuple[float, Anomaly]] = []
    learned: dict[str, float] = dict(baseline.given)
    judged = flagged = 0
    highest = 0.0
    for track in list(tracks.by_name.values())[:MOST_METRICS]:
        told, own = _anomalies(track, limit, baseline.usual.get(track.name), question.now)
        found += told
        if own is not None:
            judged += own.judged
            flagged += int(own.flags.sum())
            highest = max(highest, score_of(float(own.multiples.max(initial=0.0))))
        if len(track) >= LEAST_BEFORE:
            middle, spread = usual_of(track.values)
            learned.setdefault(track.name, middle)
            learned.setdefault(f"{track.name}_spread", spread)
    if not judged and not baseline.given:
        raise NotAnswerableError(
            f"whether {resource or 'a resource'} shows anomalies",
            f"no trained detector covers it, no metric has more than {LEAST_BEFORE} points to compare with, "
            "and context.baseline is empty. Send more data_points, or a baseline of mean and std by metric",
        )
    found.sort(key=lambda one: -one[0])
    confidence = succession(judged - flagged, judged) if judged else 0.0
    info = ModelInfo(
        name=METHOD,
        version=METHOD_VERSION,
        training_data=(
            f"No training: {judged} of the points that were sent were compared with those before them (or "
            f"with the baseline), an anomaly lying more than {limit:.2f} robust spreads away. Confidence and "
            "accuracy are the share of these points that it does not flag, by the rule of succession: "
            "without labels no more is known."
        ),
        accuracy=confidence,
        last_trained=stamp(tracks.span[1] if tracks.span else question.now),
    )
    notes = list(tracks.notes)
    if not judged:
        notes.append("no point was judged: the baseline stands as it was given")
    anomalies = [one for _, one in found[:MOST_ANOMALIES]]
    anomalies.sort(key=lambda one: one.timestamp)
    answer = Anomalies(anomalies, highest, learned, confidence, info, notes)
    return Outcome(answer, confidence, METHOD, METHOD_VERSION, numbers=judged, anomalies=len(found))


def _anomalies(
    track: Track, limit: float, usual: tuple[float, float] | None, now: float
) -> tuple[list[tuple[float, Anomaly]], Judged | None]:
    """Return the anomalies of a track with their scores, and what was thought of its points."""
    if usual is not None and len(track) <= LEAST_BEFORE:
        multiples = np.array(
            [
                judge_beside({track.name: value}, {track.name: usual}, limit)[track.name]
                for value in track.values
            ]
        )
        middles, spreads = np.full(len(track), usual[0]), np.full(len(track), usual[1])
        own = Judged(multiples, multiples > 1, middles, spreads, len(track))
    elif len(track) > LEAST_BEFORE:
        own = judge(track, limit)
    else:
        return [], None
    found = []
    for first, last in runs_of(own.flags):
        kind = kind_of(track, own, first)
        at = first if kind == "level_shift" else first + int(own.multiples[first : last + 1].argmax())
        score = score_of(float(own.multiples[at]))
        when = stamp(now if track.times is None else float(track.times[at]))
        value, middle = float(track.values[at]), float(own.usual[at])
        known = bool(np.isfinite(middle))
        beside = f", where {middle:.6g} was usual" if known else ""
        context = {"value": value, "points": float(last - first + 1)}
        if known:
            context |= {"usual": middle, "spread": float(own.spread[at])}
        anomaly = Anomaly(
            timestamp=when,
            anomaly_type=kind,
            severity=severity_of(score),
            score=score,
            description=(
                f"{track.name} was {value:.6g} at {when}{beside}: {own.multiples[at]:.2f} times the "
                f"threshold of {limit:.2f} robust spreads"
            ),
            affected_metrics=[track.name],
            recommendations=[_ADVICE[kind].format(metric=track.name, time=when)],
            context=context,
        )
        found.append((score, anomaly))
    return found, own


def _of_model(question: Question, tracks: Tracks, by: Verdicts) -> Outcome:
    """Return what a trained detector says as the integration layer reads it."""
    times = sorted(
        {float(at) for one in tracks.by_name.values() if one.times is not None for at in one.times}
    )
    info = info_of_version(by.by, "share of held-out rows that it did not flag, where no labels were given")
    unflagged = by.by.measure("flagged_share")
    confidence = by.by.measure("f1", "accuracy_score")
    if confidence is None:
        confidence = 1 - (unflagged or 0.0)
    anomalies = []
    highest = 0.0
    for number, verdict in enumerate(by.verdicts):
        score = score_of(max(float(verdict["score"]), 0.0))
        highest = max(highest, score)
        if not verdict["is_anomaly"]:
            continue
        metrics = [str(one["column"]) for one in verdict["contributing_metrics"] if one["share"] > 0]
        when = stamp(times[number] if len(times) == len(by.verdicts) else question.now)
        anomalies.append(
            Anomaly(
                timestamp=when,
                anomaly_type="contextual" if len(metrics) > 1 else "spike",
                severity=severity_of(max(score, 0.2)),
                score=score,
                description=f"{by.by.name} {by.by.version} scores {verdict['score']:.2f} times its threshold",
                affected_metrics=metrics,
                recommendations=[f"look at {', '.join(metrics[:3]) or 'the metrics'} at {when}"],
                context={str(one["column"]): float(one["share"]) for one in verdict["contributing_metrics"]},
            )
        )
    baseline = {name: float(np.median(track.values)) for name, track in tracks.by_name.items()}
    info = ModelInfo(info.name, info.version, info.training_data, confidence, info.last_trained)
    answer = Anomalies(anomalies[-MOST_ANOMALIES:], highest, baseline, confidence, info, list(tracks.notes))
    return Outcome(
        answer, confidence, by.by.name, by.by.version, numbers=len(by.verdicts), anomalies=len(anomalies)
    )


def detect_for_scheduler(question: Question) -> Outcome:
    """Return whether the present metrics of a resource are unusual.

    Raises
    ------
    NotAnswerableError
        If there is neither a trained detector nor history to compare with.
    """
    given = Given(question.fields)
    resource = given.text("resource_id")
    history = tracks_of(given.items("historical_data"), machine=resource)
    limit = limit_of(given.number("sensitivity"), SCHEDULER_SENSITIVITY)
    present = {
        name: number
        for name, value in given.inner("metrics").fields.items()
        if (number := number_of(value)) is not None
    }
    if not present:  # the last row is what there is now
        present = {name: float(track.values[-1]) for name, track in history.by_name.items()}
        history = Tracks(
            {name: _without_last(track) for name, track in history.by_name.items()}, history.notes
        )
    joined = Tracks(
        {name: _joined(history.of(name), name, value, question.now) for name, value in present.items()}
    )
    by_model = verdicts(question.registry, resource, joined, question.now) if present else None
    if by_model is not None:
        verdict = by_model.verdicts[-1]
        score = score_of(max(float(verdict["score"]), 0.0))
        metrics = [str(one["column"]) for one in verdict["contributing_metrics"] if one["share"] > 0]
        answer = _verdict(
            question,
            resource,
            bool(verdict["is_anomaly"]),
            score,
            metrics,
            f"{by_model.by.name} {by_model.by.version}",
            f"{by_model.by.name} {by_model.by.version} scores the metrics {verdict['score']:.2f} times its "
            "threshold",
        )
        count = int(answer.is_anomaly)
        return Outcome(answer, score, by_model.by.name, by_model.by.version, numbers=1, anomalies=count)
    known = {
        name: track
        for name in present
        if (track := history.of(name)) is not None and len(track) >= LEAST_BEFORE
    }
    if not known:
        raise NotAnswerableError(
            f"whether {resource or 'a resource'} shows an anomaly",
            f"no trained detector covers it, and historical_data has less than {LEAST_BEFORE} numbers of "
            f"{', '.join(present) or 'any metric'}. Send more rows, or train a model with POST /train",
        )
    multiples = {}
    kinds = {}
    for name, track in known.items():
        own = judge(_joined(track, track.name, present[name], question.now), limit)
        multiples[name] = (
            float(own.multiples[-1]) if not own.flags[-1] else max(float(own.multiples[-1]), 1.0 + 1e-9)
        )
        kinds[name] = "spike" if present[name] > float(np.median(track.values)) else "drop"
    top = max(multiples, key=lambda name: multiples[name])
    metrics = sorted(
        (name for name, value in multiples.items() if value > 1), key=lambda name: -multiples[name]
    )
    middle, spread = usual_of(known[top].values)
    answer = _verdict(
        question,
        resource,
        bool(metrics),
        score_of(multiples[top]),
        metrics,
        f"{METHOD} {METHOD_VERSION}",
        f"{top} is {present[top]:.6g} where {middle:.6g} ± {spread:.3g} was usual in {len(known[top])} "
        f"rows: {multiples[top]:.2f} times the threshold of {limit:.2f} robust spreads",
        kinds[top] if metrics else None,
    )
    started = later_training_of_detector(question, resource, history)
    if started:
        answer.recommendations.append(started)
    return Outcome(
        answer, answer.anomaly_score, METHOD, METHOD_VERSION, numbers=1, anomalies=int(answer.is_anomaly)
    )


def later_training_of_detector(question: Question, resource: str, history: Tracks) -> str | None:
    """Begin the training of a detector where the history would do; say so."""
    from ai_engine.control_plane.forecasts import ENOUGH_TO_TRAIN

    if not resource or len(history) < ENOUGH_TO_TRAIN:
        return None
    return question.start_training("anomaly_detection", resource, history, 0)


def _verdict(
    question: Question,
    resource: str,
    is_anomaly: bool,
    score: float,
    metrics: list[str],
    model: str,
    reasoning: str,
    kind: str | None = None,
) -> AnomalyVerdict:
    # 0.2 is the threshold: who reads the score alone comes to the same verdict.
    score = max(score, 0.2) if is_anomaly else min(score, 0.199)
    advice = [f"look at {', '.join(metrics)}: {reasoning}"] if is_anomaly else [f"nothing to do: {reasoning}"]
    return AnomalyVerdict(
        resource_id=resource,
        is_anomaly=is_anomaly,
        anomaly_score=score,
        affected_metrics=metrics,
        severity=severity_of(score),
        recommendations=advice,
        timestamp=stamp(question.now),
        model_used=model,
        reasoning=reasoning,
        anomaly_type=kind if is_anomaly else None,
    )


def detect_for_orchestrator(question: Question) -> Outcome:
    """Return unusual metrics of a migration.

    A metric is a list of numbers or points (the last one is judged beside the others), or an object of
    ``current`` (or ``value``) and of ``mean`` and ``std``, or ``history``. Confidence is 1 - 1/k² for a value
    k spreads from the middle: Chebyshev's inequality, which holds for every distribution.

    Raises
    ------
    NotAnswerableError
        If no metric has anything to be compared with, and no trained detector covers them.
    """
    given = Given(question.fields)
    found: list[OrchestratorAnomaly] = []
    notes: list[str] = []
    judged = 0
    present: dict[str, float] = {}
    for name, value in given.inner("metrics").fields.items():
        series, usual = _metric(value)
        if series is None:
            notes.append(f"{name} is no number, list or object of numbers: left out")
            continue
        present[name] = float(series[-1])
        track = Track(name, series, None)
        limit = limit_of(None, 1.0)
        told, own = _anomalies(track, limit, usual, question.now)
        if own is None:
            notes.append(f"{name} has nothing to be compared with")
            continue
        judged += 1
        for _, one in told:
            away = max((own.multiples[at] * limit for at in np.flatnonzero(own.flags)), default=limit)
            confidence = float(1 - 1 / max(away, 1.0) ** 2)
            found.append(
                OrchestratorAnomaly(
                    one.anomaly_type, one.severity, one.description, confidence, one.recommendations
                )
            )
    if not judged and present:
        tracks = Tracks({name: Track(name, np.array([value]), None) for name, value in present.items()})
        by_model = verdicts(question.registry, given.text("migration_id"), tracks, question.now)
        if by_model is not None:
            told_by_model = _of_model(question, tracks, by_model)
            anomalies: Anomalies = told_by_model.answer
            found = [
                OrchestratorAnomaly(
                    one.anomaly_type, one.severity, one.description, anomalies.confidence, one.recommendations
                )
                for one in anomalies.anomalies
            ]
            judged = 1
    if not judged:
        raise NotAnswerableError(
            "whether these metrics are unusual",
            f"none has more than {LEAST_BEFORE} numbers or a mean and std to be compared with, and no "
            "trained "
            'detector covers them. Send lists, such as {"latency": [1.2, 1.3, …]}, or train one',
        )
    return Outcome(OrchestratorAnomalies(found, notes), 0.0, METHOD, METHOD_VERSION, judged, len(found))


class _Baseline:
    """A baseline as it was given, and what of it says what is usual."""

    def __init__(self, given: Mapping[str, float], usual: Mapping[str, tuple[float, float]]) -> None:
        self.given, self.usual = given, usual


def _baseline(given: Given, metric: str) -> _Baseline:
    """Return a baseline: ``{mean, std}`` of the metric, ``{cpu: {mean, std}}``, or ``{cpu, cpu_std}``."""
    numbers = {
        name: number for name, value in given.fields.items() if (number := number_of(value)) is not None
    }
    usual: dict[str, tuple[float, float]] = {}
    middle, spread = _first(numbers, _MIDDLES), _first(numbers, _SPREADS)
    if middle is not None and spread is not None and spread > 0:
        usual[metric] = middle, spread
    for name, value in given.fields.items():
        if isinstance(value, Mapping):
            inner = {key: number for key, one in value.items() if (number := number_of(one)) is not None}
            middle, spread = _first(inner, _MIDDLES), _first(inner, _SPREADS)
            numbers |= {f"{name}_{key}": one for key, one in inner.items()}
        else:
            middle = numbers.get(name)
            spread = _first(numbers, [f"{name}_{ending}" for ending in _SPREADS])
        if middle is not None and spread is not None and spread > 0:
            usual[name] = middle, spread
    return _Baseline(numbers, usual)


def _first(numbers: Mapping[str, float], names: Sequence[str]) -> float | None:
    return next((numbers[name] for name in names if name in numbers), None)


def _metric(value: Any) -> tuple[FloatArray | None, tuple[float, float] | None]:
    """Return the numbers of a metric (any JSON value), and what is usual where that is told."""
    if isinstance(value, list):
        track = tracks_of(value).by_name.get("value")
        return (None if track is None else track.values), None
    if isinstance(value, Mapping):
        usual = _baseline(Given(value), "value").usual.get("value")
        current = _first(
            {k: n for k, v in value.items() if (n := number_of(v)) is not None}, ("current", "value")
        )
        listed = next((value[key] for key in ("history", "values") if isinstance(value.get(key), list)), None)
        if listed is not None:
            track = tracks_of(listed).by_name.get("value")
            series = np.empty(0) if track is None else track.values
            if current is not None:
                series = np.append(series, current)
            return (series if len(series) else None), usual
        return (None if current is None else np.array([current])), usual
    number = number_of(value)
    return (None if number is None else np.array([number])), None


def _joined(track: Track | None, name: str, value: float, now: float) -> Track:
    """Return a track with the present number behind it."""
    if track is None:
        return Track(name, np.array([value]), np.array([now]))
    times = track.times
    if times is not None:
        step = float(np.median(np.diff(times))) if len(times) > 1 else 60.0
        times = np.append(times, now if now > times[-1] else times[-1] + step)
    return Track(track.name, np.append(track.values, value), times)


def _without_last(track: Track) -> Track:
    return Track(track.name, track.values[:-1], None if track.times is None else track.times[:-1])
