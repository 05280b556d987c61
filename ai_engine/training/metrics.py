"""What is measured of a training, on rows that its fit never saw. Imports no numeric library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class TargetMetrics:
    """The measures of one target on the held-out rows; None where one does not apply.

    Attributes
    ----------
    mae, mse : float or None
        Mean absolute and mean squared error, in the target's unit and in its square. For classes and for
        labelled anomalies both are the share of wrong rows: the errors of an indicator that is 1 where a row
        is wrong.
    r2 : float or None
        Coefficient of determination; None for classes, and where the held-out values do not vary.
    accuracy_score : float or None
        The share of right rows; for numbers, those within a tenth of the target's range in training.
    confidence_score : float or None
        The share of held-out values inside of the 90 % prediction interval; None where none is given.
    baseline_mae : float or None
        `mae` of the best simple answer on the training rows: of a naive forecast, of a mean or median, or of
        the majority class.
    skill : float or None
        1 - mae / baseline_mae: 1 is perfect, 0 no better than the baseline; None if the baseline makes no
        error.
    """

    mae: float | None = None
    mse: float | None = None
    r2: float | None = None
    accuracy_score: float | None = None
    confidence_score: float | None = None
    baseline_mae: float | None = None
    skill: float | None = None

    def to_mapping(self) -> dict[str, float | None]:
        """Return the measures by name: JSON values, what is not a finite number as None.

        >>> TargetMetrics(mae=1.5, skill=float("nan")).to_mapping()["skill"] is None
        True
        """
        return finite_or_none(asdict(self))


UNKNOWN: Final = TargetMetrics()
_NAMES: Final = tuple(one.name for one in fields(TargetMetrics))


@dataclass(frozen=True, slots=True)
class TrainingMetrics:
    """The measures of a training.

    Attributes
    ----------
    by_target : mapping of str to TargetMetrics
        Of each target by its name, the first one first; never empty.
    training_time : float
        Seconds.
    prediction_time : float or None
        Seconds for one predicted row.
    training_samples, validation_samples : int
        Rows that were learned from, and measured on.
    feature_count : int
        Columns of X.
    extra : mapping of str to float or None
        Measures that only this kind of training has.
    baseline : str or None
        The simple answer that `skill` compares with.
    """

    by_target: Mapping[str, TargetMetrics]
    training_time: float
    prediction_time: float | None
    training_samples: int
    validation_samples: int
    feature_count: int
    extra: Mapping[str, float | None] = field(default_factory=dict)
    baseline: str | None = None

    @property
    def overall(self) -> TargetMetrics:
        """Return the measures that stand for the whole training.

        Of one target they are its own. Of several, what has a unit (`mae`, `mse`, `baseline_mae`) is None,
        and what has none is the mean over those that have it.
        """
        found = list(self.by_target.values())
        if len(found) == 1:
            return found[0]
        return TargetMetrics(
            r2=_mean([one.r2 for one in found]),
            accuracy_score=_mean([one.accuracy_score for one in found]),
            confidence_score=_mean([one.confidence_score for one in found]),
            skill=_mean([one.skill for one in found]),
        )

    def to_mapping(self) -> dict[str, Any]:
        """Return the measures as ``POST /train`` answers them (JSON values)."""
        return {
            **self.overall.to_mapping(),
            "baseline": self.baseline,
            "training_time": self.training_time,
            **finite_or_none({"prediction_time": self.prediction_time}),
            "training_samples": int(self.training_samples),
            "validation_samples": int(self.validation_samples),
            "feature_count": int(self.feature_count),
            **finite_or_none(self.extra),
            "by_target": {target: found.to_mapping() for target, found in self.by_target.items()},
        }

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> TrainingMetrics:
        """Return what `to_mapping` wrote (JSON values). Raises KeyError or TypeError for anything else."""
        rest = {name: value for name, value in given.items() if name not in _NAMES}
        by_target = {target: TargetMetrics(**found) for target, found in rest.pop("by_target").items()}
        own = {one.name: rest.pop(one.name) for one in fields(cls) if one.name not in ("by_target", "extra")}
        return cls(by_target=by_target, extra=rest, **own)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return sum(known) / len(known) if known else None


def finite_or_none(measures: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return the measures with what is not a finite number replaced by None."""
    return {
        name: None if value is None or not math.isfinite(value) else float(value)
        for name, value in measures.items()
    }
