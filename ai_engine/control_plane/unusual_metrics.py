"""Whether present metrics are unusual, for the scheduler and for the migration orchestrator."""

from __future__ import annotations

from typing import Final

import numpy as np

from ai_engine.control_plane.answers import (
    Anomalies,
    AnomalyVerdict,
    OrchestratorAnomalies,
    OrchestratorAnomaly,
)
from ai_engine.control_plane.baselines import metric_of
from ai_engine.control_plane.derivations.unusual import (
    LEAST_BEFORE,
    judge,
    limit_of,
    score_of,
    severity_of,
    usual_of,
)
from ai_engine.control_plane.engine import Outcome, Question
from ai_engine.control_plane.given import Given, number_of
from ai_engine.control_plane.moments import stamp
from ai_engine.control_plane.tracks import Track, Tracks, tracks_of
from ai_engine.control_plane.trained_detectors import verdicts
from ai_engine.control_plane.unusual_points import METHOD, METHOD_VERSION, anomalies_of, of_detector
from ai_engine.domain.errors import NotAnswerableError

SCHEDULER_SENSITIVITY: Final = 0.1


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
        series, usual = metric_of(value)
        if series is None:
            notes.append(f"{name} is no number, list or object of numbers: left out")
            continue
        present[name] = float(series[-1])
        track = Track(name, series, None)
        limit = limit_of(None, 1.0)
        told, own = anomalies_of(track, limit, usual, question.now)
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
            told_by_model = of_detector(question, tracks, by_model)
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
