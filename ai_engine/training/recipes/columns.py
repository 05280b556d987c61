"""What recipes ask of columns before they learn from them, and tell of them afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.arrays import FloatArray, IntArray
from ai_engine.training.encoding import EncodingV1
from ai_engine.training.results import Cleaning
from ai_engine.training.table import Table, iso_utc

# Below, a fold of the training rows is a handful of rows and a measured share a multiple of a third.
MIN_ROWS: Final = 20


def varies(column: FloatArray) -> bool:
    """Return whether a column has at least two different values."""
    known = column[~np.isnan(column)]
    return len(known) > 0 and bool((known != known[0]).any())


def varying(table: Table) -> tuple[str, ...]:
    """Return the numeric columns that vary."""
    return tuple(name for name, column in table.numbers.items() if varies(column))


def named_targets(table: Table, targets: Sequence[str]) -> tuple[str, ...]:
    """Return the targets, or raise InvalidInputError if one is no numeric column that varies."""
    for position, target in enumerate(targets):
        where = f"target_columns[{position}]"
        if target in table.texts:
            raise InvalidInputError(where, f"the column {target!r} is text; name a column of numbers")
        if target not in table.numbers:
            known = ", ".join(table.numbers) or "none"
            raise InvalidInputError(where, f"there is no column {target!r}; the numeric columns are: {known}")
        if np.isnan(table.numbers[target]).all():
            raise InvalidInputError(where, f"the column {target!r} has no value in any row")
        if not varies(table.numbers[target]):
            raise InvalidInputError(where, f"the column {target!r} is constant, so there is nothing to learn")
    return tuple(targets)


def described(table: Table, columns: Sequence[str], training: IntArray) -> dict[str, Any]:
    """Return what metadata tells of a table: ranges in training, the period, the number of rows.

    Parameters
    ----------
    table : Table
        As it was learned from.
    columns : sequence of str
        Those that are used.
    training : array of int
        Positions of the training rows.
    """
    ranges = {}
    for name in columns:
        if name in table.numbers:
            known = table.numbers[name][training]
            known = known[~np.isnan(known)]
            ranges[name] = {"min": float(known.min()), "max": float(known.max())} if len(known) else None
    period = None
    if table.timestamps is not None and len(table):
        period = {
            "from": iso_utc(float(table.timestamps.min())),
            "to": iso_utc(float(table.timestamps.max())),
        }
    return {"columns": ranges, "data_period": period, "rows": len(table)}


def cleaning_of(table: Table, columns: Sequence[str]) -> Cleaning:
    """Return what was done to a table of which some columns are used."""
    missing = {name: int(np.isnan(table.numbers[name]).sum()) for name in columns if name in table.numbers}
    return Cleaning(
        counts=table.cleaning,
        missing_values={name: count for name, count in missing.items() if count},
        columns_ignored=tuple(name for name in (*table.numbers, *table.texts) if name not in columns),
    )


def check_length(table: Table, target: str) -> None:
    """Raise InvalidInputError if the rows that have a target are too few to learn from and to measure on."""
    if len(table) < MIN_ROWS:
        raise InvalidInputError(
            "training_data", f"has {len(table)} rows with a value of {target}; give at least {MIN_ROWS}"
        )


def has_features(encoding: EncodingV1, target: str) -> EncodingV1:
    """Return the encoding, or raise InvalidInputError if there is nothing to learn from."""
    if encoding.n_features == 0:
        raise InvalidInputError(
            "training_data", f"has no usable column beside {target}; give at least one to learn from"
        )
    return encoding
