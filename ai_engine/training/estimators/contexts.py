"""What every forecaster asks of the rows that it starts from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.table import Table, read_table

FIELD: Final = "data"
DEFAULT_HORIZON: Final = 12


def checked_horizon(horizon: int | None, most: int) -> int:
    """Return how many steps are foretold; 12, or all if those are fewer, where nothing is said."""
    if horizon is None:
        return min(DEFAULT_HORIZON, most)
    # By type: a boolean is an int, and no horizon.
    if type(horizon) is not int or not 1 <= horizon <= most:
        raise InvalidInputError(
            "horizon",
            f"give a whole number from 1 to {most}, which this version was trained for, "
            f"not {horizon!r}; train with a larger hyperparameters.horizon for more",
        )
    return horizon


def read_context(rows: Sequence[Any], columns: Sequence[str]) -> Table:
    """Return the columns of training in some rows. Raises InvalidInputError naming what is missing."""
    if not rows:
        raise InvalidInputError(FIELD, "is empty; give at least one row for each VM")
    table = read_table(rows, FIELD, only=columns)
    for name in columns:
        if name in table.texts:
            raise InvalidInputError(f"{FIELD}[0].{name}", "is text; the model was trained on numbers")
        if name not in table.numbers:
            raise InvalidInputError(
                f"{FIELD}.{name}", f"is missing; the model was trained on {', '.join(columns)}"
            )
    return table


def without_last_value(target: str, vm: str | int | None) -> InvalidInputError:
    """Return the refusal of rows whose last ones have no value of a target."""
    whose = "" if vm is None else f" of the VM {vm!r}"
    return InvalidInputError(
        f"{FIELD}.{target}", f"has no value in the last rows{whose}; a forecast starts from the last one"
    )
