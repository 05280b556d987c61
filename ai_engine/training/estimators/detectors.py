"""Detectors of unusual rows, all with one shape: X in, scores out, higher is more anomalous."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest

from ai_engine.training.arrays import BoolArray, FloatArray

# Beyond ten spreads a value is simply far out; without a bound one metric at 1e6 would hide all the others.
FARTHEST = 10.0


class Detector(Protocol):
    """Tells how unlike the rows that it was fitted on a row is."""

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Return the names of what was fitted."""
        ...

    def fit(self, x: FloatArray, labels: BoolArray | None) -> None:
        """Learn from rows, shape (n_rows, n_features); `labels` tells the anomalies, where they are known."""
        ...

    def scores(self, x: FloatArray) -> FloatArray:
        """Return the score of each row, shape (n_rows,)."""
        ...


class _Spread:
    """Columns in multiples of their spread from their median, bounded."""

    def __init__(self, x: FloatArray) -> None:
        low, self._median, high = np.percentile(x, [25, 50, 75], axis=0)
        # A column that hardly moved is given a thousandth of its size, so that rounding is no anomaly.
        size = np.abs(x).max(axis=0)
        least = 1e-3 * np.where(size > 0, size, 1.0)
        self._spread = np.maximum(np.maximum(high - low, x.std(axis=0)), least)

    def of(self, x: FloatArray) -> FloatArray:
        bounded: FloatArray = np.clip((x - self._median) / self._spread, -FARTHEST, FARTHEST)
        return bounded


def _normal(x: FloatArray, labels: BoolArray | None) -> FloatArray:
    """Return the rows that are not known to be anomalies."""
    return x if labels is None or labels.all() else x[~labels]


class RobustDeviationV1:
    """The mean over the columns of the distance from the median in spreads.

    References
    ----------
    Rousseeuw & Hubert (2011), Robust statistics for outlier detection, WIREs 1(1), 73-79.
    """

    algorithms = ("RobustDeviation",)

    def fit(self, x: FloatArray, labels: BoolArray | None) -> None:
        """Learn the medians and spreads of the rows not labelled as anomalies."""
        self._spread = _Spread(_normal(x, labels))

    def scores(self, x: FloatArray) -> FloatArray:
        """Return mean distances, 0 to 10."""
        distances: FloatArray = self.distances(x).mean(axis=1)
        return distances

    def distances(self, x: FloatArray) -> FloatArray:
        """Return each column's distance from its median in spreads, 0 to 10, shape (n_rows, n_columns)."""
        distances: FloatArray = np.abs(self._spread.of(x))
        return distances


class MahalanobisV1:
    """The distance from the mean in the metric of the covariance: sees columns that break with each other.

    References
    ----------
    Mahalanobis (1936), Proc. Natl. Inst. Sci. India 2(1), 49-55. The identity added to the covariance keeps
    directions in which the training rows do not vary from deciding alone.
    """

    algorithms = ("Mahalanobis",)
    # In squared spreads; on four SMD machines 0.02 to 0.1 gave the same ranking to two digits.
    RIDGE = 0.05

    def fit(self, x: FloatArray, labels: BoolArray | None) -> None:
        """Learn mean and covariance of the rows not labelled as anomalies."""
        normal = _normal(x, labels)
        self._spread = _Spread(normal)
        z = self._spread.of(normal)
        self._mean = z.mean(axis=0)
        covariance = np.atleast_2d(np.cov(z, rowvar=False)) if len(z) > 1 else np.zeros((z.shape[1],) * 2)
        self._precision = np.linalg.inv(covariance + self.RIDGE * np.eye(z.shape[1]))

    def scores(self, x: FloatArray) -> FloatArray:
        """Return distances, from 0."""
        z = self._spread.of(x) - self._mean
        distances: FloatArray = np.sqrt(np.maximum(np.einsum("ij,ij->i", z @ self._precision, z), 0.0))
        return distances

    def parts(self, x: FloatArray) -> FloatArray:
        """Return what each column adds to the squared distances, from 0, shape (n_rows, n_columns).

        The terms of the quadratic form; those below 0, of columns that make a row less unusual, are 0.
        """
        z = self._spread.of(x) - self._mean
        terms: FloatArray = np.maximum((z @ self._precision) * z, 0.0)
        return terms


def column_parts(detector: Detector, spread: RobustDeviationV1, x: FloatArray) -> FloatArray:
    """Return how much each column has to do with a row's score, from 0, shape (n_rows, n_columns).

    Of the Mahalanobis distance these are its terms; of a detector that cannot be taken apart they are the
    squared distances from the medians.
    """
    if isinstance(detector, MahalanobisV1):
        return detector.parts(x)
    squares: FloatArray = np.square(spread.distances(x))
    return squares


class IsolationForestV1:
    """How few random cuts isolate a row (Liu, Ting & Zhou 2008, ICDM, 413-422)."""

    algorithms = ("IsolationForest",)

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def fit(self, x: FloatArray, labels: BoolArray | None) -> None:
        """Grow 100 trees, each on 256 rows, as the authors advise."""
        self._forest: Any = IsolationForest(
            n_estimators=100, random_state=self._seed
        )  # sklearn ships no types
        self._forest.fit(_normal(x, labels))

    def scores(self, x: FloatArray) -> FloatArray:
        """Return the authors' anomaly score, 0 to 1."""
        return -np.asarray(self._forest.score_samples(x), dtype=np.float64)


class CombinedV1:
    """The mean of all scores but the highest, each in units of its own 99 % level among the training rows.

    No row is unusual because one detector alone thinks so: when the load shifts after training, one of them
    is often carried away. On four SMD machines this ranked better than the mean or the median of the same
    three.

    References
    ----------
    Aggarwal & Sathe (2015), Theoretical foundations and algorithms for outlier ensembles, SIGKDD Expl. 17(1).
    """

    def __init__(self, members: Sequence[Detector]) -> None:
        self._members = tuple(members)

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Return the names of what was fitted."""
        return tuple(name for member in self._members for name in member.algorithms)

    def fit(self, x: FloatArray, labels: BoolArray | None) -> None:
        """Fit every member and learn its usual scores."""
        self._levels = []
        for member in self._members:
            member.fit(x, labels)
            usual, high = np.quantile(member.scores(x), [0.5, 0.99])
            self._levels.append((usual, max(high - usual, 1e-9)))

    def scores(self, x: FloatArray) -> FloatArray:
        """Return scores: about 0 for a usual row, about 1 for the most unusual hundredth."""
        scaled = [
            (member.scores(x) - usual) / unit
            for member, (usual, unit) in zip(self._members, self._levels, strict=True)
        ]
        agreed: FloatArray = np.sort(scaled, axis=0)[:-1].mean(axis=0)
        return agreed


class BoostedTreesV1:
    """The probability that a row would be labelled as an anomaly; needs labels to learn from."""

    algorithms = ("HistGradientBoostingClassifier",)

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def fit(self, x: FloatArray, labels: BoolArray | None) -> None:
        """Learn the labels; where all are of one kind there is nothing to learn, and every row scores 0."""
        self._trees: Any = None  # sklearn ships no types
        if labels is None or labels.all() or not labels.any():
            return
        self._trees = HistGradientBoostingClassifier(
            max_iter=100, early_stopping=False, random_state=self._seed
        )
        self._trees.fit(x, labels)

    def scores(self, x: FloatArray) -> FloatArray:
        """Return probabilities."""
        if self._trees is None:
            return np.zeros(len(x))
        return np.asarray(self._trees.predict_proba(x)[:, 1], dtype=np.float64)
