"""A table as columns: of arrays where a file or a frame had them, of cells where rows were objects."""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from ai_engine.domain.errors import InvalidInputError

# A ragged table of n rows can name n columns and ask for n * n cells of 8 bytes; these bounds hold it below
# 1 GiB.
MAX_COLUMNS: Final = 1_000
MAX_CELLS: Final = 50_000_000

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Positions = NDArray[np.intp]
Row = dict[str, Any]  # JSON values


class Column(Protocol):
    """The cells of all rows under one name; a cell is a JSON value."""

    def __len__(self) -> int: ...

    def cells(self) -> list[Any]:
        """Return the cells as JSON has them; None is missing."""
        ...

    def take(self, positions: Positions) -> Column:
        """Return the cells at these positions."""
        ...

    def given(self) -> Bools:
        """Return which cells hold anything, shape (n_rows,)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """Numbers or booleans.

    Attributes
    ----------
    values : array, shape (n_rows,)
        Of bool, int64, uint64 or float64; NaN is missing.
    missing : array of bool, shape (n_rows,), or None
        Which values are none; None: no others than NaN.
    """

    values: NDArray[Any]
    missing: Bools | None = None

    def __len__(self) -> int:
        return len(self.values)

    def cells(self) -> list[Any]:
        """Return Python's numbers; see `Column`."""
        known = self.given()
        found: list[Any] = self.values.tolist()
        return (
            found
            if known.all()
            else [cell if there else None for cell, there in zip(found, known, strict=True)]
        )

    def take(self, positions: Positions) -> Numbers:
        """See `Column`."""
        return Numbers(self.values[positions], None if self.missing is None else self.missing[positions])

    def given(self) -> Bools:
        """See `Column`."""
        if self.missing is not None:
            return ~self.missing
        if self.values.dtype.kind == "f":
            unknown: Bools = np.isnan(self.values)
            return ~unknown
        return np.ones(len(self.values), dtype=bool)

    def floats(self) -> Floats:
        """Return the numbers as float64, shape (n_rows,); NaN is missing."""
        found = np.asarray(self.values, dtype=np.float64)
        return found if self.missing is None else np.where(self.missing, np.nan, found)


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """Text, each word once.

    Attributes
    ----------
    codes : array of int, shape (n_rows,)
        Which word each cell is; -1 is missing.
    words : tuple of str
        In the order in which they come first.
    """

    codes: NDArray[np.int32]
    words: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def cells(self) -> list[Any]:
        """Return text; see `Column`."""
        words = (*self.words, None)  # at -1
        return [words[code] for code in self.codes.tolist()]

    def take(self, positions: Positions) -> Texts:
        """See `Column`."""
        return Texts(self.codes[positions], self.words)

    def given(self) -> Bools:
        """See `Column`."""
        return self.codes >= 0


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Moments that their source knew to be moments.

    Attributes
    ----------
    seconds : array, shape (n_rows,)
        Since 1970, UTC; NaN is missing.
    """

    seconds: Floats

    def __len__(self) -> int:
        return len(self.seconds)

    def cells(self) -> list[Any]:
        """Return text in ISO 8601, UTC; see `Column`."""
        return [
            datetime.fromtimestamp(cell, UTC).isoformat() if there else None
            for cell, there in zip(self.seconds.tolist(), self.given(), strict=True)
        ]

    def take(self, positions: Positions) -> Moments:
        """See `Column`."""
        return Moments(self.seconds[positions])

    def given(self) -> Bools:
        """See `Column`."""
        return ~np.isnan(self.seconds)


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """JSON values of any kind, one by one."""

    values: list[Any]

    def __len__(self) -> int:
        return len(self.values)

    def cells(self) -> list[Any]:
        """Return them; see `Column`."""
        return self.values

    def take(self, positions: Positions) -> Cells:
        """See `Column`."""
        return Cells([self.values[position] for position in positions])

    def given(self) -> Bools:
        """See `Column`."""
        return np.array([cell is not None and cell != "" for cell in self.values], dtype=bool)


class Columns(Sequence[Row]):
    """A table. As a sequence it is its rows, one object each.

    Parameters
    ----------
    columns : mapping of str to Column or str
        By name; text is the key under which `rows` have the cells, taken out when they are asked for.
    length : int
        How many rows there are.
    rows : sequence of mapping
        Where cells are that were not taken out yet.
    """

    def __init__(
        self, columns: Mapping[str, Column | str], length: int, rows: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self._columns, self._length, self._rows = dict(columns), length, rows

    @classmethod
    def of(cls, rows: Sequence[Any], field: str = "training_data") -> Columns:
        """Return rows, JSON objects, as a table; one is handed back as it is.

        Raises
        ------
        InvalidInputError
            If a row is no object; it is named, in what the caller knows as `field`.
        """
        if isinstance(rows, Columns):
            return rows
        for number, row in enumerate(rows):
            if not isinstance(row, Mapping):
                raise InvalidInputError(
                    f"{field}[{number}]", f'is a {json_type(row)}, not an object such as {{"cpu": 12.5}}'
                )
        return cls({name: name for name in dict.fromkeys(chain.from_iterable(rows))}, len(rows), rows)

    @property
    def names(self) -> tuple[str, ...]:
        """What the columns are called, in the order in which they come first."""
        return tuple(self._columns)

    def has(self, name: object) -> bool:
        """Tell whether there is a column of this name."""
        return name in self._columns

    def check_size(self, field: str) -> None:
        """Raise InvalidInputError where the table has more columns or cells than are taken."""
        if len(self._columns) > MAX_COLUMNS or len(self._columns) * self._length > MAX_CELLS:
            raise too_many(field, len(self._columns), self._length)

    def column(self, name: str) -> Column:
        """Return a column. Raises KeyError where there is none."""
        found = self._columns[name]
        if isinstance(found, str):
            found = self._columns[name] = Cells([row.get(found) for row in self._rows])
        return found

    def with_columns(self, columns: Mapping[str, Column | None], renamed: Mapping[str, str]) -> Columns:
        """Return the table with some columns replaced (None: without them), and then some renamed.

        A column that has the new name of another one by accident goes.
        """
        taken = set(renamed.values()) - set(renamed)
        kept: dict[str, Column | str] = {}
        for name, own in self._columns.items():
            column = columns.get(name, own) if name in columns else own
            if column is not None and name not in taken:
                kept[renamed.get(name, name)] = column
        return Columns(kept, self._length, self._rows)

    def take(self, positions: Positions) -> Columns:
        """Return the rows at these positions, in this order."""
        found = {name: self.column(name).take(positions) for name in self._columns}
        return Columns(found, len(positions))

    def head(self, count: int) -> Columns:
        """Return the first rows."""
        if self._length <= count:
            return self
        if self._rows and all(isinstance(column, str) for column in self._columns.values()):
            return Columns(self._columns, count, self._rows[:count])
        return self.take(np.arange(count))

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Columns: ...
    def __getitem__(self, index: int | slice) -> Row | Columns:
        if isinstance(index, slice):
            return self.take(np.arange(self._length)[index])
        (row,) = self.take(np.array([range(self._length)[index]]))
        return row

    def __iter__(self) -> Iterator[Row]:
        names = self.names
        if not names:
            yield from ({} for _ in range(self._length))
            return
        for cells in zip(*(self.column(name).cells() for name in names), strict=True):
            yield dict(zip(names, cells, strict=True))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (Columns, list)):
            return list(self) == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as a list has none


def too_many(field: str, n_columns: int, n_rows: int) -> InvalidInputError:
    """Return the error for a table that is larger than what is taken."""
    return InvalidInputError(
        field,
        f"has {n_columns:,} columns and {n_rows:,} rows; at most {MAX_COLUMNS:,} columns and {MAX_CELLS:,} "
        "cells are taken. Give the same keys in every row, and fewer rows",
    )


def json_type(value: object) -> str:
    """Return what a JSON value is called."""
    names = {dict: "object", list: "list", str: "text", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number" if isinstance(value, numbers.Real) else type(value).__name__)
