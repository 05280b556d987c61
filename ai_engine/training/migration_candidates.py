"""The models that a migration is foretold by: durations and interruptions in seconds, and failures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from ai_engine.training.arrays import FloatArray, IntArray
from ai_engine.training.encoding import EncodingV1
from ai_engine.training.estimators.migration import MeanV1
from ai_engine.training.folds import shuffled_folds
from ai_engine.training.hyperparameters import AUTO
from ai_engine.training.intervals import conformal_radius
from ai_engine.training.recipes.simple_answers import best_simple_answer

# With fewer outcomes of a kind a probability by row is one of luck.
ENOUGH: Final = 20

Folds = Sequence[tuple[IntArray, IntArray]]
Makers = Mapping[str, tuple[Callable[[IntArray], Any], ...]]  # scikit-learn ships no types


@dataclass(frozen=True, slots=True)
class SecondsChoice:
    """What foretells a number of seconds best.

    Attributes
    ----------
    name : str
        The candidate.
    model : MeanV1
        Fitted on all rows that were given.
    unseen : array, shape (n_checked,)
        What it said of rows that its fit had not seen, in the order of the folds.
    errors : dict of str to float
        The mean absolute error of each candidate on these.
    """

    name: str
    model: MeanV1
    unseen: FloatArray
    errors: dict[str, float]


def best_of_seconds(
    algorithm: str, x: FloatArray, y: FloatArray, encoding: EncodingV1, folds: Folds, seed: int
) -> SecondsChoice:
    """Return the candidate with the least absolute error on rows that its fits have not seen."""
    makers = _makers(x, y, encoding, seed)
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
    return SecondsChoice(chosen, _fitted(makers[chosen], len(y)), said[chosen], errors)


def fitted_to_seconds(name: str, x: FloatArray, y: FloatArray, encoding: EncodingV1, seed: int) -> MeanV1:
    """Return a candidate that was chosen, fitted on all of these rows."""
    return _fitted(_makers(x, y, encoding, seed)[name], len(y))


def _fitted(members: Sequence[Callable[[IntArray], Any]], n_rows: int) -> MeanV1:
    return MeanV1(tuple(maker(np.arange(n_rows)) for maker in members))


def _makers(x: FloatArray, y: FloatArray, encoding: EncodingV1, seed: int) -> Makers:
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

    return {"boosted_trees": (trees,), "simple": (simple,), "combined": (trees, simple)}


def radius_of(observed: FloatArray, predicted: FloatArray) -> tuple[float, bool]:
    """Return the half-width that holds 90 % of unseen rows, and whether it is a share of the duration."""
    seconds = np.maximum(predicted, 1e-3 * max(float(np.abs(observed).max()), 1e-9))
    errors = np.abs(observed - predicted)
    absolute, share = conformal_radius(np.column_stack([errors, errors / seconds])).tolist()
    relative = bool(share * seconds.mean() < absolute)
    return (share if relative else absolute), relative


def failure_probability(
    x: FloatArray,
    failed: Any,  # a mask
    seed: int,
    by_row: bool | None = None,
) -> Any:  # scikit-learn ships no types
    """Return the probability of a failure: by row if that has the smaller Brier score, else one for all.

    With `by_row` the choice was made, and this is it.

    References
    ----------
    Brier (1950), Monthly Weather Review 78(1), 1-3; Laplace's rule of succession for the one for all.
    """
    share = float((failed.sum() + 1) / (len(failed) + 2))
    if by_row is False or min(failed.sum(), (~failed).sum()) < ENOUGH:
        return share

    def classifier(rows: IntArray) -> Any:
        model = HistGradientBoostingClassifier(
            max_iter=60, learning_rate=0.08, early_stopping=False, random_state=seed
        )
        return model.fit(x[rows], failed[rows])

    if by_row:
        return classifier(np.arange(len(failed)))
    error_by_row = error_by_all = 0.0
    for fit, check in shuffled_folds(len(failed), seed, failed.astype(np.intp)):
        error_by_row += float(np.square(classifier(fit).predict_proba(x[check])[:, 1] - failed[check]).sum())
        error_by_all += float(np.square(failed[fit].mean() - failed[check]).sum())
    return classifier(np.arange(len(failed))) if error_by_row < error_by_all else share
