"""``regression``: one number a row, from the row's other columns.

Candidates: ridge regression, a random forest, boosted trees of squared and of absolute errors, which skewed
targets ask for. Baseline: the best of the simple answers (the mean, the median, the median by the
categorical columns) as training rows tell. Each training row is foretold by a fit that has not seen it
(five folds; in time order where there are timestamps): these errors choose the candidate and give the 90 %
interval. The chosen one is fitted on all training rows, measured once on the held-out rows, and then fitted
again on all rows, unless ``refit`` is false: the numbers are those of before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Final

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ai_engine.telemetry.columns import Columns
from ai_engine.training.arrays import FloatArray
from ai_engine.training.encoding import EncodingV1
from ai_engine.training.estimators.tabular import RegressorV1
from ai_engine.training.evaluation import measure_numbers
from ai_engine.training.folds import forward_folds, shuffled_folds
from ai_engine.training.held_out_rows import HeldOutRows
from ai_engine.training.hyperparameters import AUTO
from ai_engine.training.importance import permutation_importance
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
from ai_engine.training.recipes.refit import at_most, refitted
from ai_engine.training.recipes.simple_answers import best_simple_answer
from ai_engine.training.request import TrainingRequest
from ai_engine.training.split import split_table
from ai_engine.training.table import read_table, with_timestamps_complete, without_missing

# Rows that one fit learns from: 100,000 rows of 30 columns take the slowest candidate about ten seconds.
MOST_ROWS: Final = 100_000
ALGORITHMS: Final = {
    "ridge": "Ridge",
    "random_forest": "RandomForestRegressor",
    "boosted_trees": "HistGradientBoostingRegressor",
    "boosted_trees_absolute": "HistGradientBoostingRegressor",
}


def train(request: TrainingRequest, rows: Columns, progress: Progress) -> Fitted:
    """Return a fitted `RegressorV1`; see `Recipe`."""
    progress(0.0, "reading the rows")
    assert request.target_columns is not None
    given = with_timestamps_complete(read_table(rows))
    (target,) = named_targets(given, request.target_columns)
    table = without_missing(given, target)
    check_length(table, target)
    seed = request.hyperparameters["seed"]
    split = split_table(table, request.validation_split, seed)
    y = table.numbers[target]
    training = split.training
    if table.timestamps is not None:
        training = training[np.argsort(table.timestamps[training], kind="stable")]
    learned = at_most(training, MOST_ROWS)
    encoding = has_features(EncodingV1.of(table, learned, target), target)
    x = encoding.matrix(table)

    progress(0.1, "comparing candidates on training rows")
    candidates = _candidates(request.hyperparameters["algorithm"], seed, len(learned))
    in_time = split.method == "time"
    folds = list(forward_folds(len(learned)) if in_time else shuffled_folds(len(learned), seed))
    baseline, simple = best_simple_answer(x[learned], y[learned], encoding, folds)
    errors: dict[str, FloatArray] = {}
    for number, (name, make) in enumerate(candidates.items()):
        progress(0.1 + 0.6 * number / len(candidates), f"trying {name}")
        errors[name] = np.concatenate(
            [
                np.abs(
                    y[learned[check]]
                    - make().fit(x[learned[fit]], y[learned[fit]]).predict(x[learned[check]])
                )
                for fit, check in folds
            ]
        )
    chosen = min(errors, key=lambda name: float(errors[name].mean()))

    progress(0.7, f"fitting {chosen} on all training rows")
    model = candidates[chosen]().fit(x[learned], y[learned])
    estimator = RegressorV1(encoding, model, float(conformal_radius(errors[chosen][:, None])[0]), target)

    progress(0.9, "measuring on the held-out rows")
    observed = y[split.held_out]
    started = perf_counter()
    predicted = estimator.values(x[split.held_out])
    seconds = perf_counter() - started
    metrics = measure_numbers(
        observed,
        predicted,
        predicted - estimator.radius,
        predicted + estimator.radius,
        simple.predict(x[split.held_out]),
        training_range=float(np.ptp(y[training])),
    )

    findings = HeldOutRows.of(table, split, target).findings_of_numbers(
        observed,
        predicted,
        (predicted - estimator.radius, predicted + estimator.radius),
        simple.predict(x[split.held_out]),
        permutation_importance(
            lambda some, rows: float(np.abs(observed[rows] - estimator.values(some)).mean()),
            x[split.held_out],
            encoding,
            f"growth of the mean absolute error, in the unit of {target}",
            seed,
        ),
    )
    used = (target, *encoding.columns)
    refit = request.hyperparameters["refit"]
    kept = estimator
    if refit:
        progress(0.95, "fitting once more on all rows")
        kept = refitted(estimator, candidates[chosen], table, y, MOST_ROWS)

    def mae_of(other: Any) -> float | None:  # any stored object may be asked for
        if other is kept:
            return metrics.mae  # once fitted again, it has seen these rows
        if not isinstance(other, RegressorV1) or other.target != target:
            return None
        kept_back = rows.take(table.row_numbers[split.held_out])
        return float(np.abs(observed - other.values(other.encoding.matrix_of_rows(kept_back))).mean())

    return Fitted(
        estimator=kept,
        by_target={target: metrics},
        targets=(target,),
        algorithms=(ALGORITHMS[chosen],),
        training_samples=len(learned),
        held_out_samples=len(split.held_out),
        feature_count=encoding.n_features,
        prediction_time=seconds / len(observed),
        cleaning=cleaning_of(table, used),
        metadata={
            **described(table, used, training),
            "categories": {name: list(values) for name, values in encoding.categories.items()},
            "split": {"method": split.method, "validation_split": request.validation_split, "seed": seed},
            "candidates": {target: {name: float(error.mean()) for name, error in errors.items()}},
            "chosen": {target: chosen},
            "baseline": {target: baseline},
            "refit": refit,
        },
        measure=mae_of,
        findings=findings,
    )


def _candidates(algorithm: str, seed: int, n_rows: int) -> Mapping[str, Callable[[], Any]]:
    """Return how to make each scikit-learn regressor to try; they have no type of their own."""
    leaf = min(20, max(3, n_rows // 50))
    makers: dict[str, Callable[[], Any]] = {  # sklearn ships no types
        # 13 strengths over six decades: the step between them changes no error by more than the folds do.
        "ridge": lambda: make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-3, 3, 13))),
        # 60 small trees answer one row in milliseconds; 300 were no better on the diabetes table.
        "random_forest": lambda: RandomForestRegressor(
            n_estimators=60, min_samples_leaf=3, max_samples=min(1.0, 20_000 / n_rows), random_state=seed
        ),
        "boosted_trees": lambda: HistGradientBoostingRegressor(
            max_iter=120, learning_rate=0.08, min_samples_leaf=leaf, early_stopping=False, random_state=seed
        ),
    }
    # Koenker & Bassett (1978), Econometrica 46(1), 33-50: absolute errors are least at the median.
    makers["boosted_trees_absolute"] = lambda: HistGradientBoostingRegressor(
        loss="absolute_error",
        max_iter=120,
        learning_rate=0.08,
        min_samples_leaf=leaf,
        early_stopping=False,
        random_state=seed,
    )
    return makers if algorithm == AUTO else {algorithm: makers[algorithm]}
