"""The stored forecaster: one model a target, behind one `predict`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ai_engine.training.arrays import FloatArray
from ai_engine.training.estimators.change_models import ChangeModel
from ai_engine.training.estimators.contexts import checked_horizon, read_context, without_last_value
from ai_engine.training.estimators.protocol import RowEstimator
from ai_engine.training.grid import Series, Stretch, context_of, series_of, stretches
from ai_engine.training.table import in_time_order, iso_utc
from ai_engine.training.windows import Windows, windows_of


@dataclass(frozen=True, slots=True)
class TargetForecastV1:
    """The forecast of one target with its 90 % interval.

    Attributes
    ----------
    target : str
        The column.
    others : tuple of str
        The columns that are seen beside it.
    model : ChangeModel
        Fitted.
    damping : float
        The share of the foretold change that is believed, 0 to 1.
    radius : array, shape (horizon,)
        Half-widths of the interval: in the target's unit or, if `floor` is not None, in multiples of the VM's
        present volatility.
    floor : float or None
        The least volatility that counts, in the target's unit.
    nonnegative : bool
        Whether a value below 0 was never seen: then none is foretold.
    """

    target: str
    others: tuple[str, ...]
    model: ChangeModel
    damping: float
    radius: FloatArray
    floor: float | None
    nonnegative: bool

    def ahead(self, windows: Windows) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the forecasts and their lower and upper bounds, each of shape (n_windows, horizon)."""
        centre = windows.last_values()[:, None] + self.damping * self.model.ahead(windows)
        width = self.radius[: windows.horizon] * self._scale(windows)
        parts = centre, centre - width, centre + width
        if self.nonnegative:
            centre, lower, upper = (np.maximum(part, 0.0) for part in parts)
            return centre, lower, upper
        return parts

    def _scale(self, windows: Windows) -> FloatArray:
        if self.floor is None:
            return np.ones((1, 1))
        return np.maximum(windows.volatility(), self.floor)[:, None]


@dataclass(frozen=True, slots=True)
class ForecasterV1(RowEstimator):
    """Forecasts of the columns of one or many VMs, for every step up to a horizon.

    Attributes
    ----------
    columns : tuple of str
        The numeric columns that a context has to have.
    forecasts : tuple of TargetForecastV1
        One a target.
    horizon : int
        The furthest step ahead.
    interval : float or None
        Seconds between steps; None if the training rows had no timestamps.
    reach : int
        Slots of context that are looked at; a longer context changes nothing.
    """

    columns: tuple[str, ...]
    forecasts: tuple[TargetForecastV1, ...]
    horizon: int
    interval: float | None
    reach: int

    def predict(self, rows: Sequence[Any], horizon: int | None = None) -> list[dict[str, Any]]:
        """Return what follows the rows, one object a VM and step.

        Parameters
        ----------
        rows : sequence
            JSON objects with the columns of training, at least one for each VM; others are ignored.
        horizon : int, optional
            Steps ahead, at most those trained for; 12, or all if those are fewer, by default.

        Returns
        -------
        list of dict
            ``vm_id`` and ``timestamp`` (ISO 8601, UTC) or None, ``step`` from 1, and for each target
            ``<target>``, ``<target>_lower``, ``<target>_upper``: the 90 % prediction interval.

        Raises
        ------
        InvalidInputError
            Naming ``horizon`` or the row and the column.
        """
        steps = checked_horizon(horizon, self.horizon)
        contexts = self._contexts(rows)
        answer: list[dict[str, Any]] = [  # JSON values
            {"vm_id": stretch.vm, "step": step, "timestamp": self._timestamp(stretch, step)}
            for stretch in contexts
            for step in range(1, steps + 1)
        ]
        for forecast in self.forecasts:
            series = tuple(self._context(stretch, forecast) for stretch in contexts)
            origins = tuple(np.array([len(one) - 1]) for one in series)
            ahead = forecast.ahead(Windows(series, origins, steps))
            for suffix, values in zip(("", "_lower", "_upper"), ahead, strict=True):
                for row, number in zip(answer, values.ravel().tolist(), strict=True):
                    row[forecast.target + suffix] = number
        return answer

    def windows(self, given: Sequence[Stretch], target: str, horizon: int, after: float) -> Windows | None:
        """Return the windows of measured data that this model can be measured on, or None if it cannot be."""
        known = all(name in stretch.cells for stretch in given for name in self.columns)
        if not known or horizon > self.horizon or target not in self.targets:
            return None
        others = self.forecast_of(target).others
        runs = [run for stretch in given for run in series_of(stretch, target, others)]
        return windows_of(runs, horizon, after=after)

    def forecast_of(self, target: str) -> TargetForecastV1:
        """Return the forecast of one of the targets."""
        return self.forecasts[self.targets.index(target)]

    @property
    def targets(self) -> tuple[str, ...]:
        """Return the columns that are foretold."""
        return tuple(forecast.target for forecast in self.forecasts)

    def _contexts(self, rows: Sequence[Any]) -> list[Stretch]:
        """Return the last uninterrupted stretch of each VM, in the order in which the VMs were given."""
        table = read_context(rows, self.columns)
        last = {}
        for stretch in stretches(in_time_order(table), self.interval, self.columns):
            last[stretch.vm] = stretch
        return list(last.values())

    def _context(self, stretch: Stretch, forecast: TargetForecastV1) -> Series:
        context = context_of(stretch, forecast.target, forecast.others, self.reach)
        if context is None:
            raise without_last_value(forecast.target, stretch.vm)
        return context

    def _timestamp(self, stretch: Stretch, step: int) -> str | None:
        if stretch.last_sample is None or self.interval is None:
            return None
        return iso_utc(stretch.last_sample + step * self.interval)
