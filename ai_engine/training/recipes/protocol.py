"""What a recipe is, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ai_engine.telemetry.columns import Columns
from ai_engine.training.findings import NOTHING, Findings
from ai_engine.training.metrics import TargetMetrics
from ai_engine.training.progress import Progress
from ai_engine.training.request import TrainingRequest
from ai_engine.training.results import Cleaning


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted estimator and what was measured on rows that its fit never saw.

    Attributes
    ----------
    estimator : object
        As it is to be stored (of the recipe's own class): the object that was measured or, where
        ``metadata["refit"]`` says so, one of the same settings that was then fitted on all rows.
    by_target : mapping of str to TargetMetrics
        The measures of each target, the first one first; never empty.
    targets : tuple of str
        The columns that were learned to predict; none for anomalies without labels.
    algorithms : tuple of str
        What was fitted and is in the estimator.
    training_samples, held_out_samples : int
        Rows that were learned from, and measured on.
    feature_count : int
        Columns of X.
    prediction_time : float or None
        Seconds for one predicted row, measured over all held-out rows at once; None where it takes none.
    metadata : mapping
        What a reader needs to know of the columns, the split and the choice (JSON values).
    measure : callable
        Returns the first target's mean absolute error of another estimator on the same held-out rows, or None
        where it cannot be measured on them (any stored object may be asked for).
    cleaning : Cleaning
        What was done to the rows.
    extra : mapping of str to float or None
        Measures that only this kind has.
    findings : Findings
        What was measured in detail.
    """

    estimator: Any
    by_target: Mapping[str, TargetMetrics]
    targets: tuple[str, ...]
    algorithms: tuple[str, ...]
    training_samples: int
    held_out_samples: int
    feature_count: int
    prediction_time: float | None
    metadata: Mapping[str, Any]
    measure: Callable[[Any], float | None]
    cleaning: Cleaning = field(default_factory=Cleaning)
    extra: Mapping[str, float | None] = field(default_factory=dict)
    findings: Findings = NOTHING


class Recipe(Protocol):
    """How one kind of model is trained: read, choose, fit, measure. Does no I/O and keeps no state."""

    def __call__(self, request: TrainingRequest, rows: Columns, progress: Progress) -> Fitted:
        """Return what was fitted and measured.

        Parameters
        ----------
        request : TrainingRequest
            What to train.
        rows : Columns
            The training table; as a sequence it is one JSON object a row. The time is in ``timestamp`` and
            the machine in ``vm_id``, where there are any; cells are checked when they are read.
        progress : Progress
            Called at every stage.

        Raises
        ------
        InvalidInputError
            Naming what in the rows or the settings cannot be used, and what would be right.
        """
        ...
