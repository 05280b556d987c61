"""The simplest answers to a question of numbers, of which a model has to beat the best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ai_engine.training.arrays import FloatArray, IntArray
from ai_engine.training.encoding import EncodingV1
from ai_engine.training.estimators.simple import GroupMedianV1

# With fewer rows a group's median is one of luck; such groups are answered with the median of all.
LEAST_GROUP: Final = 3
# A column of numbers with more values than this is a measurement; with fewer it says which kind a row is of.
MOST_VALUES: Final = 12


def simple_answers(x: FloatArray, y: FloatArray, encoding: EncodingV1) -> dict[str, GroupMedianV1]:
    """Return the simple answers of training rows by their names, fitted.

    Parameters
    ----------
    x : array, shape (n_rows, n_features)
        The training rows.
    y : array, shape (n_rows,)
        The target.
    encoding : EncodingV1
        Whose text columns say which group a row is of, and whose numbers of few values may.

    Returns
    -------
    dict
        ``mean``, ``median`` and, where there are text columns, ``median by <columns>``, also with
        the numbers of few values among them.
    """
    answers = {
        "mean": GroupMedianV1((), {}, float(y.mean())),
        "median": GroupMedianV1((), {}, float(np.median(y))),
    }
    texts = tuple(range(len(encoding.medians), encoding.n_features))
    few = tuple(
        number for number in range(len(encoding.medians)) if 1 < len(np.unique(x[:, number])) <= MOST_VALUES
    )
    by_text = ", ".join(encoding.categories)
    by_all = ", ".join([*encoding.categories, *(list(encoding.medians)[number] for number in few)])
    for name, columns in ((by_text, texts), (by_all, (*texts, *few))):
        if columns:
            answers[f"median by {name}"] = _by_group(x, y, columns)
    return answers


def _by_group(x: FloatArray, y: FloatArray, columns: tuple[int, ...]) -> GroupMedianV1:
    groups: dict[bytes, list[int]] = {}
    for row, key in enumerate(GroupMedianV1.keys(x, columns)):
        groups.setdefault(key, []).append(row)
    medians = {key: float(np.median(y[rows])) for key, rows in groups.items() if len(rows) >= LEAST_GROUP}
    return GroupMedianV1(columns, medians, float(np.median(y)))


def _fitted_as(name: str, answer: GroupMedianV1, x: FloatArray, y: FloatArray) -> GroupMedianV1:
    """Return the answer of the same columns for other rows."""
    if name == "mean":
        return GroupMedianV1((), {}, float(y.mean()))
    return _by_group(x, y, answer.columns) if answer.columns else GroupMedianV1((), {}, float(np.median(y)))


def best_simple_answer(
    x: FloatArray,
    y: FloatArray,
    encoding: EncodingV1,
    folds: Sequence[tuple[IntArray, IntArray]],
) -> tuple[str, GroupMedianV1]:
    """Return the simple answer with the least absolute error on rows that it has not seen, with its name."""
    names = simple_answers(x, y, encoding)
    errors = dict.fromkeys(names, 0.0)
    for fit, check in folds:
        for name, whole in names.items():
            answer = _fitted_as(name, whole, x[fit], y[fit])
            errors[name] += float(np.abs(answer.predict(x[check]) - y[check]).sum())
    chosen = min(errors, key=lambda name: errors[name])
    return chosen, names[chosen]
