"""Objects of every shape that pickles have, importable again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class Counting:
    """Counts how often it is asked for its state."""

    asked = 0

    def __init__(self, payload: object) -> None:
        self.payload = payload

    def __getstate__(self) -> dict[str, object]:
        Counting.asked += 1
        return {"payload": self.payload}


class Slotted:
    __slots__ = ("left", "right")

    def __init__(self, left: object, right: object) -> None:
        self.left, self.right = left, right

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slotted) and (self.left, self.right) == (other.left, other.right)

    def __hash__(self) -> int:
        return 0


@dataclass
class Node:
    """One that may refer to itself."""

    name: str
    others: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Frozen:
    payload: Any


class Text(str):
    """A text with an attribute."""

    note: object = None


class Picky:
    """One whose state is set by a call, and whose arguments go to the constructor."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.state: object = None

    def __reduce__(self) -> tuple[object, ...]:
        return Picky, (self.size,), self.state

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Picky) and (self.size, self.state) == (other.size, other.state)

    def __hash__(self) -> int:
        return self.size
