"""Numbers and names as people read them."""

from __future__ import annotations

import math
from collections.abc import Mapping


def printed(value: object) -> str:
    """Return a JSON value as a short text.

    >>> printed(0.123456), printed(None), printed(True), printed([1, "a"]), printed(1234567)
    ('0.123', '–', 'yes', '1, a', '1,234,567')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return decimal(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(printed, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{printed(key)} {printed(one)}" for key, one in value.items())
    return str(value)


def decimal(value: float) -> str:
    """Return a number with three digits, without an exponent where it can be read without.

    >>> decimal(12345.6), decimal(12.3456), decimal(0.00012), decimal(-0.5), decimal(1e9)
    ('12,346', '12.3', '0.00012', '-0.5', '1e+09')
    """
    if not math.isfinite(value):
        return "–"
    if 1000 <= abs(value) < 1e7:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def percent(share: float) -> str:
    """Return a share in whole percents; what is not all of it is not told as all of it.

    >>> percent(0.857), percent(0.997), percent(1.0), percent(0.001), percent(0.0)
    ('86 %', 'over 99 %', '100 %', 'below 1 %', '0 %')
    """
    if 0.995 <= share < 1:
        return "over 99 %"
    return "below 1 %" if 0 < share < 0.005 else f"{share * 100:.0f} %"


def spelled(name: object) -> str:
    """Return a name of ours as words.

    >>> spelled("boosted_trees_absolute")
    'boosted trees absolute'
    """
    return str(name).replace("_", " ")
