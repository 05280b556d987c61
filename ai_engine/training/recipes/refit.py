"""Fit what was chosen and measured once more, on all rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from ai_engine.training.arrays import FloatArray, IntArray
from ai_engine.training.encoding import EncodingV1
from ai_engine.training.estimators.tabular import ClassifierV1, RegressorV1
from ai_engine.training.table import Table

Tabular = TypeVar("Tabular", ClassifierV1, RegressorV1)


def at_most(rows: IntArray, most: int) -> IntArray:
    """Return every n-th row, so that no more are left than one fit takes.

    >>> at_most(np.arange(5), 2).tolist()
    [0, 3]
    """
    return rows[:: -(-len(rows) // most)]


def refitted(
    estimator: Tabular,
    make: Callable[[], Any],  # sklearn ships no types
    table: Table,
    y: FloatArray | IntArray,
    most: int,
) -> Tabular:
    """Return an estimator with the encoding and the model of all rows; all else of it stays.

    Parameters
    ----------
    estimator : ClassifierV1 or RegressorV1
        As it was measured.
    make : callable
        Makes the scikit-learn estimator that was chosen.
    table : Table
        Of n_rows, those that were held out included.
    y : array, shape (n_rows,)
        What is to be predicted.
    most : int
        Rows that one fit takes.
    """
    rows = at_most(np.arange(len(table)), most)
    encoding = EncodingV1.of(table, rows, estimator.target)
    model = make().fit(encoding.matrix(table)[rows], y[rows])
    return replace(estimator, encoding=encoding, model=model)
