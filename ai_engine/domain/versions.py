"""The order of versions.

One to three dot-separated numbers compare as numbers, missing parts being 0; every other version stands below
all of those, in the order in which they were created.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ai_engine.domain.errors import InvalidNameError
from ai_engine.domain.names import MAX_VERSION

# Longer than any version that we give; of the original software's anything may have been one.
_NUMBER = re.compile(r"[0-9]{1,64}(?:\.[0-9]{1,64}){0,2}", re.ASCII)

FIRST = "1.0.0"


@lru_cache(maxsize=1024)  # a save asks three times for two of them
def parse(version: str) -> tuple[int, int, int] | None:
    """Return the three numbers of a version, or None where it is not one to three numbers.

    >>> parse("1.10")
    (1, 10, 0)
    >>> parse("nightly")
    """
    if not _NUMBER.fullmatch(version):
        return None
    parts = [int(part) for part in version.split(".")]
    major, minor, patch = (*parts, 0, 0)[:3]
    return major, minor, patch


def sort_key(version: str, created: int) -> str:
    """Return text that orders versions as the rule says when compared byte by byte.

    Each number is written behind its count of digits, so that 10 sorts above 9 whatever the lengths.

    Parameters
    ----------
    version : str
        The version.
    created : int
        The position of the version in the order of creation, counted from 1.

    Examples
    --------
    >>> sort_key("1.9.0", 7) < sort_key("1.10.0", 3)
    True
    >>> sort_key("nightly", 7) < sort_key("0.0.0", 3)
    True
    """
    numbers = parse(version)
    if numbers is None:
        return f"0{created:019d}"
    return "1" + ".".join(f"{len(str(number)):02d}{number}" for number in numbers)


def next_patch(highest: str | None) -> str:
    """Return the version after `highest`, its patch raised by one; the first one where there is none.

    Raises
    ------
    InvalidNameError
        If it would be longer than a version may be.

    Examples
    --------
    >>> next_patch("1.4.9")
    '1.4.10'
    """
    numbers = parse(highest) if highest is not None else None
    if numbers is None:
        return FIRST
    major, minor, patch = numbers
    following = f"{major}.{minor}.{patch + 1}"
    if len(following) > MAX_VERSION:
        raise InvalidNameError(
            "version",
            highest,
            f"is so long that no number can follow it; at most {MAX_VERSION} characters "
            "are allowed. Name the version yourself",
        )
    return following
