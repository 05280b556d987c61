"""What a stored object has to be to read rows by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any


class RowEstimator(ABC):
    """A fitted object that predicts from rows as they are sent, and checks them itself.

    A recipe hands back an object of such a class, or anything with scikit-learn's ``predict``, which is given
    the numeric columns as a matrix. The class is looked for by its name when the object is loaded, as long as
    a version of it is kept.
    """

    # Without it the subclasses would each have a __dict__ beside their slots, and other pickles than before.
    __slots__ = ()

    @abstractmethod
    def predict(self, rows: Sequence[Any], horizon: int | None = None) -> list[dict[str, Any]]:
        """Return the predictions, as ``POST /models/{name}/predict`` answers them (JSON values).

        Parameters
        ----------
        rows : sequence
            JSON objects, at least one.
        horizon : int, optional
            Steps ahead; refused by all but forecasters.

        Raises
        ------
        InvalidInputError
            Naming the row and the column that cannot be used, or ``horizon``.
        """
