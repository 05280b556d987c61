"""Rows of named columns to a matrix: gaps filled from training rows, text one-hot, the unknown tolerated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.arrays import FloatArray, IntArray
from ai_engine.training.cells import is_missing
from ai_engine.training.table import Table, read_table

FIELD: Final = "data"
# A text column with more values than this names things (hosts, ids) rather than kinds of things.
MAX_CATEGORIES: Final = 50


@dataclass(frozen=True, slots=True)
class EncodingV1:
    """How the columns of training become X.

    Attributes
    ----------
    medians : dict of str to float
        The numeric columns in order; a missing value becomes the median of the training rows.
    categories : dict of str to tuple of str
        The text columns in order, one column of X for each value seen in training; any other value is none
        of them.
    """

    medians: dict[str, float]
    categories: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, table: Table, training: IntArray, target: str | None) -> EncodingV1:
        """Return the encoding of every column but the target that has a value in the training rows."""
        medians = {}
        for name, column in table.numbers.items():
            known = column[training]
            known = known[~np.isnan(known)]
            if name != target and len(known):
                medians[name] = float(np.median(known))
        categories = {}
        for name, cells in table.texts.items():
            seen = sorted({str(cells[row]) for row in training if not is_missing(cells[row])})
            if name != target and 0 < len(seen) <= MAX_CATEGORIES:
                categories[name] = tuple(seen)
        return cls(medians, categories)

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that rows need to have."""
        return (*self.medians, *self.categories)

    @property
    def n_features(self) -> int:
        """Return the number of columns of X."""
        return len(self.medians) + sum(map(len, self.categories.values()))

    def matrix(self, table: Table) -> FloatArray:
        """Return X of a table that has the columns, shape (n_rows, n_features), finite."""
        x = np.zeros((len(table), self.n_features))
        for position, (name, median) in enumerate(self.medians.items()):
            column = table.numbers[name]
            x[:, position] = np.where(np.isnan(column), median, column)
        position = len(self.medians)
        for name, categories in self.categories.items():
            place = {category: position + at for at, category in enumerate(categories)}
            for row, cell in enumerate(table.texts[name]):
                if cell in place:
                    x[row, place[cell]] = 1.0
            position += len(categories)
        return x

    def matrix_of_rows(self, rows: Sequence[Any]) -> FloatArray:
        """Return X of JSON objects, in their order.

        Raises
        ------
        InvalidInputError
            Naming the column that is missing, or the cell that is no number.
        """
        if not rows:
            raise InvalidInputError(FIELD, "is empty; give at least one row")
        table = read_table(rows, FIELD, only=self.columns, raw=tuple(self.categories))
        for name in self.columns:
            if name in table.numbers or (name in self.categories and name in table.texts):
                continue
            if name in table.texts:
                raise InvalidInputError(f"{FIELD}[0].{name}", "is text; the model was trained on numbers")
            raise InvalidInputError(
                f"{FIELD}.{name}", f"is missing; the model was trained on {', '.join(self.columns)}"
            )
        return self.matrix(table)
