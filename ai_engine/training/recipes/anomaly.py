"""``anomaly_detection``: which rows are unlike the others, with or without labels to learn and to measure by.

Candidates: the robust deviation from the medians, the Mahalanobis distance, an isolation forest, the three
combined, and, where there are labels, boosted trees that learn them. Without labels nothing can be compared,
so the combination is taken, which ranked the rows of labelled servers best over all, and the threshold is
the score that 1 % of the training rows exceed. With labels the candidate with the best average precision on
training rows that its fit has not seen is taken, and the threshold with the best F1 there. Baseline: the
more frequent label; errors are shares of wrong rows. Without labels only the share of rows flagged can be
known.

Rows that follow one another, by their times or by what is in them, are judged in their context where there
are no labels: several metrics by their values and by the distances from their trailing medians (`ContextV1`,
with the algorithm that is asked for, else the Mahalanobis distance), a single one by four signals of its own
past (`SeriesV1`). A row that too little is known before is judged by itself, as above.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, Final

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve

from ai_engine.domain.errors import InvalidInputError
from ai_engine.telemetry.columns import Columns
from ai_engine.training.arrays import BoolArray, FloatArray, IntArray
from ai_engine.training.encoding import EncodingV1
from ai_engine.training.estimators.anomaly import AnomalyDetectorV1, AnomalyDetectorV2, rows_of_vms
from ai_engine.training.estimators.context import LEAST_ROWS, Context, ContextV1
from ai_engine.training.estimators.detectors import (
    BoostedTreesV1,
    CombinedV1,
    Detector,
    IsolationForestV1,
    MahalanobisV1,
    RobustDeviationV1,
)
from ai_engine.training.estimators.series import SeriesV1
from ai_engine.training.evaluation import DetectionMetrics, measure_classes, measure_flags
from ai_engine.training.findings import NOTHING
from ai_engine.training.folds import forward_folds, shuffled_folds
from ai_engine.training.grid import median_interval
from ai_engine.training.held_out_rows import HeldOutRows
from ai_engine.training.hyperparameters import AUTO
from ai_engine.training.metrics import UNKNOWN, TargetMetrics
from ai_engine.training.progress import Progress
from ai_engine.training.recipes.columns import check_length, cleaning_of, described, has_features, varying
from ai_engine.training.recipes.protocol import Fitted
from ai_engine.training.request import TrainingRequest
from ai_engine.training.split import Split, check_parts, split_in_order, split_in_time, split_within_classes
from ai_engine.training.table import Table, in_time_order, read_table, without_missing

# Rows that one fit learns from: 100,000 rows of 38 columns take all candidates together about ten seconds.
MOST_ROWS: Final = 100_000
# The share of training rows that is called anomalous where nothing better is known.
USUAL_CONTAMINATION: Final = 0.01
# With fewer labelled anomalies to learn from, comparing candidates by them is comparing luck.
ENOUGH_ANOMALIES: Final = 10
# Rows without times follow one another if a row is that much nearer to the one before it than to any other:
# of independent rows this is 1, of four SMD machines 0.05 to 0.2.
FOLLOWING: Final = 0.5


def train(request: TrainingRequest, rows: Columns, progress: Progress) -> Fitted:
    """Return a fitted `AnomalyDetectorV2`; see `Recipe`."""
    progress(0.0, "reading the rows")
    label = request.target_columns[0] if request.target_columns else None
    table = _read(rows, label)
    labels = None if label is None else table.numbers[label] == 1
    settings = request.hyperparameters
    split = _split(table, labels, request.validation_split, settings["seed"])
    learned = split.training[:: -(-len(split.training) // MOST_ROWS)]
    numeric = replace(table, texts={})
    encoding = has_features(
        EncodingV1.of(numeric, learned, label), "the labels" if label else "timestamp and vm_id"
    )
    x = encoding.matrix(numeric)
    known = None if labels is None else labels[learned]

    progress(0.1, "comparing candidates on training rows")
    candidates = _candidates(settings["algorithm"], settings["seed"], known)
    folds = _folds(len(learned), split, settings["seed"], known)
    chosen, precisions, threshold = "combined", {}, None
    if known is not None and _comparable(known, folds):
        unseen: dict[str, tuple[BoolArray, FloatArray]] = {}
        for number, (name, make) in enumerate(candidates.items()):
            progress(0.1 + 0.6 * number / len(candidates), f"trying {name}")
            unseen_rows, scores = _scores_of_unseen(make, x[learned], known, folds)
            unseen[name] = known[unseen_rows], scores
        precisions = {
            name: float(average_precision_score(seen, scores)) for name, (seen, scores) in unseen.items()
        }
        chosen = max(precisions, key=lambda name: precisions[name])
        threshold = _best_threshold(*unseen[chosen])
    elif settings["algorithm"] != AUTO:
        chosen = settings["algorithm"]

    progress(0.7, f"fitting {chosen} on all training rows")
    timed = table.timestamps is not None

    def fitted(rows: IntArray) -> AnomalyDetectorV2:
        """Return the detector of these rows, with them as the past of those to come."""
        some = rows[:: -(-len(rows) // MOST_ROWS)]
        told = None if labels is None else labels[some]
        detector, spread = candidates[chosen](), RobustDeviationV1()
        for one in (detector, spread):
            one.fit(x[some], told)
        limit = threshold
        if limit is None or settings["contamination"] is not None:
            share = settings["contamination"] or USUAL_CONTAMINATION
            unseen_by = _folds(len(some), split, settings["seed"], told)
            limit = _threshold(candidates[chosen], x[some], told, share, unseen_by)
        part, context = numeric.take(rows), None
        if label is None:
            context = _context(part, x[rows], encoding, settings, candidates[chosen])
        made = AnomalyDetectorV2(encoding, detector, spread, limit, label, context, timed, {})
        return made.remembering(part, x[rows])

    measured = fitted(split.training)
    progress(0.9, "measuring on the held-out rows")
    held_out = numeric.take(split.held_out)
    started = perf_counter()
    judged = measured.judge(held_out, x[split.held_out])
    flags = judged.flags
    seconds = perf_counter() - started
    refit = settings["refit"] and label is None
    if refit:
        progress(0.95, "fitting again on all rows")
    everything = np.arange(len(table))
    estimator = fitted(everything) if refit else measured.remembering(numeric, x)
    observed = None if labels is None else labels[split.held_out]
    found = DetectionMetrics(None, None, None) if observed is None else measure_flags(observed, flags)
    majority = labels is not None and bool(labels[learned].mean() > 0.5)

    targets = () if label is None else (label,)
    used = (*encoding.columns, *targets)

    def mae_of(other: Any) -> float | None:  # any stored object may be asked for
        if not isinstance(other, (AnomalyDetectorV1, AnomalyDetectorV2)) or observed is None:
            return None
        kept_back = rows.take(table.row_numbers[split.held_out])
        if isinstance(other, AnomalyDetectorV2):
            return float((other.judge_rows(kept_back).flags != observed).mean())
        return float((other.flags(other.encoding.matrix_of_rows(kept_back)) != observed).mean())

    return Fitted(
        estimator=estimator,
        by_target=_by_target(label, observed, flags, majority),
        targets=targets,
        algorithms=estimator.detector.algorithms,
        training_samples=len(learned),
        held_out_samples=len(split.held_out),
        feature_count=encoding.n_features,
        prediction_time=seconds / len(flags),
        cleaning=cleaning_of(table, used),
        metadata={
            **described(table, used, learned),
            "threshold": estimator.threshold,
            "split": {"method": split.method, "validation_split": request.validation_split},
            "candidates": {"average_precision": precisions},
            "chosen": chosen,
            "context": None if estimator.context is None else "time" if timed else "order",
            "refit": refit,
        },
        measure=mae_of,
        extra={
            "precision": found.precision,
            "recall": found.recall,
            "f1": found.f1,
            "flagged_share": float(flags.mean()),
        },
        findings=NOTHING
        if label is None or observed is None
        else HeldOutRows.of(table, split, label).findings_of_flags(observed, judged.scores, flags, majority),
    )


def _context(
    table: Table,
    x: FloatArray,
    encoding: EncodingV1,
    settings: Mapping[str, Any],  # any hyperparameters
    make: Callable[[], Detector],
) -> Context | None:
    """Return what judges rows by those before them, fitted on training rows, if rows follow."""
    timed = table.timestamps is not None
    vms = rows_of_vms(table, x, encoding, timed)
    if max(map(len, vms)) <= LEAST_ROWS or not (timed or _follow(vms)):
        return None
    if settings["algorithm"] == AUTO and x.shape[1] == 1:
        return SeriesV1.fitted(vms, median_interval(table), settings["contamination"])
    level, change = (MahalanobisV1(), MahalanobisV1()) if settings["algorithm"] == AUTO else (make(), make())
    share = settings["contamination"] or USUAL_CONTAMINATION
    return ContextV1.fitted(level, change, vms, share, median_interval(table))


def _follow(vms: Sequence[FloatArray]) -> bool:
    """Return whether rows are nearer to those before them than to any others.

    References
    ----------
    von Neumann (1941), Annals of Mathematical Statistics 12(4), 367-395: the mean difference of successive
    values against that of all.
    """
    steps = np.concatenate([np.abs(np.diff(rows, axis=0)) for rows in vms])
    spreads = np.maximum(np.concatenate(vms).std(axis=0), 1e-12)
    # Of independent normal values the mean difference is 1.128 deviations (2 over the root of pi).
    return bool((steps.mean(axis=0) / spreads).mean() / 1.128 < FOLLOWING)


def _read(rows: Columns, label: str | None) -> Table:
    table = in_time_order(read_table(rows))
    if label is not None:
        table = without_missing(_with_labels(table, label), label)
    check_length(table, label or "any column")
    if not any(name != label for name in varying(table)):
        raise InvalidInputError(
            "training_data", "has no numeric column that varies; give at least one metric, such as cpu"
        )
    return table


def _with_labels(table: Table, label: str) -> Table:
    if label not in table.numbers:
        what = "is text" if label in table.texts else "does not exist"
        raise InvalidInputError(
            "target_columns[0]",
            f"the column {label!r} {what}; name one that is 1 or true for anomalies, else 0",
        )
    wrong = np.flatnonzero(~np.isin(table.numbers[label], (0, 1)) & ~np.isnan(table.numbers[label]))
    if len(wrong):
        raise InvalidInputError(
            f"training_data[{table.row_numbers[wrong[0]]}].{label}",
            f"is {table.numbers[label][wrong[0]]:g}; a label is 1 or true for an anomaly, else 0 or false",
        )
    if np.isnan(table.numbers[label]).all():
        raise InvalidInputError("target_columns[0]", f"the column {label!r} has no value in any row")
    return table


def _split(table: Table, labels: BoolArray | None, held_out: float, seed: int) -> Split:
    """Return the split in time or in the order given; shuffled where a part would be without one class."""
    if table.timestamps is not None:
        split = split_in_time(table.timestamps, held_out)
    else:
        split = split_in_order(len(table), held_out)
        one_sided = labels is not None and any(
            labels[part].all() or not labels[part].any()
            for part in (split.training, split.held_out)
            if len(part)
        )
        if one_sided and labels is not None:
            split = split_within_classes(labels.astype(np.intp), held_out, seed)
    check_parts(split, held_out)
    return split


def _candidates(algorithm: str, seed: int, labels: BoolArray | None) -> Mapping[str, Callable[[], Detector]]:
    makers: dict[str, Callable[[], Detector]] = {
        "combined": lambda: CombinedV1([RobustDeviationV1(), MahalanobisV1(), IsolationForestV1(seed)]),
        "robust_deviation": RobustDeviationV1,
        "mahalanobis": MahalanobisV1,
        "isolation_forest": lambda: IsolationForestV1(seed),
    }
    if labels is not None and labels.any() and not labels.all():
        makers["boosted_trees"] = lambda: BoostedTreesV1(seed)
    elif algorithm == "boosted_trees":
        raise InvalidInputError(
            "hyperparameters.algorithm",
            "boosted_trees learn from labels of both kinds in the training rows; name a column of them in "
            "target_columns, or choose another algorithm",
        )
    return makers if algorithm == AUTO else {algorithm: makers[algorithm]}


def _folds(n_rows: int, split: Split, seed: int, labels: BoolArray | None) -> list[tuple[IntArray, IntArray]]:
    if split.method in ("time", "given order"):
        return list(forward_folds(n_rows))
    return list(shuffled_folds(n_rows, seed, None if labels is None else labels.astype(np.intp)))


def _comparable(labels: BoolArray, folds: Sequence[tuple[IntArray, IntArray]]) -> bool:
    """Return whether there are enough labels to compare by, both kinds among the rows to check."""
    checked = labels[np.concatenate([check for _, check in folds])]
    return int(labels.sum()) >= ENOUGH_ANOMALIES and bool(checked.any()) and not bool(checked.all())


def _scores_of_unseen(
    make: Callable[[], Detector],
    x: FloatArray,
    labels: BoolArray | None,
    folds: Sequence[tuple[IntArray, IntArray]],
) -> tuple[IntArray, FloatArray]:
    """Return positions of training rows and their scores by fits that have not seen them."""
    scores = []
    for fit, check in folds:
        detector = make()
        detector.fit(x[fit], None if labels is None else labels[fit])
        scores.append(detector.scores(x[check]))
    return np.concatenate([check for _, check in folds]), np.concatenate(scores)


def _threshold(
    make: Callable[[], Detector],
    x: FloatArray,
    labels: BoolArray | None,
    contamination: float,
    folds: Sequence[tuple[IntArray, IntArray]],
) -> float:
    """Return the score that a share of training rows exceeds, by fits of at least half of the rows.

    In time order that leaves the later rows, whose scores have risen with whatever has shifted, as those of
    the rows to come will: on four SMD machines this threshold had a higher F1 than the same share of the rows
    fitted on.
    """
    late = [(fit, check) for fit, check in folds if 2 * len(fit) >= len(x)]
    _, scores = _scores_of_unseen(make, x, labels, late)
    return float(np.quantile(scores, 1 - contamination))


def _best_threshold(labels: BoolArray, scores: FloatArray) -> float:
    """Return the threshold with the best F1, halfway to the next lower score so that ties fall above it."""
    precision, recall, thresholds = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = float(thresholds[int(np.argmax(f1[:-1]))])
    below = scores[scores < best]
    return (best + float(below.max())) / 2 if len(below) else best - 1e-9


def _by_target(
    label: str | None, observed: BoolArray | None, flags: BoolArray, majority: bool
) -> Mapping[str, TargetMetrics]:
    if label is None or observed is None:
        return {"is_anomaly": UNKNOWN}
    return {label: measure_classes(flags == observed, observed == majority)}
