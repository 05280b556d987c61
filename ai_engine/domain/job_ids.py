"""The ids of jobs: a job's place among all, and what cannot be guessed."""

from __future__ import annotations

import re
from typing import Final

_ID: Final = re.compile(r"([0-9a-f]{10})-([0-9a-f]{16})", re.ASCII)


def id_of(seq: int, token: str) -> str:
    """Return the id of a job: its place among all, then what cannot be guessed.

    >>> id_of(17, "0123456789abcdef")
    '0000000011-0123456789abcdef'
    """
    return f"{seq:010x}-{token}"


def parsed_id(job_id: str) -> tuple[int, str] | None:
    """Return the place and the token of an id; None where it is none.

    >>> parsed_id("0000000011-0123456789abcdef"), parsed_id("11")
    ((17, '0123456789abcdef'), None)
    """
    match = _ID.fullmatch(job_id)
    return (int(match.group(1), 16), match.group(2)) if match else None
