"""Class labels, which keep the JSON type that they came with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.arrays import IntArray
from ai_engine.training.estimators.tabular import Label

# With more classes than this a table of rows gives each too few to learn from, and answers grow by one entry
# a class.
MAX_CLASSES = 200


@dataclass(frozen=True, slots=True)
class Labels:
    """The classes of a column and which of them each row has.

    Attributes
    ----------
    labels : tuple
        The distinct labels, sorted, all of one JSON type.
    codes : array of int, shape (n_rows,)
        For each row an index into `labels`.
    """

    labels: tuple[Label, ...]
    codes: IntArray


def read_labels(cells: list[Any], row_numbers: IntArray, target: str) -> Labels:
    """Return the classes of raw cells, none of them missing.

    Parameters
    ----------
    cells : list
        JSON values.
    row_numbers : array of int, shape (n_rows,)
        Where each cell's row stood in what was given, for messages.
    target : str
        The column.

    Raises
    ------
    InvalidInputError
        If a cell is no label, if types are mixed, or if there are too few or too many classes.

    Examples
    --------
    >>> read_labels(["b", "a", "b"], np.arange(3), "state").labels
    ('a', 'b')
    """
    for cell, row in zip(cells, row_numbers, strict=True):
        if not isinstance(cell, (str, int, float)):
            raise InvalidInputError(
                f"training_data[{row}].{target}", "is no class label; give text, a number or a boolean"
            )
        if _kind(cell) != _kind(cells[0]):
            raise InvalidInputError(
                f"training_data[{row}].{target}",
                f"is a {_kind(cell)}, and the first label is a {_kind(cells[0])}; give labels of one type",
            )
    # 1.0 is the class 1: JSON writers do not agree on how to spell a whole number.
    labels = [int(cell) if isinstance(cell, float) and cell.is_integer() else cell for cell in cells]
    distinct = sorted(set(labels))
    if len(distinct) < 2:
        raise InvalidInputError(
            "training_data",
            f"the column {target!r} is constant: every row is {distinct[0]!r}. Give at least two classes",
        )
    if len(distinct) > min(MAX_CLASSES, max(2, len(labels) // 2)):
        raise InvalidInputError(
            "target_columns[0]",
            f"the column {target!r} has {len(distinct)} different values in {len(labels)} rows, too many "
            f"for classes (at most {MAX_CLASSES}, and two rows each); use regression for a number",
        )
    place = {label: code for code, label in enumerate(distinct)}
    return Labels(tuple(distinct), np.array([place[label] for label in labels], dtype=np.intp))


def _kind(cell: Label) -> str:
    return "text" if isinstance(cell, str) else "boolean" if isinstance(cell, bool) else "number"
