"""Which training rows a candidate is judged on: each by a fit that has not seen it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np

from ai_engine.training.arrays import IntArray

N_FOLDS: Final = 5


def forward_folds(n_rows: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield parts of rows in time order: those to learn from, and those that follow them.

    >>> [(len(learn), len(check)) for learn, check in forward_folds(60)]
    [(10, 10), (20, 10), (30, 10), (40, 10), (50, 10)]
    """
    edges = np.linspace(0, n_rows, N_FOLDS + 2).round().astype(np.intp)
    for start, end in pairwise(edges[1:]):
        if start and end > start:
            yield np.arange(start), np.arange(start, end)


def shuffled_folds(
    n_rows: int, seed: int, classes: IntArray | None = None
) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield parts of exchangeable rows, each row once among those to check, each class spread over the parts.

    >>> [len(check) for _, check in shuffled_folds(12, seed=0)]
    [3, 3, 2, 2, 2]
    """
    order = np.random.default_rng(seed).permutation(n_rows)
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
    for fold in range(min(N_FOLDS, n_rows)):
        check = np.sort(order[fold::N_FOLDS])
        learn = np.setdiff1d(np.arange(n_rows), check)
        if len(learn):
            yield learn, check
