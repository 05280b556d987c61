"""When capacity is to be changed, and what it costs, as a request says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ai_engine.control_plane.derivations.capacity import (
    LEAST,
    TARGET_USE,
    Policy,
)
from ai_engine.control_plane.given import Given, number_of
from ai_engine.control_plane.tracks import resource_of

CAPACITY_UNIT: Final = "shares of the present capacity"


@dataclass(frozen=True, slots=True)
class Prices:
    """What a unit of the present capacity costs, by resource; none: changes are told in shares of it."""

    by_resource: Mapping[str, float]
    every: float | None
    unit: str

    def of(self, resource: str) -> float | None:
        """Return the price of a resource; None where none was given."""
        return self.by_resource.get(resource, self.every)


@dataclass(frozen=True, slots=True)
class Limits:
    """A policy as it was given: limits in shares or percents."""

    low: float
    high: float
    target: float
    least: float
    most: float | None

    def in_shares(self) -> Policy:
        """Return it in shares; what is above 1.5 is in percents."""

        def share(value: float) -> float:
            return value / 100 if value > 1.5 else value

        return Policy(
            share(self.low), share(self.high), min(max(share(self.target), 0.05), 1.0), self.least, self.most
        )


def policy_of(given: Given, limits: tuple[float, float]) -> Limits:
    """Return the policy that a request gives; the defaults are `limits` and the target use."""

    def first(default: float, *names: str) -> float:
        found = given.first(*names)
        return default if found is None or found <= 0 else found

    most = given.first("max_factor", "max_capacity_factor")
    return Limits(
        first(limits[0], "scale_down_threshold", "low", "lower_threshold"),
        first(limits[1], "scale_up_threshold", "high", "upper_threshold"),
        first(TARGET_USE, "target_utilization", "target_usage", "target"),
        first(LEAST, "min_factor", "min_capacity_factor"),
        most if most is not None and most > 0 else None,
    )


def prices_of(given: Given) -> Prices:
    """Return what capacity costs: numbers in ``cost_optimization`` or ``prices``, by resource or for all."""
    fields: dict[str, Any] = {}
    for name in ("cost_optimization", "prices"):
        value = given.fields.get(name)
        if isinstance(value, Mapping):
            fields |= value
            inner = value.get("prices")
            fields |= inner if isinstance(inner, Mapping) else {}
    numbers = {
        str(name).removesuffix("_cost").removesuffix("_price"): number
        for name, value in fields.items()
        if (number := number_of(value)) is not None
    }
    every = next(
        (
            numbers[name]
            for name in (
                "price",
                "cost",
                "price_per_hour",
                "cost_per_hour",
                "cost_per_unit",
                "price_per_unit",
            )
            if name in numbers
        ),
        None,
    )
    if not numbers:
        return Prices({}, None, CAPACITY_UNIT)
    return Prices(
        {resource_of(name): number for name, number in numbers.items()}, every,
        "in the unit of the prices that were given, for the present capacity; shares of it where none was",
    )  # fmt: skip
