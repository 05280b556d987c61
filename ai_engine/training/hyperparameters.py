"""What a kind of training may be told: the types of its hyperparameters. Imports no numeric library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ai_engine.domain.errors import InvalidInputError

AUTO = "auto"


class Setting(Protocol):
    """One hyperparameter: its default, and the check of a given value."""

    @property
    def default(self) -> Any:
        """Return the value that is used when none is given (any JSON value)."""
        ...

    @property
    def allowed(self) -> str:
        """Say which values are allowed."""
        ...

    def check(self, field: str, value: Any) -> Any:
        """Return `value` as it will be used, or raise InvalidInputError (any JSON value may be given)."""
        ...


@dataclass(frozen=True, slots=True)
class WholeNumber:
    """A whole number in a closed range; where the default is None, the recipe finds it out."""

    default: int | None
    low: int
    high: int

    @property
    def allowed(self) -> str:
        """Say which values are allowed."""
        return f"a whole number from {self.low} to {self.high}"

    def check(self, field: str, value: Any) -> int | None:
        """Return `value`, or raise InvalidInputError saying which numbers are allowed."""
        if value is None and self.default is None:
            return None
        whole = isinstance(value, float) and value.is_integer()
        if isinstance(value, bool) or not (isinstance(value, int) or whole):
            raise InvalidInputError(
                field, f"{value!r} is not a whole number; give one from {self.low} to {self.high}"
            )
        if not self.low <= value <= self.high:
            raise InvalidInputError(field, f"{value!r} is out of range; give {self.allowed}")
        return int(value)


@dataclass(frozen=True, slots=True)
class Share:
    """A number strictly between 0 and a bound; where the default is None, the recipe finds it out."""

    default: float | None
    below: float

    @property
    def allowed(self) -> str:
        """Say which values are allowed."""
        return f"a number above 0 and below {self.below:g}"

    def check(self, field: str, value: Any) -> float | None:
        """Return `value` as a float, or raise InvalidInputError saying which numbers are allowed."""
        if value is None and self.default is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < self.below:
            raise InvalidInputError(field, f"give {self.allowed}, not {value!r}")
        return float(value)


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of some words; the first is the default."""

    words: tuple[str, ...]

    @property
    def default(self) -> str:
        """Return the first word."""
        return self.words[0]

    @property
    def allowed(self) -> str:
        """Say which values are allowed."""
        return f"one of {', '.join(self.words)}"

    def check(self, field: str, value: Any) -> str:
        """Return `value`, or raise InvalidInputError listing the words."""
        if not isinstance(value, str) or value not in self.words:
            raise InvalidInputError(field, f"{value!r} is not known; choose {self.allowed}")
        return value


@dataclass(frozen=True, slots=True)
class Switch:
    """True or false; the words too, as a query parameter or a spreadsheet spells them."""

    default: bool

    @property
    def allowed(self) -> str:
        """Say which values are allowed."""
        return "true or false"

    def check(self, field: str, value: Any) -> bool:
        """Return `value`, or raise InvalidInputError."""
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if not isinstance(value, bool):
            raise InvalidInputError(field, f"give {self.allowed}, not {value!r}")
        return value


# numpy's generators take 32 bits.
SEED = WholeNumber(default=0, low=0, high=2**32 - 1)


def complete(kind: str, settings: Mapping[str, Setting], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return every hyperparameter of a kind: the given ones checked, the others at their default.

    Parameters
    ----------
    kind : str
        What errors call it.
    settings : mapping of str to Setting
        The hyperparameters that it has.
    given : mapping or None
        Names and values as a caller sent them (any JSON value).

    Raises
    ------
    InvalidInputError
        Naming ``hyperparameters.<name>`` and what is allowed.

    Examples
    --------
    >>> complete("regression", {"seed": SEED, "trees": WholeNumber(60, 1, 500)}, {"seed": 7})
    {'seed': 7, 'trees': 60}
    """
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        raise InvalidInputError("hyperparameters", f"give an object such as {{}}, not {given!r}")
    for name in given:
        if name not in settings:
            raise InvalidInputError(
                f"hyperparameters.{name}",
                f"{kind} has no such hyperparameter; it has {', '.join(settings) or 'none'}",
            )
    return {
        name: setting.check(f"hyperparameters.{name}", given[name]) if name in given else setting.default
        for name, setting in settings.items()
    }
