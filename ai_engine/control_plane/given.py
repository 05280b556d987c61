"""What a request says, read as Go writes it: null is empty, unknown fields are ignored, text is trimmed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from ai_engine.control_plane.moments import moment
from ai_engine.domain.errors import InvalidInputError

# Larger than anything that was ever measured; squares of it are finite still.
LARGEST: Final = 1e30
_SHOWN: Final = 60


def number_of(value: Any) -> float | None:
    """Return a JSON value as a finite number; None where it is none.

    Text that spells a number is that number; true and false are none.

    >>> number_of(" 2.5 "), number_of("NaN"), number_of(True), number_of(None)
    (2.5, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) <= LARGEST else None


class Given:
    """The fields of a JSON object.

    Parameters
    ----------
    fields : mapping or None
        JSON values; None is empty.
    where : str
        In front of the names that errors tell.
    """

    def __init__(self, fields: Any, where: str = "") -> None:
        if fields is not None and not isinstance(fields, Mapping):
            raise InvalidInputError(where.rstrip(".") or "body", "is no object; send { … }")
        self.fields: Mapping[str, Any] = fields or {}
        self._where = where

    def name(self, field: str) -> str:
        """Return what errors call a field."""
        return f"{self._where}{field}"

    def text(self, field: str, default: str = "") -> str:
        """Return a text, trimmed; a number is told as text. Raises InvalidInputError for anything else."""
        value = self.fields.get(field)
        if value is None:
            return default
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            return str(value).strip()
        raise self._wrong(field, "text")

    def number(self, field: str) -> float | None:
        """Return a number, None where none is given. Raises InvalidInputError for what is no number."""
        value = self.fields.get(field)
        if value is None or value == "":
            return None
        found = number_of(value)
        if found is None:
            raise self._wrong(field, "a finite number")
        return found

    def items(self, field: str) -> list[Any]:
        """Return a list without its nulls. Raises InvalidInputError for what is no list."""
        value = self.fields.get(field)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(field, "a list")
        return [item for item in value if item is not None]

    def inner(self, field: str) -> Given:
        """Return an object. Raises InvalidInputError for what is none."""
        value = self.fields.get(field)
        if value is not None and not isinstance(value, Mapping):
            raise self._wrong(field, "an object")
        return Given(value, f"{self._where}{field}.")

    def moment(self, field: str) -> float | None:
        """Return a moment in seconds of the epoch; None where it is not set."""
        return moment(self.fields.get(field))

    def first(self, *names: str) -> float | None:
        """Return the first of some fields that is a number."""
        found = (number_of(self.fields.get(name)) for name in names)
        return next((number for number in found if number is not None), None)

    def _wrong(self, field: str, wanted: str) -> InvalidInputError:
        return InvalidInputError(self.name(field), f"give {wanted}, not {self.fields[field]!r:.{_SHOWN}}")
