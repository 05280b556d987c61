"""``migration_prediction``: how long a migration takes, how long it interrupts, whether it fails.

Candidates for durations: boosted trees of absolute errors, the best simple answer, and the mean of both;
the one with the least absolute error on training rows that its fit has not seen is taken. Baseline: the
best simple answer: the median, or the median by the categorical columns, as the training rows say. The 90 %
interval is conformal, in seconds or as a share of the duration, whichever is narrower there. ``downtime_s``
and ``failed`` (or ``outcome``) are foretold where there are such columns, and are never features. Failed
migrations have no duration to learn from. Once the numbers are measured, all of it is fitted again on all
rows (``refit``).
"""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Any, Final

import numpy as np

from ai_engine.telemetry.columns import Columns
from ai_engine.training.arrays import FloatArray, IntArray
from ai_engine.training.encoding import EncodingV1
from ai_engine.training.estimators.migration import MigrationV1
from ai_engine.training.evaluation import measure_numbers
from ai_engine.training.folds import forward_folds, shuffled_folds
from ai_engine.training.held_out_rows import HeldOutRows
from ai_engine.training.hyperparameters import AUTO
from ai_engine.training.importance import permutation_importance
from ai_engine.training.migration_candidates import (
    ENOUGH,
    Folds,
    best_of_seconds,
    failure_probability,
    fitted_to_seconds,
    radius_of,
)
from ai_engine.training.progress import Progress
from ai_engine.training.recipes.columns import (
    check_length,
    cleaning_of,
    described,
    has_features,
    named_targets,
)
from ai_engine.training.recipes.protocol import Fitted
from ai_engine.training.recipes.simple_answers import best_simple_answer
from ai_engine.training.request import TrainingRequest
from ai_engine.training.split import split_table
from ai_engine.training.table import Table, read_table, with_timestamps_complete, without_missing

DOWNTIME: Final = "downtime_s"
OUTCOMES: Final = ("failed", "outcome")
# What an `outcome` says of a migration that failed.
FAILED: Final = frozenset(
    {"failed", "failure", "fail", "error", "aborted", "cancelled", "timeout", "true", "1"}
)
MOST_ROWS: Final = 100_000


def train(request: TrainingRequest, rows: Columns, progress: Progress) -> Fitted:
    """Return a fitted `MigrationV1`; see `Recipe`."""
    progress(0.0, "reading the rows")
    assert request.target_columns is not None
    given = with_timestamps_complete(read_table(rows))
    (target,) = named_targets(given, request.target_columns)
    failed = _failures(given)
    if failed is not None:
        lost = np.where(failed == 1, np.nan, given.numbers[target])
        given = replace(given, numbers={**given.numbers, target: lost})
    table = without_missing(given, target)
    check_length(table, target)
    seed = request.hyperparameters["seed"]
    split = split_table(table, request.validation_split, seed)
    training, in_time = split.training, split.method == "time"
    if table.timestamps is not None:
        training = training[np.argsort(table.timestamps[training], kind="stable")]
    learned = training[:: -(-len(training) // MOST_ROWS)]
    features = _features(table, target)
    encoding = has_features(EncodingV1.of(features, learned, target), target)
    x, y = encoding.matrix(features), table.numbers[target]

    progress(0.1, "comparing candidates on training rows")
    folds = _folds(len(learned), in_time, seed)
    algorithm = request.hyperparameters["algorithm"]
    baseline, simple = best_simple_answer(x[learned], y[learned], encoding, folds)
    choice = best_of_seconds(algorithm, x[learned], y[learned], encoding, folds, seed)
    observed = y[learned][np.concatenate([check for _, check in folds])]
    radius, relative = radius_of(observed, choice.unseen)

    progress(0.6, "learning the other outcomes")
    pauses = None
    paused = _paused(table, learned)
    if len(paused) >= ENOUGH:
        parts = _folds(len(paused), in_time, seed)
        pauses = best_of_seconds(AUTO, x[paused], table.numbers[DOWNTIME][paused], encoding, parts, seed)
    failure = None
    if failed is not None:
        # Rows that stand among those held out, or come after the first of them, tell nothing here either.
        keep = ~np.isnan(failed)
        keep[np.isin(given.row_numbers, table.row_numbers[split.held_out])] = False
        if in_time and given.timestamps is not None and table.timestamps is not None:
            keep &= given.timestamps < table.timestamps[split.held_out].min()
        told = np.flatnonzero(keep)
        if len(told):
            failure = failure_probability(
                encoding.matrix(_features(given, target))[told], failed[told] == 1, seed
            )
    downtime = None if pauses is None else pauses.model
    estimator = MigrationV1(encoding, choice.model, radius, relative, target, downtime, failure)

    progress(0.9, "measuring on the held-out rows")
    held_out = y[split.held_out]
    started = perf_counter()
    seconds = estimator.seconds(x[split.held_out])
    elapsed = perf_counter() - started
    lower, upper = estimator.interval(seconds)
    metrics = measure_numbers(
        held_out,
        seconds,
        lower,
        upper,
        simple.predict(x[split.held_out]),
        training_range=float(np.ptp(y[training])),
    )
    findings = HeldOutRows.of(table, split, target).findings_of_numbers(
        held_out,
        seconds,
        (lower, upper),
        simple.predict(x[split.held_out]),
        permutation_importance(
            lambda some, rows: float(np.abs(held_out[rows] - estimator.seconds(some)).mean()),
            x[split.held_out],
            encoding,
            "growth of the mean absolute error, in seconds",
            seed,
        ),
    )
    used = (target, *encoding.columns)
    refit = request.hyperparameters["refit"] and len(table) <= MOST_ROWS
    kept = estimator
    if refit:
        progress(0.95, "fitting once more on all rows")
        if pauses is not None:
            paused = _paused(table, np.arange(len(table)))
            downtime = fitted_to_seconds(
                pauses.name, x[paused], table.numbers[DOWNTIME][paused], encoding, seed
            )
        if failure is not None and failed is not None:
            told = np.flatnonzero(~np.isnan(failed))
            failure = failure_probability(
                encoding.matrix(_features(given, target))[told],
                failed[told] == 1,
                seed,
                by_row=not isinstance(failure, float),
            )
        again = fitted_to_seconds(choice.name, x, y, encoding, seed)
        kept = replace(estimator, duration=again, downtime=downtime, failure=failure)

    def mae_of(other: Any) -> float | None:  # any stored object may be asked for
        if other is kept:
            return metrics.mae  # once fitted again, it has seen these rows
        if not isinstance(other, MigrationV1) or other.target != target:
            return None
        kept_back = rows.take(table.row_numbers[split.held_out])
        return float(np.abs(held_out - other.seconds(other.encoding.matrix_of_rows(kept_back))).mean())

    return Fitted(
        estimator=kept,
        by_target={target: metrics},
        targets=(target,),
        algorithms=(choice.name,),
        training_samples=len(learned),
        held_out_samples=len(split.held_out),
        feature_count=encoding.n_features,
        prediction_time=elapsed / len(held_out),
        cleaning=cleaning_of(table, used),
        metadata={
            **described(table, used, training),
            "categories": {name: list(values) for name, values in encoding.categories.items()},
            "split": {"method": split.method, "validation_split": request.validation_split, "seed": seed},
            "candidates": {target: choice.errors},
            "chosen": {target: choice.name},
            "baseline": {target: baseline},
            "refit": refit,
            "outcomes": [
                name
                for name, made in ((DOWNTIME, downtime), ("failure_probability", failure))
                if made is not None
            ],
        },
        measure=mae_of,
        findings=findings,
    )


def _features(table: Table, target: str) -> Table:
    """Return the table without what is only known afterwards."""
    after = {target, DOWNTIME, *OUTCOMES}
    return replace(
        table,
        numbers={name: column for name, column in table.numbers.items() if name not in after},
        texts={name: cells for name, cells in table.texts.items() if name not in after},
    )


def _failures(table: Table) -> FloatArray | None:
    """Return 1 for migrations that failed, 0 for others, NaN where unknown."""
    for name in OUTCOMES:
        if name in table.numbers:
            column = table.numbers[name]
            return np.where(np.isnan(column), np.nan, (column != 0).astype(np.float64))
        if name in table.texts:
            cells = table.texts[name]
            return np.array(
                [np.nan if cell is None else float(str(cell).strip().lower() in FAILED) for cell in cells]
            )
    return None


def _folds(n_rows: int, in_time: bool, seed: int) -> Folds:
    return list(forward_folds(n_rows) if in_time else shuffled_folds(n_rows, seed))


def _paused(table: Table, rows: IntArray) -> IntArray:
    """Return those of some rows that say how long the migration interrupted."""
    if DOWNTIME not in table.numbers:
        return rows[:0]
    return rows[~np.isnan(table.numbers[DOWNTIME][rows])]
