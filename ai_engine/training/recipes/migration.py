"""``migration_prediction``: how long a migration takes, how long it interrupts, whether it fails.

Candidates for durations: boosted trees of absolute errors, the best simple answer, and the mean of both;
the one with the least absolute error on training rows that its fit has not seen is taken. Baseline: the
best simple answer: the median, or the median by the categorical columns, as the training rows say. The 90 %
interval is conformal, in seconds or as a share of the duration, whichever is narrower there. ``downtime_s``
and ``failed`` (or ``outcome``) are foretold where there are such columns, and are never features. Failed
migrations have no duration to learn from. Once the numbers are measured, durations are fitted again on all
rows (``refit``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, Final

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from ai_engine.telemetry.columns import Columns
from ai_engine.training.arrays import FloatArray, IntArray
from ai_engine.training.encoding import EncodingV1
from ai_engine.training.estimators.migration import MeanV1, MigrationV1
from ai_engine.training.evaluation import measure_numbers
from ai_engine.training.folds import forward_folds, shuffled_folds
from ai_engine.training.hyperparameters import AUTO
from ai_engine.training.intervals import conformal_radius
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
# With fewer outcomes of a kind a probability by row is one of luck.
ENOUGH: Final = 20

Folds = Sequence[tuple[IntArray, IntArray]]


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
    chosen, model, predicted, errors = _durations(algorithm, x[learned], y[learned], encoding, folds, seed)
    observed = y[learned][np.concatenate([check for _, check in folds])]
    radius, relative = _radius(observed, predicted)

    progress(0.6, "learning the other outcomes")
    downtime = None
    if DOWNTIME in table.numbers:
        known = learned[~np.isnan(table.numbers[DOWNTIME][learned])]
        if len(known) >= ENOUGH:
            parts = _folds(len(known), in_time, seed)
            _, downtime, _, _ = _durations(
                AUTO, x[known], table.numbers[DOWNTIME][known], encoding, parts, seed
            )
    failure = None
    if failed is not None:
        # Rows that stand among those held out, or come after the first of them, tell nothing here either.
        keep = ~np.isnan(failed)
        keep[np.isin(given.row_numbers, table.row_numbers[split.held_out])] = False
        if in_time and given.timestamps is not None and table.timestamps is not None:
            keep &= given.timestamps < table.timestamps[split.held_out].min()
        told = np.flatnonzero(keep)
        if len(told):
            failure = _failure(encoding.matrix(_features(given, target))[told], failed[told] == 1, seed)
    estimator = MigrationV1(encoding, model, radius, relative, target, downtime, failure)

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
    used = (target, *encoding.columns)
    refit = request.hyperparameters["refit"] and len(table) <= MOST_ROWS
    kept = estimator
    if refit:
        every = _folds(len(table), False, seed)
        _, again, _, _ = _durations(chosen, x, y, encoding, every, seed)
        kept = replace(estimator, duration=again)

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
        algorithms=(chosen,),
        training_samples=len(learned),
        held_out_samples=len(split.held_out),
        feature_count=encoding.n_features,
        prediction_time=elapsed / len(held_out),
        cleaning=cleaning_of(table, used),
        metadata={
            **described(table, used, training),
            "categories": {name: list(values) for name, values in encoding.categories.items()},
            "split": {"method": split.method, "validation_split": request.validation_split, "seed": seed},
            "candidates": {target: errors},
            "chosen": {target: chosen},
            "baseline": {target: baseline},
            "refit": refit,
            "outcomes": [
                name
                for name, made in ((DOWNTIME, downtime), ("failure_probability", failure))
                if made is not None
            ],
        },
        measure=mae_of,
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


def _durations(
    algorithm: str, x: FloatArray, y: FloatArray, encoding: EncodingV1, folds: Folds, seed: int
) -> tuple[str, Any, FloatArray, dict[str, float]]:
    """Return the best candidate's name, it fitted, what it said of unseen rows, and everyone's errors."""

    def trees(rows: IntArray) -> Any:  # scikit-learn ships no types
        model = HistGradientBoostingRegressor(
            loss="absolute_error",
            max_iter=120,
            learning_rate=0.08,
            min_samples_leaf=min(20, max(3, len(y) // 50)),
            early_stopping=False,
            random_state=seed,
        )
        return model.fit(x[rows], y[rows])

    def simple(rows: IntArray) -> Any:
        inner = list(shuffled_folds(len(rows), seed))
        return best_simple_answer(x[rows], y[rows], encoding, inner)[1]

    makers: dict[str, tuple[Callable[[IntArray], Any], ...]] = {
        "boosted_trees": (trees,),
        "simple": (simple,),
        "combined": (trees, simple),
    }
    if algorithm != AUTO:
        makers = {algorithm: makers[algorithm]}
    made = {
        maker: np.concatenate([maker(fit).predict(x[check]) for fit, check in folds])
        for maker in dict.fromkeys(maker for members in makers.values() for maker in members)
    }
    observed = y[np.concatenate([check for _, check in folds])]
    said = {name: np.mean([made[maker] for maker in members], axis=0) for name, members in makers.items()}
    errors = {name: float(np.abs(values - observed).mean()) for name, values in said.items()}
    chosen = min(errors, key=lambda name: errors[name])
    every = np.arange(len(y))
    return chosen, MeanV1(tuple(maker(every) for maker in makers[chosen])), said[chosen], errors


def _radius(observed: FloatArray, predicted: FloatArray) -> tuple[float, bool]:
    """Return the half-width that holds 90 % of unseen rows, and whether it is a share of the duration."""
    seconds = np.maximum(predicted, 1e-3 * max(float(np.abs(observed).max()), 1e-9))
    errors = np.abs(observed - predicted)
    absolute, share = conformal_radius(np.column_stack([errors, errors / seconds])).tolist()
    relative = bool(share * seconds.mean() < absolute)
    return (share if relative else absolute), relative


def _failure(x: FloatArray, failed: Any, seed: int) -> Any:  # a mask; scikit-learn ships no types
    """Return the probability of a failure: by row if that has the smaller Brier score, else one for all.

    References
    ----------
    Brier (1950), Monthly Weather Review 78(1), 1-3; Laplace's rule of succession for the one for all.
    """
    share = float((failed.sum() + 1) / (len(failed) + 2))
    if min(failed.sum(), (~failed).sum()) < ENOUGH:
        return share

    def classifier(rows: IntArray) -> Any:
        model = HistGradientBoostingClassifier(
            max_iter=60, learning_rate=0.08, early_stopping=False, random_state=seed
        )
        return model.fit(x[rows], failed[rows])

    by_row = by_all = 0.0
    for fit, check in shuffled_folds(len(failed), seed, failed.astype(np.intp)):
        by_row += float(np.square(classifier(fit).predict_proba(x[check])[:, 1] - failed[check]).sum())
        by_all += float(np.square(failed[fit].mean() - failed[check]).sum())
    return classifier(np.arange(len(failed))) if by_row < by_all else share
