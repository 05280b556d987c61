"""The stored simple answer: one number for all rows, or one for each group of categories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ai_engine.training.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class GroupMedianV1:
    """A number for each combination of categories that was seen in training, and one for all others.

    Attributes
    ----------
    columns : tuple of int
        The columns of X that tell the combination.
    medians : mapping of bytes to float
        By the bytes of these columns.
    otherwise : float
        For combinations that were not seen.
    """

    columns: tuple[int, ...]
    medians: Mapping[bytes, float]
    otherwise: float

    def predict(self, x: FloatArray) -> FloatArray:
        """Return a number for each row of X, shape (n_rows,)."""
        if not self.medians:
            return np.full(len(x), self.otherwise)
        return np.array([self.medians.get(key, self.otherwise) for key in self.keys(x, self.columns)])

    @staticmethod
    def keys(x: FloatArray, columns: tuple[int, ...]) -> list[bytes]:
        """Return the combination of each row of X.

        >>> one, two = GroupMedianV1.keys(np.array([[7.0, 1.0], [8.0, 1.0]]), (1,))
        >>> one == two
        True
        """
        return [row.tobytes() for row in x[:, list(columns)] + 0.0]  # -0.0 is 0.0
