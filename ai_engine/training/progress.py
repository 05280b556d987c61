"""How a training tells how far it is. Imports no numeric library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Progress(Protocol):
    """Is called at every stage of a training, in the thread that trains; what it raises ends the training."""

    def __call__(self, fraction: float, message: str) -> None:
        """Take note that `fraction` (0 to 1, never less than before) is done and what comes next."""
        ...


@dataclass(frozen=True, slots=True)
class Stage:
    """How far a training is.

    Attributes
    ----------
    fraction : float
        What is done, 0 to 1.
    message : str
        What comes next.
    """

    fraction: float
    message: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a longer progress: its 0 to 1 is `start` to `end` of the whole."""

    whole: Progress
    start: float
    end: float

    def __call__(self, fraction: float, message: str) -> None:
        """Pass it on, scaled."""
        self.whole(self.start + fraction * (self.end - self.start), message)
