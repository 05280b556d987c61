"""Which column of telemetry says when, which says where, and in which unit the time is.

A column that is taken for the time has to show itself as such: text that is ISO 8601, or numbers that are
epochs of this time. One that is named by the caller is believed, and refused where it cannot be read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from statistics import median
from typing import Any, Final

from ai_engine.domain.errors import InvalidInputError

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

Row = Mapping[str, Any]  # JSON values


@dataclass(frozen=True, slots=True)
class Source:
    """Where in the rows the time and the machine stand.

    Attributes
    ----------
    time_column, group_column : str or None
        As the caller's rows call them; None where they have none.
    time_unit : str or None
        ``iso8601``, ``s``, ``ms``, ``us`` or ``ns``.
    """

    time_column: str | None
    group_column: str | None
    time_unit: str | None


def recognise(
    rows: Sequence[Any],
    time_column: str | None = None,
    group_column: str | None = None,
    series: bool = True,
    field: str = "training_data",
) -> tuple[list[Any], Source]:
    """Return rows whose time is in ``timestamp`` and whose machine is in ``vm_id``, and where they stood.

    Parameters
    ----------
    rows : sequence
        JSON objects; anything else is handed on, for whoever reads the table to refuse.
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
        If a named column does not exist, or its times cannot be read.

    Examples
    --------
    >>> rows, source = recognise([{"time": 1767225600000, "instance": "a:9100", "cpu": 1}])
    >>> rows
    [{'timestamp': 1767225600.0, 'vm_id': 'a:9100', 'cpu': 1}]
    >>> source
    Source(time_column='time', group_column='instance', time_unit='ms')
    """
    names = _names(rows)
    time = _named(time_column, names, "time_column")
    if time is None:
        time = _time_of(rows, names)
    group = _named(group_column, names, "group_column")
    if group is None:
        group = _group_of(names, series)
    if time is not None and time == group:
        raise InvalidInputError("group_column", f"{group!r} is the time; name another column")
    unit = None if time is None else _unit(rows, time)
    source = Source(time, group, unit)
    if time in (None, TIME) and group in (None, GROUP) and unit in (None, "s", "iso8601"):
        return list(rows), source
    scale = next((scale for name, scale, _ in _UNITS if name == unit), 1.0)
    moved = {column: name for column, name in ((time, TIME), (group, GROUP)) if column is not None}
    taken = set(moved.values()) - set(moved)
    return [
        _renamed(row, moved, taken, time, scale, unit, f"{field}[{number}]")
        if isinstance(row, Mapping)
        else row
        for number, row in enumerate(rows)
    ], source


def _renamed(
    row: Row,
    moved: Mapping[str, str],
    taken: set[str],
    time: str | None,
    scale: float,
    unit: str | None,
    where: str,
) -> dict[str, Any]:
    """Return a row under our names; a column that had one of them by accident goes."""
    found: dict[str, Any] = {}
    for column, cell in row.items():
        if column in moved:
            if column == time and unit not in (None, "iso8601"):
                cell = _seconds(cell, scale, f"{where}.{column}")
            found[moved[column]] = cell
        elif column not in taken:
            found[column] = cell
    return found


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


def _names(rows: Sequence[Any]) -> list[str]:
    names: dict[str, None] = {}
    for row in islice(rows, _LOOKED_AT):
        if isinstance(row, Mapping):
            names.update(dict.fromkeys(row))
    return list(names)


def _named(column: object, names: Sequence[str], parameter: str) -> str | None:
    if column is None:
        return None
    if not isinstance(column, str) or column not in names:
        listed = ", ".join(names[:_LISTED])
        raise InvalidInputError(parameter, f"there is no column {column!r:.80}; there are {listed}")
    return column


def _time_of(rows: Sequence[Any], names: Sequence[str]) -> str | None:
    if TIME in names:
        return TIME
    by_name = {name.lower(): name for name in reversed(names)}
    for candidate in TIME_NAMES:
        name = by_name.get(candidate)
        if name is not None and _shows_time(rows, name):
            return name
    return None


def _group_of(names: Sequence[str], series: bool) -> str | None:
    if GROUP in names:
        return GROUP
    by_name = {name.lower(): name for name in reversed(names)}
    wanted = GROUP_NAMES if series else GROUP_NAMES[:1]
    return next((by_name[candidate] for candidate in wanted if candidate in by_name), None)


def _cells(rows: Sequence[Any], column: str) -> list[Any]:
    """Return the first cells of a column that hold anything."""
    given = (row.get(column) for row in rows if isinstance(row, Mapping))
    return list(islice((cell for cell in given if cell not in (None, "")), _LOOKED_AT))


def _shows_time(rows: Sequence[Any], column: str) -> bool:
    cells = _cells(rows, column)
    numbers = [_number(cell) for cell in cells]
    if not cells:
        return False
    if all(number is not None for number in numbers):
        return all(_is_epoch(number) for number in numbers if number is not None)
    return all(number is None and _is_iso(cell) for cell, number in zip(cells, numbers, strict=True))


def _unit(rows: Sequence[Any], column: str) -> str | None:
    """Return the unit of the times: by what most of them are."""
    cells = _cells(rows, column)
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
