"""``classification``: one of some classes a row, from the row's other columns.

Candidates: logistic regression, a random forest, boosted trees. Baseline: the majority class of the training
rows; errors are shares of wrong rows. The candidate with the fewest wrong rows among training rows that its
fits have not seen is chosen (five folds; in time order where there are timestamps), fitted on all training
rows, measured once on the held-out rows, and then fitted again on all rows, unless ``refit`` is false: the
numbers are those of before. There are no intervals, so ``confidence_score`` is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Final

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ai_engine.domain.errors import InvalidInputError
from ai_engine.telemetry.columns import Columns
from ai_engine.training.arrays import FloatArray, IntArray
from ai_engine.training.encoding import EncodingV1
from ai_engine.training.estimators.tabular import ClassifierV1, label_name
from ai_engine.training.evaluation import measure_classes
from ai_engine.training.folds import forward_folds, shuffled_folds
from ai_engine.training.held_out_rows import HeldOutRows
from ai_engine.training.hyperparameters import AUTO
from ai_engine.training.importance import permutation_importance
from ai_engine.training.labels import Labels, read_labels
from ai_engine.training.progress import Progress
from ai_engine.training.recipes.columns import check_length, cleaning_of, described, has_features
from ai_engine.training.recipes.protocol import Fitted
from ai_engine.training.recipes.refit import at_most, refitted
from ai_engine.training.request import TrainingRequest
from ai_engine.training.split import Split, split_table
from ai_engine.training.table import read_table, with_timestamps_complete, without_missing

# Rows that one fit learns from, as for regression.
MOST_ROWS: Final = 100_000
# Boosting grows one tree a class and round.
MOST_BOOSTED_CLASSES: Final = 20
ALGORITHMS: Final = {
    "logistic_regression": "LogisticRegression",
    "random_forest": "RandomForestClassifier",
    "boosted_trees": "HistGradientBoostingClassifier",
}


def train(request: TrainingRequest, rows: Columns, progress: Progress) -> Fitted:
    """Return a fitted `ClassifierV1`; see `Recipe`."""
    progress(0.0, "reading the rows")
    assert request.target_columns is not None
    (target,) = request.target_columns
    given = with_timestamps_complete(read_table(rows, raw=(target,)))
    if target not in given.texts:
        known = ", ".join((*given.numbers, *given.texts))
        raise InvalidInputError(
            "target_columns[0]", f"there is no column {target!r}; the columns are: {known}"
        )
    table = without_missing(given, target)
    check_length(table, target)
    classes = read_labels(table.texts[target], table.row_numbers, target)
    seed = request.hyperparameters["seed"]
    split = split_table(table, request.validation_split, seed, classes.codes)
    training = split.training
    if table.timestamps is not None:
        training = training[np.argsort(table.timestamps[training], kind="stable")]
    learned = at_most(training, MOST_ROWS)
    y = classes.codes
    if len(np.unique(y[learned])) < 2:
        raise InvalidInputError(
            "validation_split",
            f"the training rows hold only the class {classes.labels[y[learned[0]]]!r} of {target}: rows with "
            "timestamps are split in time. Give rows in which each class occurs early, or no timestamps",
        )
    encoding = has_features(EncodingV1.of(table, learned, target), target)
    x = encoding.matrix(table)

    progress(0.1, "comparing candidates on training rows")
    candidates = _candidates(request.hyperparameters["algorithm"], seed, len(learned), len(classes.labels))
    errors: dict[str, float] = {}
    for number, (name, make) in enumerate(candidates.items()):
        progress(0.1 + 0.6 * number / len(candidates), f"trying {name}")
        errors[name] = _wrong_share(make, x[learned], y[learned], split, seed)
    chosen = min(errors, key=lambda name: errors[name])

    progress(0.7, f"fitting {chosen} on all training rows")
    estimator = ClassifierV1(
        encoding, candidates[chosen]().fit(x[learned], y[learned]), classes.labels, target
    )

    progress(0.9, "measuring on the held-out rows")
    observed = y[split.held_out]
    started = perf_counter()
    shares = estimator.probabilities(x[split.held_out])
    seconds = perf_counter() - started
    majority = int(np.bincount(y[training]).argmax())
    metrics = measure_classes(shares.argmax(axis=1) == observed, observed == majority)
    findings = HeldOutRows.of(table, split, target).findings_of_classes(
        observed,
        shares,
        majority,
        classes.labels,
        permutation_importance(
            lambda some, rows: float((estimator.probabilities(some).argmax(axis=1) != observed[rows]).mean()),
            x[split.held_out],
            encoding,
            "growth of the share of wrong rows",
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
        if not isinstance(other, ClassifierV1) or other.target != target:
            return None
        kept_back = rows.take(table.row_numbers[split.held_out])
        return _wrong_labels(other, kept_back, classes, observed)

    return Fitted(
        estimator=kept,
        by_target={target: metrics},
        targets=(target,),
        algorithms=(ALGORITHMS[chosen],),
        training_samples=len(learned),
        held_out_samples=len(observed),
        feature_count=encoding.n_features,
        prediction_time=seconds / len(observed),
        cleaning=cleaning_of(table, used),
        metadata={
            **described(table, used, training),
            "classes": list(classes.labels),
            "categories": {name: list(values) for name, values in encoding.categories.items()},
            "split": {"method": split.method, "validation_split": request.validation_split, "seed": seed},
            "candidates": {target: errors},
            "chosen": {target: chosen},
            "refit": refit,
        },
        measure=mae_of,
        findings=findings,
    )


def _wrong_share(
    make: Callable[[], Any],  # sklearn ships no types
    x: FloatArray,
    y: IntArray,
    split: Split,
    seed: int,
) -> float:
    """Return the share of wrong rows among training rows, each judged by a fit that has not seen it."""
    folds = forward_folds(len(y)) if split.method == "time" else shuffled_folds(len(y), seed, y)
    wrong = [
        make().fit(x[fit], y[fit]).predict(x[check]) != y[check]
        for fit, check in folds
        if len(np.unique(y[fit])) > 1
    ]
    return float(np.concatenate(wrong).mean()) if wrong else 1.0


def _wrong_labels(other: ClassifierV1, rows: Columns, classes: Labels, observed: IntArray) -> float:
    """Return the share of rows in which another classifier does not name the observed class."""
    named = [
        label_name(other.labels[code])
        for code in other.probabilities(other.encoding.matrix_of_rows(rows)).argmax(axis=1)
    ]
    seen = [label_name(classes.labels[code]) for code in observed]
    return sum(one != two for one, two in zip(named, seen, strict=True)) / len(seen)


def _candidates(algorithm: str, seed: int, n_rows: int, n_classes: int) -> Mapping[str, Callable[[], Any]]:
    """Return how to make each scikit-learn classifier to try; they have no type of their own."""
    leaf = min(20, max(3, n_rows // 50))
    makers: dict[str, Callable[[], Any]] = {  # sklearn ships no types
        "logistic_regression": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
        "random_forest": lambda: RandomForestClassifier(
            n_estimators=60, min_samples_leaf=2, max_samples=min(1.0, 20_000 / n_rows), random_state=seed
        ),
        "boosted_trees": lambda: HistGradientBoostingClassifier(
            max_iter=120, learning_rate=0.08, min_samples_leaf=leaf, early_stopping=False, random_state=seed
        ),
    }
    if algorithm != AUTO:
        return {algorithm: makers[algorithm]}
    if n_classes > MOST_BOOSTED_CLASSES:
        del makers["boosted_trees"]
    return makers
