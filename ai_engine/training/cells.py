"""The cells of telemetry rows, one column at a time: each is read, or refused by its name."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ai_engine.domain.errors import InvalidInputError
from ai_engine.telemetry.columns import Column, Moments, Numbers, Texts, json_type
from ai_engine.training.arrays import FloatArray, IntArray

TIMESTAMP: Final = "timestamp"
VM_ID: Final = "vm_id"
# An epoch of 1e11 s is the year 5138: whoever sends one means milliseconds.
LATEST_EPOCH: Final = 1e11
# The year 1, the first that a datetime can say.
EARLIEST_EPOCH: Final = -62_135_596_800.0
# Trees keep 32-bit floats, which end at 3e38, and squares of what is larger than this overflow 64-bit ones
# soon.
LARGEST: Final = 1e30
MISSING: Final = (None, "")
_NUMBER_TYPES: Final = frozenset({int, float, bool, type(None)})


def is_missing(cell: object) -> bool:
    """Return whether a raw cell holds no value: None, an empty text or NaN."""
    return cell in MISSING or (isinstance(cell, float) and math.isnan(cell))


def read_numbers(column: Column, name: str, field: str, cleaning: dict[str, int]) -> FloatArray | None:
    """Return the cells as numbers, or None for a column of text.

    Parameters
    ----------
    column : Column
        Of any JSON values.
    name, field : str
        What errors call the column and the rows.
    cleaning : dict of str to int
        Where it is counted what was done to cells.

    Raises
    ------
    InvalidInputError
        Naming the row and the column, and what would be right.
    """
    if isinstance(column, Moments) or (isinstance(column, Texts) and not _mostly_numeric_text(column)):
        return None
    if isinstance(column, Numbers):
        found = column.floats()
    else:
        cells = column.cells()
        types = set(map(type, cells))
        if types <= _NUMBER_TYPES:
            found = _all_numbers(cells, name, field)
        elif types <= {str, type(None)} and not _mostly_numeric_text(column):
            return None
        else:
            found = np.array([_number(cell, f"{field}[{row}].{name}") for row, cell in enumerate(cells)])
            texts = sum(isinstance(cell, str) and cell != "" for cell in cells)
            if texts:
                cleaning["numeric_text_cells"] = cleaning.get("numeric_text_cells", 0) + texts
    beyond = np.flatnonzero(np.abs(found) > LARGEST)
    if len(beyond):
        what = "is infinite" if np.isinf(found[beyond[0]]) else f"{found[beyond[0]]:g} is no measurement"
        raise InvalidInputError(
            f"{field}[{beyond[0]}].{name}",
            f"{what}; give a number up to {LARGEST:g}, or null where it is unknown",
        )
    return found


def _all_numbers(cells: list[Any], name: str, field: str) -> FloatArray:
    try:
        return np.array(cells, dtype=np.float64)
    except OverflowError:  # an integer beyond 1e308: find out which
        return np.array([_number(cell, f"{field}[{row}].{name}") for row, cell in enumerate(cells)])


def _mostly_numeric_text(column: Column) -> bool:
    """Return whether a column of text is meant as numbers, so that what is none in it is a mistake."""
    if isinstance(column, Texts):
        counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.words))
        spelled = [_spelled(word) is not None for word in column.words]
        return bool(len(counts)) and 2 * int(counts[spelled].sum()) > int(counts.sum())
    texts = [cell for cell in column.cells() if cell not in MISSING]
    return bool(texts) and 2 * sum(_spelled(text) is not None for text in texts) > len(texts)


def _number(cell: object, where: str) -> float:
    if cell in MISSING:
        return math.nan
    if isinstance(cell, str):
        number = _spelled(cell)
        if number is None:
            raise InvalidInputError(
                where, f"{_shown(cell)} is text where the column has numbers; give a number or null"
            )
        return number
    if not isinstance(cell, numbers.Real):
        raise InvalidInputError(where, f"is a {json_type(cell)}; give a number or null")
    try:
        return float(cell)
    except OverflowError:
        raise InvalidInputError(where, "is too large for a 64-bit float; give a number below 1e308") from None


def _spelled(text: str) -> float | None:
    """Return the finite number that a text spells, or None."""
    # float() also takes "nan", "infinity" and "1_000", none of which a telemetry source writes for a number.
    if "_" in text:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def read_timestamps(column: Column, field: str) -> FloatArray:
    """Return each row's moment in epoch seconds, UTC; NaN where it has none. Raises InvalidInputError."""
    where = f"{field}[{{}}].{TIMESTAMP}".format
    if isinstance(column, Moments):
        found = column.seconds
    elif isinstance(column, Numbers) and column.values.dtype.kind != "b":
        found = column.floats()
    elif isinstance(column, Texts):
        first = dict(zip(*(one.tolist() for one in np.unique(column.codes, return_index=True)), strict=True))
        words = [_epoch(word, where(first.get(code, 0))) for code, word in enumerate(column.words)]
        return np.array([*words, math.nan], dtype=np.float64)[column.codes]
    else:
        return np.array(
            [_epoch(cell, where(row)) for row, cell in enumerate(column.cells())], dtype=np.float64
        )
    for row in np.flatnonzero(~((found >= EARLIEST_EPOCH) & (found <= LATEST_EPOCH)) & ~np.isnan(found))[:1]:
        _epoch(float(found[row]), where(row))
    return found


def _epoch(cell: object, where: str) -> float:
    if cell in MISSING:
        return math.nan
    if isinstance(cell, str):
        number = _spelled(cell)
        epoch = _iso_epoch(cell, where) if number is None else number
    elif isinstance(cell, bool) or not isinstance(cell, numbers.Real):
        raise InvalidInputError(where, f"is a {json_type(cell)}; give ISO 8601 text or epoch seconds")
    else:
        epoch = _number(cell, where)
    if epoch > LATEST_EPOCH:
        raise InvalidInputError(where, f"{cell!r} is beyond the year 5138: milliseconds? Give epoch seconds")
    if epoch < EARLIEST_EPOCH:
        raise InvalidInputError(where, f"{cell!r} is before the year 1; give epoch seconds")
    return epoch


def _iso_epoch(text: str, where: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInputError(
            where, f'{_shown(text)} is no time; give ISO 8601 ("2026-01-01T00:00:00Z") or epoch seconds'
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def read_vms(column: Column, field: str) -> tuple[IntArray, tuple[str | int | None, ...]]:
    """Return which VM each row is of, and the VMs as they were written. Raises InvalidInputError."""
    if isinstance(column, Texts):
        return _in_order(column.codes, column.words)
    if isinstance(column, Numbers) and column.missing is None and column.values.dtype.kind in "iu":
        known, codes = np.unique(column.values, return_inverse=True)
        return _in_order(codes, tuple(known.tolist()))
    found: dict[str | int | None, int] = {}
    codes = np.empty(len(column), dtype=np.intp)
    for number, vm in enumerate(column.cells()):
        if isinstance(vm, float) and vm.is_integer():
            vm = int(vm)
        if vm is not None and (isinstance(vm, bool) or not isinstance(vm, (str, int))):
            raise InvalidInputError(
                f"{field}[{number}].{VM_ID}", f"is a {json_type(vm)}; give text or a whole number"
            )
        codes[number] = found.setdefault(vm, len(found))
    return codes, tuple(found)


def _in_order(
    codes: NDArray[np.integer[Any]], names: Sequence[str | int]
) -> tuple[IntArray, tuple[str | int | None, ...]]:
    """Return codes and what they stand for in the order in which they come first; -1 stands for None."""
    seen, first, place = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    return rank[place], tuple(None if seen[at] < 0 else names[seen[at]] for at in order)


def _shown(text: str) -> str:
    """Return a text for an error message: never a whole document."""
    return repr(text if len(text) <= 40 else text[:40] + "…")
