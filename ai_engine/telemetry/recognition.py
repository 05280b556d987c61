"""Which column of telemetry says when, which says where, and in which unit the time is.

A column that is taken for the time has to show itself as such: text that is ISO 8601, or numbers that are
epochs of this time. One that is named by the caller is believed, and refused where it cannot be read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ai_engine.domain.errors import InvalidInputError
from ai_engine.telemetry.columns import Cells, Column, Columns, Floats, Moments, Numbers, Texts
from ai_engine.telemetry.reading import Source

TIME, GROUP = "timestamp", "vm_id"
# As exporters and their databases call the time and the machine, best first; letters of either case.
TIME_NAMES: Final = (
    *("timestamp", "time", "ts", "datetime", "date_time", "@timestamp", "_time", "epoch", "unix_time"),
    *(
        "timestamp_s",
        "timestamp_ms",
        "timestamp_us",
        "timestamp_ns",
        "time_s",
        "time_ms",
        "epoch_s",
        "epoch_ms",
    ),
    "date",
)
GROUP_NAMES: Final = (
    *("vm_id", "vm", "vm_name", "vmid", "instance", "host", "hostname", "node", "domain", "machine"),
)
# Numbers of seconds, milliseconds, microseconds and nanoseconds since 1970 differ so much in size that no
# moment between 1973 and the year 5138 can be two of them.
_UNITS: Final = (("s", 1.0, 1e11), ("ms", 1e3, 1e14), ("us", 1e6, 1e17), ("ns", 1e9, math.inf))
# What an epoch of our time is: 1990 to 2100. A column that merely may be the time has to be so.
_PLAUSIBLE: Final = (631_152_000.0, 4_102_444_800.0)
_LOOKED_AT: Final = 1000
_LISTED: Final = 20


def recognise(
    rows: Sequence[Any],
    time_column: str | None = None,
    group_column: str | None = None,
    series: bool = True,
    field: str = "training_data",
) -> tuple[Columns, Source]:
    """Return a table whose time is in ``timestamp`` and whose machine is in ``vm_id``, and where they stood.

    Parameters
    ----------
    rows : sequence
        JSON objects, or `Columns`.
    time_column, group_column : str or None
        As the caller names them; None: ``timestamp`` and ``vm_id``, else what shows itself as such.
    series : bool
        Whether rows are measurements in time. Otherwise only columns of the usual names are the machine:
        `host` may well be a category.
    field : str
        What errors call the rows.

    Raises
    ------
    InvalidInputError
        If a named column does not exist, its times cannot be read, or a row is no object.

    Examples
    --------
    >>> found, source = recognise([{"time": 1767225600000, "instance": "a:9100", "cpu": 1}])
    >>> list(found)
    [{'timestamp': 1767225600.0, 'vm_id': 'a:9100', 'cpu': 1}]
    >>> source.time_column, source.group_column, source.time_unit
    ('time', 'instance', 'ms')
    """
    table = Columns.of(rows, field)
    time = _named(time_column, table.names, "time_column")
    if time is None:
        time = _time_of(table)
    group = _named(group_column, table.names, "group_column")
    if group is None:
        group = _group_of(table.names, series)
    if time is not None and time == group:
        raise InvalidInputError("group_column", f"{group!r} is the time; name another column")
    unit = None if time is None else _unit(table.column(time))
    source = Source(time, group, unit)
    replaced: dict[str, Column | None] = {}
    if time is not None and unit not in (None, "iso8601") and (time, unit) != (TIME, "s"):
        scale = next(scale for name, scale, _ in _UNITS if name == unit)
        replaced[time] = _in_seconds(table.column(time), scale, field, time)
    moved = {column: name for column, name in ((time, TIME), (group, GROUP)) if column is not None}
    return table.with_columns(replaced, moved), source


def _in_seconds(column: Column, scale: float, field: str, name: str) -> Column:
    """Return epochs of another unit as seconds; what is of another kind or unit is refused with its row."""
    if not isinstance(column, Numbers) or column.values.dtype.kind == "b":
        cells = enumerate(column.cells())
        return Cells([_seconds(cell, scale, f"{field}[{row}].{name}") for row, cell in cells])
    seconds = column.floats() / scale
    if scale > 1:
        odd = ~np.isnan(seconds) & ~((_PLAUSIBLE[0] <= seconds) & (seconds <= _PLAUSIBLE[1]))
        for row in np.flatnonzero(odd)[:1]:
            _seconds(column.cells()[row], scale, f"{field}[{row}].{name}")
    return Numbers(seconds)


def _seconds(cell: Any, scale: float, where: str) -> Any:
    number = _number(cell)
    if number is None:
        if cell in (None, "") or (isinstance(cell, float) and math.isnan(cell)):
            return None
        raise InvalidInputError(
            where, f"{cell!r:.60} is no epoch, as the other times are; give one kind of time"
        )
    if scale > 1 and not _PLAUSIBLE[0] <= number / scale <= _PLAUSIBLE[1]:
        raise InvalidInputError(
            where, f"{cell!r:.60} is of another unit than the other times; give one unit of time"
        )
    return number / scale if scale > 1 else number


def _named(column: object, names: Sequence[str], parameter: str) -> str | None:
    if column is None:
        return None
    if not isinstance(column, str) or column not in names:
        listed = ", ".join(names[:_LISTED])
        raise InvalidInputError(parameter, f"there is no column {column!r:.80}; there are {listed}")
    return column


def _time_of(table: Columns) -> str | None:
    if table.has(TIME):
        return TIME
    by_name = {name.lower(): name for name in reversed(table.names)}
    for candidate in TIME_NAMES:
        name = by_name.get(candidate)
        if name is not None and _shows_time(table.column(name)):
            return name
    return None


def _group_of(names: Sequence[str], series: bool) -> str | None:
    if GROUP in names:
        return GROUP
    by_name = {name.lower(): name for name in reversed(names)}
    wanted = GROUP_NAMES if series else GROUP_NAMES[:1]
    return next((by_name[candidate] for candidate in wanted if candidate in by_name), None)


def _first(column: Column) -> list[Any]:
    """Return the first cells of a column that hold anything."""
    return column.take(np.flatnonzero(column.given())[:_LOOKED_AT]).cells()


def _shows_time(column: Column) -> bool:
    if isinstance(column, Moments):
        return bool(column.given().any())
    cells = _first(column)
    numbers = [_number(cell) for cell in cells]
    if not cells:
        return False
    if all(number is not None for number in numbers):
        return all(_is_epoch(number) for number in numbers if number is not None)
    return all(number is None and _is_iso(cell) for cell, number in zip(cells, numbers, strict=True))


def _unit(column: Column) -> str | None:
    """Return the unit of the times: by what most of them are."""
    cells = _first(column)
    if isinstance(column, Moments):
        return "iso8601" if cells else None
    numbers = [abs(number) for cell in cells if (number := _number(cell)) is not None]
    if not cells:
        return None
    if 2 * len(numbers) < len(cells):
        return "iso8601"
    middle = float(median(numbers))
    return next(name for name, _, below in _UNITS if middle < below)


def _is_epoch(number: float) -> bool:
    return any(_PLAUSIBLE[0] <= number / scale <= _PLAUSIBLE[1] for _, scale, _ in _UNITS)


def _is_iso(cell: object) -> bool:
    try:
        return isinstance(cell, str) and bool(datetime.fromisoformat(cell))
    except ValueError:
        return False


def _number(cell: object) -> float | None:
    """Return a cell as a number; None for text that spells none, and for what is neither."""
    if isinstance(cell, bool) or not isinstance(cell, (int, float, str)):
        return None
    try:
        number = float(cell)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def seconds_of(cell: object) -> float | None:
    """Return the moment of a cell of ``timestamp`` in epoch seconds, UTC; None where it tells none."""
    number = _number(cell)
    if number is not None or not isinstance(cell, str):
        return number
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def times_of(table: Columns) -> Floats:
    """Return the moment of each row in epoch seconds, UTC, shape (n_rows,); NaN where it tells none."""
    if not table.has(TIME):
        return np.full(len(table), np.nan)
    column = table.column(TIME)
    if isinstance(column, Moments):
        return column.seconds
    if isinstance(column, Numbers):
        return column.floats()
    if isinstance(column, Texts):
        by_word = [seconds_of(word) for word in column.words]
        return np.array([*by_word, None], dtype=np.float64)[column.codes]
    return np.array([seconds_of(cell) for cell in column.cells()], dtype=np.float64)


def machines_of(table: Columns) -> NDArray[np.intp]:
    """Return which machine each row is of, shape (n_rows,): numbers from 0 on, for no machine one, too."""
    if not table.has(GROUP):
        return np.zeros(len(table), dtype=np.intp)
    column = table.column(GROUP)
    if isinstance(column, Texts):
        return np.where(column.codes < 0, len(column.words), column.codes).astype(np.intp)
    if isinstance(column, Numbers):
        known = np.unique(column.values, return_inverse=True)[1]
        return np.where(column.given(), known, len(column))
    codes: dict[Any, int] = {}  # JSON values
    return np.array([codes.setdefault(cell, len(codes)) for cell in column.cells()], dtype=np.intp)
