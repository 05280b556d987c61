"""What a format has to do."""

from __future__ import annotations

from typing import Protocol


class Format(Protocol):
    """A way in which an object is bytes. Loading may run code: only bytes whose digest matches come here."""

    @property
    def name(self) -> str:
        """What the catalogue calls it."""

    def load(self, view: memoryview) -> object:
        """Return the object; raises whatever its classes raise."""

    def plain(self, view: memoryview) -> bytes:
        """Return a pickle that `pickle.load` alone can read."""
