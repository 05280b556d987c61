"""Which columns a model's answers hang on, told by shuffling one after the other on held-out rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from ai_engine.training.arrays import FloatArray, IntArray
from ai_engine.training.encoding import EncodingV1
from ai_engine.training.findings import rounded

REPEATS: Final = 5
MOST_ROWS: Final = 2_000
# Rows that are predicted in all, whatever the number of columns: a forest takes three seconds for them.
BUDGET: Final = 200_000
LEAST_ROWS: Final = 100
MOST_NAMED: Final = 30


def permutation_importance(
    error: Callable[[FloatArray, IntArray], float],
    x: FloatArray,
    encoding: EncodingV1,
    measure: str,
    seed: int,
) -> dict[str, Any]:
    """Return by how much the error grows where a column's values are shuffled among the rows (JSON values).

    A column of text is shuffled as a whole, however many columns of X it has. Of two columns that tell the
    same each may show little.

    Parameters
    ----------
    error : callable
        Returns the mean error of a matrix like X whose rows are those held-out rows.
    x : array, shape (n_rows, n_features)
        The held-out rows.
    encoding : EncodingV1
        Which columns of X belong to which column of the table.
    measure : str
        What `error` tells, in words.
    seed : int
        Decides the shuffles and, of very many rows, which are looked at.

    Returns
    -------
    dict
        ``measure``, ``rows`` and ``repeats``; ``columns``, the highest first, each with ``column``, the mean
        ``increase`` of the error and its ``spread``, the standard deviation over the repeats; ``unnamed``,
        how many columns are left out.

    References
    ----------
    Breiman (2001), Machine Learning 45(1), 5-32; Fisher, Rudin & Dominici (2019), JMLR 20(177), 1-81.
    """
    draw = np.random.default_rng(seed)
    groups = dict(_columns(encoding))
    allowed = max(LEAST_ROWS, min(MOST_ROWS, BUDGET // (REPEATS * max(len(groups), 1))))
    rows = np.arange(len(x))
    if len(rows) > allowed:
        rows = np.sort(draw.choice(len(x), allowed, replace=False))
    part = x[rows]
    plain = error(part, rows)
    found = []
    for name, places in groups.items():
        increases = []
        for _ in range(REPEATS):
            shuffled = part.copy()
            shuffled[:, places] = part[draw.permutation(len(part))][:, places]
            increases.append(error(shuffled, rows) - plain)
        found.append((name, float(np.mean(increases)), float(np.std(increases))))
    found.sort(key=lambda one: -one[1])
    return {
        "measure": measure,
        "rows": len(rows),
        "repeats": REPEATS,
        "columns": [
            {"column": name, "increase": rounded(mean), "spread": rounded(spread)}
            for name, mean, spread in found[:MOST_NAMED]
        ],
        "unnamed": max(0, len(found) - MOST_NAMED),
    }


def _columns(encoding: EncodingV1) -> Iterator[tuple[str, list[int]]]:
    """Yield the columns of the table, and which columns of X each became."""
    for position, name in enumerate(encoding.medians):
        yield name, [position]
    position = len(encoding.medians)
    for name, categories in encoding.categories.items():
        yield name, list(range(position, position + len(categories)))
        position += len(categories)
