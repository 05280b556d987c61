"""Which rows are held out. In time order wherever there is time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.arrays import FloatArray, IntArray
from ai_engine.training.table import Table


@dataclass(frozen=True, slots=True)
class Split:
    """Rows to learn from and rows to measure on.

    Attributes
    ----------
    training, held_out : array of int
        Positions of rows.
    method : str
        "time", "given order", "shuffled" or "shuffled within classes".
    """

    training: IntArray
    held_out: IntArray
    method: str


def cut_moment(moments: FloatArray, held_out: float) -> float:
    """Return the moment from which on rows are held out, all VMs at once.

    Parameters
    ----------
    moments : array, shape (n_rows,)
        Epoch seconds of the rows, in any order.
    held_out : float
        The share of the rows to hold out.

    Examples
    --------
    >>> cut_moment(np.arange(10.0), 0.2)
    8.0
    """
    position = min(max(round(len(moments) * (1 - held_out)), 0), len(moments) - 1)
    return float(np.partition(moments, position)[position])


def split_in_time(moments: FloatArray, held_out: float) -> Split:
    """Return the rows before and from the moment that cuts off a share; rows of one moment stay together."""
    late = moments >= cut_moment(moments, held_out)
    return Split(np.flatnonzero(~late), np.flatnonzero(late), "time")


def split_in_order(n_rows: int, held_out: float) -> Split:
    """Return the first rows, and the last ones as held out."""
    cut = round(n_rows * (1 - held_out))
    return Split(np.arange(cut), np.arange(cut, n_rows), "given order")


def split_shuffled(n_rows: int, held_out: float, seed: int) -> Split:
    """Return a random split that the seed decides."""
    order = np.random.default_rng(seed).permutation(n_rows)
    cut = round(n_rows * (1 - held_out))
    return Split(np.sort(order[:cut]), np.sort(order[cut:]), "shuffled")


def split_within_classes(classes: IntArray, held_out: float, seed: int) -> Split:
    """Return a random split that holds out the same share of each class; a class of one row is learned from.

    >>> split = split_within_classes(np.array([0] * 8 + [1] * 4), 0.25, seed=0)
    >>> len(split.held_out), int((split.held_out >= 8).sum())
    (3, 1)
    """
    draw = np.random.default_rng(seed)
    parts = [
        _share_of(draw.permutation(np.flatnonzero(classes == one)), held_out) for one in np.unique(classes)
    ]
    late = np.sort(np.concatenate(parts))
    return Split(np.setdiff1d(np.arange(len(classes)), late), late, "shuffled within classes")


def _share_of(rows: IntArray, share: float) -> IntArray:
    return rows[: min(round(len(rows) * share), len(rows) - 1)]


def split_table(table: Table, held_out: float, seed: int, classes: IntArray | None = None) -> Split:
    """Return the split of independent rows: in time where there are timestamps, else shuffled.

    Parameters
    ----------
    table : Table
        The rows.
    held_out : float
        The share to hold out.
    seed : int
        Decides the shuffle.
    classes : array of int, shape (n_rows,), optional
        Hold out the same share of each of these when shuffling.

    Raises
    ------
    InvalidInputError
        If one part would be empty.
    """
    if table.timestamps is not None:
        split = split_in_time(table.timestamps, held_out)
    elif classes is None:
        split = split_shuffled(len(table), held_out, seed)
    else:
        split = split_within_classes(classes, held_out, seed)
    check_parts(split, held_out)
    return split


def check_parts(split: Split, held_out: float) -> None:
    """Raise InvalidInputError if one part of a split is empty."""
    if len(split.training) == 0 or len(split.held_out) == 0:
        raise InvalidInputError(
            "validation_split",
            f"{held_out:g} leaves {len(split.training)} rows to learn from and {len(split.held_out)} "
            "to measure on; give more rows, at different times if they have timestamps, or another share",
        )
