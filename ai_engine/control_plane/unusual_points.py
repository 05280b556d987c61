"""Anomalies among points: by a trained detector that covers the resource, else beside the points before."""

from __future__ import annotations

from typing import Final

import numpy as np

from ai_engine.control_plane.answers import (
    Anomalies,
    Anomaly,
    ModelInfo,
)
from ai_engine.control_plane.baselines import Baseline, baseline_of
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
from ai_engine.control_plane.forecasts import with_present
from ai_engine.control_plane.given import Given
from ai_engine.control_plane.metric_forecasts import info_of_version
from ai_engine.control_plane.moments import stamp
from ai_engine.control_plane.tracks import Track, Tracks, tracks_of
from ai_engine.control_plane.trained_detectors import Verdicts, verdicts
from ai_engine.domain.errors import NotAnswerableError

METHOD: Final = "robust-deviation"


METHOD_VERSION: Final = "1"


# What the integration layer and the scheduler ask for where they say nothing.
USUAL_SENSITIVITY: Final = 0.5


MOST_ANOMALIES: Final = 200


MOST_METRICS: Final = 100


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
    baseline = baseline_of(context.inner("baseline"), metric)
    limit = limit_of(given.number("sensitivity"), USUAL_SENSITIVITY)
    if not tracks.by_name:
        tracks = with_present(tracks, Given(present))
    if tracks.by_name:
        by_model = verdicts(question.registry, resource, tracks, question.now)
        if by_model is not None:
            return of_detector(question, tracks, by_model)
    return _of_history(question, resource, tracks, baseline, limit)


def _of_history(
    question: Question, resource: str, tracks: Tracks, baseline: Baseline, limit: float
) -> Outcome:
    found: list[tuple[float, Anomaly]] = []
    learned: dict[str, float] = dict(baseline.given)
    judged = flagged = 0
    highest = 0.0
    for track in list(tracks.by_name.values())[:MOST_METRICS]:
        told, own = anomalies_of(track, limit, baseline.usual.get(track.name), question.now)
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


def anomalies_of(
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


def of_detector(question: Question, tracks: Tracks, by: Verdicts) -> Outcome:
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
