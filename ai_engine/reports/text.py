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


def score(value: float) -> str:
    """Return a number of which 1 is perfect; what is not perfect is not told as that.

    >>> score(0.9354), score(0.9998), score(1.0), score(-0.2)
    ('0.935', 'over 0.999', '1', '-0.2')
    """
    return "over 0.999" if 0.9995 <= value < 1 else decimal(value)


def is_same(skill: float) -> bool:
    """Tell whether an error is as good as the baseline's: less than half a percent is no difference.

    >>> is_same(0.0049), is_same(-0.0049), is_same(0.005)
    (True, True, False)
    """
    return abs(skill) < 0.005


def against(skill: float) -> str:
    """Return what an error is against the baseline's.

    >>> against(0.32), against(0.001), against(-0.32), against(0.9999)
    ('32 % better', 'the same', '32 % worse', 'over 99 % better')
    """
    if is_same(skill):
        return "the same"
    return f"{percent(abs(skill))} {'better' if skill > 0 else 'worse'}"


def spelled(name: object) -> str:
    """Return a name of ours as words.

    >>> spelled("boosted_trees_absolute")
    'boosted trees absolute'
    """
    return str(name).replace("_", " ")
