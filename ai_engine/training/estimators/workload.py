"""The stored forecaster of workloads: forecasts, and how busy each step is by the VM's own history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ai_engine.training.arrays import FloatArray
from ai_engine.training.estimators.contexts import FIELD
from ai_engine.training.estimators.fleet import FleetForecasterV1
from ai_engine.training.estimators.forecaster import ForecasterV1
from ai_engine.training.estimators.protocol import RowEstimator
from ai_engine.training.table import read_table

# Of the VM's own rows: below the first a step is idle, below the second low, above the third high.
BOUNDS: Final = (0.1, 0.3, 0.9)


@dataclass(frozen=True, slots=True)
class WorkloadForecasterV1(RowEstimator):
    """Forecasts with a level.

    Attributes
    ----------
    forecaster : FleetForecasterV1 or ForecasterV1
        Of the columns.
    target : str
        The column that levels are told of.
    levels : mapping of str, int or None to array, shape (3,)
        By VM, the quantiles `BOUNDS` of its training rows.
    """

    forecaster: FleetForecasterV1 | ForecasterV1
    target: str
    levels: Mapping[str | int | None, FloatArray]

    def predict(self, rows: Sequence[Any], horizon: int | None = None) -> list[dict[str, Any]]:
        """Return what the forecaster tells, with ``level``: idle, low, normal or high.

        A VM that training did not know is told of by the rows that are given.

        Raises
        ------
        InvalidInputError
            Naming ``horizon`` or the row and the column.
        """
        answer = self.forecaster.predict(rows, horizon)
        bounds: dict[str | int | None, FloatArray] = {}
        if any(row["vm_id"] not in self.levels for row in answer):
            table = read_table(rows, FIELD, only=(self.target,))
            values = table.numbers[self.target]
            for code, vm in enumerate(table.vm_ids):
                bounds[vm] = bounds_of(values[table.vm_codes == code])
        bounds |= self.levels
        for row in answer:
            row["level"] = level_of(row[self.target], bounds[row["vm_id"]])
        return answer


def bounds_of(values: FloatArray) -> FloatArray:
    """Return the quantiles that part the levels; NaN is left out.

    >>> bounds_of(np.arange(101.0)).tolist()
    [10.0, 30.0, 90.0]
    """
    known = values[~np.isnan(values)]
    return np.quantile(known, BOUNDS) if len(known) else np.zeros(len(BOUNDS))


def level_of(value: float, bounds: FloatArray) -> str:
    """Return the level of a value; one that never changes is normal.

    >>> [level_of(value, np.array([10.0, 30.0, 90.0])) for value in (9, 10, 30, 90, 91)]
    ['idle', 'low', 'normal', 'normal', 'high']
    """
    idle, low, high = bounds
    if value < idle:
        return "idle"
    if value < low:
        return "low"
    return "high" if value > high else "normal"
