"""The stored forecaster of a fleet: one model for all, and for each series what to believe of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ai_engine.training.arrays import FloatArray, IntArray
from ai_engine.training.estimators.beliefs import Beliefs, BeliefV1, bounds, look_back, roll, sizes_of
from ai_engine.training.estimators.contexts import checked_horizon, read_context, without_last_value
from ai_engine.training.estimators.protocol import RowEstimator
from ai_engine.training.formulas import Formulas, View, features
from ai_engine.training.grid import stretches
from ai_engine.training.histories import History, histories
from ai_engine.training.table import Table, in_time_order, iso_utc

# Of a context that is not of a known VM the last windows are looked at: eight days.
MOST_WINDOWS: Final = 80
# With less than three days of context the formulas over days are others than those that were judged.
SHORT_DAYS: Final = 3


@dataclass(frozen=True, slots=True)
class TargetFleetV1:
    """One target over the fleet.

    Attributes
    ----------
    target : str
        The column.
    nonnegative : bool
        Whether a value below 0 was never seen: then none is foretold.
    fleet, short : BeliefV1
        Of an ordinary series, its errors relative to those of the trees; and where the context is short.
    beliefs : mapping of str, int or None to BeliefV1
        By VM.
    """

    target: str
    nonnegative: bool
    fleet: BeliefV1
    short: BeliefV1
    beliefs: Mapping[str | int | None, BeliefV1]


@dataclass(frozen=True, slots=True)
class TreesV1:
    """Boosted trees for the change from the last value over the scale: the median, and 5 and 95 %.

    References
    ----------
    Friedman (2001), Annals of Statistics 29(5), 1189-1232; Koenker & Bassett (1978), Econometrica 46(1),
    33-50, on quantiles.
    """

    median: Any  # scikit-learn ships no types
    low: Any
    high: Any

    def ahead(self, views: Sequence[View]) -> list[tuple[FloatArray, FloatArray, FloatArray]]:
        """Return for each view the trees' values and the widths below and above, in the column's unit.

        A width is the geometric mean of the trees' distance from median to quantile, and of the scale: on
        days of Bitbrains that are not reported the interval scores were 4 to 10 % better than with either.
        """
        if not views:
            return []
        x = np.concatenate([features(view) for view in views])
        told = [np.asarray(one.predict(x), dtype=np.float64) for one in (self.median, self.low, self.high)]
        found, start = [], 0
        for view in views:
            shape = view.steps.shape
            end = start + view.steps.size
            middle, low, high = (one[start:end].reshape(shape) for one in told)
            scale = view.scale[:, None]
            found.append(
                (
                    view.levels[..., 0] + middle * scale,
                    np.sqrt(np.maximum(middle - low, LEAST_WIDTH)) * scale,
                    np.sqrt(np.maximum(high - middle, LEAST_WIDTH)) * scale,
                )
            )
            start = end
        return found


# Of the scale: where both quantiles fall together the widths are not nothing.
LEAST_WIDTH: Final = 0.02


def grid_origins(history: History, stride: int, first: float, behind: int) -> IntArray:
    """Return the slots of a fixed rhythm from a moment on that leave `behind` slots after them.

    The rhythm is of the clock, so that a context has the windows that the whole history has.
    """
    clock = history.clock
    start = max(0, clock.slot_of(first))
    offset = round(clock.start / clock.interval)
    start += -(start + offset) % stride
    origins = np.arange(start, max(start, len(history) - behind), stride)
    return origins[history.observed[origins]]


def measured_steps(horizon: int) -> IntArray:
    """Return the steps ahead at which windows are judged: all, or of many the first and some of the rest."""
    if horizon <= 96:
        return np.arange(1, horizon + 1)
    return np.unique(np.concatenate([np.arange(1, 25), np.linspace(25, horizon, 72).round().astype(np.intp)]))


@dataclass(frozen=True, slots=True)
class FleetForecasterV1(RowEstimator):
    """Forecasts of columns of a fleet, for every step up to a horizon.

    Attributes
    ----------
    columns : tuple of str
        The targets, which a context has to have.
    forecasts : tuple of TargetFleetV1
        One a target.
    trees : TreesV1
        Of all VMs and targets.
    horizon : int
        The furthest step ahead.
    interval : float
        Seconds between steps.
    day : int
        Slots of a day.
    stride : int
        Slots between the windows that are judged.
    """

    columns: tuple[str, ...]
    forecasts: tuple[TargetFleetV1, ...]
    trees: TreesV1
    horizon: int
    interval: float
    day: int
    stride: int

    @property
    def targets(self) -> tuple[str, ...]:
        """Return the columns that are foretold."""
        return self.columns

    def predict(self, rows: Sequence[Any], horizon: int | None = None) -> list[dict[str, Any]]:
        """Return what follows the rows, one object a VM and step; see `ForecasterV1.predict`.

        A VM that training knew is believed as its past windows have shown; those that came since are added
        where the rows show them. Three weeks of rows tell all that can be told; one row will do.

        Raises
        ------
        InvalidInputError
            Naming ``horizon`` or the row and the column.
        """
        steps = np.arange(1, checked_horizon(horizon, self.horizon) + 1)
        table = in_time_order(read_context(rows, self.columns))
        ends = self._ends(table)
        given = list(stretches(table, self.interval, self.columns))
        answer: list[dict[str, Any]] = [  # JSON values
            {"vm_id": vm, "step": int(step), "timestamp": self._timestamp(end, int(step))}
            for vm, end in ends
            for step in steps
        ]
        for forecast in self.forecasts:
            found = {history.vm: history for history in histories(given, forecast.target, self.day)}
            for vm, _ in ends:
                if vm not in found:
                    raise without_last_value(forecast.target, vm)
            told = self._forecast(forecast, [found[vm] for vm, _ in ends], steps)
            for suffix, values in zip(("", "_lower", "_upper"), told, strict=True):
                for row, number in zip(answer, values.ravel().tolist(), strict=True):
                    row[forecast.target + suffix] = number
        return answer

    def _forecast(
        self, forecast: TargetFleetV1, given: Sequence[History], steps: IntArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return forecasts and bounds of one target, each of shape (n_histories, n_steps)."""
        judged = measured_steps(self.horizon)
        views: list[View] = []
        plans = []
        for history in given:
            short = len(history) < SHORT_DAYS * self.day
            known = None if short else forecast.beliefs.get(history.vm)
            first = known.until if known else history.clock.start + self.day * self.interval
            formulas = Formulas(history, self.day)
            views.append(formulas.at(np.array([len(history) - 1]), steps[None, :]))
            origins = grid_origins(history, self.stride, first, self.horizon)[-MOST_WINDOWS:]
            if short:
                origins = origins[:0]
            if len(origins):
                views.append(formulas.at(origins, np.broadcast_to(judged, (len(origins), len(judged)))))
            plans.append((history, forecast.short if short else forecast.fleet, known, origins))
        told = self.trees.ahead(views)
        parts = []
        place = 0
        for history, fleet, known, origins in plans:
            view, (middle, below, above) = views[place], told[place]
            place += 1
            beliefs = Beliefs(known, fleet, len(fleet.errors))
            if len(origins):
                past = look_back(history, origins, judged, views[place], told[place])
                place += 1
                roll(beliefs, past, self.horizon, len(history) - 1)
            levels = np.concatenate([view.levels, middle[..., None]], axis=-1)
            parts.append(
                bounds(
                    levels,
                    below,
                    above,
                    steps,
                    beliefs.shares(),
                    beliefs.radius(sizes_of(judged)),
                    forecast.nonnegative,
                )
            )
        centre, low, high = (np.concatenate(one) for one in zip(*parts, strict=True))
        return centre, low, high

    def _ends(self, table: Table) -> list[tuple[str | int | None, float | None]]:
        """Return each VM with the moment of its last row, in the order in which they were given."""
        last = np.append(np.flatnonzero(np.diff(table.vm_codes)), len(table) - 1)
        return [
            (
                table.vm_ids[int(table.vm_codes[row])],
                None if table.timestamps is None else float(table.timestamps[row]),
            )
            for row in last
        ]

    def _timestamp(self, end: float | None, step: int) -> str | None:
        return None if end is None else iso_utc(end + step * self.interval)
