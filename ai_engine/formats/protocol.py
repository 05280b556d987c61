"""What a format has to do."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Code(NamedTuple):
    """The part of an artifact that loading executes, in memory that nobody else can change.

    Attributes
    ----------
    head, tail : bytes
        From the first byte on, and up to the last one; what lies between them is data.
    """

    head: bytes
    tail: bytes


class Format(Protocol):
    """A way in which an object is bytes. Loading may run code: only bytes whose digest matches come here."""

    @property
    def name(self) -> str:
        """What the catalogue calls it."""

    def code(self, view: memoryview) -> Code:
        """Copy what loading executes; all there is where the bytes are not those of this format."""

    def load(self, code: Code, view: memoryview) -> object:
        """Return the object; raises whatever its classes raise."""

    def plain(self, code: Code, view: memoryview) -> bytes:
        """Return a pickle that `pickle.load` alone can read."""
