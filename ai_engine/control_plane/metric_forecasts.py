"""A forecast of one metric and what it comes from: a trained model, or formulas over the history sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ai_engine.control_plane.answers import ModelInfo
from ai_engine.control_plane.derivations.series import LEAST_POINTS, MOST_STEPS, Forecast, forecast, steps_of
from ai_engine.control_plane.moments import stamp
from ai_engine.control_plane.tracks import Track
from ai_engine.control_plane.trained import Version
from ai_engine.control_plane.trained_forecasts import Foretold
from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.arrays import FloatArray

FORMULAS: Final = "seasonal-formulas"


FORMULAS_VERSION: Final = "1"


@dataclass(frozen=True, slots=True)
class Told:
    """A forecast of one metric, whatever it comes from.

    Attributes
    ----------
    column : str
        The metric.
    expected, lower, upper : array, shape (n_steps,)
        The ends are those of the 90 % interval.
    times : array, shape (n_steps,)
        The moments of the steps, seconds of the epoch.
    interval : float
        Seconds between them.
    confidence : float
    info : ModelInfo
    """

    column: str
    expected: FloatArray
    lower: FloatArray
    upper: FloatArray
    times: FloatArray
    interval: float
    confidence: float
    info: ModelInfo


def by_formulas(track: Track, minutes: float, now: float) -> Told | None:
    """Return the forecast of a track without a training; None where the track is too short."""
    if len(track) < LEAST_POINTS:
        return None
    steps = steps_of(track, minutes)
    if steps > MOST_STEPS:
        raise InvalidInputError(
            "horizon_minutes",
            f"is {steps} steps of this history, and {MOST_STEPS} are the most; ask for less",
        )
    found = forecast(track, steps)
    return None if found is None else of_forecast(found, now)


def of_forecast(found: Forecast, now: float) -> Told:
    """Return a forecast by formulas with what it comes from."""
    interval = found.interval or 60.0
    start = now if found.last is None else found.last
    steps = len(found.expected)
    return Told(
        found.name,
        found.expected,
        found.lower,
        found.upper,
        start + interval * np.arange(1, steps + 1, dtype=np.float64),
        interval,
        found.inside,
        info_of(found, now),
    )


def info_of(found: Forecast, now: float) -> ModelInfo:
    """Return what a forecast by formulas comes from."""
    rhythm = (
        "taken to be a minute apart, as they have no times"
        if found.interval is None
        else (f"{found.interval:g} s apart")
    )
    upto = "" if found.last is None else f" up to {stamp(found.last)}"
    return ModelInfo(
        name=FORMULAS,
        version=FORMULAS_VERSION,
        training_data=(
            f"No training: formulas over the {found.points} points of {found.name} that were sent, "
            f"{rhythm}{upto}, weighted by their errors on them. Confidence is the share of {found.checked} "
            "of these values inside the 90 % interval of forecasts made before they came, measured up to "
            f"{found.measured_steps} steps ahead (rule of succession); accuracy is the share of them within "
            f"a tenth of the range; skill is {found.skill:.3f} against the last value carried forward."
        ),
        accuracy=found.near,
        last_trained=stamp(now if found.last is None else found.last),
    )


def of_model(model: Foretold, column: str, now: float) -> Told:
    """Return what a trained model foretells of a column."""
    told = model.by.confidence
    assert told is not None  # it would not have been asked
    expected = np.array(model.expected[column])
    times: FloatArray = now + model.interval * np.arange(1, len(expected) + 1, dtype=np.float64)
    if model.times:
        times = np.array(model.times, dtype=np.float64)
    return Told(
        column,
        expected,
        np.array(model.lower[column]),
        np.array(model.upper[column]),
        times[: len(expected)],
        model.interval,
        told[0],
        info_of_version(model.by, told[1]),
    )


def info_of_version(by: Version, confidence_is: str) -> ModelInfo:
    """Return what an answer of a trained model comes from."""
    known = ((name, by.measure(name)) for name in ("accuracy_score", "skill", "f1", "confidence_score"))
    which, accuracy = next(((name, value) for name, value in known if value is not None), ("", None))
    if accuracy is None:  # of detectors without labels only this is known
        which, accuracy = "share of rows that it did not flag", 1 - (by.measure("flagged_share") or 0.0)
    return ModelInfo(
        name=by.name,
        version=by.version,
        training_data=(
            f"Trained on {by.rows} rows. Confidence is the {confidence_is}; accuracy is its {which}, "
            "measured on rows held out of the training."
        ),
        accuracy=accuracy,
        last_trained=by.trained_at,
    )
