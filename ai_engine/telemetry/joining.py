"""Tables one below the other, as one: several files of the same kind of rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ai_engine.telemetry.columns import Cells, Column, Columns, Moments, Numbers, Texts


def joined(tables: Sequence[Columns], field: str) -> Columns:
    """Return the rows of all tables, in order; a cell of a column that a table does not have is missing.

    Parameters
    ----------
    field : str
        What errors call the rows.

    Raises
    ------
    InvalidInputError
        If they come to more columns or cells than are taken.
    """
    if len(tables) == 1:
        return tables[0]
    names = dict.fromkeys(name for table in tables for name in table.names)
    length = sum(map(len, tables))
    sized = Columns(dict.fromkeys(names, ""), length)
    sized.check_size(field)
    return Columns({name: _column(name, tables) for name in names}, length)


def _column(name: str, tables: Sequence[Columns]) -> Column:
    parts = [table.column(name) if table.has(name) else None for table in tables]
    sizes = [len(table) for table in tables]
    kinds = {type(part) for part in parts if part is not None}
    if kinds == {Numbers}:
        return _numbers([part for part in parts if part is None or isinstance(part, Numbers)], sizes)
    if kinds == {Moments}:
        return Moments(
            np.concatenate(
                [
                    part.seconds if isinstance(part, Moments) else np.full(size, np.nan)
                    for part, size in zip(parts, sizes, strict=True)
                ]
            )
        )
    if kinds == {Texts}:
        return _texts([part for part in parts if part is None or isinstance(part, Texts)], sizes)
    return _cells(parts, sizes)


def _cells(parts: Sequence[Column | None], sizes: Sequence[int]) -> Cells:
    cells = ([None] * size if part is None else part.cells() for part, size in zip(parts, sizes, strict=True))
    return Cells([cell for some in cells for cell in some])


def _numbers(parts: Sequence[Numbers | None], sizes: Sequence[int]) -> Column:
    kinds = {part.values.dtype.kind for part in parts if part is not None}
    if "b" in kinds and len(kinds) > 1:  # a truth is no number
        return _cells(parts, sizes)
    if len({part.values.dtype for part in parts if part is not None}) > 1:
        values = [
            np.full(size, np.nan) if part is None else part.floats()
            for part, size in zip(parts, sizes, strict=True)
        ]
        return Numbers(np.concatenate(values))
    kind = next(part.values.dtype for part in parts if part is not None)
    missing = np.concatenate(
        [
            np.ones(size, dtype=bool) if part is None else ~part.given()
            for part, size in zip(parts, sizes, strict=True)
        ]
    )
    found = np.concatenate(
        [
            np.zeros(size, dtype=kind) if part is None else part.values
            for part, size in zip(parts, sizes, strict=True)
        ]
    )
    return Numbers(found, missing if missing.any() else None)


def _texts(parts: Sequence[Texts | None], sizes: Sequence[int]) -> Texts:
    places: dict[str, int] = {}
    codes = []
    for part, size in zip(parts, sizes, strict=True):
        if part is None:
            codes.append(np.full(size, -1, dtype=np.int32))
            continue
        own = [places.setdefault(word, len(places)) for word in part.words]
        codes.append(np.array([*own, -1], dtype=np.int32)[part.codes])
    return Texts(np.concatenate(codes), tuple(places))
