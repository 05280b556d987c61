"""Whether the catalogue can be used, as the last attempt found it."""

from __future__ import annotations

import logging

from ai_engine.domain.errors import StorageError

log = logging.getLogger(__name__)


class CatalogueState:
    """Why the catalogue cannot be used; `reason` is None while it can be."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def note(self, error: StorageError) -> None:
        """Remember why the catalogue cannot be used, and log it."""
        self.reason = str(error)
        log.error("the catalogue cannot be used, and the engine goes on without it: %s", error)

    def note_again(self, error: StorageError) -> None:
        """Remember what the last attempt said: the first one only knows that a file is gone."""
        if str(error) != self.reason:
            self.note(error)

    def clear(self) -> None:
        """Remember that the catalogue took something again."""
        if self.reason is not None:
            log.warning("the catalogue can be written again")
            self.reason = None
