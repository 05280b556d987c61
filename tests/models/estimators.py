"""Objects to save that can be imported again."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Estimator:
    slope: float = 1.0
    weights: list[float] = field(default_factory=list)


class Unpicklable:
    def __reduce__(self) -> tuple[object, ...]:
        raise RuntimeError("holds a socket")


def large(seed: int, megabytes: float = 1.0) -> bytes:
    """Bytes that are too many for a row, different for each seed."""
    return bytes([seed % 256]) * int(megabytes * 1024 * 1024)
