"""Forecasts of resources: by a trained model that covers one, else by formulas over the history sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from ai_engine.control_plane.answers import DemandForecast, ModelInfo, ResourcePrediction
from ai_engine.control_plane.derivations.series import LEAST_POINTS
from ai_engine.control_plane.engine import Outcome, Question
from ai_engine.control_plane.given import Given, number_of
from ai_engine.control_plane.metric_forecasts import FORMULAS, Told, by_formulas, of_model
from ai_engine.control_plane.moments import stamp
from ai_engine.control_plane.tracks import Track, Tracks, resource_of, tracks_of
from ai_engine.control_plane.trained_forecasts import foretold
from ai_engine.domain.errors import InvalidInputError, NotAnswerableError

MINUTES: Final = 60.0


# A week.
MOST_MINUTES: Final = 10_080.0


# Of history, from which on a training would do better than formulas.
ENOUGH_TO_TRAIN: Final = 200


def predict_demand(question: Question) -> Outcome:
    """Return the forecast of a resource for the integration layer.

    Raises
    ------
    NotAnswerableError
        If no trained model covers the node and the request has no history.
    """
    given = Given(question.fields)
    node = given.text("node_id") or given.text("resource_id")
    wanted = given.text("resource_type").lower()
    minutes = horizon(given, "horizon_minutes", "prediction_horizon")
    points = given.items("historical_data") or given.items("history")
    tracks = with_present(tracks_of(points, wanted or "value", machine=node), given.inner("metrics"))
    named = tracks.resource_types
    # The history says itself what it is of; what was asked for is then not what can be answered.
    measured = named[0] if len(named) == 1 and names_differ(named[0], wanted, tracks) else wanted
    track = tracks.of(measured) or tracks.of(wanted) or longest(tracks)
    resource = (
        measured
        if track is not None and measured in (named or ())
        else resource_of(track.name if track is not None else wanted)
    )
    if measured in named and track is not None and track.name == wanted and measured != wanted:
        # The points were named by what was asked for.
        tracks = Tracks({measured: Track(measured, track.values, track.times)}, tracks.notes, named)
        track = tracks.by_name[measured]
    told = forecast_of(question, node, tracks, track, resource, minutes)
    notes = list(tracks.notes)
    if wanted and resource_of(told.column) != wanted:
        notes.append(f"this is the forecast of {told.column}: the history is not of {wanted}")
    started = later_training(question, node, tracks, told)
    info = told.info
    if started:
        info = ModelInfo(
            info.name, info.version, f"{info.training_data} {started}", info.accuracy, info.last_trained
        )
    answer = DemandForecast(
        predictions=told.expected.tolist(),
        lower=told.lower.tolist(),
        upper=told.upper.tolist(),
        timestamps=[stamp(at) for at in told.times.tolist()],
        interval_seconds=told.interval,
        resource_type=resource_of(told.column),
        confidence=told.confidence,
        model_info=info,
        notes=notes,
    )
    return Outcome(answer, told.confidence, info.name, info.version, numbers=len(told.expected))


def predict_resources(question: Question) -> Outcome:
    """Return the forecast of a resource for the scheduler: `prediction` is of CPU where that is foretold.

    Raises
    ------
    NotAnswerableError
        If no trained model covers the resource and the request has no history.
    """
    given = Given(question.fields)
    resource = given.text("resource_id")
    minutes = horizon(given, "prediction_horizon", "horizon_minutes")
    threshold = given.number("confidence_threshold")
    rows = given.items("history") or given.items("historical_data")
    tracks = with_present(tracks_of(rows, machine=resource), given.inner("metrics"))
    wanted = wanted_of(tracks)
    model = None
    if wanted:
        model = foretold(question.registry, resource, tracks, wanted, minutes, question.now)
    told: list[Told] = []
    if model is not None:
        told = [of_model(model, column, question.now) for column in model.expected]
    else:
        for track in tracks.by_name.values():
            if len(told) < MOST_METRICS and (found := by_formulas(track, minutes, question.now)) is not None:
                told.append(found)
    if not told:
        raise NotAnswerableError(
            f"the forecast of {resource or 'a resource without a resource_id'}",
            f"no trained model knows it, and the request has no history of at least {LEAST_POINTS} rows. "
            "Send rows in history, or train a model on its telemetry with POST /train",
        )
    first = min(told, key=lambda one: (resource_of(one.column) != "cpu", told.index(one)))
    started = later_training(question, resource, tracks, first) if model is None else None
    reasoning = (
        f"{first.column} {minutes:g} minutes ahead; confidence is the "
        f"{_confidence_is(first.info)}. {first.info.training_data}" + (f" {started}" if started else "")
    )
    answer = ResourcePrediction(
        resource_id=resource,
        prediction=float(first.expected[-1]),
        confidence=first.confidence,
        timestamp=stamp(question.now),
        model_used=f"{first.info.name} {first.info.version}",
        target=first.column,
        predictions={one.column: one.expected.tolist() for one in told},
        confidence_intervals={
            one.column: [list(pair) for pair in zip(one.lower.tolist(), one.upper.tolist(), strict=True)]
            for one in told
        },
        meets_threshold=threshold is None or first.confidence >= threshold,
        reasoning=reasoning,
    )
    count = sum(len(one.expected) for one in told)
    return Outcome(answer, first.confidence, first.info.name, first.info.version, numbers=count)


# Columns of one request that are foretold by formulas.
MOST_METRICS: Final = 50


def forecast_of(
    question: Question, node: str, tracks: Tracks, track: Track | None, resource: str, minutes: float
) -> Told:
    """Return the forecast of one resource, by a trained model where one covers it, else by formulas."""
    wanted = [resource] if resource else wanted_of(tracks)
    model = foretold(question.registry, node, tracks, wanted, minutes, question.now)
    if model is not None:
        return of_model(model, model.of(resource) or next(iter(model.expected)), question.now)
    found = None if track is None else by_formulas(track, minutes, question.now)
    if found is None:
        raise NotAnswerableError(
            f"the forecast of {resource or 'a resource'} of {node or 'a node without a node_id'}",
            f"no trained model covers it, and the request has {0 if track is None else len(track)} points "
            f"of history, where {LEAST_POINTS} are the least. Send historical_data, or train a model on its "
            "telemetry with POST /train",
        )
    return found


def later_training(question: Question, resource: str, tracks: Tracks, told: Told) -> str | None:
    """Begin the training of a resource where formulas answered and its history would do; say so."""
    if told.info.name != FORMULAS or len(tracks) < ENOUGH_TO_TRAIN or not resource:
        return None
    return question.start_training("resource_prediction", resource, tracks, len(told.expected))


def horizon(given: Given, *names: str) -> float:
    """Return how many minutes ahead are asked for: the first of some fields, or an hour."""
    for name in names:
        minutes = given.number(name)
        if minutes is not None and minutes > 0:
            if minutes > MOST_MINUTES:
                raise InvalidInputError(name, f"give at most {MOST_MINUTES:g} minutes, not {minutes:g}")
            return minutes
    return MINUTES


def with_present(tracks: Tracks, metrics: Given) -> Tracks:
    """Return tracks, or where there are none the present numbers as tracks of one point."""
    if tracks.by_name:
        return tracks
    present = {
        name: number for name, value in metrics.fields.items() if (number := number_of(value)) is not None
    }
    return Tracks(
        {name: Track(name, np.array([value]), None) for name, value in present.items()}, tracks.notes
    )


def wanted_of(tracks: Tracks) -> Sequence[str]:
    """Return the resources that tracks measure, CPU first."""
    found = dict.fromkeys(resource_of(name) for name in tracks.by_name)
    return sorted(found, key=lambda one: one != "cpu")


def names_differ(named: str, wanted: str, tracks: Tracks) -> bool:
    """Tell whether points say of themselves that they measure something else than what is asked for."""
    return named != wanted and (tracks.of(wanted) is None or resource_of(named) != wanted)


def longest(tracks: Tracks) -> Track | None:
    """Return the track of most points."""
    return max(tracks.by_name.values(), key=len, default=None)


def _confidence_is(info: ModelInfo) -> str:
    return "share of values inside the 90 % interval" if info.name == FORMULAS else "measure of its training"


def resources_of(value: Any, name: str) -> dict[str, Any]:
    """Return what is told of resources: of an object by its names, of anything else under `name`."""
    if value is None:
        return {}
    return dict(value) if isinstance(value, Mapping) else {name: value}
